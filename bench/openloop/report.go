package main

import (
	"context"
	"fmt"
	"strings"

	"hearth/bench/report"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// result is what a run leaves behind. Its fields are names in the records that are kept
// in bench/results.
type result struct {
	report.Environment
	Pinned      bool
	Rounds      int
	Turn        string
	Connections int
	Unit        string
	Servers     []server
	Rows        []finding
	Samples     []sample
	Problems    []string `json:",omitempty"` // servers that were not measured, and why
}

// server is one that was measured.
type server struct {
	Group, What, Name string
	Capacity          float64 // requests a second in a closed loop
	Busy              float64 // the part of its processor that this took
	LoadBusy          float64 // likewise, of the load's
}

// finding is what a server did under a load, over all rounds.
type finding struct {
	Group, Server, Load  string
	Rate                 float64
	P50, P99, P999, Late report.Spread
	Longest              float64
	Busy, LoadBusy       float64
	Waiting              int
}

func newResult(ctx context.Context, o options) *result {
	return &result{
		Environment: report.EnvironmentOf(ctx, o.command, o.hearth), Pinned: testkit.Processors(2) != nil,
		Rounds: o.rounds, Turn: o.turn.String(), Connections: o.connections,
		Unit: "microseconds from when a request was due until its answer was read",
	}
}

// problem notes that a server was not measured in whole.
func (r *result) problem(group, name string, err error) {
	text, _, _ := strings.Cut(strings.Join(strings.Fields(err.Error()), " "), " the last lines of ")
	r.Problems = append(r.Problems, fmt.Sprintf("%s/%s was not measured: %s", group, name, text))
}

// sum puts the rounds together.
func (r *result) sum() {
	r.Rows = nil
	for _, s := range r.Servers {
		for _, l := range loads {
			var found []sample
			for _, one := range r.Samples {
				if one.Group == s.Group && one.Server == s.Name && one.Load == l.Of {
					found = append(found, one)
				}
			}
			if len(found) == 0 {
				continue
			}
			f := finding{
				Group: s.Group, Server: s.Name, Load: l.Of, Rate: found[0].Rate,
				P50:      report.SpreadBy(found, func(s sample) float64 { return s.P50 }),
				P99:      report.SpreadBy(found, func(s sample) float64 { return s.P99 }),
				P999:     report.SpreadBy(found, func(s sample) float64 { return s.P999 }),
				Late:     report.SpreadBy(found, func(s sample) float64 { return s.LateP99 }),
				Busy:     report.SpreadBy(found, func(s sample) float64 { return s.Busy }).Median,
				LoadBusy: report.SpreadBy(found, func(s sample) float64 { return s.LoadBusy }).Median,
			}
			for _, one := range found {
				f.Longest, f.Waiting = max(f.Longest, one.Longest), max(f.Waiting, one.Waiting)
			}
			r.Rows = append(r.Rows, f)
		}
	}
}

// table is the report for people, in Markdown.
func (r *result) table() string {
	r.sum()
	var b strings.Builder
	fmt.Fprintf(&b, "# Latencies in an open loop\n\n%v. rounds: %d, of %s each, %d connections; ", r.Environment, r.Rounds, r.Turn, r.Connections)
	if r.Pinned {
		b.WriteString("the server alone on one processor, the load and Redis on another.\n\n")
	} else {
		b.WriteString("**nothing is pinned: this machine has one processor, so these figures are no comparison.**\n\n")
	}
	b.WriteString("Requests are due at random times that depend on nothing (Poisson); µs from then until the answer is read, the median of the rounds with the least and most.\n")
	b.WriteString("Busy are the server's processor and that of the load, which it shares with Redis. Late is how long after it was due a request was sent, by the load itself or for want of a connection.\n")
	b.WriteString("A capacity that was found with less than about 90 % of the processor busy is that of the load, or of a machine that does other work.\n")
	previous := ""
	for _, s := range r.Servers {
		if s.Group != previous {
			fmt.Fprintf(&b, "\n%s: %s. Capacities in a closed loop:", s.Group, s.What)
			separator := " "
			for _, other := range r.Servers {
				if other.Group == s.Group {
					fmt.Fprintf(&b, "%s%s %.0f/s (%.0f %% busy, the load %.0f %%)", separator, other.Name, other.Capacity, 100*other.Busy, 100*other.LoadBusy)
					separator = ", "
				}
			}
			b.WriteString(".\n\n| load | server | requests/s | p50 | p99 | p99.9 | longest | busy | load busy | late, p99 |\n|---|---|---|---|---|---|---|---|---|---|\n")
			for _, l := range loads {
				r.lines(&b, s.Group, l.Of)
			}
		}
		previous = s.Group
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n%s\n", p)
	}
	return b.String()
}

// lines writes what a group's servers did under a load.
func (r *result) lines(b *strings.Builder, group, load string) {
	spread := func(s report.Spread) string { return fmt.Sprintf("%.0f (%.0f–%.0f)", s.Median, s.Min, s.Max) }
	for _, f := range r.Rows {
		if f.Group == group && f.Load == load {
			fmt.Fprintf(b, "| %s | %s | %.0f | %s | %s | %s | %.0f | %.0f %% | %.0f %% | %s |\n",
				f.Load, f.Server, f.Rate, spread(f.P50), spread(f.P99), spread(f.P999), f.Longest, 100*f.Busy, 100*f.LoadBusy, spread(f.Late))
		}
	}
}

// write leaves the record behind, and the table. A run of some servers does not replace
// that of all.
func (r *result) write(o options) error {
	err := r.Record(o.out, o.name, r)
	if err != nil || !o.all {
		return err
	}
	return report.Publish(o.out, "openloop", r.table(), r.plot())
}

// plot draws Hearth's 99th percentiles relative to those of its peers, formed within a
// round.
func (r *result) plot() string {
	var bars []report.Bar
	for _, s := range r.Servers {
		for _, l := range loads {
			of := func(name string) (found []sample) {
				for _, one := range r.Samples {
					if one.Group == s.Group && one.Server == name && one.Load == l.Of {
						found = append(found, one)
					}
				}
				return found
			}
			ratios := report.RatiosBy(of(launch.Name), of(s.Name), func(s sample) int { return s.Round }, func(s sample) float64 { return s.P99 })
			if s.Name != launch.Name && len(ratios) > 0 {
				bars = append(bars, report.Bar{Label: fmt.Sprintf("%s, %s, against %s", s.What, l.Of, s.Name), Spread: report.SpreadOf(ratios)})
			}
		}
	}
	return report.Plot("99th percentiles of Hearth relative to its peers", "99th percentile in an open loop, relative to the peer (further left is sooner)", bars)
}
