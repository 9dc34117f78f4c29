package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	hotLifetime = 2 * time.Second
	hotPath     = "/row/1"
	hotPace     = 10 * time.Millisecond
)

// hotExpiry reads one hot key, whose lifetime ends every two seconds, from all
// instances. Each query stamps the record that it answers with, so what clients are
// served tells which queries were for something.
func hotExpiry(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.HotRate, s.Hot, s.Cold = 1, hotLifetime.String(), (2 * hotLifetime).String()
	s.Query = 100 * time.Millisecond
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(t.hotClients, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	if err := heat(ctx, t, all); err != nil {
		return err
	}
	waits, err := f.leaseWaits(ctx)
	if err != nil {
		return err
	}
	seen, err := all.stamps(ctx, t.hot)
	if err != nil {
		return err
	}
	sum := all.total()
	a, err := t.witness.account(ctx)
	if err != nil {
		return err
	}
	between, err := t.witness.intervals(ctx, seen.first)
	if err != nil {
		return err
	}
	after, err := f.leaseWaits(ctx)
	if err != nil {
		return err
	}
	lifetimes := float64(t.hot) / float64(hotLifetime)
	t.figure("load", "%d clients ask every %v for %v; the query takes 100 ms; ttl.hot is %v", len(all), hotPace, t.hot, hotLifetime)
	t.figure("queries", "stamped %d to %d while clients asked: %.1f in each %v, at least %v from one to the next",
		seen.first, a.begun, float64(a.begun-seen.first)/lifetimes, hotLifetime, brief(between.quantile(0)))
	t.tiers(sum)
	t.times("latency", &sum.times)
	t.figure("longest / median", "%.0f", ratio(sum.times.worst, sum.times.quantile(0.5)))
	served := int64(len(seen.served))
	t.bound(served > 1, "the record was loaded again while it was read: %d times", served-1)
	t.bound(seen.last-seen.first+1 == served && a.begun-seen.last <= 1,
		"exactly 1 query for each: %d stamps served of %d given (1 may come too late for the clients)", served, a.begun-seen.first+1)
	t.bound(seen.back == 0, "no client is given an older record after a newer one: %d", seen.back)
	t.bound(sum.ok[source] == 0 && after == waits, "no client waits for it: %d answers came with a load, %d waited for another's", sum.ok[source], after-waits)
	t.bound(sum.found() == sum.times.n, "every client gets 200: %d of %d", sum.found(), sum.times.n)
	return nil
}

// heat makes the key hot for every instance and lets it be loaded as such: what was
// loaded before anybody had read it lives for ttl.cold.
func heat(ctx context.Context, t *trial, all crowd) error {
	for range 2 {
		if _, err := t.redis.Do("DEL", "row:1"); err != nil {
			return err
		}
		for range 20 {
			if err := all.each(ctx, func(_ context.Context, c *client) error { return c.ask(hotPath) }); err != nil {
				return err
			}
		}
	}
	err := all.warm(ctx, []string{hotPath})
	all.total()
	return err
}

// stamps is what clients saw of the queries' numbers.
type stamps struct {
	first, last int64
	served      map[int64]bool
	back        int // clients that were served an older one after a newer one
}

// stamps lets the crowd read for so long, each client at its pace.
func (all crowd) stamps(ctx context.Context, last time.Duration) (stamps, error) {
	seen := make([]stamps, len(all))
	ends := time.Now().Add(last)
	err := all.each(ctx, func(ctx context.Context, c *client) error {
		s := &seen[c.number]
		s.served = map[int64]bool{}
		// They begin one by one: a herd at every tick would wait for the processor.
		if !pause(ctx, hotPace*time.Duration(c.number)/time.Duration(len(all))) {
			return nil
		}
		tick := time.NewTicker(hotPace)
		defer tick.Stop()
		for time.Now().Before(ends) {
			if err := c.ask(hotPath); err != nil {
				return err
			}
			if err := s.note(c.answer.Body()); err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	sum := stamps{served: map[int64]bool{}}
	for _, s := range seen {
		sum.back += s.back
		for n := range s.served {
			sum.served[n] = true
			sum.last = max(sum.last, n)
			if sum.first == 0 || n < sum.first {
				sum.first = n
			}
		}
	}
	return sum, err
}

func (s *stamps) note(body []byte) error {
	n := number(body, `"stamp":`)
	if n < 1 {
		return fmt.Errorf("an answer without a stamp: %q", body)
	}
	if n < s.last {
		s.back++
	}
	s.last = n
	s.served[n] = true
	return nil
}
