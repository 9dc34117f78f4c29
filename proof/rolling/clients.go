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
)

const (
	writeEvery = 50 // one of so many requests is a write
	records    = 1000
)

// counts are what clients were answered.
type counts struct {
	reads, writes int64
	failed        int64
	first         string // of the failures
	slowest       time.Duration

	restarts      int
	longest, took time.Duration // of one restart, and of all
}

func (c *counts) String() string {
	text := fmt.Sprintf("%d requests (%d writes) in %.1f s, slowest %v; %d restarts, longest %v; %d failed",
		c.reads+c.writes, c.writes, c.took.Seconds(), c.slowest.Round(time.Millisecond), c.restarts, c.longest.Round(time.Millisecond), c.failed)
	if c.failed > 0 {
		text += ", first: " + c.first
	}
	return text
}

func (c *counts) add(o *counts) {
	c.reads, c.writes, c.failed = c.reads+o.reads, c.writes+o.writes, c.failed+o.failed
	c.slowest = max(c.slowest, o.slowest)
	if c.first == "" {
		c.first = o.first
	}
}

// asking is clients that ask as fast as they are answered.
type asking struct {
	answered atomic.Int64
	by       []counts // each client's
	stop     func()
}

func begin(tb testkit.TB, addr string, clients int) *asking {
	tb.Helper()
	a := &asking{by: make([]counts, clients)}
	a.stop = load.Connect(tb, []string{addr}, clients, 0).Begin(tb, func(ctx context.Context, c *load.Client) error {
		for i := c.Number; ctx.Err() == nil; i++ {
			a.by[c.Number].ask(c, i)
			a.answered.Add(1)
		}
		return nil
	})
	return a
}

// ask sends a client's request with this number. A connection is made again after a
// failure.
func (c *counts) ask(client *load.Client, i int) {
	path, began := "/user/"+strconv.Itoa(1+i*61%records), time.Now()
	var err error
	if i%writeEvery == 0 {
		c.writes++
		err = client.Do(http.MethodPut, path, `{"name":"n`+strconv.Itoa(i)+`"}`)
	} else {
		c.reads++
		err = client.Do(http.MethodGet, path, "")
	}
	if code := client.Answer.StatusCode(); err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s is answered %d %.200q", path, code, client.Answer.Body())
		client.Close()
	}
	c.slowest = max(c.slowest, time.Since(began))
	if err != nil {
		if c.failed++; c.failed == 1 {
			c.first = err.Error()
		}
	}
}

// await waits until so many requests were answered.
func (a *asking) await(tb testkit.TB, many int64) {
	tb.Helper()
	for a.answered.Load() < many {
		if !testkit.Sleep(tb.Context(), 5*time.Millisecond) {
			tb.Fatal(context.Cause(tb.Context()))
		}
	}
}

func (a *asking) end() (sum counts) {
	a.stop()
	for i := range a.by {
		sum.add(&a.by[i])
	}
	return sum
}
