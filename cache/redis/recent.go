package redis

import (
	"sync"
	"time"

	"hearth/cache/memory"
)

// recentKeys are the keys of records that were written within the last minute, here or
// by others as far as an invalidation told of it. A server that takes another's place
// may lack the latest writes: replication is asynchronous, and Sentinel promotes a
// replica a second before it says so. What such a server holds in one of these keys may
// be older than a write that was acknowledged, so it is deleted there. The record is
// still in its source.
//
// Keys live in two generations, so that forgetting them costs nothing: a key is
// remembered for one to two minutes.
type recentKeys struct {
	shards [recentShards]recentShard
}

type recentShard struct {
	mu            sync.Mutex
	since         time.Time // when the present generation began
	present, past map[string]struct{}
}

const (
	recentShards = 16
	recentFor    = time.Minute

	// maxRecent bounds the keys of one generation of one shard, 262,144 in all. Beyond it
	// a generation ends early.
	maxRecent = 8192
)

// note remembers key, which must not alias a request.
func (r *recentKeys) note(key string) {
	sh := &r.shards[memory.HashKey(key)%recentShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.turn(time.Now())
	if len(sh.present) >= maxRecent {
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
