package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"hearth/internal/source"
)

// gate stands before one source, whichever resources its records belong to: so
// many loads at a time, a bounded queue of those that wait for a place, and a
// circuit breaker. A load takes its place before it takes a lease, so that what
// waits here holds up no other instance.
type gate struct {
	name    string
	log     *slog.Logger
	clock   *clock
	wait    time.Duration // for a place
	places  chan struct{} // one token per running load
	queued  atomic.Int64
	breaker breaker
}

// queuePerPlace bounds how many loads may wait for each running one.
const queuePerPlace = 16

// gateOf returns the gate of r's source.
func (c *Cache) gateOf(r *Resource) *gate {
	if g, ok := c.gates.Load(r.Source); ok {
		return g.(*gate)
	}
	g, _ := c.gates.LoadOrStore(r.Source, &gate{
		name: r.Source, log: c.cfg.Log, clock: c.store.clock, wait: c.cfg.Wait, places: make(chan struct{}, c.cfg.MaxLoads),
	})
	return g.(*gate)
}

// errBreakerOpen: the source kept failing and is not asked for a moment.
var errBreakerOpen = errors.New("the source keeps failing; it is asked again in a moment")

// refuses tells without a place whether the source is not to be asked now.
func (g *gate) refuses() error {
	if g.breaker.open(g.clock.now()) {
		return fmt.Errorf("%w: %w", ErrUnavailable, errBreakerOpen)
	}
	return nil
}

// enter takes the right to load, waiting for a place as long as load.wait and
// ctx allow. Who has entered must leave.
func (g *gate) enter(ctx context.Context) error {
	if err := g.refuses(); err != nil {
		return err
	}
	if err := g.place(ctx); err != nil {
		return err
	}
	// The source may have died while this load waited: it would be one more
	// that waits out a timeout.
	if !g.breaker.allow(g.clock.now()) {
		<-g.places
		return fmt.Errorf("%w: %w", ErrUnavailable, errBreakerOpen)
	}
	return nil
}

// enterAtOnce is enter for work that nobody waits for.
func (g *gate) enterAtOnce() bool {
	select {
	case g.places <- struct{}{}:
	default:
		return false
	}
	if !g.breaker.allow(g.clock.now()) {
		<-g.places
		return false
	}
	return true
}

// leave gives the place back. err is how the load ended, errNotLoaded if the
// source was not asked after all.
func (g *gate) leave(err error) {
	<-g.places
	g.report(err)
}

// report tells the breaker how a call of the source has ended.
func (g *gate) report(err error) {
	now := g.clock.now()
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

func (g *gate) place(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	default:
	}
	if most := int64(queuePerPlace * cap(g.places)); g.queued.Add(1) > most {
		g.queued.Add(-1)
		return fmt.Errorf("%w: %d loads wait already (load.max_concurrent = %d)", ErrOverload, most, cap(g.places))
	}
	defer g.queued.Add(-1)
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.places <- struct{}{}:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: no load finished within load.wait", ErrOverload)
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting to load", ErrTimeout)
	}
}
