package main

import (
	"context"
	"fmt"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// memory is the resident memory of one server, in bytes.
type memory struct {
	Server   string
	Bare     int64 // with no connection
	Idle     int64 // with idle keep-alive connections, each of which has been answered once
	InFlight int64 // with one request held on each of them
}

// measureMemory measures the memory of a server, and checks the numbers that Hearth
// answers to requests which all come at once. wrk can be neither idle nor look at
// answers, so the connections are this program's own.
func (s *servers) measureMemory(tb testkit.TB, srv *server) memory {
	m := memory{Server: srv.name, Bare: resident(tb, srv)}
	before := srv.begun(tb)
	all := load.Connect(tb, []string{srv.addr}, s.connections, 0)
	defer all.Close()
	all.Together(tb, func(*load.Client) string { return workPath })
	s.checkAnswered(tb, all)
	if srv.answered != nil {
		numbers := make([]int64, len(all))
		for i, c := range all {
			numbers[i] = c.Member(`"current_requests":`)
		}
		if err := plausible(numbers, before); err != nil {
			tb.Fatal(err)
		}
	}
	if n := srv.begun(tb) - before; n != int64(s.connections) {
		tb.Fatalf("%d requests were counted as %d", s.connections, n)
	}
	sleep(tb, 2*steadyAfter)
	m.Idle = resident(tb, srv)
	m.InFlight = s.memoryInFlight(tb, srv, all)
	return m
}

// checkAnswered wants each client to have been answered 200 once.
func (s *servers) checkAnswered(tb testkit.TB, all load.Clients) {
	if sum := all.Total(); sum.Found() != int64(len(all)) {
		tb.Fatalf("%d clients are answered: %v", len(all), sum)
	}
}

// memoryInFlight reads the memory when all requests have come and none is answered.
func (s *servers) memoryInFlight(tb testkit.TB, srv *server, all load.Clients) int64 {
	before, begun := srv.held(tb), time.Now()
	end := all.Begin(tb, func(_ context.Context, c *load.Client) error { return c.Ask(heldPath) })
	for srv.held(tb)-before < int64(s.connections) {
		if time.Since(begun) >= s.held {
			tb.Fatalf("only %d of %d requests were in flight within %v", srv.held(tb)-before, s.connections, s.held)
		}
		sleep(tb, pollEvery)
	}
	n := resident(tb, srv)
	if time.Since(begun) >= s.held {
		tb.Fatalf("%d requests were not in flight within %v", s.connections, s.held)
	}
	end()
	s.checkAnswered(tb, all)
	return n
}

// plausible checks what a counter answers to requests that come at once after it has
// counted up to before: nobody is told of more than have come, nobody of none, and
// whoever was counted last reads a count with all of them.
func plausible(numbers []int64, before int64) error {
	all := before + int64(len(numbers))
	most := int64(0)
	for _, n := range numbers {
		if n <= before || n > all {
			return fmt.Errorf("%d requests after number %d: one was answered that there are %d", len(numbers), before, n)
		}
		most = max(most, n)
	}
	if most != all {
		return fmt.Errorf("%d requests after number %d: the highest answer is %d", len(numbers), before, most)
	}
	return nil
}
