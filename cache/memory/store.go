// Package memory keeps finished answers in this process: the memory tier.
//
// It knows no shared tier. What it needs of one is an Owner for each connection, the
// witness for the entries that were read on it. So a broken connection, a flush and a
// process that slept each change one word, however many entries there are.
package memory

import (
	"math"
	"sync/atomic"
	"time"

	"hearth/internal/budget"
)

// Store is the memory tier: one per process, shared by every connection to the shared
// tier. It is safe for concurrent use, except where a method asks for the lock of a
// flight shard: keeping and dropping a key exclude each other.
//
// Lock order: the caller's flight shard, then one shard of one table.
type Store struct {
	*Clock
	*LargeAnswers // large answers on their way

	entries     *table // records
	missing     *table // "no such record", in a share of its own: mass look-ups of absent ids displace no record
	linkTimeout int64
	maxValue    atomic.Int64 // larger bodies are served and not kept

	owners       [ownerRing]atomic.Pointer[Owner]
	lastID       atomic.Uint32
	distrustedAt atomic.Int64 // clock time of the last distrust; a command sent before it verifies no link

	reads sketch

	Invalidations atomic.Int64        // reported by the shared tier so far
	LostCanaries  atomic.Int64        // whose invalidation never came
	delay         func(time.Duration) // takes the canary's delay

	soleWriter bool // no other process changes the shared tier: a sleep misses nothing
}

const (
	// ownerRing is how many connections, dead ones included, entries can
	// still refer to. An entry of an older one counts as never verified.
	ownerRing = 4096
)

// Config says how much memory to use. Every field is required unless it says otherwise.
type Config struct {
	Budget       int64         // bytes, overhead included
	MissingShare float64       // of the budget, for missing records
	LinkTimeout  time.Duration // silence after which a link proves nothing any more

	// Answers is the budget of large answers on their way that memory does not keep;
	// nil: unbounded.
	Answers *budget.Budget
	OnDelay func(time.Duration) // takes each invalidation delay measured (C1); may be nil
}

// New returns an empty store.
func New(c Config) *Store {
	s := &Store{Clock: NewClock(), entries: newTable(), missing: newTable(), linkTimeout: int64(c.LinkTimeout), delay: c.OnDelay}
	if s.delay == nil {
		s.delay = func(time.Duration) {}
	}
	s.LargeAnswers = newLargeAnswers(c.Answers)
	s.entries.large, s.missing.large = s.LargeAnswers, s.LargeAnswers
	s.Resize(c.Budget, c.MissingShare)
	return s
}

// NewOwner returns an owner that is unproven, or with local one that is proven and
// verified for ever. The store holds it until 4,096 later owners have been made.
func (s *Store) NewOwner(local bool) *Owner {
	o := &Owner{id: s.lastID.Add(1), local: local, proofs: make(chan struct{}, 1)}
	o.verified.Store(math.MinInt64 / 2)
	if local {
		o.verified.Store(math.MaxInt64 / 2)
		o.proven.Store(true)
	}
	s.owners[o.id%ownerRing].Store(o)
	return o
}

// NewUntrackedOwner returns an owner for reads of which no change will ever be reported:
// verified for ever, and unproven.
func (s *Store) NewUntrackedOwner() *Owner {
	o := s.NewOwner(true)
	o.proven.Store(false)
	return o
}

// OwnerOf is the connection that the entry was read on; nil when its place was taken by
// later ones.
func (s *Store) OwnerOf(e *Entry) *Owner {
	if o := s.owners[e.owner%ownerRing].Load(); o != nil && o.id == e.owner {
		return o
	}
	return nil
}

// IsOwner tells whether the entry was read on o.
func (s *Store) IsOwner(o *Owner, e *Entry) bool { return e.owner == o.id }

// HasLiveOwner tells whether the connection that the entry was read on is open.
func (s *Store) HasLiveOwner(e *Entry) bool {
	o := s.OwnerOf(e)
	return o != nil && !o.ended.Load()
}

// Hit looks up a fresh entry, the fast path of every read. ttl is what is left of
// the entry's lifetime, should its link go on proving itself. It does not
// allocate, takes no lock, and keeps nothing of key. now must have been read
// after the request arrived.
func (s *Store) Hit(sh *Shape, key []byte, now time.Time) (e *Entry, ttl time.Duration) {
	e = s.Find(sh, key)
	if e == nil || e.flags&FlagUntracked != 0 {
		return nil, 0
	}
	at := s.At(now)
	if at >= s.FreshUntil(e) || s.SleptUnnoticed(now, at) {
		return nil, 0
	}
	if sampled(at) {
		s.reads.add(e.hash, at, sketchSample)
	}
	return e, time.Duration(e.expiry.Load() - at)
}

// CountRead counts a read of key that memory did not answer, for its rate.
func (s *Store) CountRead(key string, now int64) { s.reads.add(HashKey(key), now, 1) }

// Rate is how many reads of key the last second saw. It is an estimate, see sketch.
func (s *Store) Rate(key string) float64 { return s.reads.rate(HashKey(key)) }

// RateOf is Rate of a key in bytes.
func (s *Store) RateOf(key []byte) float64 { return s.reads.rate(hashBytes(key)) }

// Find returns the entry of sh under key, fresh or not.
func (s *Store) Find(sh *Shape, key []byte) *Entry {
	hash := hashBytes(key)
	e := s.entries.lookup(hash, key)
	if e == nil && s.missing.count.Load() != 0 {
		e = s.missing.lookup(hash, key)
	}
	if e != nil && e.shape != sh.id {
		return nil
	}
	return e
}

// FreshUntil is when e stops being fresh as far as is known now; in the past
// if it already has. An entry is fresh while its owner lives in the same
// epoch, its lifetime runs, and the link has proved itself within
// linkTimeout.
func (s *Store) FreshUntil(e *Entry) int64 {
	o := s.OwnerOf(e)
	if o == nil || o.ended.Load() || o.epoch.Load() != e.epoch {
		return math.MinInt64
	}
	return min(e.expiry.Load(), o.verified.Load()+s.linkTimeout)
}

// StaleUntil is when e must not even be served marked: ttl.stale after its
// link last proved itself. What a push has invalidated is never served.
func (s *Store) StaleUntil(e *Entry, stale time.Duration) int64 {
	o := s.OwnerOf(e)
	if o == nil || o.epoch.Load() != e.epoch {
		return math.MinInt64
	}
	return min(o.verified.Load(), e.expiry.Load()) + int64(stale)
}

// Keep stores e as read on o in an epoch of it, fresh until expiry at most; sharedExpiry
// is when the shared tier's copy ends (clock time, or Never). It stores nothing and
// returns false when e is too large to be kept; what e would have replaced goes either
// way. The caller holds the lock of the key's flight shard.
func (s *Store) Keep(e *Entry, o *Owner, epoch uint32, expiry, ends int64) bool {
	if e.keyLen == 0 {
		return false
	}
	if e.Length() > s.maxValue.Load() {
		s.Drop(e.key(), nil)
		return false
	}
	e.owner, e.epoch, e.sharedExpiry = o.id, epoch, ends
	e.expiry.Store(expiry)
	e.refreshAt.Store(Never)
	e.state.And(^uint32(stateAged))
	in, other := s.entries, s.missing
	if e.Missing() {
		in, other = other, in
	}
	other.remove(e.hash, e.key(), nil)
	in.insert(e)
	return true
}

// NewKept makes an entry that memory keeps if it is not too large for it.
// One that is gets no gzip variant: it would be made for a single answer, and
// again for the next one. Nor does one that is too large only with its variant.
func (s *Store) NewKept(sh *Shape, key string, data []byte, flags uint8) *Entry {
	return buildEntry(sh, key, data, flags, s.MaxValue(), true)
}

// NewAnswer makes an entry that is answered and never kept. It has no gzip
// variant, and Compressible tells whether one that is kept would try for it.
func (s *Store) NewAnswer(sh *Shape, key string, data []byte, flags uint8) *Entry {
	return buildEntry(sh, key, data, flags, s.MaxValue(), false)
}

// Drop removes key's entry unless keep objects. The caller holds the lock of the key's
// flight shard.
func (s *Store) Drop(key string, keep func(*Entry) bool) {
	hash := HashKey(key)
	s.entries.remove(hash, key, keep)
	s.missing.remove(hash, key, keep)
}

// Each calls f with every entry that was kept before Each was called and is still there,
// until f returns false. It holds no lock while f runs. An entry that is kept meanwhile may
// come or not, and one that is replaced may come all the same.
func (s *Store) Each(f func(*Entry) bool) {
	var found []*Entry
	for _, t := range []*table{s.entries, s.missing} {
		for i := range t.shards {
			found = t.shards[i].appendAll(found[:0])
			for _, e := range found {
				if !f(e) {
					return
				}
			}
			clear(found) // what is evicted meanwhile may go
		}
	}
}

// distrust makes every link verify itself anew; see Clock. Entries that were read on it
// may still be served, marked as stale.
func (s *Store) distrust() {
	s.distrustedAt.Store(s.Now())
	for o := range s.Owners {
		if !o.local {
			o.verified.Add(-s.linkTimeout)
		}
	}
}

// SleptUnnoticed tells that the process may have missed changes while it stood still, and
// that NoticeSleep has not run since. t is time.Now, at the same in clock time.
func (s *Store) SleptUnnoticed(t time.Time, at int64) bool { return !s.soleWriter && s.jumped(t, at) }

// NoticeSleep compares the clocks, and distrusts all links after a sleep. Call it from one
// goroutine at a time, more often than link_timeout.
func (s *Store) NoticeSleep() {
	t := time.Now()
	if s.jumped(t, s.At(t)) {
		s.distrust()
	}
	s.tick(t)
}

// Verify records that a command sent at clock time sent was answered in order on o. A
// command that was sent before the process slept proves nothing: changes may have been
// reported while nothing read them.
func (s *Store) Verify(o *Owner, sent int64) {
	for sent > s.distrustedAt.Load() {
		was := o.verified.Load()
		if sent <= was || o.verified.CompareAndSwap(was, sent) {
			break
		}
	}
}

// Resize makes the budget another one, and evicts what is too much for it.
func (s *Store) Resize(budget int64, missingShare float64) {
	forMissing := int64(float64(budget) * missingShare)
	s.maxValue.Store(budget / 100)
	s.entries.resize(budget - forMissing)
	s.missing.resize(forMissing)
}

// SetSoleWriter says that no other process changes the shared tier. Call it before the
// first read.
func (s *Store) SetSoleWriter() { s.soleWriter = true }

// SetHotRate makes Rate tell keys below rate reads a second from those above.
func (s *Store) SetHotRate(rate float64) { s.reads.distinguish(rate) }

// ReportDelay takes the delay of a canary's invalidation.
func (s *Store) ReportDelay(d time.Duration) { s.delay(d) }

// MaxValue is the size in bytes of the largest entry that is kept.
func (s *Store) MaxValue() int64 { return s.maxValue.Load() }

// Sizes are what a store holds.
type Sizes struct {
	Bytes, Entries               int64 // of all entries, missing records included
	MissingBytes, MissingEntries int64 // of missing records
}

// Sizes returns what the store holds now.
func (s *Store) Sizes() Sizes {
	m := Sizes{MissingBytes: s.missing.bytes.Load(), MissingEntries: s.missing.count.Load()}
	m.Bytes, m.Entries = s.entries.bytes.Load()+m.MissingBytes, s.entries.count.Load()+m.MissingEntries
	return m
}

// Owners calls f with each owner that entries can refer to, until it returns false.
func (s *Store) Owners(f func(*Owner) bool) {
	for i := range s.owners {
		if o := s.owners[i].Load(); o != nil && !f(o) {
			return
		}
	}
}
