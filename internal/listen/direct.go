package listen

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direct is how a connection without TLS is read where an Answerer comes first: reading,
// answering and reading again happen in one call of RawConn.Read, with one system call for
// each. Read and Write of net.Conn take three for a request, since the one that waits for the
// next request begins with a read that finds nothing.
//
// The poller reports changes, not states: a socket that has something to read is reported
// when that comes. Whoever has read all there was may wait without another look, for what
// comes later is reported; and less than was asked for is all there was (epoll(7), question
// 9). What comes while the answer is made is not lost: RawConn.Read forgets old reports
// when it begins, and ready, which reads first, returns to its wait and not to its beginning.
//
// One thing a short read does not tell: that the peer's end stood behind its bytes. It
// was reported together with them, and is not reported again. So ready looks once more,
// unless the connection is busy. A busy one that falls idle without that look is blind,
// and the goroutine that keeps the timeouts looks in its place; see lookLocked.
type direct struct {
	raw   syscall.RawConn
	ready func(fd uintptr) bool // Conn.ready, bound once
	fd    int                   // of the socket while ready runs, else -1

	// What Read asks for, and what came of it.
	p    []byte
	n    int
	err  error
	seen bool // the n bytes were offered to the Answerer
}

// newDirect is how c is read directly; nil where it cannot be.
func newDirect(c *Conn) *direct {
	switch c.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	return &direct{raw: raw, ready: c.ready, fd: -1}
}

// readDirect is Read of the connection below, but for what is answered meanwhile.
func (c *Conn) readDirect(p []byte) (int, error) {
	d := c.direct
	if len(p) == 0 {
		return 0, nil
	}
	d.p, d.n, d.err, d.seen = p, 0, nil, false
	err := d.raw.Read(d.ready)
	d.p, d.fd = nil, -1
	if err != nil {
		return 0, err // a deadline, or closed
	}
	return d.n, d.err
}

// ready reads the socket, which may have something to read, and answers what it can. It
// reports false to be called again when there is more.
func (c *Conn) ready(socket uintptr) (done bool) {
	d := c.direct
	d.fd = int(socket)
	for {
		n, errno := receive(d.fd, d.p)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			c.setBlind(false)
			return false
		case errno != 0:
			d.err = &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("recvfrom", errno)}
			return true
		case n == 0:
			d.err = io.EOF
			return true
		}
		state := c.state.Load()
		phase, since := state&(1<<phaseBits-1), state>>phaseBits
		if phase != phaseIdle && phase != phaseNew || c.skip > 0 || c.closeRequested.Load() {
			d.n = n // for the callers, which know these
			return true
		}
		busy := c.answered && c.listener.now.Load()-since <= checkEvery.Milliseconds()
		left := c.answer(d.p[:n])
		switch {
		case left < 0:
			d.err = io.EOF
			return true
		case left > 0:
			d.n, d.seen = left, true
			return true
		}
		if busy && n < len(d.p) {
			c.setBlind(true)
			return false
		}
	}
}

// setBlind notes whether the connection waits without having looked. It writes only what
// changes, since all but the first request of a busy one find it set.
func (c *Conn) setBlind(blind bool) {
	if c.blind.Load() != blind {
		c.blind.Store(blind)
	}
}

// lookLocked looks, once, whether the peer of a blind connection has ended it, which waits
// since a check ago: then its reader is woken. The caller holds listener.mu.
func (c *Conn) lookLocked() {
	if !c.blind.Swap(false) {
		return
	}
	if _, ended := peek(c.Conn); ended {
		c.requestCloseLocked()
	}
}

// send writes to the socket what it takes at once, and the rest as Write does.
func (c *Conn) send(b []byte) error {
	if d := c.direct; d != nil && d.fd >= 0 {
		n, errno := transmit(d.fd, b)
		if errno == 0 {
			b = b[n:]
		}
		if len(b) == 0 {
			return nil
		}
	}
	// Also after an error, which it then returns in its own way.
	_, err := c.Conn.Write(b)
	return err
}

// receive and transmit are raw calls: on these terms the kernel never waits, so the runtime
// need not be told of them, which would cost a tenth of each.

func receive(fd int, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

func transmit(fd int, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(r), errno
}
