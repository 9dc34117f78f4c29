package cache

import (
	"bytes"
	"sync"
	"time"

	"hearth/cache/memory"
)

// How old a copy is, nobody has written down: it is known as an upper bound, from three
// things.
//
//   - What is left of its lifetime in the shared tier. It was put there for no longer than the
//     longest lifetime that we give, so it was put there that long before its end at most. A
//     copy with more left, or without an end, is another program's: its age is not known.
//   - What this process has loaded and put there itself. A fill is a compare-and-set, and so is
//     whatever replaces it, so what stands there from then on is that record or one that
//     was loaded later.
//   - For a record without a source, when the shared tier was read: that is its source.
//
// A copy in memory was read from the shared tier no longer than memory.revalidate before its
// life in memory ends. That is all an entry tells, and it tells too little rather than too much.

// longestLife is the longest lifetime that a copy of ours can have been given.
func (r *Resource) longestLife() time.Duration {
	life := max(r.TTL.Cold, r.TTL.Hot, r.TTL.Missing)
	return life + life/10 + 2*time.Millisecond // jitter, and what rounding adds
}

// farthestEnd is how far ahead memory knows ends: those beyond look nearer than they are.
const farthestEnd = 20 * 24 * time.Hour

// bornBy is the clock time from which on a copy has been in the shared tier at most, by when
// it ends.
func (r *Resource) bornBy(ends, now int64) int64 {
	life := int64(r.longestLife())
	if ends == memory.Never || ends-now > life || life > int64(farthestEnd) {
		return unborn
	}
	return ends - life
}

// readAt is a clock time no later than that at which what memory has was read from the
// shared tier.
func (c *Cache) readAt(v View, now int64) int64 {
	if v.Untracked() { // it may be from a load that nobody dates
		return unborn
	}
	return now + int64(v.TTL(now)) - int64(c.cfg.Revalidate)
}

// bornOf is a clock time from which on what memory has is known to be what its source had.
func (q *query) bornOf(v View, now int64) int64 {
	at := q.readAt(v, now)
	if q.r.Records == nil {
		return at
	}
	return q.bornByEnd(v.SharedExpiry(now), now, at)
}

// bornByEnd is the same of a copy that ends at ends, and was read from the shared tier at readAt.
func (q *query) bornByEnd(ends, now, readAt int64) int64 {
	born := q.r.bornBy(ends, now)
	if born == unborn { // another program's, also if we had put one there before it
		return unborn
	}
	return max(born, q.askedFor(readAt))
}

// askedFor is when this process had asked for what a read of the shared tier that was sent at
// readAt has found, at the earliest.
func (q *query) askedFor(readAt int64) int64 {
	return q.loadTimes.of(q.key, readAt, q.tier.Generation().Number)
}

// bornOfShared is the same of what a read of the shared tier has found.
func (q *query) bornOfShared(seen *sharedRead) int64 {
	if q.r.Records == nil {
		return seen.sent
	}
	ends := memory.Never
	if seen.TTL > 0 && int64(seen.TTL) < memory.Never-seen.sent {
		ends = seen.sent + int64(seen.TTL)
	}
	return q.bornByEnd(ends, seen.sent, seen.sent)
}

// loadTimes are the keys that this process has put records into lately, and when it had asked
// for them. The table is of a fixed size, and keys that fall on one place take it from each
// other: of a key that is forgotten nothing is known.
type loadTimes [64]struct {
	sync.Mutex
	places [128]loadTime
}

// loadTime says that what has stood in a key since stored was asked for no earlier than asked.
type loadTime struct {
	hash          uint64
	asked, stored int64
	generation    int64 // of the shared tier: another server may have what was before
}

func (l *loadTimes) note(key string, t loadTime) {
	t.hash = memory.HashKey(key)
	stripe := &l[t.hash%uint64(len(l))]
	stripe.Lock()
	defer stripe.Unlock()
	stripe.places[t.hash/uint64(len(l))%uint64(len(stripe.places))] = t
}

// of is when what a read of key that was sent at readAt has found was asked for, at the
// earliest.
func (l *loadTimes) of(key string, readAt, generation int64) int64 {
	hash := memory.HashKey(key)
	stripe := &l[hash%uint64(len(l))]
	stripe.Lock()
	defer stripe.Unlock()
	t := &stripe.places[hash/uint64(len(l))%uint64(len(stripe.places))]
	if t.hash != hash || t.generation != generation || readAt < t.stored {
		return unborn
	}
	return t.asked
}

// overtake drops what memory has of key and may be older than a load that began at asked, and
// keeps reads that were sent before from being stored. The client has seen the newer record.
// The report of the change is on its way, on another connection than the load's. An untracked copy
// of what the load has brought, e, stays: it may be the load's own.
func (s *Flights) overtake(key string, e *Entry, asked, revalidate int64) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[key]; f != nil && f.owner != nil && f.sent < asked {
		f.poisoned = true
		if f.replied || f.owner.Local() {
			delete(sh.flights, key)
		}
	}
	now := s.Now()
	s.Drop(key, func(v View) bool {
		if v.Untracked() {
			return v.Missing() == e.Missing() && bytes.Equal(v.Data(), e.Data())
		}
		return now+int64(v.TTL(now))-revalidate >= asked
	})
}
