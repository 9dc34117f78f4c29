package listen

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// recordConn is what a *tls.Conn reads from and writes to. It adds two things that
// crypto/tls lacks: it knows whether part of a record has come, and it does not
// wait five seconds to send the closing alert to a peer that does not read.
type recordConn struct {
	net.Conn
	closing atomic.Bool // only the closing alert is written from here on

	// head and body belong to the goroutine that reads.
	head int     // bytes of a record's header that have come
	size [2]byte // the length in that header
	body int     // bytes of the record still to come
}

// recordHeader is the size of a TLS record's header: type, version, and the
// length of what follows in the last two bytes (RFC 8446, 5.1).
const recordHeader = 5

var errNoRoom = errors.New("no room for the closing alert")

func (w *recordConn) NetConn() net.Conn { return w.Conn }

func (w *recordConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.follow(p[:n])
	return n, err
}

// follow keeps track of where records end.
func (w *recordConn) follow(b []byte) {
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
func (w *recordConn) midRecord() bool { return w.head > 0 || w.body > 0 }

// Write writes, and waits for room until the deadline. While closing it writes
// what there is room for at once.
func (w *recordConn) Write(p []byte) (int, error) {
	if !w.closing.Load() {
		return w.Conn.Write(p)
	}
	raw, err := rawSocket(w.Conn)
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

// closeWrite sends the end of a connection, by TLS and by the socket below, and
// leaves it open for reading. It does not wait. An error means that the peer may
// not have been told.
func closeWrite(c net.Conn) error {
	type half interface{ CloseWrite() error }
	if session, ok := c.(*tls.Conn); ok {
		if w, ok := unwrap[*recordConn](c); ok {
			w.closing.Store(true)
		}
		_ = session.CloseWrite() // fails before the handshake is done; the socket says it, too
		c = session.NetConn()
	}
	if h, ok := unwrap[half](c); ok {
		return h.CloseWrite()
	}
	return net.ErrClosed
}

// closeNow closes a connection without waiting. A *tls.Conn by itself waits for
// its peer for up to five seconds.
func closeNow(c net.Conn) error {
	if w, ok := unwrap[*recordConn](c); ok {
		w.closing.Store(true)
	}
	return c.Close()
}
