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
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"hearth/cache/gate"
	"hearth/cache/hotkeys"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/budget"
	"hearth/internal/source"
)

// What other rooms see of the rooms below.
type (
	Entry = memory.Entry // a finished answer
	View  = memory.View  // a record as it lies in memory
	Item  = shared.Item  // one value of a batch
)

// ViewOf is an answer as a View, which is valid as long as the answer is.
func ViewOf(e *Entry) View { return memory.ViewOf(e) }

// GzipSuffix ends a strong validator of a gzip variant.
const GzipSuffix = memory.GzipSuffix

// Errors, for errors.Is. Their causes are wrapped for the log; a client is
// told only which of these it was.
var (
	// ErrUnavailable: neither a tier nor the source could answer, or a write
	// was refused with the source untouched.
	ErrUnavailable = shared.ErrUnavailable
	// ErrOverload: the bounded queue of waiting work is full.
	ErrOverload = shared.ErrOverload
	// ErrRefused: the shared tier is well, and refuses this command or this key.
	ErrRefused = shared.ErrRefused
	// ErrTimeout: the deadline passed.
	ErrTimeout = shared.ErrTimeout
	// ErrUnconfirmed: the write is committed, but the shared tier did not
	// confirm that the old record is gone from it.
	ErrUnconfirmed = errors.New("stored, not confirmed")
	// ErrNotJSON: the shared tier holds something that is not JSON, and there
	// is no source to load it from again.
	ErrNotJSON = errors.New("value in the shared tier is not JSON")
)

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

// Lifetimes of a resource's copies in the shared tier.
type Lifetimes struct {
	Cold    time.Duration // ordinary keys
	Hot     time.Duration // keys read more often than Settings.HotRate
	Missing time.Duration // "no such record"
	Stale   time.Duration // how long a copy whose link died may still be served, marked
}

// Resource is what the cache has to know of a configured resource. It is
// immutable, and a memory entry belongs to the Resource it was made for: a
// reload that builds a new one never meets an answer of the old shape.
type Resource struct {
	Name     string
	Envelope string // member that wraps the data; "" = the bare data
	TTL      Lifetimes
	Records  source.Records // nil: the record lives in the shared tier only
	// Source names what Records loads from. Resources of one source share its
	// cap on loads and its circuit breaker. Set before the first use.
	Source string
	// Opened tells sources of one name apart, such as a database and the one
	// that a reload has put in its place: what the one suffers from says
	// nothing about the other. Comparable; nil if the name is enough.
	Opened any
	// Unwatched tells that the change feed tells nothing of this resource, so that no
	// write of it is marked as Hearth's own.
	Unwatched bool

	*memory.Shape

	unsharedLog logLimit // of answers that may not be shared

	loadTime atomic.Int64 // of one record, see noteLoadTime; ns, 0 until one was loaded here

	lost atomic.Pointer[loss] // while the feed is lost that tells of its records' changes
}

// NewResource returns a resource with a shape of its own.
func NewResource(name, envelope string, ttl Lifetimes, records source.Records) *Resource {
	return &Resource{Name: name, Envelope: envelope, TTL: ttl, Records: records, Shape: memory.NewShape(envelope)}
}

// Answer is what a read found. Entry is nil after a Put alone, where the source did not
// tell what it has now; its Missing tells that there is no such record.
type Answer struct {
	Entry  *Entry
	FromDB bool          // the answer comes from a load or a write, not from a tier
	Tier   Tier          // which answered
	Shared Tier          // the kind of shared tier there is
	TTL    time.Duration // what is left in the tier that answered; 0: no expiry; negative: stale for so long
	Stored bool          // a hit of the shared tier is in memory now, or a load in the shared tier
	Detail string        // "", "stale", "untracked", "unshared"

	// Age is how long ago the record was had from its source, at most; 0: nobody knows, or it
	// comes from there. Only ReadFresh tells.
	Age time.Duration

	absent bool  // the shared tier has no such key, and it is all there is
	asked  int64 // clock time at which the source was asked, of a load

	overMemory, overShared bool // a copy there did not meet the client's demand
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

// Config says how much memory to use and what to trust for how long. Every
// field is required unless it says otherwise.
type Config struct {
	// Shared makes the shared tier, which tells flights what happens to reads,
	// and shares memory's clock and owners. Open opens it, Close closes it.
	Shared func(*memory.Store, *Flights) (SharedTier, error)

	// Answers is room for large answers on their way that memory does not keep;
	// nil: they may take what they like.
	Answers *budget.Budget

	Revalidate  time.Duration // how long memory trusts a copy without asking again
	LinkTimeout time.Duration
	Lease       time.Duration // lifetime of leases and guards; longer than any load

	Settings // to begin with

	Log     *slog.Logger
	OnDelay func(time.Duration) // takes each invalidation delay measured (C1); may be nil
	OnAudit func(Disagreement)  // is told what the audit finds, and must not wait; may be nil
}

// Settings are what a running Cache can be told anew. All but these are fixed
// from New on: other instances and entries in memory go by them already.
type Settings struct {
	Budget       int64   // bytes of memory, overhead included
	MissingShare float64 // of it, for missing records
	MissingRate  int     // missing records written to the shared tier per second
	UntrackedTTL time.Duration
	DegradedTTL  time.Duration // of copies while the feed is lost that tells of changes; 0: as ever

	MaxLoads   int           // loads from one source at a time, and as many writes
	MaxWaiting int           // readers that wait for another's load or write at a time
	Wait       time.Duration // for another's load
	HotRate    float64       // reads per second, on this instance, that make a key hot

	Audit Auditing
}

// Stats is a snapshot of the cache's numbers. Counters only grow.
type Stats struct {
	MemoryBytes    int64 `json:"memory_bytes"`
	MemoryEntries  int64 `json:"memory_entries"`
	MissingEntries int64 `json:"missing_entries"` // of MemoryEntries, the missing records
	Invalidations  int64 `json:"invalidations"`
	LostCanaries   int64 `json:"lost_canaries"`       // whose invalidation never came
	Evictions      int64 `json:"memory_evictions"`    // records dropped to make room for others
	NotAdmitted    int64 `json:"memory_not_admitted"` // reads whose record a full memory would not keep
	LeaseWaits     int64 `json:"lease_waits"`
	Stale          int64 `json:"stale_served"`       // answers served marked stale
	NotJSON        int64 `json:"values_not_json"`    // values of the shared tier that were no JSON
	Unconfirmed    int64 `json:"writes_unconfirmed"` // guards not confirmed removed, now
	Restored       int64 `json:"guards_restored"`    // guards that were lost behind a COMMIT and set anew
	Queued         int64 `json:"loads_queued"`       // loads and writes waiting for a place, now
	Waiting        int64 `json:"readers_waiting"`    // readers waiting for another's load or write, now
	MissingBytes   int64 `json:"missing_bytes"`      // of MemoryBytes, those of missing records
	Counting       int64 `json:"counters_waiting"`   // callers waiting for a counter's command, now

	AuditChecks  int64 `json:"audit_checks"`        // copies in memory that were compared with the shared tier
	AuditStale   int64 `json:"audit_stale"`         // of them, those that were stale
	MemoryBudget int64 `json:"memory_budget"`       // bound of MemoryBytes
	MaxWaiting   int64 `json:"readers_waiting_max"` // bound of Waiting
}

// LoadResults are the values of the label result of hearth_loads_total. A load
// that was refused never reached its source.
var LoadResults = [...]string{"ok", "missing", "error", "refused"}

// RefreshResults are the values of the label result of hearth_refreshes_total.
var RefreshResults = [...]string{"stored", "superseded", "failed", "skipped"}

// Cache is the way of a request through the tiers. All methods are safe for
// concurrent use and keep the deadline of their context.
type Cache struct {
	*memory.LargeAnswers // BeginSend, EndSend, Reserve, KnownSize, Budget: large answers on their way

	cfg           Config // but for its Settings
	settings      atomic.Pointer[Settings]
	reconfiguring sync.Mutex // held while settings change, and while a gate is made by them

	store    *memory.Store
	flights  *Flights
	admits   func(key string) bool // whether memory would keep the record; tests have their own
	handedOn handedOn
	// unvouched is the clock time until which ReadAtOnce reads nothing.
	unvouched atomic.Int64
	tier      SharedTier
	shared    Tier          // which of the tiers it is
	local     *memory.Owner // of what was loaded while nobody could report changes

	gates   sync.Map     // gateKey → *gate
	waiting atomic.Int64 // readers that wait for a load or a write
	missing perSecond    // of missing records written

	passing struct {
		sync.Mutex
		byKey map[passKey]*passes
	}
	losses     losses
	served     atomic.Pointer[map[*memory.Shape]*Served]
	auditor    *auditor
	own        ownPuts
	loadTimes  loadTimes
	versions   versions
	hot        hotKeys
	writes     openWrites
	counters   counters
	refusalLog logLimit // logged, of reads that are answered all the same

	life    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // loads under a lease, and refreshes
	beside  sync.WaitGroup // the audit, and who looks at samples

	numbers numbers
	probed  atomic.Uint64 // see ProbeMemory
}

// New returns a cache that is not open yet. It starts nothing.
func New(cfg Config) (*Cache, error) {
	c := &Cache{cfg: cfg}
	c.store = memory.New(memory.Config{Budget: cfg.Budget, MissingShare: cfg.MissingShare, LinkTimeout: cfg.LinkTimeout, Answers: cfg.Answers, OnDelay: cfg.OnDelay})
	c.LargeAnswers, c.flights, c.admits = c.store.LargeAnswers, NewFlights(c.store), c.store.Admits
	c.life, c.stop = context.WithCancel(context.Background())
	c.settings.Store(&cfg.Settings)
	c.apply(&cfg.Settings)
	c.local = c.store.NewOwner(true)
	c.losses.since, c.losses.aging = map[weak.Pointer[Resource]]time.Time{}, map[uint32]*loss{}
	c.passing.byKey = map[passKey]*passes{}
	c.counters.rounds = map[counterKey]*round{}
	c.flights.open = c.writes.has
	c.auditor = newAuditor(c)
	c.hot.Table = hotkeys.New()
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
	if c.shared == TierNone {
		panic("BUG: no Tier is called " + strconv.Quote(c.tier.Name()))
	}
	return c, nil
}

// Open opens the shared tier and starts background work. It needs no reachable
// Redis: until there is one, answers come from the source, marked untracked. A
// Cache that could not be opened must still be closed.
func (c *Cache) Open() error {
	c.writes.start()
	c.auditor.start()
	c.beside.Go(c.sampleHits)
	return c.tier.Open()
}

// Close ends background work, loads that nobody waits for included, and closes
// the shared tier. No other method may be called any more.
func (c *Cache) Close() {
	c.stop()
	c.running.Wait()
	c.beside.Wait()
	c.counters.close()
	c.writes.close()
	c.tier.Close()
}

// Up tells whether the shared tier can be asked, and if not, why.
func (c *Cache) Up() error { return c.tier.Up() }

// Trouble is what keeps the shared tier from being whole although it can be asked, nil for
// nothing.
func (c *Cache) Trouble() error {
	if t, ok := c.tier.(interface{ Trouble() error }); ok {
		return t.Trouble()
	}
	return nil
}

// SharedTier names the kind of the shared tier.
func (c *Cache) SharedTier() Tier { return c.shared }

// Reconfigure goes on with other settings, from the next request on: one under
// way may see some old and some new. A smaller budget is kept when Reconfigure
// returns; a smaller MaxLoads as soon as enough of the loads at work are done.
func (c *Cache) Reconfigure(s Settings) {
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	was := c.settings.Swap(&s)
	c.apply(&s)
	if was.DegradedTTL != s.DegradedTTL {
		c.degradeAgain()
	}
	c.gates.Range(func(_, g any) bool {
		g.(*gate.Gate).Resize(s.MaxLoads, s.Wait)
		return true
	})
}

// apply hands on what others keep in a form of their own.
func (c *Cache) apply(s *Settings) {
	c.store.SetHotRate(s.HotRate)
	c.missing.limit.Store(int64(s.MissingRate))
	c.store.Resize(s.Budget, s.MissingShare)
}
