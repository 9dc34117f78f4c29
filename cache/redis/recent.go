package redis

import (
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/memory"
)

// recentKeys are the keys of records that have changed within the last minute. A server
// that takes another's place may lack the latest writes: replication is asynchronous, and
// Sentinel promotes a replica a second before it says so. What such a server holds in one
// of these keys may be older than a write that was acknowledged, so it is deleted there.
// The record is still in its source.
//
// Those that were written here have a table of their own. In another one are those of
// which this instance was told, by the change feed or by an invalidation: one statement
// of others may change a million records, and must not push out what was written here.
//
// Keys live in two generations, so that forgetting them costs nothing: a key is
// remembered for one to two minutes.
type recentKeys struct {
	most      int          // bounds the keys of one generation of one shard
	forgotten atomic.Int64 // when the latest key was forgotten before its time, unix ns
	shards    [recentShards]recentShard
}

type recentShard struct {
	mu            sync.Mutex
	since         time.Time // when the present generation began
	present, past map[string]struct{}
}

const (
	recentShards = 16
	recentFor    = time.Minute

	// Of keys that were written here there are 131,072 in a generation at most, of others
	// half as many. Beyond that a generation ends early.
	maxWritten, maxTold = 8192, 4096
)

// whole tells whether all keys of the last minute are remembered.
func (r *recentKeys) whole() bool {
	at := r.forgotten.Load()
	return at == 0 || time.Since(time.Unix(0, at)) > recentFor
}

// note remembers key, which must not alias a request.
func (r *recentKeys) note(key string) {
	sh := &r.shards[memory.HashKey(key)%recentShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	sh.turn(now)
	if _, again := sh.present[key]; !again && len(sh.present) >= r.most {
		if len(sh.past) > 0 {
			r.forgotten.Store(now.UnixNano())
		}
		sh.past, sh.present = sh.present, nil
	}
	if sh.present == nil {
		sh.present = map[string]struct{}{}
	}
	sh.present[key] = struct{}{}
}

// turn begins another generation when the present one is old enough. The shard is locked.
func (sh *recentShard) turn(now time.Time) {
	switch age := now.Sub(sh.since); {
	case age > 2*recentFor:
		sh.past, sh.present, sh.since = nil, nil, now
	case age > recentFor:
		sh.past, sh.present, sh.since = sh.present, nil, now
	}
}

// all returns the keys that serves says yes to, those of the present generation first.
func (r *recentKeys) all(serves func(key string) bool) []string {
	var keys, older []string
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		sh.turn(time.Now())
		for key := range sh.present {
			if serves(key) {
				keys = append(keys, key)
			}
		}
		for key := range sh.past {
			if _, again := sh.present[key]; !again && serves(key) {
				older = append(older, key)
			}
		}
		sh.mu.Unlock()
	}
	return append(keys, older...)
}
