package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// farewellTime is how long a connection that has said that it ends waits
	// for its peer to say so, too.
	farewellTime = time.Second
	// quiesceEvery is how often Quiesce looks.
	quiesceEvery = 20 * time.Millisecond
)

// StopAccepting closes the listening descriptor and nothing else: connections
// that are open are served and watched until Close. On a socket that the service
// manager passed, and that it keeps open, new connections go on queueing there
// for the next process. On one of our own they are refused from now on, and
// those that wait in its queue are reset. Further calls return what the first
// one did.
func (w *WatchedListener) StopAccepting() error {
	w.stopping.Do(func() { w.stopped = w.Listener.Close() })
	return w.stopped
}

// CloseIdle asks the connections to go that have waited for at least quiet for a
// request, and up to three quarters of a second longer, as the coarse clock has
// it; quiet 0 asks all that wait at this moment. It returns how many it asked,
// without waiting for them. Connections that have not had a request yet count
// from their opening; those over TLS are spared until they have had one. It may
// be called from anywhere, as often as one likes.
//
// HTTP/1.1 has no way to end an idle connection without a race: a request may be
// on its way while the end is (RFC 9112, 9.5). What is done here makes it small.
// The goroutine that reads the connection decides, since nobody else knows what
// it has read. When bytes of a request have arrived, in its hands or in the
// kernel's, the request is served, and its answer should carry Connection: close.
// Otherwise the peer is told by a FIN, and for a second we listen whether it
// sends something yet. What it sends then is not executed: no answer could be
// given, so the peer must be free to send it again. Crossed counts such.
//
// So a request is lost only if it was sent before the FIN came to the peer and
// arrives after the look into the kernel's queue: within one round trip, and on
// a connection that had been unused for quiet. Its peer sees the end without a
// byte of an answer, and may send it again by itself if it is idempotent (RFC
// 9112, 9.3.1). Tried out with such an end under a request: nginx 1.22 passes a
// GET to the next server of its upstream and answers a POST with 502; HAProxy
// 2.6 answers 502, and with "retry-on conn-failure empty-response" repeats both.
//
// With an answer to carry Connection: close there is no race at all. So let a
// drain answer so from its beginning, and take for quiet as much as it has time
// for: who asks at least that often loses nothing, whatever stands in between.
func (w *WatchedListener) CloseIdle(quiet time.Duration) int {
	asked := 0
	w.mu.Lock()
	defer w.mu.Unlock()
	// A stamp is as old as the sweep before it, and a sweep's distance is
	// counted as two at most.
	latest := w.now.Load()
	if quiet > 0 {
		latest -= (quiet + 2*sweepEvery).Milliseconds()
	}
	for c := range w.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		waits := phase == idle || phase == fresh && c.wire == nil
		if waits && state>>phaseBits <= latest && c.askLocked() {
			asked++
		}
	}
	return asked
}

// Quiesce calls CloseIdle until no connection is open, or ctx ends, whose cause
// it returns then. It accepts no less than before: call StopAccepting first if
// no connections shall come.
func (w *WatchedListener) Quiesce(ctx context.Context, quiet time.Duration) error {
	tick := time.NewTicker(quiesceEvery)
	defer tick.Stop()
	for {
		w.CloseIdle(quiet)
		if w.Open() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Crossed is how many requests crossed with the end of their connection and were
// not executed, as far as one came to know of them; for metrics.
func (w *WatchedListener) Crossed() uint64 { return w.crossed.Load() }

// askLocked wakes the goroutine that reads the connection, or is about to, and
// makes it decide whether the connection ends; false if it was asked already.
// The caller holds from.mu.
func (c *Conn) askLocked() bool {
	if c.asked.Load() {
		return false
	}
	c.asked.Store(true)
	_ = c.SetReadDeadline(past)
	return true
}

// Read reads as the connection below does. Where it was woken by the question
// whether it may end, it either goes on reading, or ends the connection and
// returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if c.skip > 0 {
		return c.pass(p, n, err)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.asked.Load() {
		return c.decide(p, n, err)
	}
	return n, err
}

// pass is the slow path of Read behind content that is dropped: n bytes of it, or
// of what comes behind it, are in p.
func (c *Conn) pass(p []byte, n int, err error) (int, error) {
	for {
		dropped := min(c.skip, n)
		c.skip -= dropped
		if n -= dropped; n > 0 || err != nil {
			copy(p, p[dropped:dropped+n])
			return n, err
		}
		if c.skip == 0 {
			c.enter(idle)
		}
		n, err = c.read(p)
	}
}

// decide is the slow path of Read: the connection was asked to go, while Read
// waited or before. A deadline does not take bytes away: those that had come
// are either in p or still in the kernel.
func (c *Conn) decide(p []byte, n int, err error) (int, error) {
	phase := c.withdraw()
	switch {
	case n > 0, !errors.Is(err, os.ErrDeadlineExceeded), phase == late, phase == cut:
		return n, err
	case phase != idle && phase != fresh, waiting(c.Conn):
		return c.read(p)
	case c.wire != nil && c.wire.midRecord():
		c.enter(reading) // the request's first byte is here, and its time runs
		return c.read(p)
	}
	return 0, c.leave(p)
}

// withdraw takes the question back and returns what the connection is at. The
// lock keeps it apart from whoever asks, or sets a deadline that must stay.
func (c *Conn) withdraw() int64 {
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	c.asked.Store(false)
	phase := c.phase()
	if phase != late && phase != cut {
		_ = c.SetReadDeadline(time.Time{})
	}
	return phase
}

// leave ends the connection from its own goroutine. It reads until the peer has
// seen the end: closing a socket that bytes are on their way to would reset it.
func (c *Conn) leave(p []byte) error {
	c.enter(leaving)
	if closeWrite(c.Conn) != nil {
		return io.EOF
	}
	_ = c.SetReadDeadline(time.Now().Add(farewellTime))
	if n, _ := c.Conn.Read(p); n > 0 {
		c.from.crossed.Add(1)
	}
	return io.EOF
}

// waiting reports that the socket below holds bytes that nobody has read yet. A
// connection without a socket, as in tests, has none.
func waiting(c net.Conn) bool {
	bytes, _ := queued(c)
	return bytes
}

// queued looks into what the kernel holds of a connection: bytes that nobody has
// read yet, or the peer's end, or neither.
func queued(c net.Conn) (bytes, ended bool) {
	socket, ok := under[syscall.Conn](c)
	if !ok {
		return false, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, true
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
