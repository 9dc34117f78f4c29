package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
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
func limited(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Extra = fmt.Sprintf(limitTable, t.rate)
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(16, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	if err := all.pace(ctx, t, time.Second, nil); err != nil { // until memory has it and chunks have their size
		return err
	}
	before, err := t.scriptCalls()
	if err != nil {
		return err
	}
	w := newWindows(len(all))
	counting, stop := context.WithCancel(ctx)
	defer stop()
	counted := t.watchCount(counting)
	if err := all.pace(ctx, t, t.limited, w); err != nil {
		return err
	}
	after, err := t.scriptCalls()
	if err != nil {
		return err
	}
	stop()
	most := <-counted
	if most.err != nil {
		return most.err
	}
	w.report(t, float64(after-before), most.n)
	return nil
}

// pace lets every client ask evenly, all together four times the rate, for so
// long. A request that is late is sent at once, so what is offered stays that much.
func (all crowd) pace(ctx context.Context, t *trial, last time.Duration, w *windows) error {
	every := time.Duration(len(all)) * time.Second / time.Duration(4*t.rate)
	ends := time.Now().Add(last)
	return all.each(ctx, func(ctx context.Context, c *client) error {
		next := time.Now().Add(every * time.Duration(c.number) / time.Duration(len(all)))
		for ; next.Before(ends); next = next.Add(every) {
			if wait := time.Until(next); wait > 0 && !pause(ctx, wait) {
				return ctx.Err()
			}
			sent := time.Now()
			if err := c.get(limitPath); err != nil {
				return err
			}
			code := c.answer.StatusCode()
			if code != http.StatusOK && code != http.StatusTooManyRequests {
				return fmt.Errorf("instance %d answers %d: %q", c.instance+1, code, c.answer.Body())
			}
			if w != nil {
				w.by[c.number].note(sent, time.Now(), code == http.StatusOK)
			}
		}
		return nil
	})
}

// windows counts requests by the seconds of the clock, which is Redis', too.
type windows struct{ by []window }

type window map[int64]*seconds

// seconds is what happened in one. A request was decided between it was sent and
// its answer had come, so one that lies within a second was decided in it.
type seconds struct{ offered, within, touching int64 }

func newWindows(clients int) *windows {
	w := &windows{by: make([]window, clients)}
	for i := range w.by {
		w.by[i] = window{}
	}
	return w
}

func (w window) at(t time.Time) *seconds {
	s := w[t.Unix()]
	if s == nil {
		s = &seconds{}
		w[t.Unix()] = s
	}
	return s
}

func (w window) note(sent, got time.Time, admitted bool) {
	first, last := w.at(sent), w.at(got)
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
func (w *windows) report(t *trial, calls float64, counted int64) {
	sum := window{}
	begins, ends := int64(1<<62), int64(0)
	for _, of := range w.by {
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
	t.figure("load", "%d requests in %d whole seconds; the rate is %d/s", offered, whole, t.rate)
	t.bound(most <= int64(t.rate), "no second admits more than the rate: at most %d certainly within one", most)
	t.bound(counted > 0 && counted <= int64(t.rate), "Redis has handed out at most %d tokens of one second", counted)
	t.bound(enough > 0 && share >= t.used, "the rate is used: %.1f %% in the %d seconds with at least twice of it offered", 100*share, enough)
	t.bound(calls/float64(max(1, offered)) <= 0.02, "Redis is asked %.4f times per decision (%.0f scripts)", calls/float64(max(1, offered)), calls)
}

// scriptCalls is how many scripts Redis has run.
func (t *trial) scriptCalls() (n int64, err error) {
	info, err := t.redis.Do("INFO", "commandstats")
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:calls="); ok {
			text, _, _ := strings.Cut(rest, ",")
			n, err = strconv.ParseInt(text, 10, 64)
		}
	}
	return n, err
}

// highest is the most tokens of one window that Redis had counted.
type highest struct {
	n   int64
	err error
}

// watchCount looks at the count in Redis, which keeps it for three windows, until
// ctx ends.
func (t *trial) watchCount(ctx context.Context) <-chan highest {
	result := make(chan highest, 1)
	go func() {
		var h highest
		for pause(ctx, 300*time.Millisecond) && h.err == nil {
			var text string
			if text, h.err = t.redis.Do("EVAL", `
				local most = 0
				for _, n in ipairs(redis.call('HVALS', KEYS[1])) do most = math.max(most, tonumber(n)) end
				return most`, "1", "hearth:limit:{rows:}"); h.err == nil {
				var n int64
				n, h.err = strconv.ParseInt(text, 10, 64)
				h.n = max(h.n, n)
			}
		}
		result <- h
	}()
	return result
}
