// Package feed is the change feed: it reads from the outbox of the database what
// anybody has changed there, and removes the copies of those records from the shared
// tier, which tells every memory.
//
// One instance of the fleet does the work, by a lease in the shared tier; all others
// look now and then, and do it when it is left undone. Doing it twice is harmless, so
// nothing rests on the lease: a row leaves the outbox only after the copies are known
// to be gone (see drainer).
//
// Whether the feed is live is known on every instance, by the leader's notes in the
// lease. While it is not, copies live shorter: see observed.
package feed

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/shared"
	"hearth/internal/param"
	"hearth/internal/source/outbox"
)

// Cache is what the feed needs of the cache. Every method keeps the deadline of ctx and
// is safe for concurrent use.
type Cache interface {
	// Outdate removes copies of records that have changed, and marks those that were left
	// because the write that made the change has put its record there itself. After an error
	// not all of it is known to be done.
	Outdate(ctx context.Context, changes []shared.Outdated) error
	// Sweep removes every key that match says yes to; all of them fit pattern, a glob.
	Sweep(ctx context.Context, pattern string, match func(key string) bool) (removed int64, err error)
	// Lead takes or renews a lease of the fleet; see cache.Cache.
	Lead(ctx context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error)
	// Yield gives it back.
	Yield(ctx context.Context, key, holder string) error
	// Peek reads a lease, nil if nobody has it.
	Peek(ctx context.Context, key string) ([]byte, error)
	// Generation tells whether the shared tier may have lost what was done to it.
	Generation() shared.Generation
}

// Outbox is what the feed needs of the outbox; see package outbox.
type Outbox interface {
	Read(ctx context.Context, after int64, most int) ([]outbox.Row, error)
	Done(ctx context.Context, ids []int64) error
	Keep(ctx context.Context, ids []int64) error
	Kept(ctx context.Context, after int64, most int) ([]outbox.Row, error)
	Expire(ctx context.Context, age time.Duration) error
	Canary(ctx context.Context) error
	Flush(ctx context.Context, resources []string) error
	Size(ctx context.Context) (outbox.Size, error)
	Moved(ctx context.Context) (bool, error)
	Beat(ctx context.Context, b outbox.Beat) (outbox.Pulse, error)
	Sets(ctx context.Context) ([]outbox.Set, error)
	Faults(ctx context.Context, want []outbox.Set) ([]outbox.Fault, error)
	Heal(ctx context.Context, faults []outbox.Fault) ([]string, error)
	Keys(ctx context.Context, m outbox.Meaning, row map[string]json.RawMessage) ([][]string, error)
	Lost()
	// Heals tells whether there may be something to heal.
	Heals() bool
	// Lazy tells that taking rows out costs writers their lock, so that it should be done
	// seldom; Busy that an error is somebody else's lock.
	Lazy() bool
	Busy(err error) bool
	// Missing tells that an error is of an outbox that is not there.
	Missing(err error) bool
}

// Resource is a resource as the feed knows it.
type Resource struct {
	Name   string
	Key    param.Template
	Params []param.Param
	// Watched tells that the configuration says which changes concern it. What is not
	// watched has its lifetimes alone.
	Watched bool
	// Degrade and Restore tell its copies that the feed is lost since a moment, and that
	// it is back.
	Degrade func(since time.Time)
	Restore func()
}

// Settings are what a reload may change.
type Settings struct {
	Poll          time.Duration // between two looks while changes come
	Keep          time.Duration // how long handled rows are kept, to be done again
	DegradedAfter time.Duration // after so long without a complete drain the feed is lost
	DegradedTTL   time.Duration
	FlushBacklog  int64 // changed rows that wait: beyond it, everything is removed
}

// Config says what a Feed works with.
type Config struct {
	Instance string // what operators call this instance
	Outbox   Outbox
	Cache    Cache
	Timeout  time.Duration // of one question to the database or the shared tier
	Log      *slog.Logger
	OnLag    func(time.Duration) // takes the time from a commit to its acknowledged effect
	Settings
}

// Feed is the change feed of one process. It is safe for concurrent use.
type Feed struct {
	cfg      Config
	settings atomic.Pointer[Settings]
	wanted   atomic.Pointer[wanted]
	now      func() time.Time

	holder string // names this process in leases
	Numbers
	state  observed
	absent atomic.Bool // the outbox is not there, so that triggers may make writes fail

	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// wanted is what the configuration that serves asks of the feed.
type wanted struct {
	resources []Resource
	sets      []outbox.Set
}

// New returns a feed that does nothing yet. Close it if Open is never called.
func New(cfg Config) *Feed {
	f := &Feed{cfg: cfg, now: time.Now, holder: shared.NewToken()}
	f.settings.Store(&cfg.Settings)
	f.wanted.Store(&wanted{})
	f.life, f.stop = context.WithCancel(context.Background())
	f.state.began = f.now()
	return f
}

// Use says which resources are watched, by which triggers. Resources that are not among
// them any more are none of the feed's concern.
func (f *Feed) Use(resources []Resource, sets []outbox.Set, s Settings) {
	f.settings.Store(&s)
	f.wanted.Store(&wanted{resources: resources, sets: sets})
	f.state.forget()
	f.judge()
}

// Open begins to drain and to observe. It needs neither the database nor the shared
// tier to be there.
func (f *Feed) Open() {
	f.running.Go(newDrainer(f).run)
	f.running.Go((&inspector{Feed: f}).run)
	f.running.Go(f.observe)
}

// Close ends all work, and gives the lease back.
func (f *Feed) Close() {
	f.stop()
	f.running.Wait()
}

// within bounds one question.
func (f *Feed) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(f.life, f.cfg.Timeout)
}

// pause waits for d, or until the feed ends: then it tells false.
func (f *Feed) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return f.life.Err() == nil
	case <-f.life.Done():
		return false
	}
}
