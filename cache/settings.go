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
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	c.settings.Store(&s)
	c.apply(&s)
	c.gates.Range(func(_, g any) bool {
		g.(*gate).resize(&s)
		return true
	})
}

// apply hands on what others keep in a form of their own.
func (c *Cache) apply(s *Settings) {
	c.store.SetHotRate(s.HotRate)
	c.missing.limit.Store(int64(s.MissingRate))
	c.store.Resize(s.Budget, s.MissingShare)
}
