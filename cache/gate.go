package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hearth/cache/memory"
	"hearth/internal/source"
)

// gate stands before one source, whichever resources its records belong to: so
// many loads at a time, a bounded queue of those that wait for a place, and a
// circuit breaker. A load takes its place before it takes a lease, so that what
// waits here holds up no other instance.
type gate struct {
	name    string
	log     *slog.Logger
	clock   *memory.Clock
	loads   *queue
	writes  *queue // reads and writes do not take each other's places
	breaker breaker
}

// gateKey is what a gate is kept by.
type gateKey struct {
	name   string
	opened any
}

// Forget drops the gate of a source that is closed.
func (c *Cache) Forget(source string, opened any) { c.gates.Delete(gateKey{source, opened}) }

// gateOf returns the gate of r's source.
func (c *Cache) gateOf(r *Resource) *gate {
	key := gateKey{r.Source, r.Opened}
	if g, ok := c.gates.Load(key); ok {
		return g.(*gate)
	}
	c.reconfiguring.Lock()
	defer c.reconfiguring.Unlock()
	s := c.settings.Load()
	g, _ := c.gates.LoadOrStore(key, &gate{
		name: r.Source, log: c.cfg.Log, clock: c.store.Clock,
		loads: newQueue(s.MaxLoads, s.Wait, c.store.Clock), writes: newQueue(s.MaxLoads, s.Wait, c.store.Clock),
	})
	return g.(*gate)
}

func (g *gate) resize(s *Settings) {
	for _, l := range []*queue{g.loads, g.writes} {
		l.wait.Store(int64(s.Wait))
		l.resize(s.MaxLoads)
	}
}

// errBreakerOpen: the source kept failing and is not asked for a moment.
var errBreakerOpen = errors.New("the source keeps failing; it is asked again in a moment")

// refuses tells without a place whether the source is not to be asked now.
func (g *gate) checkBreaker() error {
	if g.breaker.open(g.clock.Now()) {
		return fmt.Errorf("%w: %w", ErrUnavailable, errBreakerOpen)
	}
	return nil
}

// enter takes the right to load, waiting for a place as long as load.wait and
// ctx allow. Who has entered must leave.
func (g *gate) enter(ctx context.Context) error {
	if err := g.checkBreaker(); err != nil {
		return err
	}
	if err := g.loads.enter(ctx); err != nil {
		return err
	}
	// The source may have died while this load waited: it would be one more
	// that waits out a timeout.
	if !g.breaker.allow(g.clock.Now()) {
		g.loads.leave()
		return fmt.Errorf("%w: %w", ErrUnavailable, errBreakerOpen)
	}
	return nil
}

// enterAtOnce is enter for work that nobody waits for.
func (g *gate) tryEnter() bool {
	if !g.loads.tryEnter() {
		return false
	}
	if !g.breaker.allow(g.clock.Now()) {
		g.loads.leave()
		return false
	}
	return true
}

// leave gives the place back. err is how the load ended, errNotLoaded if the
// source was not asked after all.
func (g *gate) leave(err error) {
	g.loads.leave()
	g.report(err)
}

// report tells the breaker how a call of the source has ended.
func (g *gate) report(err error) {
	now := g.clock.Now()
	switch {
	case errors.Is(err, errNotLoaded):
		g.breaker.skip()
	case errors.Is(err, source.ErrDown):
		if pause := g.breaker.failed(now); pause > 0 {
			g.log.Warn("a source keeps failing; loads are refused for a moment", "source", g.name, "pause", pause.Round(time.Millisecond), "error", err)
		}
	default: // what is wrong with one record or one statement says nothing about the others
		if open := g.breaker.succeeded(now); open > 0 {
			g.log.Info("a source answers again", "source", g.name, "after", open.Round(time.Millisecond))
		}
	}
}

// errNotLoaded: somebody else was first, or there is no time left.
var errNotLoaded = errors.New("not loaded")
