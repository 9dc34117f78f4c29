package cache

import "hearth/cache/gate"

// gateKey is what a gate is kept by: resources of one source share it.
type gateKey struct {
	name   string
	opened any // tells sources of one name apart, see Resource.Opened
}

// gateOf returns the gate of r's source.
func (c *Cache) gateOf(r *Resource) *gate.Gate {
	key := gateKey{r.Source, r.Opened}
	if g, ok := c.gates.Load(key); ok {
		return g.(*gate.Gate)
	}
	c.reconfiguring.Lock() // or a gate made by the old settings would miss the new ones
	defer c.reconfiguring.Unlock()
	s := c.settings.Load()
	g, _ := c.gates.LoadOrStore(key, gate.New(r.Source, s.MaxLoads, s.Wait, c.store.Clock, c.cfg.Log))
	return g.(*gate.Gate)
}

// Returned tells that a source answers again which was away: its loads are not refused
// any longer for how it failed before.
func (c *Cache) Returned(source string, opened any) {
	if g, ok := c.gates.Load(gateKey{source, opened}); ok {
		g.(*gate.Gate).Report(nil)
	}
}

// Forget drops the gate of a source that is closed.
func (c *Cache) Forget(source string, opened any) { c.gates.Delete(gateKey{source, opened}) }

// BreakerOpen tells whether loads from a source, as it was opened, are refused for
// the moment, because it kept failing.
func (c *Cache) BreakerOpen(source string, opened any) bool {
	g, ok := c.gates.Load(gateKey{source, opened})
	return ok && g.(*gate.Gate).Check() != nil
}

// queued counts the loads and writes that wait for a place, over all sources.
func (c *Cache) queued() (n int64) {
	c.gates.Range(func(_, g any) bool {
		n += g.(*gate.Gate).Queued()
		return true
	})
	return n
}
