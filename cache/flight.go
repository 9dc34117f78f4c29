package cache

import (
	"context"
	"sync"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// flight is one tracked read of one key, from the decision to read until its answer is
// stored. The reader that makes it leads it, others join it. At most one per key may be
// joined at a time.
//
//	made ──Bind──► sent ──Arrived──► replied ──finish──► stored
//	  │              │                  │
//	  │              │                  └─ Invalidated, Flushed, Closed: not stored
//	  └──────────────┴─ Changed, Abandoned: poisoned, for good: delivered to those that
//	                    have joined, but not stored, and not joined any more
//
// An invalidation that is reported before the reply is older than the reply, by the
// order of the wire; one that is reported after it is newer. That is why Invalidated
// looks at replied.
//
// The fields but done and result are guarded by the lock of the key's flightShard.
type flight struct {
	key string
	res *Resource

	owner *memory.Owner // connection it went out on; nil until handed to one
	epoch uint32
	sent  int64 // clock time taken before it was queued

	replied  bool // its reply has passed the connection's reader
	poisoned bool // delivered, but neither stored nor joined; for good

	done   chan struct{} // closed when result is set
	result result
}

// result is what one read of a key has found.
type result struct {
	shared.Content
	entry   *Entry // the finished record when kind is kindValue or kindNull
	stored  bool
	changed *watch // for placeholders: fires when the key changes after the read

	verified *loss // under which it is known to be loaded since the feed was lost
	untimed  bool  // what is left of its lifetime is not known
	plain    bool  // a plain read has found it, see plain.go
	err      error
}

// Flights are the tracked reads under way, beside the memory that they fill.
// What memory holds and what is being read into it change together, under one
// lock per key shard: a change that is reported between a reply and its storing
// has to find one or the other.
//
// Lock order: flightShard.mu, then the locks of memory's tables. Never two of a
// kind.
type Flights struct {
	*memory.Store
	shards [flightShards]flightShard
	late   lateReads
	// unshared are keys whose records may not be shared.
	unshared unsharedKeys

	// open tells that a write of the key awaits its confirmation, so that
	// nothing of it may be kept. The flight shard is locked: a write opens
	// its key before it drops the key's copy.
	open func(key string) bool
}

const flightShards = 64

func NewFlights(s *memory.Store) *Flights {
	f := &Flights{Store: s, open: func(string) bool { return false }}
	for i := range f.shards {
		f.shards[i].flights = map[string]*flight{}
		f.shards[i].watches = map[string]*watch{}
		f.shards[i].plain = map[string]*plainRead{}
	}
	return f
}

// flightShard has what is under way for some of the keys.
type flightShard struct {
	mu       sync.Mutex
	flights  map[string]*flight
	watches  map[string]*watch
	plain    map[string]*plainRead // on the wire, by key; see plain.go
	loads    map[string]*load      // loads under a lease, by token; see load.go
	attempts map[string]*attempt   // at leases, by key; see load.go
}

func (s *Flights) shard(key string) *flightShard {
	return &s.shards[memory.HashKey(key)%flightShards]
}

// join returns the flight that a reader of key may wait for, or a new one that the
// reader must lead. plain means that a poisoned read of the key is still on the wire.
// rueidis could not tell the reply to a second tracked read from the late one of the
// first, so the caller reads untracked and stores nothing.
func (s *Flights) join(r *Resource, key string) (f *flight, lead, plain bool) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch f = sh.flights[key]; {
	case f == nil || f.broken():
	case f.joinable(r):
		return f, false, false
	default:
		return nil, false, true
	}
	f = &flight{key: key, res: r, done: make(chan struct{})}
	sh.flights[key] = f
	return f, true, false
}

// broken tells that nothing can be said of what the flight brings: the link broke, so that
// changes since then were not reported, or all was flushed since its reply. The shard is
// locked.
func (f *flight) broken() bool {
	return f.owner != nil && (f.owner.Ended() || f.replied && f.owner.Epoch() != f.epoch)
}

// joinable tells whether a reader of r may wait for the flight. The shard is locked.
func (f *flight) joinable(r *Resource) bool { return !f.poisoned && f.res == r && !f.broken() }

// probes owns the reads of probe. Nothing is ever kept for it.
var probes = NewResource("", "", Lifetimes{}, nil)

// Probe reads a key of a tier's own the way all keys are read, tracked, and
// returns the connection that the read went out on, nil if none. Nothing of it
// is kept. While an earlier read of the key has not been answered, begun is
// false and read is not called.
func (s *Flights) Probe(key string, read func() error) (o *memory.Owner, begun bool, err error) {
	f, lead, _ := s.join(probes, key)
	if !lead {
		return nil, false, nil
	}
	err = read()
	o, _ = s.boundTo(f)
	s.finish(f, result{}, 0)
	return o, true, err
}

// wait blocks until the flight's result is there or ctx ends.
func (f *flight) wait(ctx context.Context) result {
	select {
	case <-f.done:
		return f.result
	case <-ctx.Done():
		return result{err: ErrTimeout}
	}
}

// Bind notes that the read of key is about to be sent on o. Without a flight, or when
// the flight is bound already, nothing is noted, and the reply will be ignored.
func (s *Flights) Bind(o *memory.Owner, key string, sent int64) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[key]; f != nil && f.owner == nil {
		f.owner, f.epoch, f.sent = o, o.Epoch(), sent
	}
}

// boundTo returns the connection that a flight went out on, and when; nil if it did not.
func (s *Flights) boundTo(f *flight) (*memory.Owner, int64) {
	sh := s.shard(f.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return f.owner, f.sent
}

// Arrived is called by the connection's reader, in the order of the wire, for
// each reply to a tracked read. Only a read bound to this very connection
// counts: replies after ASK, and to connections long replaced, are not its.
func (s *Flights) Arrived(o *memory.Owner, key string) {
	s.answered(o, key, func(f *flight) { f.replied = true })
}

// Refused is called when Redis answered a tracked read with an error, so that
// nothing of it is left on the wire. The read may go on at another node: after
// MOVED it is bound to that connection, after ASK to none, because that node
// answers without tracking; then what it brings is not stored.
func (s *Flights) Refused(o *memory.Owner, key string) {
	s.answered(o, key, func(f *flight) { f.owner, f.sent = nil, 0 })
}

// answered notes that the read of key bound to o is off the wire, which
// verifies the link.
func (s *Flights) answered(o *memory.Owner, key string, note func(*flight)) {
	sh := s.shard(key)
	sh.mu.Lock()
	f := sh.flights[key]
	mine := f != nil && f.owner == o && !f.replied
	var sent int64
	if mine {
		sent = f.sent
		note(f)
		if f.poisoned {
			delete(sh.flights, key)
		}
	}
	sh.mu.Unlock()
	if mine {
		s.stamp(o, sent)
	}
}

// Abandoned is called when the reader of a tracked read gave up. The reply may
// still come: until then, or until a later command is answered, the flight
// keeps its place, poisoned.
func (s *Flights) Abandoned(o *memory.Owner, key string) {
	sh := s.shard(key)
	sh.mu.Lock()
	f := sh.flights[key]
	if f == nil || f.owner != o || f.replied {
		sh.mu.Unlock()
		return
	}
	f.poisoned = true
	sh.mu.Unlock()
	s.late.add(o, f, s.Clock)
	if o.Ended() { // closed may have looked before this read was added
		s.forgetLate(o, memory.Never)
	}
}

// forget frees the key of a flight that is over.
func (s *Flights) forget(f *flight) {
	sh := s.shard(f.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.flights[f.key] == f {
		delete(sh.flights, f.key)
	}
}

// finish ends a flight: the leader hands in what it found. entry is stored if
// nothing that came between the reply and now forbids it: an invalidation or
// an own write (both have taken the flight out of the map), a flush, or the
// end of the connection.
func (s *Flights) finish(f *flight, res result, expiry int64) {
	sh := s.shard(f.key)
	sh.mu.Lock()
	current := sh.flights[f.key] == f
	if current && f.replied && !f.poisoned && f.owner.Epoch() == f.epoch && !f.owner.Ended() {
		if res.entry != nil && !res.Unreported && !s.open(f.key) {
			life := memory.Life{Until: expiry, Ends: memory.Never, RefreshAt: memory.Never}
			if res.TTL > 0 && int64(res.TTL) < memory.Never-f.sent {
				life.Ends = f.sent + int64(res.TTL)
			}
			if life.Ends != memory.Never && f.res.Records != nil {
				life.RefreshAt = f.res.dueAt(f.sent, life.Ends, res.entry.Missing())
			}
			if l := f.res.lost.Load(); res.verified != l {
				life = l.aged(life, s.Now())
			}
			res.stored = s.KeepFor(res.entry, f.epoch, life)
			s.NoteSize(res.entry, res.stored)
		}
		if res.IsPlaceholder() {
			res.changed = sh.watch(f.key)
		}
	} else if res.IsPlaceholder() {
		res.changed = firedWatch // it may have changed since: look again at once
	}
	// An unanswered, poisoned flight stays: its reply may still be on the wire.
	if current && (f.replied || !f.poisoned || f.owner == nil) {
		delete(sh.flights, f.key)
	}
	f.result = res
	sh.mu.Unlock()
	close(f.done)
}

// settle returns when every flight that was being ended has been.
func (s *Flights) settle() {
	for i := range s.shards {
		func(sh *flightShard) {
			sh.mu.Lock()
			defer sh.mu.Unlock()
		}(&s.shards[i])
	}
}

// Invalidated applies a change of key reported on o's connection. A read still
// in flight on o is left alone: by the order of the wire its reply is newer
// than this message. One that has been answered is not stored any more. It tells whether
// the copy of a record that has a source was dropped.
func (s *Flights) Invalidated(o *memory.Owner, key string) (sourced bool) {
	s.Invalidations.Add(1)
	sh := s.shard(key)
	sh.mu.Lock()
	if f := sh.flights[key]; f != nil && f.owner == o && f.replied {
		delete(sh.flights, key)
	}
	now := s.Now()
	s.Drop(key, func(v View) bool {
		if v.Sourced() && now >= v.SharedExpiry(now) {
			// It has told of the end of the copy's lifetime, not of a change. What
			// is not fresh any more may be all there is if the source is away. Without
			// a source it was the record's own end.
			return true
		}
		kept := !s.IsOwner(o, v) && s.HasLiveOwner(v)
		sourced = sourced || !kept && v.Sourced()
		return kept
	})
	sh.fire(key)
	sh.mu.Unlock()
	return sourced
}

// Changed applies a write made through this process: the copy is dropped, and
// what is being read or loaded is delivered to those who wait for it already,
// but neither stored nor joined by readers that come later. It is called
// after the shared tier's reply to the write and before the write's answer.
func (s *Flights) Changed(key string) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[key]; f != nil {
		f.poisoned = true
		if f.replied || f.owner == nil || f.owner.Local() {
			delete(sh.flights, key)
		}
	}
	for token, l := range sh.loads {
		if l.key == key {
			delete(sh.loads, token)
		}
	}
	s.Drop(key, nil)
	sh.fire(key)
}

// Wake tells the readers that wait for key to look again.
func (s *Flights) Wake(key string) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.fire(key)
}

// Flushed forgets all that was read on o; FLUSHALL reaches each connection.
func (s *Flights) Flushed(o *memory.Owner) {
	o.Flush()
	s.Invalidations.Add(1)
	s.wakeAll()
}

// wakeAll tells all readers that wait for any key to look again.
func (s *Flights) wakeAll() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for key := range sh.watches {
			sh.fire(key)
		}
		sh.mu.Unlock()
	}
}

// watch wakes all readers that wait for a change of one key. It fires once: a reader
// that reads the key again gets the next one.
type watch struct {
	fired   chan struct{}
	waiting int
}

var firedWatch = func() *watch {
	w := &watch{fired: make(chan struct{})}
	close(w.fired)
	return w
}()

// watch returns the key's watch. The shard is locked.
func (sh *flightShard) watch(key string) *watch {
	w := sh.watches[key]
	if w == nil {
		w = &watch{fired: make(chan struct{})}
		sh.watches[key] = w
	}
	return w
}

// fire wakes the readers that wait for key. The shard is locked.
func (sh *flightShard) fire(key string) {
	if w := sh.watches[key]; w != nil {
		delete(sh.watches, key)
		close(w.fired)
	}
}

// watching and unwatch count the readers that wait on w; without any it is forgotten,
// or a key that nobody writes would keep its watch for good.
func (s *Flights) watching(key string, w *watch) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	w.waiting++
}

func (s *Flights) unwatch(key string, w *watch) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if w.waiting--; w.waiting == 0 && sh.watches[key] == w {
		delete(sh.watches, key)
	}
}
