package listen

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// wire is what a *tls.Conn of ours reads and writes. It knows two things that
// crypto/tls keeps to itself: whether part of a record has come, and that the
// closing alert is not worth five seconds of waiting for a peer that does not
// read.
type wire struct {
	net.Conn
	parting atomic.Bool // only the closing alert is written from here on

	// head and body belong to the goroutine that reads.
	head int     // bytes of a record's header that have come
	size [2]byte // the length in that header
	body int     // bytes of the record still to come
}

// recordHeader is the size of a TLS record's header: type, version, and the
// length of what follows in the last two bytes (RFC 8446, 5.1).
const recordHeader = 5

var errNoRoom = errors.New("no room to say goodbye")

func (w *wire) NetConn() net.Conn { return w.Conn }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.follow(p[:n])
	return n, err
}

// follow keeps track of where records end.
func (w *wire) follow(b []byte) {
	for len(b) > 0 {
		if w.body > 0 {
			n := min(w.body, len(b))
			w.body -= n
			b = b[n:]
			continue
		}
		if w.head >= recordHeader-len(w.size) {
			w.size[w.head-(recordHeader-len(w.size))] = b[0]
		}
		w.head++
		b = b[1:]
		if w.head == recordHeader {
			w.head, w.body = 0, int(w.size[0])<<8|int(w.size[1])
		}
	}
}

// midRecord reports that part of a record has come. Only for the goroutine that
// reads.
func (w *wire) midRecord() bool { return w.head > 0 || w.body > 0 }

// Write writes, and waits for room as long as the deadline lets it; but when
// parting it writes what there is room for at once.
func (w *wire) Write(p []byte) (int, error) {
	if !w.parting.Load() {
		return w.Conn.Write(p)
	}
	socket, ok := under[syscall.Conn](w.Conn)
	if !ok {
		return 0, errNoRoom
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var wrote error
	err = raw.Write(func(fd uintptr) bool {
		n, wrote = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	if err = errors.Join(err, wrote); err == nil && n < len(p) {
		err = errNoRoom
	}
	return max(n, 0), err
}
