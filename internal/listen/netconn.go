package listen

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longAgo as a deadline ends at once whatever waits for it.
var longAgo = time.Unix(1, 0)

// unwrap finds what is a T among a connection and those below it, from the top.
func unwrap[T any](c net.Conn) (found T, ok bool) {
	for c != nil {
		if found, ok = c.(T); ok {
			return found, true
		}
		wrapper, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			break
		}
		c = wrapper.NetConn()
	}
	return found, false
}

// errNoSocket says that a connection is not one of the system's, as in tests.
var errNoSocket = errors.New("no socket below the connection")

// rawSocket is the socket below a connection.
func rawSocket(c net.Conn) (syscall.RawConn, error) {
	socket, ok := unwrap[syscall.Conn](c)
	if !ok {
		return nil, errNoSocket
	}
	return socket.SyscallConn()
}

// hasUnread reports that the socket below holds unread bytes. A connection without
// a socket has none.
func hasUnread(c net.Conn) bool {
	bytes, _ := peek(c)
	return bytes
}

// peek tells what the kernel holds of a connection: unread bytes, or the peer's
// end, or neither.
func peek(c net.Conn) (bytes, ended bool) {
	raw, err := rawSocket(c)
	if err != nil {
		return false, !errors.Is(err, errNoSocket)
	}
	n := 0
	var peeked error
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return false, true
	case peeked == nil:
		return n > 0, n == 0
	}
	return false, !errors.Is(peeked, unix.EAGAIN) && !errors.Is(peeked, unix.EINTR)
}

// discardBuffers are for bytes that are dropped. One is taken only when bytes are
// there, so there are about as many as processors, however many connections linger.
var discardBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// discard waits for bytes on the socket below a connection and drops them. Over TLS
// there is no need to decrypt them.
func discard(c net.Conn) (n int, err error) {
	raw, err := rawSocket(c)
	switch {
	case errors.Is(err, errNoSocket):
		b := discardBuffers.Get().(*[64 << 10]byte)
		defer discardBuffers.Put(b)
		return c.Read(b[:])
	case err != nil:
		return 0, err
	}
	var read error
	err = raw.Read(func(fd uintptr) (done bool) {
		b := discardBuffers.Get().(*[64 << 10]byte)
		defer discardBuffers.Put(b)
		n, read = unix.Read(int(fd), b[:])
		return !errors.Is(read, unix.EAGAIN) && !errors.Is(read, unix.EINTR)
	})
	switch {
	case err != nil:
		return 0, err
	case read != nil:
		return 0, read
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
