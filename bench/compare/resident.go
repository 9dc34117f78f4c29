package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"hearth/bench/peers"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// weigh reads all records through each server, from Redis into its memory, and returns
// what the kernel says that it has grown by, for one record.
func (c *runner) weigh(tb testkit.TB, problems map[string]error, stdout io.Writer) (samples []sample) {
	for _, p := range c.Peers {
		if problems[p.Name] != nil {
			continue
		}
		err := testkit.Try(tb, func(tb testkit.TB) {
			s := sample{Group: c.Name, Round: 1, Peer: p.Name, Resident: c.grown(tb, p), Requests: int64(c.Keys)}
			fmt.Fprintf(stdout, "%-16s %-8s %.0f bytes for each of %d records\n", c.Name, p.Name, s.Resident, c.Keys)
			samples = append(samples, s)
		})
		if err != nil {
			problems[p.Name] = err
			fmt.Fprintf(stdout, "%-16s %-8s %v\n", c.Name, p.Name, err)
		}
	}
	return samples
}

// grown is how many bytes a server has grown by, for each record that it has read.
func (c *runner) grown(tb testkit.TB, p *peers.Peer) float64 {
	const (
		first  = 100_000         // records that are read before: connections, buffers and the heap are there then
		within = 5 * time.Minute // all of them
		rest   = 3 * time.Second // until what was only needed to read them is given back
		kept   = 0.999           // of the records, at least
	)
	c.AwaitRight(tb, p, 30*time.Second)
	next := 0
	read := func(n int) {
		plan := c.Plan(p)
		plan.Connections, plan.For, plan.Most = c.connections, within, int64(n)
		plan.Request = func(out []byte, _ *rand.Rand) []byte {
			next++
			return fmt.Appendf(out, "GET %s HTTP/1.1\r\nHost: compare\r\n\r\n", strings.Replace(p.Path, "*", fmt.Sprint(next), 1))
		}
		if found, err := plan.Run(); err != nil {
			tb.Fatal(err)
		} else if found.Answered < int64(n) {
			tb.Fatalf("%d of %d records were read within %v", found.Answered, n, within)
		}
	}
	read(first)
	before := resident(tb, p)
	read(c.Keys - first)
	if !testkit.Sleep(tb.Context(), rest) {
		tb.Fatal(tb.Context().Err())
	}
	after := resident(tb, p)
	if p.Name == launch.Name {
		if entries := p.Instance.Metric("hearth_memory_entries"); entries < kept*float64(c.Keys) {
			tb.Fatalf("hearth keeps %.0f of %d records in memory", entries, c.Keys)
		}
	}
	return float64(after-before) / float64(c.Keys-first)
}

func resident(tb testkit.TB, p *peers.Peer) int64 {
	n, err := p.Resident()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
