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

// The bounds of a connection's end; see linger.
const (
	// lingerPlaces is how many connections may be seen off at a time.
	lingerPlaces = 1024
	// lingerTime is how long one may take where Timeouts does not say.
	lingerTime = 30 * time.Second
	// lingerQuiet is how long a peer may be silent meanwhile.
	lingerQuiet = 5 * time.Second
	// lingerBytes is how much a peer may go on sending. Many clients send all of
	// their content before they read a byte of the answer.
	lingerBytes = 64 << 20
)

// farewells are the connections that are being seen off, those that began first
// in front. All of it belongs to WatchedListener.mu.
type farewells struct {
	open list.List // of *farewell
	cut  uint64
}

// farewell is one of them.
type farewell struct {
	conn  net.Conn
	until time.Time     // when it is cut, whatever its peer does
	place *list.Element // nil: it has lost its place to another one
}

// linger ends a connection in stages (RFC 9112, 9.6): no more is said, what the
// peer still sends is read and dropped until it has seen the end and ends the
// connection, too, and only then the socket is closed. A socket that is closed
// while bytes are on their way to it is reset, and the reset overtakes the
// answer: a client that sends a large body and reads afterwards would find
// "connection reset" instead of its 413, and a balancer would take this server
// for a broken one.
//
// It returns at once; a goroutine of the listener does the waiting. Time, silence
// and bytes are bounded, and so is the number: when all places are taken, the
// connection that has had its place longest is cut. Those whose peers are well
// meaning are gone after one round trip, so that is nearly always one that only
// wants to hold the place.
func (w *WatchedListener) linger(c net.Conn) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		_ = part(c)
		return
	}
	f := &farewell{conn: c, until: time.Now().Add(cmp.Or(w.timeouts.Linger, lingerTime))}
	if w.farewells.open.Len() >= lingerPlaces {
		w.dismissLocked(w.farewells.open.Front().Value.(*farewell))
	}
	f.place = w.farewells.open.PushBack(f)
	w.running.Go(func() { w.seeOff(f) })
	w.mu.Unlock()
}

// dismissLocked takes a connection's place away and ends its wait. The caller
// holds mu.
func (w *WatchedListener) dismissLocked(f *farewell) {
	w.farewells.open.Remove(f.place)
	f.place, f.until = nil, past
	_ = f.conn.SetReadDeadline(past)
}

// hurryLocked leaves those that are being seen off no more time than this. The
// caller holds mu.
func (w *WatchedListener) hurryLocked(until time.Time) {
	for e := w.farewells.open.Front(); e != nil; e = e.Next() {
		f := e.Value.(*farewell)
		if f.until.After(until) {
			f.until = until
			_ = f.conn.SetReadDeadline(until)
		}
	}
}

// seeOff is the goroutine of one connection that ends.
func (w *WatchedListener) seeOff(f *farewell) {
	ended := closeWrite(f.conn) != nil // gone already, or there is no such stage
	for left := lingerBytes; !ended && left > 0; {
		w.mu.Lock()
		quiet := time.Now().Add(lingerQuiet)
		if f.until.Before(quiet) {
			quiet = f.until
		}
		_ = f.conn.SetReadDeadline(quiet)
		w.mu.Unlock()
		n, err := drop(f.conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		left -= n
		ended = err != nil
	}
	w.mu.Lock()
	if f.place != nil {
		w.farewells.open.Remove(f.place)
	}
	if !ended {
		w.farewells.cut++
	}
	w.mu.Unlock()
	_ = part(f.conn)
}

// Lingering is how many connections are being seen off, for metrics.
func (w *WatchedListener) Lingering() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.farewells.open.Len()
}

// Cut is how many connections were cut while they were seen off, because their
// peers neither stopped sending nor ended them; for metrics.
func (w *WatchedListener) Cut() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.farewells.cut
}

// rubbish are buffers for what nobody reads. One is taken when bytes are there,
// so there are about as many as processors, however many connections wait.
var rubbish = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// drop waits for bytes on the socket below a connection and drops them. Over TLS
// there is no need to decrypt them.
func drop(c net.Conn) (n int, err error) {
	socket, ok := under[syscall.Conn](c)
	if !ok {
		b := rubbish.Get().(*[64 << 10]byte)
		defer rubbish.Put(b)
		return c.Read(b[:])
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var read error
	err = raw.Read(func(fd uintptr) (done bool) {
		b := rubbish.Get().(*[64 << 10]byte)
		defer rubbish.Put(b)
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
