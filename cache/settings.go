package cache

import "time"

// Settings are what a running Cache can be told anew. All but these are fixed
// from New on: other instances and entries in memory go by them already.
type Settings struct {
	Budget       int64   // bytes of memory, overhead included
	MissingShare float64 // of it, for missing records
	MissingRate  int     // missing records written to the shared tier per second
	UntrackedTTL time.Duration

	MaxLoads   int           // loads from one source at a time, and as many writes
	MaxWaiting int           // readers that wait for somebody else's load or write at a time
	Wait       time.Duration // for somebody else's load
	HotRate    float64       // reads per second, on this instance, that make a key hot
}

// Reconfigure goes on with other settings, from the next request on: one under
// way may see some old and some new. A smaller budget is kept when Reconfigure
// returns; a smaller MaxLoads as soon as enough of the loads at work are done.
func (c *Cache) Reconfigure(s Settings) {
	c.retuning.Lock()
	defer c.retuning.Unlock()
	c.settings.Store(&s)
	c.apply(&s)
	c.gates.Range(func(_, g any) bool {
		g.(*gate).resize(&s)
		return true
	})
}

// apply hands on what others keep in a form of their own.
func (c *Cache) apply(s *Settings) {
	c.store.reads.distinguish(s.HotRate)
	c.missing.limit.Store(int64(s.MissingRate))
	c.store.resize(s.Budget, s.MissingShare)
}

// resize makes the budget another one, and evicts what is too much for it.
func (s *store) resize(budget int64, missingShare float64) {
	forMissing := int64(float64(budget) * missingShare)
	s.maxValue.Store(budget / 100)
	s.entries.resize(budget - forMissing)
	s.missing.resize(forMissing)
}

// resize changes the budget. A smaller one is met by every shard in proportion,
// its array included: arrays do not shrink by themselves, and those of a large
// table could be more than a small budget has, so that nothing could ever be
// kept in it.
func (t *table) resize(budget int64) {
	if was := t.bytes.Load(); budget < was {
		for i := range t.shards {
			t.shrink(&t.shards[i], float64(budget)/float64(was))
		}
	}
	t.budget.Store(budget)
	t.evict() // what came in meanwhile, and what is rounded up
}

// shrink evicts from a shard until its entries have only that part of the bytes
// that they had, and gives it the smallest array for them.
func (t *table) shrink(sh *shard, part float64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.slots.Load()
	sum := int64(0)
	for i := range s.entries {
		if e := s.entries[i].Load(); e != nil {
			sum += int64(e.size)
		}
	}
	for left := int64(part * float64(sum)); sum > left && sh.count > 0; {
		sum -= t.evictOne(sh)
	}
	n := firstSlots
	for (sh.count+1)*4 > n*3 {
		n *= 2
	}
	if n < len(s.tags) {
		t.rebuild(sh, s, n)
	}
}
