// Package limit decides which requests are one too many, for a whole fleet.
//
// The count of a window lives in the shared tier, but a decision must not cost
// a round trip. So an instance takes tokens in chunks sized to its own demand
// and spends them from its own memory; what it cannot spend it gives back. That
// makes the limit exact from above: a token is handed out once, for one window
// of the shared tier's clock, and is worthless afterwards. What it costs is
// that tokens held by one instance are not there for another for a moment.
package limit

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/budget"
)

// Rate is a count per window; windows are aligned to the Unix epoch by the
// clock of whoever counts.
type Rate struct {
	Count  int
	Window time.Duration // whole milliseconds
}

// Store counts tokens where all instances can see them. Both methods keep the
// deadline of ctx and are safe for concurrent use.
type Store interface {
	// TakePermits asks for up to want tokens of key out of the window that the
	// store's clock falls into. With want 0 it only asks.
	TakePermits(ctx context.Context, key string, rate Rate, burst, want int) (Grant, error)
	// ReturnPermits gives tokens of one window back. It is never repeated: a
	// token returned twice would be spent twice.
	ReturnPermits(ctx context.Context, key string, rate Rate, window int64, tokens int) error
}

// Grant is what a store has handed out.
type Grant struct {
	Permits   int
	Window    int64         // number of the window, by the store's clock
	Left      time.Duration // of the window, when the store counted
	Remaining int           // tokens that the window still has for others
	Wait      time.Duration // when Tokens is 0: until asking again is worth it
	Exclusive bool          // nobody else asks this store, so that Rest stays true
	// Shared says that the store has no count for this subject alone: it was
	// one subject too many, and all such of a limit share one count. Tokens is 1
	// at most then, and not to be returned.
	Common bool
}

// Config describes a limit. Name and Rate are required.
type Config struct {
	Name      string
	Rate      Rate
	Burst     int  // tokens that may be taken at once when a window begins; 0: Rate.Count
	LocalRate Rate // of this instance alone while the store is away; zero: Rate
	Store     Store
	Log       *slog.Logger
	// Denied counts refusals, Shared the questions that were answered out of the
	// count which subjects beyond the bounds share; nil: counts of its own.
	// Limiters that follow one another can have them in common.
	Denied, Common *atomic.Int64
	// Memory counts while the store is away, or if there is none; Room is for
	// the subjects that are remembered. Limiters of one process have both in
	// common, so that they are bounded together; nil: of its own.
	Local *LocalStore
	Room  *budget.Budget
}

// Limiter is one limit on one instance. It is safe for concurrent use.
type Limiter struct {
	cfg    Config
	prefix string // of keys
	policy string
	base   time.Time
	seed   maphash.Seed
	fall   fallback

	shards [shards]shard

	mu      sync.Mutex
	holders map[*bucket]struct{} // buckets that may have tokens to give back

	life    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup
}

const shards = 64

// shard holds the buckets of some subjects.
type shard struct {
	mu      sync.RWMutex
	buckets map[uint64]*bucket // nil once the limiter is closed
	most    int                // buckets there have been since the map was made
}

// keyPrefix is that of all keys of this package in the store.
const keyPrefix = "hearth:limit:"

// New returns a Limiter, whose goroutine Close joins. A limiter whose store is
// away works by LocalRate.
func New(cfg Config) *Limiter {
	if cfg.Burst <= 0 {
		cfg.Burst = cfg.Rate.Count
	}
	if cfg.LocalRate.Count == 0 {
		cfg.LocalRate = cfg.Rate
	}
	if cfg.Denied == nil {
		cfg.Denied = new(atomic.Int64)
	}
	if cfg.Common == nil {
		cfg.Common = new(atomic.Int64)
	}
	if cfg.Local == nil {
		cfg.Local = NewLocalStore(nil)
	}
	if cfg.Room == nil {
		cfg.Room = budget.New(defaultBudget)
	}
	l := &Limiter{
		cfg: cfg, prefix: keyPrefix + "{" + cfg.Name + ":", policy: policyOf(cfg), base: time.Now(),
		seed: maphash.MakeSeed(), holders: map[*bucket]struct{}{},
	}
	l.fall.init(cfg)
	for i := range l.shards {
		l.shards[i].buckets = map[uint64]*bucket{}
	}
	l.life, l.stop = context.WithCancel(context.Background())
	l.running.Go(l.sweep)
	return l
}

// Close ends what runs in the background. Tokens that are held are given back
// first, within a moment, so that a restart does not cost the fleet any.
func (l *Limiter) Close() {
	l.stop()
	l.running.Wait()
	l.returnAll()
	l.forgetAll()
}

// Name is the limit's.
func (l *Limiter) Name() string { return l.cfg.Name }

// Denied is how many times Take has refused so far.
func (l *Limiter) Denied() int64 { return l.cfg.Denied.Load() }

// Common is how many times a question was answered out of the count that
// subjects beyond the bounds share.
func (l *Limiter) Common() int64 { return l.cfg.Common.Load() }

// now is the time since the limiter was made, by the monotonic clock.
func (l *Limiter) now() int64 { return int64(time.Since(l.base)) }

// Decision is the answer to one request.
type Decision struct {
	Outcome   Outcome
	Remaining int64         // requests that are surely admitted yet in this window
	Reset     time.Duration // until the window's end
	Retry     time.Duration // when denied: until another request may be admitted

	grant *grant
}

// Outcome says what becomes of a request.
type Outcome uint8

// The outcomes. Undecided means that the store has to be asked: see Take.
const (
	Undecided Outcome = iota
	Admitted
	Denied
)

// Try decides from what this instance knows, without waiting and without
// allocating. A denial is not counted: Take says it again, and counts it. It
// keeps nothing of subject.
func (l *Limiter) Try(subject []byte) Decision {
	b := l.find(l.hash(subject))
	if b == nil {
		return Decision{}
	}
	return l.try(b)
}

func (l *Limiter) try(b *bucket) Decision {
	g := b.grant.Load()
	now := l.now()
	if now < g.until {
		if left := g.tokens.Add(-1); left >= 0 {
			if left <= g.low && g.low > 0 {
				l.prefetch(b, g)
			}
			return Decision{Outcome: Admitted, Remaining: left + g.rest, Reset: time.Duration(g.ends - now), grant: g}
		}
	}
	if now < g.denied {
		return Decision{Outcome: Denied, Reset: time.Duration(g.ends - now), Retry: time.Duration(g.denied - now)}
	}
	return Decision{}
}

// Undo takes an admission back, for a request that another limit refuses.
func (d Decision) Undo() {
	if d.grant != nil {
		d.grant.tokens.Add(1)
	}
}

func (l *Limiter) hash(subject []byte) uint64 { return maphash.Bytes(l.seed, subject) }

func (l *Limiter) shard(hash uint64) *shard { return &l.shards[hash%shards] }

func (l *Limiter) find(hash uint64) *bucket {
	sh := l.shard(hash)
	sh.mu.RLock()
	b := sh.buckets[hash]
	sh.mu.RUnlock()
	return b
}
