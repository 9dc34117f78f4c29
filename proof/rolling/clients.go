package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

const (
	writeEvery = 50 // one of so many requests is a write
	records    = 1000
)

// counts are what clients were answered, all of them together.
type counts struct {
	mu            sync.Mutex
	reads, writes int64
	failed        int64
	first         string // of the failures
	slowest       time.Duration

	// Of the goroutine that restarts: how often, the longest time of one, and of all.
	restarts         int
	longest, elapsed time.Duration
}

// note counts one answer. A balancer may send a read twice, but never a write, so they
// are told apart.
func (c *counts) note(write bool, elapsed time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if write {
		c.writes++
	} else {
		c.reads++
	}
	c.slowest = max(c.slowest, elapsed)
	if err != nil {
		if c.failed++; c.failed == 1 {
			c.first = err.Error()
		}
	}
}

func (c *counts) answered() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads + c.writes
}

func (c *counts) String() string {
	text := fmt.Sprintf("%d requests (%d writes) in %.1f s, slowest %v; %d restarts, longest %v; %d failed",
		c.reads+c.writes, c.writes, c.elapsed.Seconds(), c.slowest.Round(time.Millisecond), c.restarts, c.longest.Round(time.Millisecond), c.failed)
	if c.failed > 0 {
		text += ", first: " + c.first
	}
	return text
}

// await waits until so many requests were answered.
func (c *counts) await(tb testkit.TB, many int64) {
	for c.answered() < many {
		if !testkit.Sleep(tb.Context(), 5*time.Millisecond) {
			tb.Fatal(context.Cause(tb.Context()))
		}
	}
}

// begin lets clients ask as fast as they are answered, until end is called. A
// connection is made again after a failure.
func (c *counts) begin(tb testkit.TB, addr string, clients int) (end func()) {
	return load.Connect(tb, []string{addr}, clients, 0).Begin(tb, func(ctx context.Context, client *load.Client) error {
		for i := client.Number; ctx.Err() == nil; i++ {
			write, began := i%writeEvery == 0, time.Now()
			err := ask(client, i, write)
			c.note(write, time.Since(began), err)
		}
		return nil
	})
}

// ask sends a client's request with this number. Whatever is not answered 200 is an
// error: with an instance that drains and two that serve, there is no reason for it.
func ask(client *load.Client, i int, write bool) error {
	method, path, body := http.MethodGet, "/user/"+strconv.Itoa(1+i*61%records), ""
	if write {
		method, body = http.MethodPut, `{"name":"n`+strconv.Itoa(i)+`"}`
	}
	if err := client.Do(method, path, body); err != nil {
		return err
	}
	if code := client.Answer.StatusCode(); code != http.StatusOK {
		client.Close()
		return fmt.Errorf("%s %s is answered %d %.200q", method, path, code, client.Answer.Body())
	}
	return nil
}
