package main

import (
	"context"
	"fmt"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

const (
	hotLifetime = 2 * time.Second
	hotPath     = "/row/1"
	hotPace     = 10 * time.Millisecond
)

// hotExpiry reads one hot key, whose lifetime ends every two seconds, from all
// instances. Each query stamps the record that it answers with, so what clients are
// served tells which queries were for something: a stamp that nobody was served is a
// query too many, and a stamp that is served after a younger one is a step back.
func hotExpiry(t *trial) {
	s := normal()
	s.HotRate, s.Hot, s.Cold = 1, hotLifetime.String(), (2 * hotLifetime).String()
	s.Query = 100 * time.Millisecond
	f := t.assemble(s)
	all := t.connect(f, t.hotClients, t.seed)
	t.heat(all)
	waits := f.leaseWaits(t)
	seen := t.readStamps(all)
	sum := all.Total()
	w := t.observer.work()
	between := t.observer.intervals(seen.first)
	waits = f.leaseWaits(t) - waits
	lifetimes := float64(t.hot) / float64(hotLifetime)
	t.Figure("load", "%d clients ask every %v for %v; the query takes 100 ms; ttl.hot is %v", len(all), hotPace, t.hot, hotLifetime)
	t.Figure("queries", "stamped %d to %d while clients asked: %.1f in each %v, at least %v from one to the next",
		seen.first, w.begun, float64(w.begun-seen.first)/lifetimes, hotLifetime, report.Brief(between.Quantile(0)))
	t.answers(sum)
	t.Times("latency", &sum.Times)
	t.Figure("longest / median", "%.0f", report.Ratio(sum.Times.Longest, sum.Times.Quantile(0.5)))
	served := int64(len(seen.served))
	t.Bound(served > 1, "the record was loaded again while it was read: %d times", served-1)
	t.Bound(seen.last-seen.first+1 == served && w.begun-seen.last <= 1,
		"exactly 1 query for each: %d stamps served of %d given (1 may come too late for the clients)", served, w.begun-seen.first+1)
	t.Bound(seen.back == 0, "no client is given an older record after a newer one: %d", seen.back)
	t.Bound(sum.OK[load.Source] == 0 && waits == 0, "no client waits for it: %d answers came with a load, %d waited for another's", sum.OK[load.Source], waits)
	t.Bound(sum.Found() == sum.Times.N, "every client gets 200: %d of %d", sum.Found(), sum.Times.N)
}

// heat makes the key hot for every instance and lets it be loaded as such: what was
// loaded before anybody had read it lives for ttl.cold.
func (t *trial) heat(all load.Clients) {
	for range 2 {
		t.redis.Do("DEL", "row:1")
		for range 20 {
			all.Each(t, func(_ context.Context, c *load.Client) error { return c.Ask(hotPath) })
		}
	}
	all.Warm(t, []string{hotPath})
}

// stamps is what clients saw of the queries' numbers.
type stamps struct {
	first, last int64
	served      map[int64]bool
	back        int // clients that were served an older one after a newer one
}

// readStamps lets clients read, each at its pace.
func (t *trial) readStamps(all load.Clients) stamps {
	seen := make([]stamps, len(all))
	ends := time.Now().Add(t.hot)
	all.Each(t, func(ctx context.Context, c *load.Client) error {
		s := &seen[c.Number]
		s.served = map[int64]bool{}
		// They begin one by one: if all asked at every tick, they would wait for the processor.
		if !testkit.Sleep(ctx, hotPace*time.Duration(c.Number)/time.Duration(len(all))) {
			return nil
		}
		tick := time.NewTicker(hotPace)
		defer tick.Stop()
		for time.Now().Before(ends) {
			if err := c.Ask(hotPath); err != nil {
				return err
			}
			if err := s.note(c.Member(`"stamp":`)); err != nil {
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
	return sum
}

// note notes the stamp of an answer.
func (s *stamps) note(stamp int64) error {
	if stamp < 1 {
		return fmt.Errorf("an answer without a stamp: %d", stamp)
	}
	if stamp < s.last {
		s.back++
	}
	s.last = stamp
	s.served[stamp] = true
	return nil
}
