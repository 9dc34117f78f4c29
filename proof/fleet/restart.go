package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	coldCap     = 8  // load.max_concurrent
	coldClients = 16 // of each instance
	coldWithin  = time.Minute
	coldRetry   = 5 * time.Millisecond
)

// coldRestart kills the whole fleet under load, empties Redis and starts it again,
// while the clients go on asking.
func coldRestart(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.MaxConcurrent = coldCap
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(coldClients, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	r := &restart{trial: t, fleet: f, all: all, clock: newTimeline(), before: make([]tally, len(all))}
	asking, enough := context.WithCancel(ctx)
	defer enough()
	asked := make(chan error, 1)
	go func() { asked <- all.each(asking, r.ask) }()
	err = r.play(ctx)
	enough()
	if err = errors.Join(err, <-asked); err != nil {
		return err
	}
	return r.report(ctx)
}

// restart is the scenario under way.
type restart struct {
	*trial
	fleet  *fleet
	all    crowd
	clock  *timeline
	killed atomic.Bool
	broken atomic.Int64 // connections, since the kill
	before []tally      // what each client was answered before it

	warm, rewarmed time.Duration // until nearly everything came from memory
}

// ask asks for random records as fast as they come. From the kill on, a connection
// that breaks is replaced.
func (r *restart) ask(ctx context.Context, c *client) error {
	for after := false; ctx.Err() == nil; {
		if !after && r.killed.Load() {
			r.before[c.number], c.tally, after = c.tally, tally{}, true
		}
		err := c.ask("/row/" + strconv.Itoa(1+c.rand.IntN(r.coldKeys)))
		if err == nil {
			from := tierOf(c.answer.Header.Peek("Cache-Status"))
			r.clock.note(from == memory && c.answer.StatusCode() == http.StatusOK)
			continue
		}
		if !r.killed.Load() {
			return err
		}
		r.broken.Add(1)
		c.conn.close()
		if err := c.reconnect(ctx, r.fleet.all[c.instance].addr); err != nil {
			return err
		}
	}
	return nil
}

// reconnect connects as soon as the instance listens again; the end of ctx is no error.
func (c *client) reconnect(ctx context.Context, addr string) error {
	deadline := time.Now().Add(coldWithin)
	for pause(ctx, coldRetry) {
		fresh, err := dial(addr)
		if err == nil {
			c.conn = fresh
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("instance %d is not back after %v: %w", c.instance+1, coldWithin, err)
		}
	}
	return nil
}

func (r *restart) play(ctx context.Context) (err error) {
	if r.warm, err = r.clock.awaitWarm(ctx, 0); err != nil {
		return fmt.Errorf("before the restart: %w", err)
	}
	r.killed.Store(true)
	if err := r.fleet.kill(); err != nil {
		return err
	}
	if _, err := r.redis.Do("FLUSHALL"); err != nil {
		return err
	}
	// It waits for queries of the dead, which go on to their end: they are not what
	// the restart costs.
	if err := r.witness.reset(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	started := r.clock.now()
	if err := r.fleet.start(ctx); err != nil {
		return err
	}
	if r.rewarmed, err = r.clock.awaitWarm(ctx, started); err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	return nil
}

func (r *restart) report(ctx context.Context) error {
	a, err := r.witness.account(ctx)
	if err != nil {
		return err
	}
	before := &tally{}
	for i := range r.before {
		before.merge(&r.before[i])
	}
	after := r.all.total()
	r.figure("load", "%d clients without pause on %d keys; a query takes 20 ms after the restart", len(r.all), r.coldKeys)
	r.figure("before", "%d answers, nearly all from memory after %v", before.times.n, r.warm)
	r.tiers(after)
	r.times("latency after", &after.times)
	r.figure("99 % from memory", "%v after the start", r.rewarmed)
	r.figure("queries", "%d for %d keys, of any one key at most %d; at most %d at the same time", a.begun, a.ids, a.most, a.peak)
	r.figure("not kept by Redis", "%d answers came with a load that was not stored, %d while Redis was not reached yet", after.unstored, after.ok[marked])
	r.bound(a.peak <= instances*coldCap, "never more than %d queries at a time, %d on each instance: %d", instances*coldCap, coldCap, a.peak)
	r.bound(a.begun <= int64(r.coldKeys)+after.unstored+after.ok[marked],
		"at most 1 query for each key, but for loads that were not stored: %d for %d", a.begun, r.coldKeys)
	r.bound(after.refused+after.failed == 0, "every client gets 200 once connected: %d do not", after.refused+after.failed)
	// One may meet the dying process a second time, in its backlog.
	r.bound(r.broken.Load() >= int64(len(r.all)), "every connection breaks: %d of %d", r.broken.Load(), len(r.all))
	return nil
}
