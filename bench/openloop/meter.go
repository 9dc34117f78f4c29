package main

import (
	"fmt"
	"io"
	"time"

	"hearth/bench/load"
	"hearth/bench/peers"
	"hearth/internal/testkit"
)

// part is what servers are offered: of their own capacity, or of the least.
type part struct {
	Of    string
	share float64
	least bool
}

var loads = []part{
	{"50 % of its capacity", 0.5, false},
	{"80 % of its capacity", 0.8, false},
	{"80 % of the least capacity", 0.8, true},
}

// sample is one turn of one server.
type sample struct {
	Group, Server, Load string
	Round               int
	Rate                float64 // requests a second that were due
	Answered            int64
	P50, P99, P999      float64 // microseconds from when a request was due
	Longest             float64
	LateP99             float64 // microseconds from when a request was due until it was sent
	Waiting             int     // the most requests that waited for a connection
	Busy                float64 // the part of its processor that the server used
	LoadBusy            float64 // likewise, the load, while it was counted
}

// meter measures a group.
type meter struct {
	*peers.Servers
	options
	out    io.Writer
	result *result
	chosen []*capable
}

// capable is a server with its capacity.
type capable struct {
	*peers.Peer
	capacity float64 // requests a second
	busy     float64 // the part of its processor that this took
	loadBusy float64 // likewise, of the load's
	failed   bool
}

func (m *meter) include(p *peers.Peer) { m.chosen = append(m.chosen, &capable{Peer: p}) }

const (
	warm        = 300 * time.Millisecond // of a turn, at most
	rightWithin = 3 * time.Second        // that a server gives the right answer after a load
)

// measure finds capacities, and then lets the servers take turns.
func (m *meter) measure(tb testkit.TB, g group) {
	least := 0.0
	for _, c := range m.chosen {
		if err := m.findCapacity(tb, c); err != nil {
			m.fail(c, err)
			continue
		}
		if least == 0 || c.capacity < least {
			least = c.capacity
		}
		m.result.Servers = append(m.result.Servers, server{Group: m.Name, What: g.what, Name: c.Name, Capacity: c.capacity, Busy: c.busy, LoadBusy: c.loadBusy})
	}
	for round := range m.rounds {
		for _, l := range loads {
			for i := range m.chosen {
				c := m.chosen[(i+round)%len(m.chosen)] // nobody is always the first
				if c.failed || tb.Context().Err() != nil {
					continue
				}
				rate := l.share * c.capacity
				if l.least {
					rate = l.share * least
				}
				if err := m.offer(tb, c, l, rate, round+1); err != nil {
					m.fail(c, err)
				}
			}
		}
	}
}

func (m *meter) fail(c *capable, err error) {
	c.failed = true
	m.result.problem(m.Name, c.Name, err)
	fmt.Fprintf(m.out, "%-7s %-7s %v\n", m.Name, c.Name, err)
}

// findCapacity is the best of a few closed loops: what disturbs a machine makes none
// better.
func (m *meter) findCapacity(tb testkit.TB, c *capable) error {
	const tries = 2
	for range tries {
		plan := m.Plan(c.Peer)
		plan.Connections, plan.Warm, plan.For = m.connections, min(warm, m.turn), min(time.Second, m.turn)
		found, busy, err := m.run(tb, c, plan)
		if err != nil {
			return fmt.Errorf("looking for its capacity: %w", err)
		}
		rate := float64(found.Answered) / found.Elapsed.Seconds()
		fmt.Fprintf(m.out, "%-7s %-7s %8.0f requests/s in a closed loop, %3.0f %% busy, the load %3.0f %%\n", m.Name, c.Name, rate, 100*busy, 100*found.Busy)
		if rate > c.capacity {
			c.capacity, c.busy, c.loadBusy = rate, busy, found.Busy
		}
	}
	return nil
}

// offer offers a server a load. What disturbs a machine may spoil a turn, so there is a
// second try.
func (m *meter) offer(tb testkit.TB, c *capable, l part, rate float64, round int) (err error) {
	for try := range 2 {
		plan := m.Plan(c.Peer)
		plan.Connections, plan.Warm, plan.For = m.connections, min(warm, m.turn), m.turn
		plan.Rate, plan.Seed = rate, uint64(2*round+try) // the same for all servers in a round
		var found *load.Outcome
		var busy float64
		if found, busy, err = m.run(tb, c, plan); err != nil {
			err = fmt.Errorf("offering %.0f requests/s, %s, in round %d: %w", rate, l.Of, round, err)
			fmt.Fprintf(m.out, "%-7s %-7s %v\n", m.Name, c.Name, err)
			continue
		}
		us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
		s := sample{
			Group: m.Name, Server: c.Name, Load: l.Of, Round: round, Rate: rate, Answered: found.Answered,
			P50: us(found.Latencies.Quantile(0.5)), P99: us(found.Latencies.Quantile(0.99)), P999: us(found.Latencies.Quantile(0.999)),
			Longest: us(found.Latencies.Longest), LateP99: us(found.Late.Quantile(0.99)), Waiting: found.Waiting, Busy: busy, LoadBusy: found.Busy,
		}
		fmt.Fprintf(m.out, "%-7s %-7s round %d, %8.0f requests/s (%s), %3.0f %% busy: p50 %6.0f µs, p99 %7.0f µs, p99.9 %7.0f µs\n",
			s.Group, s.Server, s.Round, s.Rate, s.Load, 100*s.Busy, s.P50, s.P99, s.P999)
		m.result.Samples = append(m.result.Samples, s)
		return nil
	}
	return err
}

// run carries a plan out, between two looks at the right answer. busy is the part of the
// time in which the server used its processor.
func (m *meter) run(tb testkit.TB, c *capable, plan load.Plan) (found *load.Outcome, busy float64, err error) {
	err = testkit.Try(tb, func(tb testkit.TB) {
		m.AwaitRight(tb, c.Peer, rightWithin)
		begun := time.Now()
		before, err := c.CPUTime()
		if err != nil {
			tb.Fatal(err)
		}
		if found, err = plan.Run(); err != nil {
			tb.Fatal(err)
		}
		after, err := c.CPUTime()
		if err != nil {
			tb.Fatal(err)
		}
		busy = (after - before).Seconds() / time.Since(begun).Seconds()
		m.AwaitRight(tb, c.Peer, rightWithin)
	})
	return found, busy, err
}
