package cache

import (
	"context"
	"sync"
)

// flight is one tracked read of one key, from the decision to read until its
// answer is stored. At most one per key is joinable at a time.
//
// Fields but done and result are guarded by the key's flightShard.
type flight struct {
	key string
	res *Resource

	owner *owner // connection it went out on; nil until handed to one
	epoch uint32
	sent  int64 // clock time taken before it was queued

	replied  bool // its reply has passed the connection's reader
	poisoned bool // delivered, but neither stored nor joined; for good

	done   chan struct{} // closed when result is set
	result result
}

// result is what one read of a key found.
type result struct {
	reply
	entry   *Entry // the finished record when kind is kindValue or kindNull
	stored  bool
	changed *watch // for placeholders: fires when the key changes after the read
	err     error
}

type flightShard struct {
	mu       sync.Mutex
	flights  map[string]*flight
	watches  map[string]*watch
	loads    map[string]*load    // loads under a lease, by token; see load.go
	attempts map[string]*attempt // at leases, by key; see load.go
}

func (s *store) flightShard(key string) *flightShard {
	return &s.flights[hashString(key)%flightShards]
}

// join returns the flight a reader of key may wait for, or a new one that the
// reader must lead. plain means that a read of the key which an own write has
// poisoned, or whose reader gave up, is still on the wire: a second tracked
// read could not be told from it, so the caller reads untracked and stores
// nothing.
func (s *store) join(r *Resource, key string) (f *flight, lead, plain bool) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f = sh.flights[key]
	switch {
	case f == nil:
	case f.owner != nil && (f.owner.dead.Load() || f.replied && f.owner.epoch.Load() != f.epoch):
		// The link broke: nobody told this read of changes since. Or all was
		// flushed since its reply.
	case f.poisoned || f.res != r:
		return nil, false, true
	default:
		return f, false, false
	}
	f = &flight{key: key, res: r, done: make(chan struct{})}
	sh.flights[key] = f
	return f, true, false
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

// bind notes that key's read is about to be queued on o. A read that nobody
// leads, or that is bound already, stays unbound, and its reply is ignored.
func (s *store) bind(o *owner, key string, sent int64) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[key]; f != nil && f.owner == nil {
		f.owner, f.epoch, f.sent = o, o.epoch.Load(), sent
	}
}

// boundTo returns the connection a flight went out on and when.
func (s *store) boundTo(f *flight) (*owner, int64) {
	sh := s.flightShard(f.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return f.owner, f.sent
}

// arrived is called by the connection's reader, in the order of the wire, for
// each reply to a tracked read. Only a read bound to this very connection
// counts: replies after ASK, and to connections long replaced, are not its.
func (s *store) arrived(o *owner, key string) {
	s.answered(o, key, func(f *flight) { f.replied = true })
}

// refused is called when Redis answered a tracked read with an error, so that
// nothing of it is left on the wire. The read may go on at another node: after
// MOVED it is bound to that connection, after ASK to none, because that node
// answers without tracking; then what it brings is not stored.
func (s *store) refused(o *owner, key string) {
	s.answered(o, key, func(f *flight) { f.owner, f.sent = nil, 0 })
}

// answered notes that the read of key bound to o is off the wire, which
// verifies the link.
func (s *store) answered(o *owner, key string, note func(*flight)) {
	sh := s.flightShard(key)
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

// abandon is called when the reader of a tracked read gave up. The reply may
// still come: until then, or until a later command is answered, the flight
// keeps its place, poisoned.
func (s *store) abandon(o *owner, key string) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	f := sh.flights[key]
	if f == nil || f.owner != o || f.replied {
		sh.mu.Unlock()
		return
	}
	f.poisoned = true
	sh.mu.Unlock()
	o.mu.Lock()
	o.stray = append(o.stray, stray{f: f, since: s.now()})
	o.mu.Unlock()
	if o.dead.Load() {
		s.forget(f)
	}
}

// forget frees the key of a flight that is over.
func (s *store) forget(f *flight) {
	sh := s.flightShard(f.key)
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
func (s *store) finish(f *flight, res result, expiry int64) {
	sh := s.flightShard(f.key)
	sh.mu.Lock()
	current := sh.flights[f.key] == f
	if current && f.replied && !f.poisoned && f.owner.epoch.Load() == f.epoch && !f.owner.dead.Load() {
		if res.entry != nil && !s.open(f.key) {
			ends := never
			if res.ttl > 0 {
				ends = f.sent + int64(res.ttl)
			}
			res.stored = s.keep(res.entry, f.owner, f.epoch, expiry, ends)
			s.aloft.measure(res.entry, res.stored)
			if res.stored && ends != never && f.res.Records != nil {
				res.entry.due.Store(f.res.dueAt(f.sent, ends, res.entry.Missing()))
			}
		}
		if res.isPlaceholder() {
			res.changed = sh.watch(f.key)
		}
	} else if res.isPlaceholder() {
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

// invalidate applies a change of key reported on o's connection. A read still
// in flight on o is left alone: by the order of the wire its reply is newer
// than this message. One that has been answered is not stored any more.
func (s *store) invalidate(o *owner, key string) {
	s.invalidations.Add(1)
	sh := s.flightShard(key)
	sh.mu.Lock()
	if f := sh.flights[key]; f != nil && f.owner == o && f.replied {
		delete(sh.flights, key)
	}
	now := s.now()
	s.drop(key, func(e *Entry) bool {
		if now >= e.ends {
			// It has told of the end of the copy's lifetime, not of a change. What
			// is not fresh any more may be all there is if the source is away.
			return true
		}
		if e.owner == o.id {
			return false
		}
		other := s.ownerOf(e)
		return other != nil && !other.dead.Load()
	})
	sh.fire(key)
	sh.mu.Unlock()
}

// changed applies a write made through this process: the copy is dropped, and
// what is being read or loaded is delivered to those who wait for it already,
// but neither stored nor joined by anybody who comes later. It is called
// after the shared tier's reply to the write and before the write's answer.
func (s *store) changed(key string) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[key]; f != nil {
		f.poisoned = true
		if f.replied || f.owner == nil || f.owner.local {
			delete(sh.flights, key)
		}
	}
	for token, l := range sh.loads {
		if l.key == key {
			delete(sh.loads, token)
		}
	}
	s.drop(key, nil)
	sh.fire(key)
}

// wake tells those who wait for key to look again.
func (s *store) wake(key string) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.fire(key)
}

// flush forgets all that was read on o; FLUSHALL reaches each connection.
func (s *store) flush(o *owner) {
	o.epoch.Add(1)
	s.invalidations.Add(1)
	s.wakeAll()
}

// wakeAll tells everybody who waits for any key to look again.
func (s *store) wakeAll() {
	for i := range s.flights {
		sh := &s.flights[i]
		sh.mu.Lock()
		for key := range sh.watches {
			sh.fire(key)
		}
		sh.mu.Unlock()
	}
}

// watch wakes everybody who waits for a change of one key.
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

func (sh *flightShard) fire(key string) {
	if w := sh.watches[key]; w != nil {
		delete(sh.watches, key)
		close(w.fired)
	}
}

// watching and unwatch count who waits on w; without anybody it is forgotten.
func (s *store) watching(key string, w *watch) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	w.waiting++
}

func (s *store) unwatch(key string, w *watch) {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if w.waiting--; w.waiting == 0 && sh.watches[key] == w {
		delete(sh.watches, key)
	}
}
