// Command inflight measures Hearth with ten thousand requests in flight: the counter
// of the recipe, GET /concurrent_test, whose requests are counted in Redis, wait for
// 100 ms and read the count. Beside it runs a bare fasthttp handler that does nothing but
// wait for 100 ms, which is the most that can be had on this machine.
//
//	go run ./bench/inflight [-rounds N] [-seconds N] [-connections N] [-held D] [-hearth FILE] [-record]
//
// Both servers, Redis and wrk share the same two processors, and the servers take turns
// in every round: what disturbs a machine for half a minute disturbs both. The ratio
// is formed within a round and never across.
//
// wrk opens its connections first, and then all of them ask at once. That belongs to wrk
// and not to the servers, so requests per second are counted by the servers themselves,
// from a second after every connection has been answered until the end of the
// turn. Latencies are wrk's own and include its first second.
//
// Every request has to be counted exactly once: after each turn the number in Redis must
// have grown by as many as Hearth has answered, and by what wrk has been answered but for
// the requests that it had left behind. Any error that wrk sees, or a wrong number, fails
// the turn, which is then made once more; a second failure ends the run with exit status 1.
//
// Memory is what the kernel says is resident: with no connection, with that many idle
// ones, with a request held on each of them, and the most under wrk's load.
//
// With -record the results go to bench/results/DATE-inflight.json, every turn of them.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var program = testkit.Program{Name: "inflight", Run: run}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		fmt.Fprintln(os.Stderr, serveBare(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	program.Main()
}

func run(tb testkit.TB, args []string, stdout, _ io.Writer) error {
	o, err := parseOptions(args, stdout)
	if err != nil {
		return err
	}
	if err := load.AllowConnections(o.connections); err != nil {
		return err
	}
	o.hearth = launch.Given(tb, o.repo, o.hearth)
	s := startServers(tb, o)
	r := newResult(tb.Context(), o)
	for _, srv := range s.servers {
		m := s.measureMemory(tb, srv)
		fmt.Fprintf(stdout, "memory   %-6s %d MB, with %d idle connections %d MB, with as many requests in flight %d MB\n",
			srv.name, m.Bare>>20, s.connections, m.Idle>>20, m.InFlight>>20)
		r.Memory = append(r.Memory, m)
	}
	if r.Samples, err = s.measureAll(tb, o, stdout); err != nil {
		return err
	}
	fmt.Fprint(stdout, "\n", r.table())
	if o.record {
		return r.write(filepath.Join(o.repo, "bench", "results"))
	}
	return nil
}

// measureAll lets the servers take turns. Round 0 warms up and is not counted.
func (s *servers) measureAll(tb testkit.TB, o options, stdout io.Writer) (samples []sample, err error) {
	for round := range o.rounds + 1 {
		seconds := o.seconds
		if round == 0 {
			seconds = 1
		}
		for i := range s.servers {
			srv := s.servers[(i+round)%len(s.servers)] // nobody is always the first
			t, err := s.measureTwice(tb, srv, time.Duration(seconds)*time.Second, stdout)
			if err != nil {
				return samples, fmt.Errorf("round %d, %s: %w", round, srv.name, err)
			}
			t.Round = round
			fmt.Fprintf(stdout, "round %d  %-6s %8.0f requests/s  p50 %7.2f ms  p99 %7.2f ms  %6.2f µs of processor time  %4d MB\n",
				round, srv.name, t.Rate, t.P50, t.P99, t.CPU, t.Resident>>20)
			if round > 0 {
				samples = append(samples, t)
			}
		}
	}
	return samples, nil
}

// measureTwice is one server's part of a round. What disturbs a machine may spoil a
// measurement, so there is a second try.
func (s *servers) measureTwice(tb testkit.TB, srv *server, d time.Duration, stdout io.Writer) (t sample, err error) {
	measure := func(tb testkit.TB) { t = s.measure(tb, srv, d) }
	if err = testkit.Try(tb, measure); err != nil && tb.Context().Err() == nil {
		fmt.Fprintf(stdout, "once more: %s: %v\n", srv.name, err)
		err = testkit.Try(tb, measure)
	}
	return t, err
}
