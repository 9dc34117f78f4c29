package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// limitPath is read under the limit; memory has it.
const limitPath = "/row/1"

// limitTable is the limit of the scenario: one count for everybody, which the instances
// share by taking tokens from Redis in chunks.
const limitTable = `
[[limit]]
name = "rows"
paths = ["/row/*"]
by = "global"
rate = "%d/s"
`

// limited offers the fleet four times what a global limit admits. Two clocks count what
// is admitted: the clients', and Redis', by which the tokens were handed out.
func limited(t *trial) {
	s := normal()
	s.Extra = fmt.Sprintf(limitTable, t.rate)
	all := t.connect(t.assemble(s), 16, t.seed)
	t.pace(all, time.Second, nil) // until memory has it and chunks have their size
	before := t.scriptCalls()
	seconds := &seconds{by: map[int64]*second{}}
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
				s.note(sent, time.Now(), code == http.StatusOK)
			}
		}
		return nil
	})
}

// seconds counts requests by the seconds of the clock, which is Redis', too. It is used
// by all clients.
type seconds struct {
	mu sync.Mutex
	by map[int64]*second
}

// second is what happened in one. A request was decided between it was sent and
// its answer had come, so one that lies within a second was decided in it.
type second struct{ offered, within, touching int64 }

// at is the second of a time. The lock is held.
func (s *seconds) at(t time.Time) *second {
	if s.by[t.Unix()] == nil {
		s.by[t.Unix()] = &second{}
	}
	return s.by[t.Unix()]
}

func (s *seconds) note(sent, got time.Time, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, last := s.at(sent), s.at(got)
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

// report compares whole seconds with the rate. The first and the last second are not
// whole. Whether the rate is used can be said only where enough was offered.
func (s *seconds) report(t *trial, calls float64, counted int64) {
	all := slices.Sorted(maps.Keys(s.by))
	begins, ends := all[0], all[len(all)-1]
	var offered, most, used, whole, enough int64
	for at, s := range s.by {
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
	most := int64(0)
	end := testkit.Meanwhile(t, func(ctx context.Context) error {
		for testkit.Sleep(ctx, 300*time.Millisecond) {
			now, err := t.redis.Try("EVAL", `
				local most = 0
				for _, n in ipairs(redis.call('HVALS', KEYS[1])) do most = math.max(most, tonumber(n)) end
				return most`, "1", "hearth:limit:{rows:}")
			if err != nil {
				return err
			}
			most = max(most, now.(int64))
		}
		return nil
	})
	return func() int64 {
		end()
		return most
	}
}
