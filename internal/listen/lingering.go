package listen

import (
	"cmp"
	"container/list"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of lingering; see the method linger.
const (
	// maxLingering is how many connections may linger at a time.
	maxLingering = 1024
	// lingerTime is how long one may take where Timeouts does not say.
	lingerTime = 30 * time.Second
	// lingerQuiet is how long a peer may be silent meanwhile.
	lingerQuiet = 5 * time.Second
	// maxLingerBytes is how much a peer may go on sending. Many clients send all of
	// their content before they read a byte of the answer.
	maxLingerBytes = 64 << 20
)

// lingeringConns are the connections that linger, the oldest in front.
// Listener.mu guards them.
type lingeringConns struct {
	open list.List // of *lingeringConn
	cut  uint64
}

// lingeringConn is one of them.
type lingeringConn struct {
	conn     net.Conn
	deadline time.Time     // when it is cut, whatever its peer does
	element  *list.Element // nil: it was cut in favour of another one
}

// linger ends a connection in stages, as nginx's lingering_close does (RFC 9112,
// 9.6): it sends its end, reads and discards what the peer still sends until the
// peer ends the connection too, and only then closes the socket. A socket that
// is closed while bytes are on their way to it is reset, and the reset overtakes
// the answer: a client that sends a large body and reads afterwards would find
// "connection reset" instead of its 413, and a balancer would take this server
// for a broken one.
//
// It returns at once; a goroutine of the listener does the waiting. Time, silence,
// bytes and the number of lingering connections are bounded. Beyond that number
// the oldest is cut. An ordinary peer is gone after one round trip, so the oldest
// is nearly always one that holds its place on purpose.
func (w *Listener) linger(c net.Conn) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		_ = closeNow(c)
		return
	}
	f := &lingeringConn{conn: c, deadline: time.Now().Add(cmp.Or(w.timeouts.Linger, lingerTime))}
	if w.lingering.open.Len() >= maxLingering {
		w.cutLocked(w.lingering.open.Front().Value.(*lingeringConn))
	}
	f.element = w.lingering.open.PushBack(f)
	w.running.Go(func() { w.awaitEnd(f) })
	w.mu.Unlock()
}

// cutLocked ends a connection's wait. The caller holds mu.
func (w *Listener) cutLocked(f *lingeringConn) {
	w.lingering.open.Remove(f.element)
	f.element, f.deadline = nil, longAgo
	_ = f.conn.SetReadDeadline(longAgo)
}

// shortenLocked lets no connection linger longer than until then. The caller
// holds mu.
func (w *Listener) shortenLocked(until time.Time) {
	for e := w.lingering.open.Front(); e != nil; e = e.Next() {
		f := e.Value.(*lingeringConn)
		if f.deadline.After(until) {
			f.deadline = until
			_ = f.conn.SetReadDeadline(until)
		}
	}
}

// awaitEnd is the goroutine of one lingering connection.
func (w *Listener) awaitEnd(f *lingeringConn) {
	ended := closeWrite(f.conn) != nil // gone already, or there is no such stage
	for left := maxLingerBytes; !ended && left > 0; {
		w.mu.Lock()
		quiet := time.Now().Add(lingerQuiet)
		if f.deadline.Before(quiet) {
			quiet = f.deadline
		}
		_ = f.conn.SetReadDeadline(quiet)
		w.mu.Unlock()
		n, err := discard(f.conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		left -= n
		ended = err != nil
	}
	w.mu.Lock()
	if f.element != nil {
		w.lingering.open.Remove(f.element)
	}
	if !ended {
		w.lingering.cut++
	}
	w.mu.Unlock()
	_ = closeNow(f.conn)
}

// Lingering is how many connections linger, for metrics.
func (w *Listener) Lingering() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lingering.open.Len()
}

// Cut is how many lingering connections were cut, because their peers neither
// stopped sending nor ended them; for metrics.
func (w *Listener) Cut() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lingering.cut
}

// discardBuffers are for what nobody reads. One is taken when bytes are there, so
// there are about as many as processors, however many connections linger.
var discardBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// discard waits for bytes on the socket below a connection and drops them. Over TLS
// there is no need to decrypt them.
func discard(c net.Conn) (n int, err error) {
	socket, ok := unwrap[syscall.Conn](c)
	if !ok {
		b := discardBuffers.Get().(*[64 << 10]byte)
		defer discardBuffers.Put(b)
		return c.Read(b[:])
	}
	raw, err := socket.SyscallConn()
	if err != nil {
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
