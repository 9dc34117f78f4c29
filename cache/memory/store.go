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
	storewide
	*LargeAnswers // large answers on their way

	entries     *table // records
	missing     *table // "no such record", in a share of its own: mass look-ups of absent ids displace no record
	linkTimeout int64
	maxValue    atomic.Int64 // larger bodies are served and not kept

	epochs       epochs
	sweptAt      atomic.Int64 // clock time of the last sweep
	distrustedAt atomic.Int64 // clock time of the last distrust; a command sent before it verifies no link

	reads   sketch
	samples samples // hits that are to be looked at

	notAdmitted   atomic.Int64        // reads whose record memory would not keep
	Invalidations atomic.Int64        // reported by the shared tier so far
	LostCanaries  atomic.Int64        // whose invalidation never came
	delay         func(time.Duration) // takes the canary's delay

	soleWriter bool // no other process changes the shared tier: a sleep misses nothing
}

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
	s := &Store{linkTimeout: int64(c.LinkTimeout), delay: c.OnDelay}
	if s.delay == nil {
		s.delay = func(time.Duration) {}
	}
	s.LargeAnswers = newLargeAnswers(c.Answers)
	s.storewide.Clock, s.storewide.large = NewClock(), s.LargeAnswers
	forRecords, forMissing := s.divide(c.Budget, c.MissingShare)
	s.entries, s.missing = newTable(forRecords, &s.storewide), newTable(forMissing, &s.storewide)
	return s
}

// NewOwner returns an owner that is unproven, or with local one that is proven and
// verified for ever. The store holds it until it has ended, and a while longer.
func (s *Store) NewOwner(local bool) *Owner {
	o := &Owner{epochs: &s.epochs, local: local, proofs: make(chan struct{}, 1)}
	o.verified.Store(math.MinInt64 / 2)
	if local {
		o.verified.Store(math.MaxInt64 / 2)
		o.proven.Store(true)
	}
	s.epochs.begin(o)
	return o
}

// NewUntrackedOwner returns an owner for reads of which no change will ever be reported:
// verified for ever, and unproven.
func (s *Store) NewUntrackedOwner() *Owner {
	o := s.NewOwner(true)
	o.proven.Store(false)
	return o
}

// IsOwner tells whether the record was read on o.
func (s *Store) IsOwner(o *Owner, v View) bool { return s.epochs.owner(v.epoch()) == o }

// HasLiveOwner tells whether the connection that the record was read on is open.
func (s *Store) HasLiveOwner(v View) bool {
	o := s.epochs.owner(v.epoch())
	return o != nil && !o.ended.Load()
}

// Look looks up a fresh record, the fast path of every read, under a pin of the caller's.
// ttl is what is left of its lifetime, should its link go on proving itself. It does not
// allocate, takes no lock, and keeps nothing of key. now must have been read after the
// request arrived.
func (s *Store) Look(sh *Shape, key []byte, now time.Time) (v View, ttl time.Duration) {
	hash := hashBytes(key)
	at := s.At(now)
	v = s.find(sh, hash, key, at)
	if !v.Found() || v.Untracked() {
		return View{}, 0
	}
	expiry := v.expiry(at)
	if at >= expiry || at >= s.verifiedUntil(v.epoch()) || s.overdue(at) || s.SleptUnnoticed(now, at) {
		return View{}, 0
	}
	// Nearly every hit is neither counted nor sampled. Of a large one, see CountLarge.
	if (sampled(at) || draw(hash, at) < s.samples.below.Load()) && !v.Large() {
		s.countHit(hash, key, v)
	}
	return v, time.Duration(expiry - at)
}

// CountLarge counts a hit of a large record that is answered. Look does not: the ways that
// find one leave it to another, which looks it up again.
func (s *Store) CountLarge(key []byte, v View) { s.countHit(hashBytes(key), key, v) }

// countHit counts a hit for its key's rate, and samples it, if it is its turn.
func (s *Store) countHit(hash uint64, key []byte, v View) {
	if sampled(v.at) {
		s.reads.add(hash, v.at, sketchSample)
	}
	if below := s.samples.below.Load(); draw(hash, v.at) < below {
		s.samples.add(hash, below, key, v)
	}
}

// Peek looks up a record, fresh or not, under a pin of the caller's.
func (s *Store) Peek(sh *Shape, key []byte) View { return s.find(sh, hashBytes(key), key, s.Now()) }

// Find is Peek that needs no pin: what it finds is an answer of its own, nil for none.
func (s *Store) Find(sh *Shape, key []byte) *Entry {
	defer s.Pin(uint32(len(key))).Release()
	return s.Peek(sh, key).Entry()
}

func (s *Store) find(sh *Shape, hash uint64, key []byte, at int64) View {
	r, e := s.entries.lookup(hash, key)
	if r == nil {
		if r, e = s.missing.lookup(hash, key); r == nil {
			return View{}
		}
	}
	if r.shapeID() != sh.id&shapeMask {
		return View{}
	}
	return View{r: r, e: e, sh: sh, at: at}
}

// CountRead counts a read of key that memory did not answer, for its rate. It returns how
// many this second has seen so far: Rate, but for what the second before has seen.
func (s *Store) CountRead(key string, now int64) (reads float64) {
	return float64(s.reads.add(HashKey(key), now, 1))
}

// Rate is how many reads of key the last second saw. It is an estimate, see sketch.
func (s *Store) Rate(key string) float64 { return s.reads.rate(HashKey(key)) }

// RateOf is Rate of a key in bytes.
func (s *Store) RateOf(key []byte) float64 { return s.reads.rate(hashBytes(key)) }

// FreshUntil is when the record stops being fresh as far as is known now; in the past
// if it already has. A record is fresh while its owner lives in the same
// epoch, its lifetime runs, and the link has proved itself within
// linkTimeout.
func (s *Store) FreshUntil(v View) int64 {
	now := s.Now()
	if s.overdue(now) {
		return math.MinInt64
	}
	return min(v.expiry(now), s.verifiedUntil(v.epoch()))
}

// verifiedUntil is how long a link vouches for what was read on it in an epoch, as far as
// is known now.
func (s *Store) verifiedUntil(epoch uint32) int64 {
	o := s.epochs.owner(epoch)
	if o == nil || o.ended.Load() || o.epoch.Load() != epoch {
		return math.MinInt64
	}
	return o.verified.Load() + s.linkTimeout
}

// StaleUntil is when the record must not even be served marked: ttl.stale after its
// link last proved itself. What a push has invalidated is never served.
func (s *Store) StaleUntil(v View, stale time.Duration) int64 {
	o := s.epochs.owner(v.epoch())
	if o == nil || o.epoch.Load() != v.epoch() {
		return math.MinInt64
	}
	return min(o.verified.Load(), v.expiry(s.Now())) + int64(stale)
}

// Life says how long a record is kept: clock times.
type Life struct {
	Until     int64 // fresh until then at most
	Ends      int64 // when the shared tier's copy expires, or Never
	RefreshAt int64 // from when on a hot record is loaded anew, or Never
	Aged      bool  // to be loaded anew then whether it is hot or not
}

// Keep keeps a copy of e as read on o in an epoch of it, fresh until expiry at most; ends is
// when the shared tier's copy expires. All are clock times. See KeepFor.
func (s *Store) Keep(e *Entry, o *Owner, epoch uint32, expiry, ends int64) bool {
	return s.KeepFor(e, epoch, Life{Until: expiry, Ends: ends, RefreshAt: Never})
}

// KeepFor keeps a copy of e as read in an epoch of its owner. It keeps nothing and
// returns false when e is too large to be kept, or there is no room; what e would have
// replaced goes either way. The caller holds the lock of the key's flight shard.
func (s *Store) KeepFor(e *Entry, epoch uint32, life Life) bool {
	if e.keyLen == 0 {
		return false
	}
	if e.Length() > s.maxValue.Load() {
		s.Drop(e.key(), nil)
		return false
	}
	e.epoch, e.sharedExpiry = epoch, life.Ends
	e.expiry.Store(life.Until)
	e.refreshAt.Store(life.RefreshAt)
	if life.Aged {
		e.state.Or(stateAged)
	} else {
		e.state.And(^uint32(stateAged))
	}
	in, other := s.entries, s.missing
	if e.Missing() {
		in, other = other, in
	}
	other.drop(e.hash, e.key(), nil)
	return in.put(e)
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

// Drop removes key's record unless keep objects; what keep is given is valid for as long as
// it runs. The caller holds the lock of the key's flight shard.
func (s *Store) Drop(key string, keep func(View) bool) {
	hash := HashKey(key)
	s.entries.drop(hash, key, keep)
	s.missing.drop(hash, key, keep)
}

// Each calls f with every record that was kept before Each was called and is still there,
// until f returns false. f must be quick, and call nothing of the store that changes it: a
// part of the store is locked meanwhile. A record that is moved, replaced or kept meanwhile
// may come twice.
func (s *Store) Each(f func(View) bool) {
	if s.entries.each(f) {
		s.missing.each(f)
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

// NoticeSleep compares the clocks, and distrusts all links after a sleep. It also does what
// has to be done now and then: it gives memory back that was in use. Call it from one
// goroutine at a time, more often than link_timeout.
func (s *Store) NoticeSleep() {
	t := time.Now()
	if s.jumped(t, s.At(t)) {
		s.distrust()
	}
	s.tick(t)
	s.entries.tidy()
	s.missing.tidy()
	s.sweep(s.At(t))
}

// sweep drops records that expired so long ago that the ticks in them could be taken for
// times to come. A process that stood still for that long trusts nothing that it has.
func (s *Store) sweep(now int64) {
	last := s.sweptAt.Load()
	if now-last < sweepEvery {
		return
	}
	s.sweptAt.Store(now)
	if now-last > 2*sweepEvery {
		for o := range s.Owners {
			o.Flush()
		}
	}
	for _, t := range []*table{s.entries, s.missing} {
		t.sweep(func(r *record) bool { return timeOf(atomic.LoadUint32(&r.expiry), now) < now-longExpired })
	}
}

// overdue tells that so long nothing was swept out that the ticks of what expired could be
// taken for times to come.
func (s *Store) overdue(at int64) bool { return at-s.sweptAt.Load() > 3*sweepEvery }

const (
	sweepEvery = int64(4 * 24 * time.Hour)
	// longExpired is how long an expired record is still worth something, as a stale one.
	longExpired = int64(12 * 24 * time.Hour)
)

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
	forRecords, forMissing := s.divide(budget, missingShare)
	s.entries.resize(forRecords)
	s.missing.resize(forMissing)
}

func (s *Store) divide(budget int64, missingShare float64) (forRecords, forMissing int64) {
	forMissing = int64(float64(budget) * missingShare)
	s.maxValue.Store(budget / 100)
	return budget - forMissing, forMissing
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
	var m Sizes
	m.MissingBytes, m.MissingEntries = s.missing.sizes()
	m.Bytes, m.Entries = s.entries.sizes()
	m.Bytes, m.Entries = m.Bytes+m.MissingBytes, m.Entries+m.MissingEntries
	return m
}

// Evictions is how many records were dropped so far to make room for others.
func (s *Store) Evictions() int64 { return s.evictions.Load() }

// Owners calls f with each owner that records can refer to, until it returns false.
func (s *Store) Owners(f func(*Owner) bool) {
	for i := range s.epochs.owned {
		if at := s.epochs.owned[i].Load(); at != nil && at.number == at.owner.epoch.Load() && !f(at.owner) {
			return
		}
	}
}
