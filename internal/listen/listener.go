package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts bound what a peer may make a connection wait for; 0 means for
// ever. They are kept to within a quarter of a second.
type Timeouts struct {
	Read  time.Duration // from a request's first byte, or the connection's opening, to its last
	Write time.Duration // of one answer
	Idle  time.Duration // between two requests

	// Linger is how long a peer may go on sending behind its last answer; 0 means
	// half a minute. See the method linger.
	Linger time.Duration
}

// Listener hands out connections that it keeps an eye on: it bounds their number,
// ends those whose peers take too long, and sees each one to its end.
//
// A deadline on each read and write is the usual means, and an expensive one:
// for an answer out of memory, setting three timers costs more than finding
// it. So a connection only notes, with one store, its phase and since when by a
// coarse clock, and one goroutine looks at all of them four times a second.
type Listener struct {
	net.Listener
	now     atomic.Int64 // ms of running since Open, as of the last check
	done    chan struct{}
	running sync.WaitGroup // the timeouts' goroutine, refusals under way, and lingering connections
	refused atomic.Uint64
	crossed atomic.Uint64
	logged  throttle

	stopOnce sync.Once // guards stopErr
	stopErr  error     // what closing the listener said

	mu       sync.Mutex
	timeouts Timeouts
	limit    Limit
	closed   bool
	conns    map[*Conn]struct{}
	refusing map[net.Conn]struct{}

	lingering lingeringConns
}

// checkEvery is how often connections are held against their timeouts.
const checkEvery = 250 * time.Millisecond

// New wraps l. Without Open no timeout is kept.
func New(l net.Listener, t Timeouts) *Listener {
	return &Listener{
		Listener: l, timeouts: t, done: make(chan struct{}),
		conns: map[*Conn]struct{}{}, refusing: map[net.Conn]struct{}{},
	}
}

// Open starts the goroutine that keeps the timeouts, until Close.
func (w *Listener) Open() { w.running.Go(w.keepTimeouts) }

// SetTimeouts replaces the timeouts, from the next check on and for connections
// that are open already, too. It may be called from anywhere at any time.
func (w *Listener) SetTimeouts(t Timeouts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeouts = t
}

// Accept waits for the next connection that there is room for. It does no
// handshake and reads nothing, so no peer can hold up the others. A *Conn is
// returned, or what embeds one and has the methods by which fasthttp knows TLS.
func (w *Listener) Accept() (net.Conn, error) {
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
		if session, ok := c.(tlsConn); ok {
			return &secureConn{Conn: watched, tlsConn: session}, nil
		}
		return watched, nil
	}
}

// admit makes c one of the open connections; nil says that there is no room.
func (w *Listener) admit(c net.Conn) *Conn {
	watched := &Conn{Conn: c, listener: w}
	watched.records, _ = unwrap[*recordConn](c)
	watched.setPhase(phaseNew)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit.Conns > 0 && len(w.conns) >= w.limit.Conns {
		return nil
	}
	w.conns[watched] = struct{}{}
	return watched
}

// Close stops accepting and keeping timeouts, and cuts refusals under way short.
// Lingering connections have a second left, which it waits for. It returns what
// closing the inner listener said, the first time. It may be called again, and
// after StopAccepting.
func (w *Listener) Close() error {
	err := w.StopAccepting()
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.done)
	}
	for c := range w.refusing {
		_ = c.SetDeadline(longAgo)
	}
	w.shortenLocked(time.Now().Add(closeGrace))
	w.mu.Unlock()
	w.running.Wait()
	return err
}

func (w *Listener) keepTimeouts() {
	last := time.Now()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
			now := time.Now()
			w.enforceTimeouts(now.Sub(last))
			last = now
		}
	}
}

// enforceTimeouts ends what peers have delayed too long. A connection that does
// not get its request reads nothing more, and fasthttp answers 408 as it does to
// a deadline. The peer may not read the 408, nor the answers to pipelined
// requests that go out before it, so the connection is given the time of one
// answer. An idle connection is asked to close, as CloseIdle does.
//
// The clock advances by elapsed, the time since the last check, but by two
// intervals at most: while this process stood still (SIGSTOP, a paused machine)
// no peer was late, and what has just been accepted carries the time from before.
func (w *Listener) enforceTimeouts(elapsed time.Duration) {
	now := w.now.Add(min(elapsed, 2*checkEvery).Milliseconds())
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		limit, next := w.timeoutLocked(phase)
		if limit == 0 || now-state>>phaseBits < limit.Milliseconds() {
			continue
		}
		if phase == phaseIdle {
			c.requestCloseLocked()
			continue
		}
		// A connection that moves on in this moment is in time.
		if c.state.CompareAndSwap(state, now<<phaseBits|next) {
			c.timeOut(next)
		}
	}
}

// timeoutLocked is how long a connection may be in a phase, 0 for ever, and the
// phase that comes after. The caller holds mu.
func (w *Listener) timeoutLocked(phase int64) (limit time.Duration, next int64) {
	switch phase {
	case phaseNew, phaseReading:
		return w.timeouts.Read, phaseTimedOut
	case phaseIdle:
		return w.timeouts.Idle, phaseIdle
	case phaseWriting, phaseTimedOut:
		return w.timeouts.Write, phaseAborted
	}
	return 0, 0
}
