package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearth/cache/gate"
	"hearth/internal/source"
)

// ask loads the records that args name, nil for a missing one, and leaves the gate,
// which the caller has entered. It tells the gate's breaker how the call has ended.
// key is that of the first.
func (c *Cache) ask(ctx context.Context, g *gate.Gate, r *Resource, key string, args []source.Args) (loaded, error) {
	began := c.store.Now()
	got, err := fetch(ctx, r, args, c.known(r, key))
	got.asked = began
	if err == nil {
		r.noteLoadTime(time.Duration(c.store.Now() - began))
	}
	c.numbers.loaded(r, got, err)
	c.noticedLoad(r, key)
	switch outOfTime := leaveGate(ctx, g, err); {
	case err == nil, otherName(err):
		c.noteTerm(r, key, got.term)
		return got, err
	case outOfTime:
		return loaded{}, fmt.Errorf("%w: loading from the source: %w", ErrTimeout, err)
	}
	return loaded{}, fmt.Errorf("%w: loading from the source: %w", ErrUnavailable, err)
}

// leaveGate gives the place of a load back, and tells the breaker how the load has ended. It
// tells whether the caller's own time was over, which says nothing about the source.
func leaveGate(ctx context.Context, g *gate.Gate, err error) (outOfTime bool) {
	switch {
	case err == nil, otherName(err):
		g.Leave(nil)
	case ctx.Err() != nil && !errors.Is(err, source.ErrDown):
		g.Leave(gate.ErrNotAsked)
		return true
	default:
		g.Leave(err)
	}
	return false
}
