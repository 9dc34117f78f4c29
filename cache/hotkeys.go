package cache

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"hearth/cache/hotkeys"
	"hearth/cache/memory"
)

// HotKey is how much a key was asked for within the last ten seconds or so. Rates are per
// second, and rather too low than too high.
type HotKey struct {
	Key      string  `json:"key"` // of one that is longer the first 512 bytes
	Resource string  `json:"resource"`
	Reads    float64 `json:"reads"`  // answered, from whatever tier
	Bytes    float64 `json:"bytes"`  // of records answered
	Misses   float64 `json:"misses"` // reads that memory had no fresh record for
	Loads    float64 `json:"loads"`  // from the source, by this instance
	TTL      float64 `json:"ttl"`    // seconds left in memory; negative: memory has no fresh copy
}

// HotOrder is by what hot keys are listed.
type HotOrder string

// The orders.
const (
	HotByReads  HotOrder = "reads"
	HotByBytes  HotOrder = "bytes"
	HotByMisses HotOrder = "misses"
	HotByLoads  HotOrder = "loads"
)

// HotOrders are all of them.
var HotOrders = []HotOrder{HotByReads, HotByBytes, HotByMisses, HotByLoads}

var ranks = map[HotOrder]hotkeys.Order{HotByReads: hotkeys.Reads, HotByBytes: hotkeys.Bytes, HotByMisses: hotkeys.Misses, HotByLoads: hotkeys.Loads}

// HotKeys lists the most keys at most that rank first in an order: of resources that are
// served. A key that nobody asks for any more fades within half a minute.
func (c *Cache) HotKeys(by HotOrder, most int) []HotKey {
	now := c.store.Now()
	all := []HotKey{}
	for _, hot := range c.hot.Top(now, ranks[by], most, func(s *memory.Shape) bool { return c.servedAs(s) != nil }) {
		served := c.servedAs(hot.Shape)
		if served == nil { // a reload has come between
			continue
		}
		all = append(all, HotKey{
			Key: hot.Key, Resource: served.Name, TTL: c.lifeInMemory(hot.Shape, hot.Key).Seconds(),
			Reads: hot.Rates[hotkeys.Reads], Bytes: hot.Rates[hotkeys.Bytes], Misses: hot.Rates[hotkeys.Misses], Loads: hot.Rates[hotkeys.Loads],
		})
	}
	return all
}

// lifeInMemory is what is left of a key's copy, which it does not count as read; negative
// without a fresh one.
func (c *Cache) lifeInMemory(s *memory.Shape, key string) time.Duration {
	now := c.store.Now()
	defer c.Pin(uint32(now)).Release()
	v := c.store.Peek(s, []byte(key))
	if !v.Found() || v.Untracked() || now >= c.store.FreshUntil(v) {
		return -time.Second
	}
	return v.TTL(now)
}

// hotKeys finds hot keys. Hits come as samples (sampling.go), those of many-reads, too; what memory does not answer tells
// of itself, thinned likewise: on that way there is a lock only for those that are picked, and
// who finds it taken goes on.
type hotKeys struct {
	*hotkeys.Table
	one    atomic.Int64 // of so many events one is counted; 0: each
	events atomic.Int64 // counted since it was last adjusted
}

const (
	slowEventsASecond = 2000
	// manyEvents are as many as make those that count them thin them out at once.
	manyEvents = 512
)

// noticed counts an answer of the slow path. One of memory's may become a sample, as any hit.
func (c *Cache) noticed(r *Resource, key string, a *Answer, err error) {
	switch {
	case err != nil || a.Entry == nil:
		return
	case a.Tier == TierMemory:
		c.sampleHit(r, a, c.store.Now())
		return
	}
	c.hot.count(c, r, key, hotkeys.Weights{hotkeys.Reads: 1, hotkeys.Misses: 1, hotkeys.Bytes: float64(len(a.Data()))})
}

// sampleHit has a hit that Look has not seen sampled like the others. What is answered with a
// mark is none.
func (c *Cache) sampleHit(r *Resource, a *Answer, now int64) {
	if a.Tier == TierMemory && a.Detail == "" {
		c.store.SampleAnswer(r.Shape, a.Entry, now)
	}
}

// noticedLoad counts a load.
func (c *Cache) noticedLoad(r *Resource, key string) {
	c.hot.count(c, r, key, hotkeys.Weights{hotkeys.Loads: 1})
}

func (h *hotKeys) count(c *Cache, r *Resource, key string, w hotkeys.Weights) {
	one := max(h.one.Load(), 1)
	if one > 1 && rand.Int64N(one) > 0 {
		return
	}
	for i := range w {
		w[i] *= float64(one)
	}
	h.Try(c.store.Now(), r.Shape, key, w)
	if h.events.Add(1) >= manyEvents {
		h.events.Store(0)
		h.one.CompareAndSwap(one, min(8*one, 1<<20))
		if one == 1 {
			h.one.CompareAndSwap(0, 8)
		}
	}
}

// adjust has as many events be counted from now on as may, by those of a while.
func (h *hotKeys) adjust(within time.Duration) {
	one := float64(max(h.one.Load(), 1))
	rate := float64(h.events.Swap(0)) * one / max(within.Seconds(), 1e-3)
	h.one.Store(int64(max(rate/slowEventsASecond, one/2)))
}
