package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// counters combine what callers in this process want of counters. For one key at most
// one INCRBY and one GET are on their way at a time. Callers that come meanwhile form
// the next round, which carries all of them when it is sent. So there are as many round
// trips as the shared tier has time for, however many callers there are.
//
// No caller joins a command that is on its way. So a count is never older than the call
// that asked for it, and an increment is in every count that is read after it.
type counters struct {
	sync.Mutex
	rounds  map[counterKey]*round // has the key while a command is on its way; nil: no caller waits for the next
	closed  bool
	runners sync.WaitGroup

	waiting atomic.Int64 // callers, for the numbers
}

// counterKey names what is asked. Increments and reads do not wait for each other: a
// read that is sent after an increment was acknowledged sees it.
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

// Increment adds one to the number at key and returns what the number was for this
// caller: callers that are counted together get a number each. An error, also that of a
// caller out of time, leaves open whether it has counted; it is never repeated.
func (c *Cache) Increment(ctx context.Context, key string) (int64, error) {
	return c.takePart(ctx, counterKey{key, true})
}

// Count returns the number at key as it is at some moment after the call, 0 if
// there is none.
func (c *Cache) Count(ctx context.Context, key string) (int64, error) {
	return c.takePart(ctx, counterKey{key, false})
}

// takePart takes part in the next command for k.
func (c *Cache) takePart(ctx context.Context, k counterKey) (int64, error) {
	if err := ctx.Err(); err != nil { // it would count without an answer
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

// joinRound joins the round that forms, as the place-th of its callers, or begins one.
// If no command for k is on its way, it is sent at once, by a goroutine of its own: a
// command that carries many must not end with one caller's deadline. The round is nil
// once the cache is being closed.
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
		t.runners.Go(func() { c.runRounds(k) })
	}
	r.callers++
	return r, r.callers
}

// runRounds sends round after round until no caller is waiting for the next one.
func (c *Cache) runRounds(k counterKey) {
	for r := c.counters.seal(k); r != nil; r = c.counters.seal(k) {
		r.last, r.err = c.sendTally(k, r.callers)
		close(r.done)
	}
}

// seal ends the gathering of k's round, which is then to be sent. nil means that
// there is none, and that the next caller has to send its own.
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
