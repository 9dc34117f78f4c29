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
	// closeGrace is how long a connection that has sent its end waits for that of
	// its peer.
	closeGrace = time.Second
	// quiesceEvery is how often Quiesce looks.
	quiesceEvery = 20 * time.Millisecond
)

// StopAccepting closes the listening descriptor and nothing else: connections
// that are open are served and watched until Close. On a socket that the service
// manager passed, and that it keeps open, new connections go on queueing there
// for the next process. On one of our own they are refused from now on, and
// those that wait in its queue are reset. Further calls return what the first
// one did.
func (w *Listener) StopAccepting() error {
	w.stopOnce.Do(func() { w.stopErr = w.Listener.Close() })
	return w.stopErr
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
func (w *Listener) CloseIdle(quiet time.Duration) int {
	asked := 0
	w.mu.Lock()
	defer w.mu.Unlock()
	// A stamp is as old as the check before it, and the time between two checks
	// counts as two intervals at most.
	latest := w.now.Load()
	if quiet > 0 {
		latest -= (quiet + 2*checkEvery).Milliseconds()
	}
	for c := range w.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		waits := phase == phaseIdle || phase == phaseNew && c.records == nil
		if waits && state>>phaseBits <= latest && c.requestCloseLocked() {
			asked++
		}
	}
	return asked
}

// Quiesce calls CloseIdle until no connection is open, or ctx ends, whose cause
// it returns then. It accepts no less than before: call StopAccepting first if
// no connections shall come.
func (w *Listener) Quiesce(ctx context.Context, quiet time.Duration) error {
	tick := time.NewTicker(quiesceEvery)
	defer tick.Stop()
	for {
		w.CloseIdle(quiet)
		if w.Conns() == 0 {
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
func (w *Listener) Crossed() uint64 { return w.crossed.Load() }

// requestCloseLocked wakes the goroutine that reads the connection, or is about
// to, and makes it decide whether the connection ends. It reports false if that
// was requested already. The caller holds listener.mu.
func (c *Conn) requestCloseLocked() bool {
	if c.closeRequested.Load() {
		return false
	}
	c.closeRequested.Store(true)
	_ = c.SetReadDeadline(longAgo)
	return true
}

// Read reads as the connection below does. When it was woken by a request to
// close, it either goes on reading, or ends the connection and returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if c.skip > 0 {
		return c.readPastSkipped(p, n, err)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.closeRequested.Load() {
		return c.answerCloseRequest(p, n, err)
	}
	return n, err
}

// readPastSkipped is the slow path of Read while content is dropped: n bytes of
// it, or of what comes behind it, are in p.
func (c *Conn) readPastSkipped(p []byte, n int, err error) (int, error) {
	for {
		dropped := min(c.skip, n)
		c.skip -= dropped
		if n -= dropped; n > 0 || err != nil {
			copy(p, p[dropped:dropped+n])
			return n, err
		}
		if c.skip == 0 {
			c.setPhase(phaseIdle)
		}
		n, err = c.read(p)
	}
}

// answerCloseRequest is the slow path of Read when the connection was asked to
// close, while Read waited or before. A deadline does not take bytes away: those
// that had come are either in p or still in the kernel.
func (c *Conn) answerCloseRequest(p []byte, n int, err error) (int, error) {
	phase := c.takeCloseRequest()
	switch {
	case n > 0, !errors.Is(err, os.ErrDeadlineExceeded), phase == phaseTimedOut, phase == phaseAborted:
		return n, err
	case phase != phaseIdle && phase != phaseNew, hasUnread(c.Conn):
		return c.read(p)
	case c.records != nil && c.records.midRecord():
		c.setPhase(phaseReading) // the request's first byte is here, and its time runs
		return c.read(p)
	}
	return 0, c.shutdown(p)
}

// takeCloseRequest clears the request and returns the phase. The lock orders it
// with requestCloseLocked and with timeOut, whose deadline must stay.
func (c *Conn) takeCloseRequest() int64 {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.closeRequested.Store(false)
	phase := c.phase()
	if phase != phaseTimedOut && phase != phaseAborted {
		_ = c.SetReadDeadline(time.Time{})
	}
	return phase
}

// shutdown ends the connection from its own goroutine. It reads until the peer
// has seen the end: closing a socket that bytes are on their way to resets it.
func (c *Conn) shutdown(p []byte) error {
	c.setPhase(phaseClosing)
	if closeWrite(c.Conn) != nil {
		return io.EOF
	}
	_ = c.SetReadDeadline(time.Now().Add(closeGrace))
	if n, _ := c.Conn.Read(p); n > 0 {
		c.listener.crossed.Add(1)
	}
	return io.EOF
}

// hasUnread reports that the socket below holds bytes that nobody has read yet. A
// connection without a socket, as in tests, has none.
func hasUnread(c net.Conn) bool {
	bytes, _ := peek(c)
	return bytes
}

// peek tells what the kernel holds of a connection: bytes that nobody has read
// yet, or the peer's end, or neither.
func peek(c net.Conn) (bytes, ended bool) {
	socket, ok := unwrap[syscall.Conn](c)
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
