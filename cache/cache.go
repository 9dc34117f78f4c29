// Package cache answers reads from three tiers: finished answers in this
// process' memory, JSON values in a shared tier (Redis, or one embedded file),
// and the system of record behind both.
//
// Memory holds only what a connection vouches for: each entry belongs to the
// connection it was read on, and that connection must keep proving that it
// answers and reports changes. So an entry needs no timer to become untrue and
// no broadcast to be dropped, and a broken link costs nothing but the proof.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/room"
)

// What other rooms see of the rooms below.
type (
	Entry = memory.Entry // a finished answer
	Item  = shared.Item  // one value of a batch
)

// PackedMark ends a strong validator of a gzip variant.
const PackedMark = memory.PackedMark

// Errors, for errors.Is. Their causes are wrapped for the log; a client is
// told only which of these it was.
var (
	// ErrUnavailable: neither a tier nor the source could answer, or a write
	// was refused with the source untouched.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverload: the bounded queue of waiting work is full.
	ErrOverload = shared.ErrOverload
	// ErrRefused: the shared tier is well, and refuses this command or this key.
	ErrRefused = shared.ErrRefused
	// ErrTimeout: the deadline passed.
	ErrTimeout = errors.New("out of time")
	// ErrUnconfirmed: the write is committed, but the shared tier did not
	// confirm that nobody is served the old record from it.
	ErrUnconfirmed = errors.New("stored, not confirmed")
	// ErrNotJSON: the shared tier holds something that is not JSON, and there
	// is no source to load it from again.
	ErrNotJSON = errors.New("value in the shared tier is not JSON")
)

// Config says how much memory to use and what to trust for how long. Every
// field is required unless it says otherwise.
type Config struct {
	// Shared makes the shared tier, which tells flights what happens to reads,
	// and shares memory's clock and owners. Open opens it, Close closes it.
	Shared func(*memory.Store, *Flights) (SharedTier, error)

	// Answers is room for large answers on their way that memory does not keep;
	// nil: they may take what they like.
	Answers *room.Room

	Revalidate  time.Duration // how long memory trusts a copy without asking again
	LinkTimeout time.Duration
	Lease       time.Duration // lifetime of leases and guards; longer than any load

	Settings // to begin with

	Log     *slog.Logger
	OnDelay func(time.Duration) // takes each invalidation delay measured (C1); may be nil
}

// Cache is the way of a request through the tiers. All methods are safe for
// concurrent use and keep the deadline of their context.
type Cache struct {
	*memory.Outgoing // Send, Sent, Claim, KnownSize, Room: large answers on their way

	cfg           Config // but for its Settings
	settings      atomic.Pointer[Settings]
	reconfiguring sync.Mutex // held while settings change, and while a gate is made by them

	store   *memory.Store
	flights *Flights
	tier    SharedTier
	shared  Tier          // which of the tiers it is
	local   *memory.Owner // of what was loaded while nobody could report changes

	gates   sync.Map     // gateKey → *gate
	waiting atomic.Int64 // readers that wait for a load or a write
	missing perSecond    // of missing records written

	passing struct {
		sync.Mutex
		byKey map[passKey]*passes
	}
	writes     openWrites
	counters   counters
	refusalLog logLimit // logged, of reads that are answered all the same

	life    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // loads under a lease, and refreshes

	numbers numbers
	probed  atomic.Uint64 // see Pulse
}

// New returns a cache that is not open yet. It starts nothing.
func New(cfg Config) (*Cache, error) {
	c := &Cache{cfg: cfg}
	c.store = memory.New(memory.Config{Budget: cfg.Budget, MissingShare: cfg.MissingShare, LinkTimeout: cfg.LinkTimeout, Answers: cfg.Answers, OnDelay: cfg.OnDelay})
	c.Outgoing, c.flights = c.store.Outgoing, NewFlights(c.store)
	c.life, c.stop = context.WithCancel(context.Background())
	c.settings.Store(&cfg.Settings)
	c.apply(&cfg.Settings)
	c.local = c.store.NewOwner(true)
	c.passing.byKey = map[passKey]*passes{}
	c.counters.rounds = map[counterKey]*round{}
	c.flights.open = c.writes.has
	var err error
	if c.tier, err = cfg.Shared(c.store, c.flights); err != nil {
		c.stop()
		return nil, err
	}
	c.writes.prepare(c)
	for _, t := range Tiers {
		if t.String() == c.tier.Name() {
			c.shared = t
		}
	}
	return c, nil
}

// Open opens the shared tier and starts background work. It needs no reachable
// Redis: until there is one, answers come from the source, marked untracked. A
// Cache that could not be opened must still be closed.
func (c *Cache) Open() error {
	c.writes.start()
	return c.tier.Open()
}

// Close ends background work, loads that nobody waits for included, and closes
// the shared tier. No other method may be called any more.
func (c *Cache) Close() {
	c.stop()
	c.running.Wait()
	c.counters.close()
	c.writes.close()
	c.tier.Close()
}

// Up tells whether the shared tier can be asked, and if not, why.
func (c *Cache) Up() error { return c.tier.Up() }

// SharedTier names the kind of the shared tier.
func (c *Cache) SharedTier() Tier { return c.shared }

// Hit looks a key up in memory: the fast path of every read. nil means that
// the read has to go the slow way. ttl is what is left of the entry's lifetime,
// should its link go on proving itself. Hit does not allocate, takes no lock, and keeps nothing of
// key. now must have been read after the request arrived.
func (c *Cache) Hit(r *Resource, key []byte, now time.Time) (e *Entry, ttl time.Duration) {
	return c.store.Hit(r.Shape, key, now)
}

// Tier says where an answer came from. Its String is the label in metrics.
type Tier uint8

// The tiers. TierStale is memory whose link is gone.
const (
	TierNone Tier = iota
	TierMemory
	TierRedis
	TierEmbedded
	TierSource
	TierStale
)

// Tiers are all of them, for tables by tier.
var Tiers = [...]Tier{TierNone, TierMemory, TierRedis, TierEmbedded, TierSource, TierStale}

func (t Tier) String() string {
	return [...]string{"none", "memory", "redis", "embedded", "source", "stale"}[t]
}

// title is the tier's name in Cache-Status.
func (t Tier) title() string {
	if t == TierRedis {
		return "Hearth-Redis"
	}
	return "Hearth-Embedded"
}

// Answer is what a read found. Entry is never nil; its Missing tells that
// there is no such record.
type Answer struct {
	Entry  *Entry
	FromDB bool          // the answer comes from a load or a write, not from a tier
	Tier   Tier          // which answered
	Shared Tier          // the kind of shared tier there is
	TTL    time.Duration // what is left in the tier that answered; 0: no expiry; negative: stale for so long
	Stored bool          // a hit of the shared tier is in memory now, or a load in the shared tier
	Detail string        // "", "stale", "untracked"

	absent   bool // the shared tier has no such key, and it is all there is
	resource *Resource
}

// Data is the record's bare JSON, "null" when it is missing.
func (a Answer) Data() []byte { return a.Entry.Data() }

// Body is the finished answer, nil for a missing record.
func (a Answer) Body() []byte {
	front, back := a.Parts()
	if len(back) == 0 {
		return front
	}
	return append(append(make([]byte, 0, len(front)+len(back)), front...), back...)
}

// Parts are the finished answer in two parts, of which the first is the entry's
// own bytes: nothing is copied. Both are nil for a missing record.
func (a Answer) Parts() (front, back []byte) {
	if a.FromDB {
		return a.Entry.LoadedBody()
	}
	return a.Entry.Body(), nil
}

// jitter spreads d by ±10 %, so that what was written together does not
// expire together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// lifetime is how long a loaded record lives in the shared tier.
func (c *Cache) lifetime(r *Resource, key string, missing bool) time.Duration {
	switch {
	case missing:
		return jitter(r.TTL.Missing)
	case c.store.Rate(key) > c.settings.Load().HotRate:
		return jitter(r.TTL.Hot)
	}
	return jitter(r.TTL.Cold)
}

// pace lets at most limit events pass in each second.
type perSecond struct {
	limit  atomic.Int64
	second atomic.Int64
	count  atomic.Int64
}

func (p *perSecond) allow(now int64) bool {
	second := now / int64(time.Second)
	if was := p.second.Load(); was != second && p.second.CompareAndSwap(was, second) {
		p.count.Store(0)
	}
	return p.count.Add(1) <= p.limit.Load()
}

// Note keeps value, which is JSON, under a key of our own, and returns what was there
// before. It writes only what differs.
func (c *Cache) Note(ctx context.Context, key string, value []byte) (before []byte, err error) {
	was, err := c.tier.Get(ctx, key)
	if err != nil || was.State == shared.Value && string(was.Data) == string(value) {
		return was.Data, err
	}
	if errs := c.tier.Set(ctx, []Item{{Key: key, Value: value}}); errs != nil {
		return nil, errs[0]
	}
	return was.Data, nil
}

// Invalidate removes keys from the shared tier and so from every memory. A guard
// that stands there stays, and its writer will put no record in its place: what
// it has read back in its transaction may be older than this call.
func (c *Cache) Invalidate(ctx context.Context, keys []string) error {
	err := c.tier.Remove(ctx, keys)
	for _, key := range keys {
		c.flights.Changed(key)
	}
	return err
}
