// Package limit decides which requests are one too many, for a whole fleet.
//
// The count of a window lives in the shared tier, but a decision must not cost a round
// trip. So an instance takes permits in chunks sized to its own demand, spends them
// from its own memory, and returns what it cannot spend. That makes the limit exact
// from above: a permit is handed out once, for one window of the shared tier's clock,
// and is worthless afterwards. The price is that permits held by one instance are
// not there for another until they are returned.
package limit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/budget"
)

// Config describes a limit. Name and Rate are required.
type Config struct {
	Name      string // a-z, 0-9 and _
	Rate      Rate
	Burst     int  // permits that may be taken at once when a window begins; 0: Rate.Count
	LocalRate Rate // of this instance alone while the store is away; zero: Rate
	Store     Store
	Log       *slog.Logger
	// Denied counts refusals, Common the answers out of the common count, which
	// subjects beyond the bounds share; nil: counts of its own. Limiters that follow
	// one another can have them in common.
	Denied, Common *atomic.Int64
	// Local counts while the store is away, or if there is none; Budget is for the
	// subjects that are remembered. Limiters of one process have both in common, so
	// that they are bounded together; nil: of its own.
	Local  *LocalStore
	Budget *budget.Budget
}

// Limiter is one limit on one instance. It is safe for concurrent use.
//
// Lock order: Limiter.mu, then bucket.mu. All other locks are taken alone.
type Limiter struct {
	cfg      Config
	policy   string
	base     time.Time
	stores   storeChoice
	subjects subjects

	mu      sync.Mutex
	holders map[*bucket]struct{} // buckets that may have permits to return

	life    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup
}

// keyPrefix is that of all keys of this package in the store.
const keyPrefix = "hearth:limit:"

// New returns a Limiter, which decides as soon as it is asked, and starts no goroutine
// before that. A limiter whose store is away works by LocalRate.
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
	if cfg.Budget == nil {
		cfg.Budget = budget.New(defaultBudget)
	}
	if cfg.Store == nil {
		cfg.Store = cfg.Local
	}
	l := &Limiter{cfg: cfg, policy: policyOf(cfg.Name, cfg.Rate), base: time.Now(), stores: storeChoice{cfg: cfg}, holders: map[*bucket]struct{}{}}
	l.subjects.init(keyPrefix+"{"+cfg.Name+":", cfg.Budget)
	l.life, l.stop = context.WithCancel(context.Background())
	return l
}

// Open begins to return permits that are not spent, to forget subjects that do not
// come any more, and to look for a store that is away.
func (l *Limiter) Open() { l.running.Go(l.sweep) }

// Close ends what runs in the background. Permits that are held are returned first,
// within a second, so that a restart does not cost the fleet any.
func (l *Limiter) Close() {
	l.stop()
	l.running.Wait()
	l.returnAll()
	l.subjects.close()
}

// Name is the limit's.
func (l *Limiter) Name() string { return l.cfg.Name }

// Denied is how many times Take has refused so far.
func (l *Limiter) Denied() int64 { return l.cfg.Denied.Load() }

// Common is how many answers came out of the common count so far.
func (l *Limiter) Common() int64 { return l.cfg.Common.Load() }

// Policy is the limit's item of the header RateLimit-Policy.
func (l *Limiter) Policy() string { return l.policy }

// AppendState appends the limit's item of the header RateLimit to dst.
func (l *Limiter) AppendState(dst []byte, d Decision) []byte {
	return appendState(dst, l.cfg.Name, d.Remaining, max(d.Reset, d.Retry))
}

// now is the time since the limiter was made in ns, by the monotonic clock.
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

// Undo takes an admission back, for a request that another limit refuses.
func (d Decision) Undo() {
	if d.grant != nil {
		d.grant.permits.Add(1)
	}
}

// Try decides from what this instance knows, without waiting and without allocating.
// A denial is not counted: Take says it again, and counts it. Try keeps nothing of
// subject.
func (l *Limiter) Try(subject []byte) Decision {
	b, _ := l.subjects.find(subject)
	if b == nil {
		return Decision{}
	}
	return l.try(b)
}

func (l *Limiter) try(b *bucket) Decision {
	g := b.grant.Load()
	now := l.now()
	if now < g.spendableUntil {
		if left := g.permits.Add(-1); left >= 0 {
			if left <= g.prefetchAt && g.prefetchAt > 0 {
				l.prefetch(b, g)
			}
			return Decision{Outcome: Admitted, Remaining: left + g.remaining, Reset: time.Duration(g.windowEnds - now), grant: g}
		}
	}
	if now < g.deniedUntil {
		return Decision{Outcome: Denied, Reset: time.Duration(g.windowEnds - now), Retry: time.Duration(g.deniedUntil - now)}
	}
	return Decision{}
}

// Peek says what Try would decide, and takes nothing.
func (l *Limiter) Peek(subject []byte) Outcome {
	b, _ := l.subjects.find(subject)
	if b == nil {
		return Undecided
	}
	switch g, now := b.grant.Load(), l.now(); {
	case now < g.spendableUntil && g.permits.Load() > 0:
		return Admitted
	case now < g.deniedUntil:
		return Denied
	}
	return Undecided
}

// askTimeout bounds one request to the store: a limiter that waits longer for its
// count than the work would take is worse than one that counts by itself.
const askTimeout = 250 * time.Millisecond

// attempts bounds how often one request asks for permits that others then get.
const attempts = 16

// Take decides, asking the store if need be. It waits for at most a few round
// trips, and no longer than ctx. It keeps nothing of subject.
func (l *Limiter) Take(ctx context.Context, subject []byte) Decision {
	b := l.subjects.bucketOf(subject, l.now())
	for range attempts {
		if d := l.try(b); d.Outcome != Undecided {
			return l.count(d)
		}
		b.waiting.Add(1)
		f := l.refill(b)
		var err error
		select {
		case <-f.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		b.waiting.Add(-1)
		if err != nil {
			return l.count(Decision{Outcome: Denied, Retry: time.Second})
		}
		if d := l.try(b); d.Outcome != Undecided {
			if d.Outcome == Admitted && d.grant == f.grant {
				d.Remaining += f.remaining // known as of now
			}
			return l.count(d)
		}
	}
	return l.count(Decision{Outcome: Denied, Retry: 10 * time.Millisecond})
}

// count counts a denial.
func (l *Limiter) count(d Decision) Decision {
	if d.Outcome == Denied {
		l.cfg.Denied.Add(1)
	}
	return d
}

// prefetch asks for more before a bucket is empty.
func (l *Limiter) prefetch(b *bucket, g *grant) {
	if b.fetching.Load() == nil && b.grant.Load() == g {
		l.refill(b)
	}
}

// refill returns the request for permits that is under way, or begins one, on a
// goroutine that Close joins: its callers may give up before it ends.
func (l *Limiter) refill(b *bucket) *fetch {
	f := &fetch{done: make(chan struct{})}
	for !b.fetching.CompareAndSwap(nil, f) {
		if other := b.fetching.Load(); other != nil {
			return other
		}
	}
	if l.life.Err() != nil { // closing: nothing is begun any more
		b.fetching.Store(nil)
		f.grant = b.grant.Load()
		close(f.done)
		return f
	}
	l.running.Go(func() {
		defer close(f.done)
		defer b.fetching.Store(nil)
		l.ask(b, f)
	})
	return f
}

// ask asks the store that counts now and makes the bucket hold what it grants.
func (l *Limiter) ask(b *bucket, f *fetch) {
	sent := l.now()
	store, rate, burst, from := l.stores.current(sent)
	if store == nil { // the store is away, and counting here begins with the next window
		f.grant = b.deny(from)
		return
	}
	want := b.want(sent, horizon(rate), rate.Count)
	ctx, cancel := context.WithTimeout(l.life, askTimeout)
	defer cancel()
	g, err := store.TakePermits(ctx, b.key, rate, burst, want)
	if err != nil {
		f.grant = b.deny(l.stores.wentAway(l.now(), err))
		return
	}
	if g.Common {
		l.cfg.Common.Add(1)
	}
	f.grant = b.accept(g, store, rate, want, sent)
	f.remaining = int64(g.Remaining) - f.grant.remaining
	if g.Permits > 1 {
		l.noteHolder(b)
	}
}

// horizon is how long a chunk should last in ns: a fortieth of the window, so that a
// subject costs some forty round trips a window at most, however busy it is.
func horizon(r Rate) int64 { return int64(r.Window) / 40 }
