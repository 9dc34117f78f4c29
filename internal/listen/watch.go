package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Timeouts bound what a peer may make a connection wait for; 0 means for
// ever. They are kept to within a sweep, a quarter of a second.
type Timeouts struct {
	Read  time.Duration // from a request's first byte, or the connection's opening, to its last
	Write time.Duration // of one answer
	Idle  time.Duration // between two requests
}

// WatchedListener hands out connections that notice slow peers.
//
// A deadline on each read and write is the usual means, and an expensive one:
// for an answer out of memory, setting three timers costs more than finding
// it. So connections only note, with one store, what they are at and since
// when by a coarse clock, and one goroutine looks at all of them four times a
// second.
type WatchedListener struct {
	net.Listener
	timeouts Timeouts
	now      atomic.Int64 // ms of running since the listener was made, as of the last sweep
	done     chan struct{}
	swept    sync.WaitGroup
	close    sync.Once

	mu    sync.Mutex
	conns map[*Conn]struct{}
}

// Conn is a connection of a WatchedListener. fasthttp does not know it, so an
// answer larger than the write buffer takes two writes instead of one.
type Conn struct {
	net.Conn
	from  *WatchedListener
	state atomic.Int64 // ms << phaseBits | phase
}

// What a connection is at. Whatever has the bit expired set has been ended.
const (
	reading   = 0
	handling  = 1
	writing   = 2
	idle      = 3
	expired   = 4
	phaseBits = 3
)

const sweepEvery = 250 * time.Millisecond

// Watch wraps l. Close the result, which closes l and joins the sweeper; the
// connections stay watched only until then.
func Watch(l net.Listener, t Timeouts) *WatchedListener {
	w := &WatchedListener{Listener: l, timeouts: t, done: make(chan struct{}), conns: map[*Conn]struct{}{}}
	w.swept.Go(w.run)
	return w
}

// Accept waits for the next connection.
func (w *WatchedListener) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	watched := &Conn{Conn: c, from: w}
	watched.enter(reading)
	w.mu.Lock()
	w.conns[watched] = struct{}{}
	w.mu.Unlock()
	return watched, nil
}

// Close stops accepting and watching.
func (w *WatchedListener) Close() error {
	err := w.Listener.Close()
	w.close.Do(func() { close(w.done) })
	w.swept.Wait()
	return err
}

// Close closes the connection and forgets it.
func (c *Conn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

func (c *Conn) enter(phase int64) { c.state.Store(c.from.now.Load()<<phaseBits | phase) }

// Handling notes that a request has arrived and is being worked on, for which
// the peer is not to blame.
func (c *Conn) Handling() { c.enter(handling) }

// Writing notes that the answer is on its way.
func (c *Conn) Writing() { c.enter(writing) }

// ConnState is for the field of that name in a fasthttp.Server.
func ConnState(c net.Conn, s fasthttp.ConnState) {
	watched, ok := c.(*Conn)
	switch {
	case !ok:
	case s == fasthttp.StateActive:
		watched.enter(reading)
	case s == fasthttp.StateIdle:
		watched.enter(idle)
	}
}

func (w *WatchedListener) run() {
	last := time.Now()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
			now := time.Now()
			w.sweep(now.Sub(last))
			last = now
		}
	}
}

// sweep makes the read or write that an expired connection waits in fail. What
// fasthttp makes of it is the same as with a deadline: 408 for half a request,
// the end for an idle connection.
//
// The clock advances by elapsed, the time since the last sweep, but never by
// much more than a sweep's distance: while this process stood still (SIGSTOP, a
// paused machine) no peer was late, and what has just been accepted carries
// the time from before.
func (w *WatchedListener) sweep(elapsed time.Duration) {
	now := w.now.Add(min(elapsed, 2*sweepEvery).Milliseconds())
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		state := c.state.Load()
		limit, expire := w.limit(c, state&(1<<phaseBits-1))
		if limit == 0 || now-state>>phaseBits < limit.Milliseconds() {
			continue
		}
		// If it moved on in this moment, it has proved itself in time.
		if c.state.CompareAndSwap(state, state|expired) {
			_ = expire(time.Unix(1, 0)) // a connection that is gone needs no end
		}
	}
}

func (w *WatchedListener) limit(c *Conn, phase int64) (time.Duration, func(time.Time) error) {
	switch phase {
	case reading:
		return w.timeouts.Read, c.SetReadDeadline
	case idle:
		return w.timeouts.Idle, c.SetReadDeadline
	case writing:
		return w.timeouts.Write, c.SetWriteDeadline
	}
	return 0, nil
}
