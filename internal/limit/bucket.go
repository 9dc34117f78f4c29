package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// bucket is one subject's share of a limit on this instance. A decision reads grant
// alone, and takes no lock.
type bucket struct {
	key   string // in the store
	hash  uint64
	grant atomic.Pointer[grant]

	fetching atomic.Pointer[fetch] // the request for permits that is under way
	waiting  atomic.Int64          // requests that wait for it

	mu          sync.Mutex // taken under Limiter.mu
	chunk       int        // permits to ask for next
	askedAt     int64      // when permits were last asked for
	lastPermits int64      // permits at the last sweep …
	lastGrant   *grant     // … and the grant then
}

// grant is what a bucket holds in one window. Everything but permits is immutable: a
// decision reads one pointer, and what it finds there belongs together. Times are
// those of Limiter.now.
type grant struct {
	permits        atomic.Int64 // may fall below zero, which means none
	spendableUntil int64        // permits are worthless from here on
	windowEnds     int64        // as far as is known here
	deniedUntil    int64        // asking the store is useless before that; 0: it is not
	remaining      int64        // permits of the window that no other instance can take
	prefetchAt     int64        // with so many permits left, more are asked for; 0: never
	window         int64
	store          Store // which has granted; nil: permits are not returned
	rate           Rate
}

// emptyGrant is the grant of a bucket that has not asked yet.
var emptyGrant = &grant{}

// fetch is one request for permits. Every request that needs some meanwhile waits for
// it, and sends none of its own.
type fetch struct {
	done      chan struct{}
	grant     *grant // valid once done is closed
	remaining int64  // permits of the window that no instance holds
}

// prefetchFrom is the smallest chunk that is worth asking for ahead: a subject that
// uses less can wait for a round trip now and then.
const prefetchFrom = 4

// newBucket returns a bucket that holds nothing.
func newBucket(key string, hash uint64) *bucket {
	b := &bucket{key: key, hash: hash, chunk: 1}
	b.grant.Store(emptyGrant)
	return b
}

// isEmpty tells that the bucket has no permits, and that none are on their way.
func (b *bucket) isEmpty(now int64) bool {
	g := b.grant.Load()
	return (now >= g.spendableUntil || g.permits.Load() <= 0) && b.fetching.Load() == nil && b.waiting.Load() == 0
}

// isOver tells that the bucket's window has passed, and that no request asks for another.
func (b *bucket) isOver(now int64) bool {
	g := b.grant.Load()
	return now >= g.windowEnds && now >= g.deniedUntil && b.fetching.Load() == nil
}

// hasRested tells that no permit was touched since the call before.
func (b *bucket) hasRested(g *grant, permits int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	rested := b.lastGrant == g && b.lastPermits == permits
	b.lastGrant, b.lastPermits = g, permits
	return rested
}

// want sizes the next chunk by how long the last one has lasted: a subject that comes
// often doubles it, one that does not halves it. Requests that wait are counted in.
func (b *bucket) want(now, horizon int64, most int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch since := now - b.askedAt; {
	case b.askedAt == 0:
	case since < horizon:
		b.chunk *= 2
	case since > 4*horizon:
		b.chunk = max(1, b.chunk/4)
	case since > 2*horizon:
		b.chunk = max(1, b.chunk/2)
	}
	b.chunk = min(max(b.chunk, int(b.waiting.Load())), most)
	b.askedAt = now
	return b.chunk
}

// accept makes what a store has granted the bucket's, together with what is left of the
// same window. sent is when the store was asked: the window's end is counted from
// there, less what two clocks may differ in (0.1 % and a millisecond), so that no
// permit is spent in a window that is not its own.
func (b *bucket) accept(g Grant, store Store, rate Rate, chunk int, sent int64) *grant {
	if g.Common {
		store = nil // permits of the common count are not returned
	}
	next := &grant{
		window: g.Window, store: store, rate: rate,
		windowEnds:     sent + int64(g.Left),
		spendableUntil: sent + int64(g.Left) - int64(g.Left)/1000 - int64(time.Millisecond),
	}
	permits := int64(g.Permits)
	if g.Permits == 0 {
		next.deniedUntil = sent + int64(min(g.Wait, g.Left))
	}
	if g.Exclusive {
		next.remaining = int64(g.Remaining)
	}
	if g.Remaining > 0 && chunk >= prefetchFrom {
		next.prefetchAt = int64(chunk / 2)
	}
	old := b.grant.Load()
	if old.window == g.Window && old.store == store && !g.Common {
		permits += max(0, old.permits.Swap(0))
	}
	next.permits.Store(permits)
	b.grant.Store(next)
	return next
}

// deny makes the bucket refuse until the given time, but for permits it holds.
func (b *bucket) deny(until int64) *grant {
	old := b.grant.Load()
	next := &grant{
		spendableUntil: old.spendableUntil, windowEnds: max(old.windowEnds, until), deniedUntil: until, window: old.window, store: old.store, rate: old.rate, remaining: old.remaining,
	}
	next.permits.Store(max(0, old.permits.Swap(0)))
	b.grant.Store(next)
	return next
}
