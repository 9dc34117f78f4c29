package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// tallies combine what callers in this process want of counters. Of one key at
// most one INCRBY and one GET are on their way at a time. Who comes meanwhile
// gathers for the next one, which carries all who have gathered when it is sent:
// as many round trips as the shared tier has time for, however many callers.
//
// Nobody joins a command that is on its way. So a count is never older than the
// call that asked for it, and whoever has counted finds himself in it.
type counters struct {
	sync.Mutex
	rounds  map[counterKey]*round // has the key while somebody runs it; nil: nobody gathers
	closed  bool
	runners sync.WaitGroup

	waiting atomic.Int64 // callers, for the numbers
}

// tallyKey names what is asked. Counting and reading wait for each other
// nowhere: a read that is sent after an increment was acknowledged sees it.
type counterKey struct {
	key string
	add bool
}

// round is the callers of one command. callers grows until the round is sealed,
// last and err are set before done is closed.
type round struct {
	callers int64
	done    chan struct{}
	last    int64 // the count after all of the callers, or as it was read
	err     error
}

// Increment adds one to the number at key and returns what it was for this
// caller: of callers who are counted together each gets a number of his own. An
// error, also that of a caller out of time, leaves open whether it has counted;
// it is never repeated.
func (c *Cache) Increment(ctx context.Context, key string) (int64, error) {
	return c.takePart(ctx, counterKey{key, true})
}

// Count returns the number at key as it is at some moment after the call, 0 if
// there is none.
func (c *Cache) Count(ctx context.Context, key string) (int64, error) {
	return c.takePart(ctx, counterKey{key, false})
}

// tally takes part in the next command of its kind.
func (c *Cache) takePart(ctx context.Context, k counterKey) (int64, error) {
	if err := ctx.Err(); err != nil { // it would count for an answer that nobody gets
		return 0, fmt.Errorf("%w: counting: %w", ErrTimeout, err)
	}
	r, place := c.joinRound(k)
	if r == nil {
		return 0, fmt.Errorf("%w: counting: %w", ErrUnavailable, context.Cause(c.life))
	}
	c.counters.waiting.Add(1)
	defer c.counters.waiting.Add(-1)
	select {
	case <-r.done:
	case <-ctx.Done(): // the others are none the worse for it
		return 0, fmt.Errorf("%w: counting: %w", ErrTimeout, ctx.Err())
	}
	switch {
	case r.err != nil:
		return 0, fmt.Errorf("%w: counting at key %q: %w", ErrUnavailable, k.key, r.err)
	case k.add:
		return r.last - r.callers + place, nil
	}
	return r.last, nil
}

// gather joins the round that forms, as the place-th of its callers, or begins
// one. If nothing of the kind is on its way, it is sent at once, by a goroutine of
// its own: a command that carries many must not end with one caller's deadline.
// The round is nil once the cache is being closed.
func (c *Cache) joinRound(k counterKey) (r *round, place int64) {
	t := &c.counters
	t.Lock()
	defer t.Unlock()
	if t.closed {
		return nil, 0
	}
	r, running := t.rounds[k]
	if r == nil {
		r = &round{done: make(chan struct{})}
		t.rounds[k] = r
	}
	if !running {
		t.runners.Go(func() { c.runTally(k) })
	}
	r.callers++
	return r, r.callers
}

// runTally sends round after round until nobody gathers any more.
func (c *Cache) runTally(k counterKey) {
	for r := c.counters.seal(k); r != nil; r = c.counters.seal(k) {
		r.last, r.err = c.sendTally(k, r.callers)
		close(r.done)
	}
}

// seal ends the gathering of k's round, which is then to be sent. nil means that
// there is none, and that the next caller has to see to it himself.
func (t *counters) seal(k counterKey) *round {
	t.Lock()
	defer t.Unlock()
	r := t.rounds[k]
	if r == nil {
		delete(t.rounds, k)
	} else {
		t.rounds[k] = nil
	}
	return r
}

// sendTally asks the shared tier once for all callers. A panic becomes their error:
// they wait for its end, and the goroutine may have no other guard.
func (c *Cache) sendTally(k counterKey, callers int64) (n int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the shared tier: %v\n%s", p, debug.Stack())
		}
	}()
	if c.life.Err() != nil {
		return 0, context.Cause(c.life)
	}
	if k.add {
		return c.tier.Add(c.life, k.key, callers)
	}
	return c.tier.Count(c.life, k.key)
}

// close refuses further callers and waits for the commands on their way. The
// cache's life has ended, so those who have gathered get an error at once.
func (t *counters) close() {
	t.Lock()
	t.closed = true
	t.Unlock()
	t.runners.Wait()
}
