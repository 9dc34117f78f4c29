package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// limitPath is read under the limit; memory has it.
const limitPath = "/row/1"

// limitTable is the limit of the scenario.
const limitTable = `
[[limit]]
name = "rows"
paths = ["/row/*"]
by = "global"
rate = "%d/s"
`

// limited offers the fleet four times what a global limit admits.
func limited(t *trial) {
	s := normal()
	s.Extra = fmt.Sprintf(limitTable, t.rate)
	all := t.connect(t.assemble(s), 16, t.seed)
	t.pace(all, time.Second, nil) // until memory has it and chunks have their size
	before := t.scriptCalls()
	seconds := newSeconds(len(all))
	highest := t.watchCount()
	t.pace(all, t.limited, seconds)
	calls := t.scriptCalls() - before
	seconds.report(t, float64(calls), highest())
}

// pace lets every client ask evenly, all together four times the rate, for so
// long. A request that is late is sent at once, so what is offered stays that much.
func (t *trial) pace(all load.Clients, last time.Duration, s *seconds) {
	every := time.Duration(len(all)) * time.Second / time.Duration(4*t.rate)
	ends := time.Now().Add(last)
	all.Each(t, func(ctx context.Context, c *load.Client) error {
		next := time.Now().Add(every * time.Duration(c.Number) / time.Duration(len(all)))
		for ; next.Before(ends); next = next.Add(every) {
			if wait := time.Until(next); wait > 0 && !testkit.Sleep(ctx, wait) {
				return ctx.Err()
			}
			sent := time.Now()
			if err := c.Do(http.MethodGet, limitPath, ""); err != nil {
				return err
			}
			code := c.Answer.StatusCode()
			if code != http.StatusOK && code != http.StatusTooManyRequests {
				return fmt.Errorf("instance %d answers %d: %q", c.Instance+1, code, c.Answer.Body())
			}
			if s != nil {
				s.by[c.Number].note(sent, time.Now(), code == http.StatusOK)
			}
		}
		return nil
	})
}

// seconds counts requests by the seconds of the clock, which is Redis', too.
type seconds struct{ by []ofClient }

// ofClient is what one client has done, by the second.
type ofClient map[int64]*second

// second is what happened in one. A request was decided between it was sent and
// its answer had come, so one that lies within a second was decided in it.
type second struct{ offered, within, touching int64 }

func newSeconds(clients int) *seconds {
	s := &seconds{by: make([]ofClient, clients)}
	for i := range s.by {
		s.by[i] = ofClient{}
	}
	return s
}

func (o ofClient) at(t time.Time) *second {
	s := o[t.Unix()]
	if s == nil {
		s = &second{}
		o[t.Unix()] = s
	}
	return s
}

func (o ofClient) note(sent, got time.Time, admitted bool) {
	first, last := o.at(sent), o.at(got)
	first.offered++
	switch {
	case !admitted:
	case first == last:
		first.within++
		first.touching++
	default:
		first.touching++
		last.touching++
	}
}

// report compares whole seconds with the rate.
func (s *seconds) report(t *trial, calls float64, counted int64) {
	sum := ofClient{}
	begins, ends := int64(1<<62), int64(0)
	for _, of := range s.by {
		for at, s := range of {
			all := sum.at(time.Unix(at, 0))
			all.offered += s.offered
			all.within += s.within
			all.touching += s.touching
			begins, ends = min(begins, at), max(ends, at)
		}
	}
	var offered, most, used, whole, enough int64
	for at, s := range sum {
		offered += s.offered
		most = max(most, s.within)
		if at == begins || at == ends {
			continue
		}
		whole++
		if s.offered >= 2*int64(t.rate) {
			enough++
			used += s.touching
		}
	}
	share := float64(used) / float64(max(1, enough*int64(t.rate)))
	t.Figure("load", "%d requests in %d whole seconds; the rate is %d/s", offered, whole, t.rate)
	t.Bound(most <= int64(t.rate), "no second admits more than the rate: at most %d certainly within one", most)
	t.Bound(counted > 0 && counted <= int64(t.rate), "Redis has handed out at most %d tokens of one second", counted)
	t.Bound(enough > 0 && share >= t.used, "the rate is used: %.1f %% in the %d seconds with at least twice of it offered", 100*share, enough)
	t.Bound(calls/float64(max(1, offered)) <= 0.02, "Redis is asked %.4f times per decision (%.0f scripts)", calls/float64(max(1, offered)), calls)
}

// scriptCalls is how many scripts Redis has run.
func (t *trial) scriptCalls() (n int64) {
	t.Helper()
	_, stats, found := strings.Cut(t.redis.Text("INFO", "commandstats"), "cmdstat_evalsha:calls=")
	if found {
		text, _, _ := strings.Cut(stats, ",")
		n = t.observer.number(text)
	}
	return n
}

// watchCount looks at the count in Redis, which keeps it for three windows, until the
// function that it returns is called. That one returns the most tokens of one window.
func (t *trial) watchCount() (highest func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	var most int64
	var err error
	watching.Go(func() {
		for testkit.Sleep(ctx, 300*time.Millisecond) && err == nil {
			var now any
			now, err = t.redis.Try("EVAL", `
				local most = 0
				for _, n in ipairs(redis.call('HVALS', KEYS[1])) do most = math.max(most, tonumber(n)) end
				return most`, "1", "hearth:limit:{rows:}")
			if n, ok := now.(int64); ok {
				most = max(most, n)
			}
		}
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return func() int64 {
		t.Helper()
		cancel()
		watching.Wait()
		if err != nil {
			t.Fatal(err)
		}
		return most
	}
}
