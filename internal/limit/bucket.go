package limit

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"
)

// bucket is one subject's share of a limit on this instance.
type bucket struct {
	key   string // in the store
	hash  uint64
	grant atomic.Pointer[grant]

	fetching atomic.Pointer[fetch] // the request for tokens that is under way
	waiting  atomic.Int64          // requests that wait for it

	mu      sync.Mutex
	chunk   int   // tokens to ask for next
	fetched int64 // when tokens were last asked for
	seen    int64 // tokens at the last sweep
	same    *grant
}

// grant is what a bucket holds in one window. All but tokens is immutable: a
// decision reads one pointer and knows that what it reads belongs together.
type grant struct {
	tokens atomic.Int64 // may fall below zero, which is none
	until  int64        // tokens are worthless from here on
	ends   int64        // of the window, as far as is known here
	denied int64        // asking the store is useless before that; 0: it is not
	rest   int64        // tokens of the window that nobody else can take
	low    int64        // with so many left, more are asked for ahead; 0: never
	window int64
	store  Store // who has granted; nil: nobody yet
	rate   Rate
}

// nothing is the grant of a bucket that has not asked yet.
var nothing = &grant{}

// bucketBytes is what a bucket takes: with its key, the grant it holds and the
// one before, and its place in a map.
const bucketBytes = 400

// bucketOf returns the subject's bucket, making it if need be. Where there is no
// room for one, it is the caller's alone, and forgotten with his request: that
// costs a round trip when the subject comes again, and nothing else, for the
// count is in the store.
func (l *Limiter) bucketOf(subject []byte) *bucket {
	hash := l.hash(subject)
	if b := l.find(hash); b != nil {
		return b
	}
	b := &bucket{key: l.keyOf(subject), hash: hash, chunk: 1}
	b.grant.Store(nothing)
	sh := l.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if other := sh.buckets[hash]; other != nil {
		return other
	}
	if sh.buckets != nil && (l.cfg.Room.Take(bucketBytes) || sh.evict(l.now())) {
		sh.buckets[hash] = b
		sh.most = max(sh.most, len(sh.buckets))
	}
	return b
}

// evictTries bounds how many buckets are looked at to find one that can go.
const evictTries = 8

// evict removes a bucket that holds nothing, and tells whether it has found one;
// its room is the caller's. Who comes once and never again, as in a flood of
// new subjects, holds nothing, while who comes often has tokens in hand: so a
// flood displaces its own.
func (sh *shard) evict(now int64) bool {
	tries := 0
	for hash, b := range sh.buckets { // the order of a map is as good as random
		if b.isEmpty(now) {
			delete(sh.buckets, hash)
			return true
		}
		if tries++; tries == evictTries {
			break
		}
	}
	return false
}

// isEmpty tells that the bucket has no tokens, and that nobody is about to get
// some.
func (b *bucket) isEmpty(now int64) bool {
	g := b.grant.Load()
	return (now >= g.until || g.tokens.Load() <= 0) && b.fetching.Load() == nil && b.waiting.Load() == 0
}

// keyOf is the subject's key in the store. Subjects may be secrets, such as API
// keys, and are of any length: the key has their hash. The braces keep what
// belongs to one subject in one slot of a Cluster.
func (l *Limiter) keyOf(subject []byte) string {
	if len(subject) == 0 {
		return l.prefix + "}"
	}
	sum := sha256.Sum256(subject)
	return l.prefix + hex.EncodeToString(sum[:16]) + "}"
}

// accept makes what a store has granted the bucket's, together with what is
// left of the same window. sent is when the store was asked: the window's end
// is counted from there, less what two clocks may differ in (0.1 % and a
// millisecond), so that no token is spent in a window that is not its own.
func (b *bucket) accept(g Grant, store Store, rate Rate, chunk int, sent int64) *grant {
	if g.Common {
		store = nil // what is not one's own cannot be given back
	}
	next := &grant{
		window: g.Window, store: store, rate: rate,
		ends:  sent + int64(g.Left),
		until: sent + int64(g.Left) - int64(g.Left)/1000 - int64(time.Millisecond),
	}
	tokens := int64(g.Permits)
	if g.Permits == 0 {
		next.denied = sent + int64(min(g.Wait, g.Left))
	}
	if g.Exclusive {
		next.rest = int64(g.Remaining)
	}
	if g.Remaining > 0 && chunk >= prefetchFrom {
		next.low = int64(chunk / 2)
	}
	old := b.grant.Load()
	if old.window == g.Window && old.store == store && !g.Common {
		tokens += max(0, old.tokens.Swap(0))
	}
	next.tokens.Store(tokens)
	b.grant.Store(next)
	return next
}

// prefetchFrom is the smallest chunk that is worth asking for ahead: whoever
// uses less can wait for a round trip now and then.
const prefetchFrom = 4
