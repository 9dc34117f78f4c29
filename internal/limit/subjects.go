package limit

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"maps"
	"strings"
	"sync"

	"hearth/internal/budget"
)

// subjects finds the bucket of a subject. Its shards have a lock each; never two are
// held.
type subjects struct {
	prefix string // of keys in the store
	seed   maphash.Seed
	budget *budget.Budget
	shards [subjectShards]subjectShard
}

const subjectShards = 64

// subjectShard holds the buckets of some subjects.
type subjectShard struct {
	mu      sync.RWMutex
	buckets map[uint64]*bucket // nil once the limiter is closed
	most    int                // buckets there have been since the map was made
}

// bucketBytes is what a bucket takes: with its key, the grant it holds and the one
// before, and its place in a map.
const bucketBytes = 400

func (s *subjects) init(prefix string, b *budget.Budget) {
	s.prefix, s.seed, s.budget = prefix, maphash.MakeSeed(), b
	for i := range s.shards {
		s.shards[i].buckets = map[uint64]*bucket{}
	}
}

func (s *subjects) shard(hash uint64) *subjectShard { return &s.shards[hash%subjectShards] }

// find returns the subject's bucket, or nil. It does not allocate.
func (s *subjects) find(subject []byte) (b *bucket, hash uint64) {
	hash = maphash.Bytes(s.seed, subject)
	sh := s.shard(hash)
	sh.mu.RLock()
	b = sh.buckets[hash]
	sh.mu.RUnlock()
	return b, hash
}

// bucketOf returns the subject's bucket, making it if need be. Without budget for one
// more, the bucket belongs to this request alone. That costs a round trip when the
// subject comes again, and nothing else, for the count is in the store.
func (s *subjects) bucketOf(subject []byte, now int64) *bucket {
	b, hash := s.find(subject)
	if b != nil {
		return b
	}
	b = newBucket(s.keyOf(subject), hash)
	sh := s.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if other := sh.buckets[hash]; other != nil {
		return other
	}
	if sh.buckets != nil && (s.budget.Take(bucketBytes) || sh.evict(now)) {
		sh.buckets[hash] = b
		sh.most = max(sh.most, len(sh.buckets))
	}
	return b
}

// evictTries bounds how many buckets are looked at to find one that can go.
const evictTries = 8

// evict removes a bucket that holds nothing, and tells whether it has found one; its
// bytes are the caller's. A subject that comes once, as in a flood of new subjects,
// holds nothing, while one that comes often has permits in hand: so a flood displaces
// its own. The shard is locked.
func (sh *subjectShard) evict(now int64) bool {
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

// forget removes buckets whose windows are over. A map keeps the memory of all that was
// ever in it, so one that was much larger is made anew.
func (s *subjects) forget(now int64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for hash, b := range sh.buckets {
			if b.isOver(now) {
				delete(sh.buckets, hash)
				s.budget.Return(bucketBytes)
			}
		}
		if len(sh.buckets) < (sh.most+3)/4 {
			left := make(map[uint64]*bucket, len(sh.buckets))
			maps.Copy(left, sh.buckets)
			sh.buckets, sh.most = left, len(left)
		}
		sh.mu.Unlock()
	}
}

// close gives the bytes of all buckets back. Requests that come late find no bucket,
// and keep none.
func (s *subjects) close() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.budget.Return(bucketBytes * int64(len(sh.buckets)))
		sh.buckets = nil
		sh.mu.Unlock()
	}
}

// keyOf is the subject's key in the store. Subjects may be secrets, such as API keys,
// and are of any length: the key has their hash. The braces keep what belongs to one
// subject in one slot of a Cluster.
func (s *subjects) keyOf(subject []byte) string {
	if len(subject) == 0 {
		return s.prefix + "}"
	}
	sum := sha256.Sum256(subject)
	return s.prefix + hex.EncodeToString(sum[:16]) + "}"
}

// splitKey takes a key apart: the part that all keys of its limit begin with, and the
// subject, "" where the limit counts all requests together.
func splitKey(key string) (limit, subject string) {
	at := strings.LastIndexByte(key, ':') + 1
	return key[:at], strings.TrimSuffix(key[at:], "}")
}
