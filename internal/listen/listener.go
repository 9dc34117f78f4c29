package listen

import (
	"container/list"
	"log/slog"
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

// Limit is how many connections a Listener may hold open at a time, and how the
// others are refused.
//
// fasthttp has a bound of its own, which answers in plain text, from the
// goroutine that accepts. Set it above this one, so that it is never reached:
// a worker ends later than its connection.
type Limit struct {
	// Conns is the number; 0 means any.
	Conns int
	// Refusals are whole HTTP responses with Content-Length and Connection:
	// close. They are sent in turn, so that their Retry-After can differ and
	// those refused together do not come back together. None: connections beyond
	// Conns are just closed. The bytes must not change.
	Refusals [][]byte
	// Log hears of refusals now and then, if it is there.
	Log *slog.Logger
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
	answerer Answerer
	now      atomic.Int64 // ms of running since Open, as of the last check
	done     chan struct{}
	running  sync.WaitGroup // the timeouts' goroutine, refusals under way, and lingering connections
	opened   atomic.Bool    // timeouts are kept
	refused  atomic.Uint64
	crossed  atomic.Uint64
	cut      atomic.Uint64
	logged   throttle

	stopOnce sync.Once // guards stopErr
	stopErr  error     // what closing the listener said

	mu       sync.Mutex
	timeouts Timeouts
	limit    Limit
	closed   bool
	conns    map[*Conn]struct{}
	refusing map[net.Conn]struct{}

	lingering list.List // of *lingeringConn, the oldest in front
}

// lingeringConn is a connection that lingers.
type lingeringConn struct {
	conn     net.Conn
	deadline time.Time     // when it is cut, whatever its peer does
	element  *list.Element // nil: it was cut in favour of another one
}

// New wraps inner. Without Open no timeout is kept.
func New(inner net.Listener, t Timeouts) *Listener {
	return &Listener{
		Listener: inner, timeouts: t, done: make(chan struct{}),
		conns: map[*Conn]struct{}{}, refusing: map[net.Conn]struct{}{},
	}
}

// SetTimeouts replaces the timeouts, from the next check on and for connections
// that are open already, too. It may be called from anywhere at any time.
func (l *Listener) SetTimeouts(t Timeouts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeouts = t
}

// SetLimit replaces the limit. Connections that are open stay, however many; new
// ones are refused until there are fewer. It may be called from anywhere at any
// time.
//
// A connection beyond the bound is not handed out: it is answered at once,
// without waiting for its request, and closed. Accept waits for none of this.
// When too many refusals are under way already, the connection is closed
// without a word.
func (l *Listener) SetLimit(limit Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limit
}

// Conns is how many connections are open, for metrics. Those being refused do not
// count.
func (l *Listener) Conns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Refused is how many connections were refused so far, for metrics.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Crossed is how many requests are known to have crossed with the end of their
// connection, and were not executed; for metrics.
func (l *Listener) Crossed() uint64 { return l.crossed.Load() }

// Lingering is how many connections linger, for metrics.
func (l *Listener) Lingering() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lingering.Len()
}

// Cut is how many lingering connections were cut, because their peers neither
// stopped sending nor ended them; for metrics.
func (l *Listener) Cut() uint64 { return l.cut.Load() }
