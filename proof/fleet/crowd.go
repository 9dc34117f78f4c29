package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what one client was answered.
type tally struct {
	ok       [tiers]int64 // answers with 200
	absent   int64        // 404
	unstored int64        // of both, those that came with a load that Redis did not take
	refused  int64        // 503 with Retry-After: come again
	failed   int64        // any other 5xx
	times    latencies    // of all
}

func (t *tally) merge(o *tally) {
	for i, n := range o.ok {
		t.ok[i] += n
	}
	t.unstored += o.unstored
	t.absent += o.absent
	t.refused += o.refused
	t.failed += o.failed
	t.times.merge(&o.times)
}

// found is how many answers had a record.
func (t *tally) found() (n int64) {
	for _, k := range t.ok {
		n += k
	}
	return n
}

// client asks one instance over a connection of its own. It is used by one goroutine
// at a time.
type client struct {
	*conn
	instance int
	number   int // within the crowd
	rand     *rand.Rand
	tally
}

// note counts the answer to a request that was sent at sent. An answer that nothing
// here provokes is an error.
func (c *client) note(sent time.Time) error {
	c.times.add(time.Since(sent))
	status := c.answer.Header.Peek("Cache-Status")
	from := tierOf(status)
	if from == source && len(status) > 0 && !bytes.Contains(status, []byte("; stored")) {
		c.unstored++
	}
	switch code := c.answer.StatusCode(); {
	case code == http.StatusOK:
		c.ok[from]++
	case code == http.StatusNotFound:
		c.absent++
	case code == http.StatusServiceUnavailable && len(c.answer.Header.Peek("Retry-After")) > 0:
		c.refused++
	case code >= http.StatusInternalServerError:
		c.failed++
	default:
		return fmt.Errorf("instance %d answers %d: %q", c.instance+1, code, c.answer.Body())
	}
	return nil
}

// ask gets a path and counts the answer.
func (c *client) ask(path string) error {
	sent := time.Now()
	if err := c.get(path); err != nil {
		return fmt.Errorf("asking instance %d for %s: %w", c.instance+1, path, err)
	}
	return c.note(sent)
}

// crowd is clients of all instances, equally many of each, all of them connected.
type crowd []*client

// gather connects per clients to each instance.
func (f *fleet) gather(per int, seed uint64) (crowd, error) { return f.gatherOn(instances, per, seed) }

// gatherOn connects per clients to each of the first of the instances.
func (f *fleet) gatherOn(first, per int, seed uint64) (crowd, error) {
	var all crowd
	for n := range per * first {
		c, err := dial(f.all[n%first].addr)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, &client{conn: c, instance: n % first, number: n, rand: rand.New(rand.NewPCG(seed, uint64(n)))})
	}
	return all, nil
}

func (all crowd) close() {
	for _, c := range all {
		c.conn.close()
	}
}

// each runs ask in all clients at the same time and returns the first error. The
// context ends with it.
func (all crowd) each(ctx context.Context, ask func(ctx context.Context, c *client) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var running sync.WaitGroup
	var once sync.Once
	var first error
	for _, c := range all {
		running.Go(func() {
			if err := ask(ctx, c); err != nil {
				once.Do(func() { first = err })
				fail(err)
			}
		})
	}
	running.Wait()
	return first
}

// total is what all were answered since the last total.
func (all crowd) total() *tally {
	sum := &tally{}
	for _, c := range all {
		sum.merge(&c.tally)
		c.tally = tally{}
	}
	return sum
}

// together lets all clients ask at the same moment, each for its path, and returns how
// many of the records that they were given differ from the first.
func (all crowd) together(ctx context.Context, path func(c *client) string) (different int, err error) {
	var ready atomic.Int64
	gate := make(chan struct{}) // opened by the last who comes to it
	records := make([][]byte, len(all))
	err = all.each(ctx, func(_ context.Context, c *client) error {
		if ready.Add(1) == int64(len(all)) {
			close(gate)
		}
		<-gate
		err := c.ask(path(c))
		records[c.number] = bytes.Clone(record(c.answer.Body()))
		return err
	})
	for _, r := range records {
		if !bytes.Equal(r, records[0]) {
			different++
		}
	}
	return different, err
}

// warm reads paths on every instance until memory has them all.
func (all crowd) warm(ctx context.Context, paths []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return all.each(ctx, func(ctx context.Context, c *client) error {
		if c.number >= instances { // one client of each instance is enough
			return nil
		}
		for left := paths; len(left) > 0; {
			before := c.ok[memory]
			if err := c.ask(left[0]); err != nil {
				return err
			}
			if c.ok[memory] > before {
				left = left[1:]
			} else if !pause(ctx, time.Millisecond) {
				return fmt.Errorf("reading %s on instance %d until it is in memory: %w", left[0], c.instance+1, ctx.Err())
			}
		}
		return nil
	})
}
