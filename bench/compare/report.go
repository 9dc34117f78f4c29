package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hearth/bench/report"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// result is what a run leaves behind. Its fields are names in the records that are kept
// in bench/results.
type result struct {
	report.Environment
	Pinned   bool
	Versions map[string]string // of Debian's packages
	Rounds   int
	Seconds  int
	Rows     []finding
	Samples  []sample
	Unit     string
}

// finding is a row with what came out.
type finding struct {
	Name    string
	Work    string
	Ratio   report.Spread // of Hearth's processor time to the peer's, round by round; or the row's own figure
	Bound   float64       // 0: none
	Verdict string
	Problem string `json:",omitempty"` // why it was not measured
	Hearth  means
	Peer    means

	figure bool // it is no ratio to a peer
}

// means are the medians of one server over the rounds.
type means struct {
	CPU, RedisCPU float64 // microseconds for one unit of work
	Rate          float64 // requests a second
	P99           float64 // milliseconds
}

// newResult notes what the figures depend on.
func newResult(ctx context.Context, o options) *result {
	r := &result{
		Environment: report.EnvironmentOf(ctx, o.command, o.hearth), Pinned: testkit.Processors(2) != nil,
		Versions: map[string]string{}, Rounds: o.rounds, Seconds: o.seconds,
		Unit: "processor microseconds of the server for one request, or for one record of a request for many",
	}
	for _, debian := range []string{
		"wrk", "redis-server", "nginx-light", "libnginx-mod-http-lua", "webdis", "varnish", "memcached", "python3", "python3-fastapi",
		"python3-uvicorn", "python3-redis", "python3-hiredis", "python3-uvloop", "python3-httptools",
	} {
		if version := report.FirstLine(ctx, "dpkg-query", "-W", "-f", "${Version}", debian); version != "" {
			r.Versions[debian] = version
		}
	}
	return r
}

// add puts a group's rounds together.
func (r *result) add(g group, samples []sample, problems map[string]error) {
	r.Samples = append(r.Samples, samples...)
	of := func(peer string) []sample {
		return slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.Peer != peer })
	}
	hearth := of("hearth")
	for _, w := range g.rows {
		peer := of(w.peer)
		f := finding{Name: g.name + "/" + w.peer, Work: w.what, Bound: w.bound, Hearth: meansOf(hearth), Peer: meansOf(peer), figure: w.figure != nil}
		ratios := report.RatiosBy(hearth, peer, func(s sample) int { return s.Round }, func(s sample) float64 { return s.CPU })
		if w.figure != nil {
			ratios = nil
			for _, s := range of(w.of) {
				ratios = append(ratios, w.figure(s))
			}
		}
		f.Ratio = report.SpreadOf(ratios)
		if w.bound > 0 {
			f.Verdict = f.Ratio.AtMost(w.bound)
		}
		if err := errors.Join(problems[launch.Name], problems[w.peer], problems[w.of]); err != nil || len(ratios) == 0 {
			f.Verdict, f.Problem = "not measured", "no round is complete"
			if err != nil {
				f.Problem = problemOf(err)
			}
		}
		r.Rows = append(r.Rows, f)
	}
}

// problemOf is an error in one line, without the logs of the servers concerned.
func problemOf(err error) string {
	text, _, _ := strings.Cut(strings.Join(strings.Fields(err.Error()), " "), " the last lines of ")
	return text
}

// meansOf are medians: one round that was disturbed does not move them.
func meansOf(samples []sample) means {
	return means{
		CPU:      report.SpreadBy(samples, func(s sample) float64 { return s.CPU }).Median,
		RedisCPU: report.SpreadBy(samples, func(s sample) float64 { return s.RedisCPU }).Median,
		Rate:     report.SpreadBy(samples, func(s sample) float64 { return s.Rate }).Median,
		P99:      report.SpreadBy(samples, func(s sample) float64 { return s.P99 }).Median,
	}
}

// table is the report for people, in Markdown.
func (r *result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Hearth and its peers, side by side\n\n")
	fmt.Fprintf(&b, "%v. rounds: %d, of %d s each; ", r.Environment, r.Rounds, r.Seconds)
	if r.Pinned {
		b.WriteString("the server alone on one processor, wrk and Redis on another.\n\n")
	} else {
		b.WriteString("**nothing is pinned: this machine has one processor, so these figures are no comparison.**\n\n")
	}
	b.WriteString("The ratio is Hearth's processor time for a unit of work (a request, or a record of many) to its peer's: the median of the rounds,\n")
	b.WriteString("and the least and most of them. A bound is missed when all rounds are beyond it. Rows without times of a peer are figures, no ratios.\n\n")
	b.WriteString("| row | work | ratio | least–most | bound | | Hearth µs | peer µs | Hearth req/s | peer req/s | Hearth p99 ms | peer p99 ms |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range r.Rows {
		bound := "–"
		if f.Bound > 0 {
			bound = fmt.Sprintf("%.3f", f.Bound)
		}
		switch {
		case f.Problem != "":
			fmt.Fprintf(&b, "| %s | %s | | | %s | %s | | | | | | |\n", f.Name, f.Work, bound, f.Verdict)
		case f.figure:
			fmt.Fprintf(&b, "| %s | %s | **%.2f** | %.2f–%.2f | %s | %s | | | | | | |\n",
				f.Name, f.Work, f.Ratio.Median, f.Ratio.Min, f.Ratio.Max, bound, f.Verdict)
		default:
			fmt.Fprintf(&b, "| %s | %s | **%.3f** | %.3f–%.3f | %s | %s | %.2f | %.2f | %.0f | %.0f | %.2f | %.2f |\n",
				f.Name, f.Work, f.Ratio.Median, f.Ratio.Min, f.Ratio.Max, bound, f.Verdict,
				f.Hearth.CPU, f.Peer.CPU, f.Hearth.Rate, f.Peer.Rate, f.Hearth.P99, f.Peer.P99)
		}
	}
	if missed := r.missed(); len(missed) > 0 {
		fmt.Fprintf(&b, "\n**Missed: %s.**\n", strings.Join(missed, ", "))
	}
	for _, f := range r.Rows {
		if f.Problem != "" {
			fmt.Fprintf(&b, "\n%s was not measured: %s\n", f.Name, f.Problem)
		}
	}
	b.WriteString("\nVersions:")
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, " %s %s;", name, r.Versions[name])
	}
	return strings.TrimSuffix(b.String(), ";") + ".\n"
}

// missed names the rows whose bound no round has kept.
func (r *result) missed() (names []string) {
	for _, f := range r.Rows {
		if f.Verdict == report.Missed {
			names = append(names, f.Name)
		}
	}
	return names
}

// write leaves the record behind, and the table and the plot. A run of some rows does
// not replace those of all.
func (r *result) write(o options) error {
	err := r.Record(o.out, o.name, r)
	if err != nil || !o.all {
		return err
	}
	return report.Publish(o.out, "latest", r.table(), r.plot())
}

// plot draws the rows that were measured.
func (r *result) plot() string {
	var bars []report.Bar
	for _, f := range r.Rows {
		if f.Problem == "" && !f.figure {
			bars = append(bars, report.Bar{Label: f.Work, Spread: f.Ratio, Bound: f.Bound, Missed: f.Verdict == report.Missed})
		}
	}
	return report.Plot("Processor time of Hearth relative to its peers", "Processor time per request, relative to the peer (further left is less)", bars)
}
