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
	bound    Limit
	now      atomic.Int64 // ms of running since the listener was made, as of the last sweep
	done     chan struct{}
	running  sync.WaitGroup // the sweeper, and refusals under way
	refused  atomic.Uint64
	reports  throttle

	mu       sync.Mutex
	closed   bool
	conns    map[*Conn]struct{}
	refusing map[net.Conn]struct{}
}

// Conn is a connection of a WatchedListener. fasthttp does not know it, so an
// answer larger than the write buffer takes two writes instead of one.
type Conn struct {
	net.Conn
	from  *WatchedListener
	state atomic.Int64 // ms << phaseBits | phase
}

// What a connection is at.
const (
	reading  = iota
	handling // a request is worked on; the peer is not to blame
	writing
	idle
	late // was reading or idle too long: it reads nothing more, and may write its last answer
	cut  // was late or writing too long: it neither reads nor writes

	phaseBits = 3
)

const sweepEvery = 250 * time.Millisecond

// Watch wraps l. Close the result, which closes l and joins the sweeper; the
// connections stay watched only until then.
func Watch(l net.Listener, t Timeouts) *WatchedListener {
	w := newWatched(l, t)
	w.running.Go(w.run)
	return w
}

// newWatched leaves the sweeping to the caller.
func newWatched(l net.Listener, t Timeouts) *WatchedListener {
	return &WatchedListener{
		Listener: l, timeouts: t, done: make(chan struct{}),
		conns: map[*Conn]struct{}{}, refusing: map[net.Conn]struct{}{},
	}
}

// Accept waits for the next connection that there is room for.
func (w *WatchedListener) Accept() (net.Conn, error) {
	for {
		c, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if watched := w.admit(c); watched != nil {
			return watched, nil
		}
		w.refuse(c)
	}
}

// admit makes c one of the open connections; nil says that there is no room.
func (w *WatchedListener) admit(c net.Conn) *Conn {
	watched := &Conn{Conn: c, from: w}
	watched.enter(reading)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bound.Conns > 0 && len(w.conns) >= w.bound.Conns {
		return nil
	}
	w.conns[watched] = struct{}{}
	return watched
}

// Close stops accepting and watching, and cuts refusals under way short.
func (w *WatchedListener) Close() error {
	err := w.Listener.Close()
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.done)
	}
	for c := range w.refusing {
		_ = c.SetDeadline(past)
	}
	w.mu.Unlock()
	w.running.Wait()
	return err
}

// past as a deadline ends what waits for it at once.
var past = time.Unix(1, 0)

// Close closes the connection and forgets it.
func (c *Conn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

func (c *Conn) enter(phase int64) { c.state.Store(c.from.now.Load()<<phaseBits | phase) }

// Reading notes that more of the request is awaited: after Handling, for a body
// that is read by the handler.
func (c *Conn) Reading() { c.enter(reading) }

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

// sweep ends what peers have delayed too long. A connection that does not get
// its request, or has none, reads nothing more, and fasthttp makes of that what
// it makes of a deadline: 408 for half a request, the end for an idle
// connection. It can then still hang on its peer, which need not read the 408,
// nor the answers to pipelined requests that go out before; so it is given the
// time of one answer.
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
		limit, next := w.limit(state & (1<<phaseBits - 1))
		if limit == 0 || now-state>>phaseBits < limit.Milliseconds() {
			continue
		}
		// If it moved on in this moment, it has proved itself in time.
		if c.state.CompareAndSwap(state, now<<phaseBits|next) {
			c.end(next)
		}
	}
}

// limit is how long a connection may be in a phase, 0 for ever, and the phase
// that comes after.
func (w *WatchedListener) limit(phase int64) (limit time.Duration, next int64) {
	switch phase {
	case reading:
		return w.timeouts.Read, late
	case idle:
		return w.timeouts.Idle, late
	case writing, late:
		return w.timeouts.Write, cut
	}
	return 0, 0
}

// end makes what the connection waits for fail. If it is gone already, that
// does no harm.
func (c *Conn) end(phase int64) {
	if phase == late {
		_ = c.SetReadDeadline(past)
		return
	}
	// The kernel would keep what the peer does not read, megabytes of it, and
	// offer it for minutes after the connection is closed.
	if l, ok := c.Conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.SetDeadline(past)
}
