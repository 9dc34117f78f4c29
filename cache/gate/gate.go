// Package gate is what stands before a source: a cap on work at a time, a bounded
// queue of what waits for it, and a circuit breaker.
//
// They belong to a source and not to a resource, because a database is one thing
// that is overloaded or away, whichever statements it is asked.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// Gate stands before one source, whichever resources its records belong to: so
// many loads at a time, a bounded queue of those that wait for a place, and a
// circuit breaker. A load takes its place before it takes a lease, so that what
// waits here holds up no other instance.
type Gate struct {
	name    string
	log     *slog.Logger
	clock   *memory.Clock
	loads   *queue
	writes  *queue // reads and writes do not take each other's places
	breaker breaker
}

// New returns the gate of a source, by its name in the log: places at a time for
// loads and as many for writes, for which nobody waits longer than wait.
func New(name string, places int, wait time.Duration, clock *memory.Clock, log *slog.Logger) *Gate {
	return &Gate{name: name, log: log, clock: clock, loads: newQueue(places, wait, clock), writes: newQueue(places, wait, clock)}
}

// Resize changes the number of places and the wait for one. Where there are fewer
// places now, work under way is finished first.
func (g *Gate) Resize(places int, wait time.Duration) {
	for _, q := range []*queue{g.loads, g.writes} {
		q.wait.Store(int64(wait))
		q.resize(places)
	}
}

// Places is how many loads may be at work at a time.
func (g *Gate) Places() int { return int(g.loads.size.Load()) }

// Queued is how many loads and writes wait for a place.
func (g *Gate) Queued() int64 { return g.loads.queued.Load() + g.writes.queued.Load() }

// EnterWrite takes the right to write, as Enter that to load. A write that has
// entered must call LeaveWrite.
func (g *Gate) EnterWrite(ctx context.Context) error { return g.writes.enter(ctx) }

// LeaveWrite gives the place of a write back.
func (g *Gate) LeaveWrite() { g.writes.leave() }

// ErrOpen says that the source kept failing and is not asked for a moment.
var ErrOpen = errors.New("the source keeps failing; it is asked again in a moment")

// Check tells without a place whether the source is not to be asked now.
func (g *Gate) Check() error {
	if g.breaker.open(g.clock.Now()) {
		return fmt.Errorf("%w: %w", shared.ErrUnavailable, ErrOpen)
	}
	return nil
}

// Full tells whether a load would be refused a place now, and changes nothing.
func (g *Gate) Full() bool {
	g.loads.mu.Lock()
	defer g.loads.mu.Unlock()
	return !g.loads.freeLocked() && g.loads.refusalLocked(g.clock.Now()) != nil
}

// Enter takes the right to load, waiting for a place as long as load.wait and
// ctx allow. Who has entered must leave.
func (g *Gate) Enter(ctx context.Context) error {
	if err := g.Check(); err != nil {
		return err
	}
	if err := g.loads.enter(ctx); err != nil {
		return err
	}
	// The source may have died while this load waited: it would be one more
	// that waits out a timeout.
	if !g.breaker.allow(g.clock.Now()) {
		g.loads.leave()
		return fmt.Errorf("%w: %w", shared.ErrUnavailable, ErrOpen)
	}
	return nil
}

// TryEnter is enter for work that nobody waits for.
func (g *Gate) TryEnter() bool {
	if !g.loads.tryEnter() {
		return false
	}
	if !g.breaker.allow(g.clock.Now()) {
		g.loads.leave()
		return false
	}
	return true
}

// TryEnterIdle is TryEnter for work that is worth less than any other: it takes a place only
// while more than half of them are free, and does not try a source whose breaker was open.
func (g *Gate) TryEnterIdle() bool { return g.breaker.closed() && g.loads.idle() && g.TryEnter() }

// Leave gives the place back. err is how the load ended, errNotLoaded if the
// source was not asked after all.
func (g *Gate) Leave(err error) {
	g.loads.leave()
	g.Report(err)
}

// Report tells the breaker how a call of the source has ended.
func (g *Gate) Report(err error) {
	now := g.clock.Now()
	var spare *source.SpareError
	switch {
	case errors.Is(err, ErrNotAsked):
		g.breaker.skip()
	case errors.As(err, &spare):
		if pause := g.breaker.spare(now, spare.After); pause > 0 {
			g.log.Warn("a source asks to be left alone; loads are refused until then", "source", g.name, "pause", pause.Round(time.Millisecond), "error", err)
		}
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

// ErrNotAsked says that a load did not ask the source: another was first, or there is
// no time left.
var ErrNotAsked = errors.New("not loaded")
