package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	coldCap     = 8  // load.max_concurrent
	coldClients = 16 // of each instance
	coldWithin  = time.Minute
	coldRetry   = 5 * time.Millisecond
)

// coldRestart kills the whole fleet under load, empties Redis and starts it again,
// while the clients go on asking. Then nobody has anything, and all is asked for: only
// the cap on loads and the sharing of them stand before the database.
func coldRestart(t *trial) {
	s := normal()
	s.MaxConcurrent = coldCap
	f := t.assemble(s)
	all := t.connect(f, coldClients, t.seed)
	r := &restart{trial: t, fleet: f, all: all, clock: newTimeline(), before: make([]load.Counts, len(all))}
	end := all.Begin(t, r.ask)
	r.play()
	end()
	all.Close() // before the instances end, which would wait for idle connections
	r.report()
}

// restart is the scenario under way. Clients and the goroutine that restarts meet in
// killed: from then on a client counts anew, and may lose its connection.
type restart struct {
	*trial
	fleet  fleet
	all    load.Clients
	clock  *timeline
	killed atomic.Bool
	broken atomic.Int64  // connections, since the kill
	before []load.Counts // what each client was answered before it

	warm, rewarmed time.Duration // until nearly everything came from memory
}

// ask asks for random records as fast as they come. From the kill on, a connection
// that breaks is replaced.
func (r *restart) ask(ctx context.Context, c *load.Client) error {
	for after := false; ctx.Err() == nil; {
		if !after && r.killed.Load() {
			r.before[c.Number], c.Counts, after = c.Counts, load.Counts{}, true
		}
		err := c.Ask("/row/" + strconv.Itoa(1+c.Rand.IntN(r.coldKeys)))
		if err == nil {
			r.clock.note(load.TierOf(c.Status()) == load.Memory && c.Answer.StatusCode() == http.StatusOK)
			continue
		}
		if !r.killed.Load() {
			return err
		}
		r.broken.Add(1)
		if err := reconnect(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// reconnect connects as soon as the instance listens again; the end of ctx is no error.
func reconnect(ctx context.Context, c *load.Client) error {
	deadline := time.Now().Add(coldWithin)
	for testkit.Sleep(ctx, coldRetry) {
		err := c.Open()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("instance %d is not back after %v: %w", c.Instance+1, coldWithin, err)
		}
	}
	return nil
}

func (r *restart) play() {
	r.warm = r.clock.awaitWarm(r, 0)
	r.killed.Store(true)
	for _, n := range r.fleet {
		n.Kill()
	}
	r.redis.Do("FLUSHALL")
	// It waits for queries of the dead, which go on to their end: they are not what
	// the restart costs.
	r.observer.reset(20 * time.Millisecond)
	started := r.clock.now()
	r.fleet.start(func(i int) *launch.Instance { return r.fleet[i].Again() })
	r.rewarmed = r.clock.awaitWarm(r, started)
}

func (r *restart) report() {
	a := r.observer.work()
	before := &load.Counts{}
	for i := range r.before {
		before.Merge(&r.before[i])
	}
	after := r.all.Total()
	r.Figure("load", "%d clients without pause on %d keys; a query takes 20 ms after the restart", len(r.all), r.coldKeys)
	r.Figure("before", "%d answers, nearly all from memory after %v", before.Times.N, r.warm)
	r.answers(after)
	r.Times("latency after", &after.Times)
	r.Figure("99 % from memory", "%v after the start", r.rewarmed)
	r.Figure("queries", "%d for %d keys, of any one key at most %d; at most %d at the same time", a.begun, a.ids, a.most, a.peak)
	r.Figure("not kept by Redis", "%d answers came with a load that was not stored, %d while Redis was not reached yet", after.Unstored, after.OK[load.Marked])
	r.Bound(a.peak <= instances*coldCap, "never more than %d queries at a time, %d on each instance: %d", instances*coldCap, coldCap, a.peak)
	r.Bound(a.begun <= int64(r.coldKeys)+after.Unstored+after.OK[load.Marked],
		"at most 1 query for each key, but for loads that were not stored: %d for %d", a.begun, r.coldKeys)
	r.Bound(after.Refused.N+after.Failed == 0, "every client gets 200 once connected: %d do not", after.Refused.N+after.Failed)
	// One may meet the dying process a second time, in its backlog.
	r.Bound(r.broken.Load() >= int64(len(r.all)), "every connection breaks: %d of %d", r.broken.Load(), len(r.all))
}
