package cache

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// store is the memory tier: one per process, shared by every connection to
// the shared tier. What is in it and what is being read into it change
// together, under one lock per key shard, because a change reported between a
// reply and its storing has to find one or the other.
//
// Lock order: flightShard.mu, then shard.mu (table). Never two of a kind.
type store struct {
	*clock
	entries     *table // records
	missing     *table // "no such record", in a share of its own (mass look-ups of absent ids displace nothing)
	linkTimeout int64
	maxValue    atomic.Int64 // larger bodies are served and not kept
	aloft       *aloft       // large answers on their way

	flights [flightShards]flightShard
	owners  [ownerRing]atomic.Pointer[owner]
	lastID  atomic.Uint32
	woke    atomic.Int64 // clock time of the last distrust: nothing sent before it verifies a link

	reads sketch

	invalidations atomic.Int64
	lost          atomic.Int64        // canaries whose invalidation never came
	delay         func(time.Duration) // takes the canary's delay

	// open tells that a write of the key awaits its confirmation, so that
	// nothing of it may be kept. The flight shard is locked: a write opens
	// its key before it drops the key's copy.
	open func(key string) bool
	// alone: nobody but this process changes the shared tier, so that it
	// misses nothing while it sleeps.
	alone bool
}

const (
	flightShards = 64
	// ownerRing is how many connections, dead ones included, entries can
	// still refer to. An entry of an older one counts as never verified.
	ownerRing = 4096
)

// owner is one connection to the shared tier: the only witness whether the
// entries read on it still hold.
type owner struct {
	id       uint32
	local    bool          // no wire between us and the data: always verified
	epoch    atomic.Uint32 // entries of an earlier epoch were flushed
	dead     atomic.Bool
	proven   atomic.Bool  // an invalidation has been seen to arrive
	verified atomic.Int64 // send time of the latest command answered in order; clock ns

	heard  chan struct{} // an invalidation of the canary was applied …
	canary atomic.Int64  // … at this clock time

	mu    sync.Mutex
	stray []stray // abandoned reads whose replies may still come
}

// stray is a read whose reader gave up before the reply came. Until it comes
// the key must not be read tracked again on this connection: the late reply
// would be taken for the later read's.
type stray struct {
	f     *flight
	since int64
}

func newStore(c *clock, budget int64, missingShare float64, linkTimeout time.Duration) *store {
	s := &store{
		clock: c, entries: newTable(0), missing: newTable(0),
		aloft: newAloft(nil), linkTimeout: int64(linkTimeout), delay: func(time.Duration) {}, open: func(string) bool { return false },
	}
	for i := range s.flights {
		s.flights[i].flights = map[string]*flight{}
		s.flights[i].watches = map[string]*watch{}
	}
	s.resize(budget, missingShare)
	s.account(s.aloft)
	return s
}

// account makes the store keep account of large answers in a. Before its first use.
func (s *store) account(a *aloft) { s.aloft, s.entries.aloft, s.missing.aloft = a, a, a }

func (s *store) newOwner(local bool) *owner {
	o := &owner{id: s.lastID.Add(1), local: local, heard: make(chan struct{}, 1)}
	o.verified.Store(math.MinInt64 / 2)
	if local {
		o.verified.Store(math.MaxInt64 / 2)
		o.proven.Store(true)
	}
	s.owners[o.id%ownerRing].Store(o)
	return o
}

// newBlindOwner stands for reads of which no change will be reported.
func (s *store) newBlindOwner() *owner {
	o := s.newOwner(true)
	o.proven.Store(false)
	return o
}

// hear notes that the canary's invalidation was applied at clock time at: this
// connection does report changes.
func (o *owner) hear(at int64) {
	o.canary.Store(at)
	o.proven.Store(true)
	select {
	case o.heard <- struct{}{}:
	default:
	}
}

func (s *store) ownerOf(e *Entry) *owner {
	if o := s.owners[e.owner%ownerRing].Load(); o != nil && o.id == e.owner {
		return o
	}
	return nil
}

// find returns the entry of r under key, fresh or not.
func (s *store) find(r *Resource, key []byte) *Entry {
	hash := hashKey(key)
	e := s.entries.lookup(hash, key)
	if e == nil && s.missing.count.Load() != 0 {
		e = s.missing.lookup(hash, key)
	}
	if e != nil && e.resource != r.id {
		return nil
	}
	return e
}

// freshUntil is when e stops being fresh as far as is known now; in the past
// if it already has. An entry is fresh while its owner lives in the same
// epoch, its lifetime runs, and the link has proved itself within
// linkTimeout.
func (s *store) freshUntil(e *Entry) int64 {
	o := s.ownerOf(e)
	if o == nil || o.dead.Load() || o.epoch.Load() != e.epoch {
		return math.MinInt64
	}
	return min(e.expiry, o.verified.Load()+s.linkTimeout)
}

// staleUntil is when e must not even be served marked: ttl.stale after its
// link last proved itself. What a push has invalidated is never served.
func (s *store) staleUntil(e *Entry, stale time.Duration) int64 {
	o := s.ownerOf(e)
	if o == nil || o.epoch.Load() != e.epoch {
		return math.MinInt64
	}
	return min(o.verified.Load(), e.expiry) + int64(stale)
}

// keep stores e, or nothing if it is too large for the budget; what it would
// have replaced goes either way. The flight shard is locked.
func (s *store) keep(e *Entry, o *owner, epoch uint32, expiry, ends int64) bool {
	if e.keyLen == 0 {
		return false
	}
	if e.length() > s.maxValue.Load() {
		s.drop(e.key(), nil)
		return false
	}
	e.owner, e.epoch, e.expiry, e.ends = o.id, epoch, expiry, ends
	e.due.Store(never)
	in, other := s.entries, s.missing
	if e.Missing() {
		in, other = other, in
	}
	other.remove(e.hash, e.key(), nil)
	in.insert(e)
	return true
}

// drop removes key's entry unless keep objects. The flight shard is locked.
func (s *store) drop(key string, keep func(*Entry) bool) {
	hash := hashString(key)
	s.entries.remove(hash, key, keep)
	s.missing.remove(hash, key, keep)
}

// distrust makes every link prove itself anew; see clock. What it vouched for
// before may still be served marked.
func (s *store) distrust() {
	s.woke.Store(s.now())
	for i := range s.owners {
		if o := s.owners[i].Load(); o != nil && !o.local {
			o.verified.Add(-s.linkTimeout)
		}
	}
}

// overslept tells that the process may have missed changes while it stood
// still, and nobody has noticed yet.
func (s *store) overslept(t time.Time, at int64) bool { return !s.alone && s.slept(t, at) }

// wakeUp compares the clocks; see clock.
func (s *store) wakeUp() {
	t := time.Now()
	if s.slept(t, s.at(t)) {
		s.distrust()
	}
	s.tick(t)
}

// stamp records that a command sent at sent was answered in order on o. What
// was abandoned before that command was sent has been answered too, or was
// never sent: it no longer blocks its key.
func (s *store) stamp(o *owner, sent int64) {
	for sent > s.woke.Load() {
		was := o.verified.Load()
		if sent <= was || o.verified.CompareAndSwap(was, sent) {
			break
		}
	}
	o.mu.Lock()
	var over []*flight
	for len(o.stray) > 0 && o.stray[0].since < sent {
		over = append(over, o.stray[0].f)
		o.stray = o.stray[1:]
	}
	o.mu.Unlock()
	for _, f := range over {
		s.forget(f)
	}
}

// bury ends an owner: its connection is gone. The cost does not depend on how
// many entries it owns.
func (s *store) bury(o *owner) {
	o.dead.Store(true)
	o.mu.Lock()
	over := o.stray
	o.stray = nil
	o.mu.Unlock()
	for _, st := range over {
		s.forget(st.f)
	}
	s.wakeAll() // nobody will tell those who wait for what this connection was to report
}
