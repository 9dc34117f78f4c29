package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts bound what a peer may make a connection wait for; 0 means for
// ever. They are kept to within a sweep, a quarter of a second.
type Timeouts struct {
	Read  time.Duration // from a request's first byte, or the connection's opening, to its last
	Write time.Duration // of one answer
	Idle  time.Duration // between two requests

	// Linger is how long a peer may go on sending behind its last answer; 0 means
	// half a minute. See linger.
	Linger time.Duration
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
	now     atomic.Int64 // ms of running since the listener was made, as of the last sweep
	done    chan struct{}
	running sync.WaitGroup // the sweeper, refusals under way, and connections that are seen off
	refused atomic.Uint64
	crossed atomic.Uint64
	reports throttle

	stopping sync.Once // guards stopped
	stopped  error     // what closing the listener said

	mu       sync.Mutex
	timeouts Timeouts
	bound    Limit
	closed   bool
	conns    map[*Conn]struct{}
	refusing map[net.Conn]struct{}

	farewells farewells
}

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

// SetTimeouts replaces the timeouts, from the next sweep on and for connections
// that are open already, too. It may be called from anywhere at any time.
func (w *WatchedListener) SetTimeouts(t Timeouts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeouts = t
}

// Accept waits for the next connection that there is room for. It does no
// handshake and reads nothing, so no peer can hold up the others. A *Conn is
// returned, or what embeds one and has the methods by which fasthttp knows TLS.
func (w *WatchedListener) Accept() (net.Conn, error) {
	for {
		c, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		watched := w.admit(c)
		if watched == nil {
			w.refuse(c)
			continue
		}
		if session, ok := c.(session); ok {
			return &secureConn{Conn: watched, session: session}, nil
		}
		return watched, nil
	}
}

// admit makes c one of the open connections; nil says that there is no room.
func (w *WatchedListener) admit(c net.Conn) *Conn {
	watched := &Conn{Conn: c, from: w}
	watched.wire, _ = under[*wire](c)
	watched.enter(fresh)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bound.Conns > 0 && len(w.conns) >= w.bound.Conns {
		return nil
	}
	w.conns[watched] = struct{}{}
	return watched
}

// Close stops accepting and watching, and cuts refusals under way short. Those
// that are being seen off have a second left, which it waits for. What it
// returns is what closing the listener said, the first time: it may be called
// again, and after StopAccepting.
func (w *WatchedListener) Close() error {
	err := w.StopAccepting()
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.done)
	}
	for c := range w.refusing {
		_ = c.SetDeadline(past)
	}
	w.hurryLocked(time.Now().Add(farewellTime))
	w.mu.Unlock()
	w.running.Wait()
	return err
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
// its request reads nothing more, and fasthttp makes of that what it makes of a
// deadline: 408. It can then still hang on its peer, which need not read the
// 408, nor the answers to pipelined requests that go out before; so it is given
// the time of one answer. An idle connection is asked to go, as CloseIdle does.
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
		phase := state & (1<<phaseBits - 1)
		limit, next := w.limitLocked(phase)
		if limit == 0 || now-state>>phaseBits < limit.Milliseconds() {
			continue
		}
		if phase == idle {
			c.askLocked()
			continue
		}
		// If it moved on in this moment, it has proved itself in time.
		if c.state.CompareAndSwap(state, now<<phaseBits|next) {
			c.end(next)
		}
	}
}

// limitLocked is how long a connection may be in a phase, 0 for ever, and the
// phase that comes after. The caller holds mu.
func (w *WatchedListener) limitLocked(phase int64) (limit time.Duration, next int64) {
	switch phase {
	case fresh, reading:
		return w.timeouts.Read, late
	case idle:
		return w.timeouts.Idle, idle
	case writing, late:
		return w.timeouts.Write, cut
	}
	return 0, 0
}
