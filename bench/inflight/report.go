package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/bench/report"
)

// least is the part of the bare handler's requests per second that Hearth shall reach.
const least = 0.65

// result is what a run leaves behind.
type result struct {
	report.Environment
	Redis       string
	Connections int
	Ratio       report.Spread // of Hearth's requests per second to the bare handler's, round by round
	Bound       float64
	Verdict     string
	Memory      []memory
	Samples     []sample `json:"Turns"` // as older records have it
}

// newResult notes what the figures depend on.
func newResult(ctx context.Context, o options) *result {
	return &result{
		Environment: report.EnvironmentOf(ctx, o.command, o.hearth), Redis: report.FirstLine(ctx, "redis-server", "--version"),
		Connections: o.connections, Bound: least,
	}
}

// of are the samples of a server.
func (r *result) of(server string) []sample {
	return slices.DeleteFunc(slices.Clone(r.Samples), func(s sample) bool { return s.Server != server })
}

// judge forms the ratios. The bound is missed only when every round is below it: a
// median just below it may be noise.
func (r *result) judge() {
	round, rate := func(s sample) int { return s.Round }, func(s sample) float64 { return s.Rate }
	r.Ratio = report.SpreadOf(report.RatiosBy(r.of("hearth"), r.of("bare"), round, rate))
	r.Verdict = r.Ratio.AtLeast(r.Bound)
}

// table is the report for people, in Markdown.
func (r *result) table() string {
	r.judge()
	var b strings.Builder
	fmt.Fprintf(&b, "# %d requests in flight\n\n", r.Connections)
	fmt.Fprintf(&b, "%v; servers, wrk and Redis on the same two processors; no errors, every request counted once.\n\n", r.Environment)
	fmt.Fprintf(&b, "Ratio of requests per second: **%.3f** (%.3f–%.3f), bound %.2f: %s\n\n", r.Ratio.Median, r.Ratio.Min, r.Ratio.Max, r.Bound, r.Verdict)
	b.WriteString("| | requests/s | least–most | p50 ms | p99 ms | processor µs per request | of Redis |\n|---|---|---|---|---|---|---|\n")
	for _, w := range r.Memory {
		of := func(figure func(sample) float64) report.Spread { return report.SpreadBy(r.of(w.Server), figure) }
		rate := of(func(t sample) float64 { return t.Rate })
		fmt.Fprintf(&b, "| %s | %.0f | %.0f–%.0f | %.1f | %.1f | %.2f | %.2f |\n", w.Server, rate.Median, rate.Min, rate.Max,
			of(func(t sample) float64 { return t.P50 }).Median, of(func(t sample) float64 { return t.P99 }).Median,
			of(func(t sample) float64 { return t.CPU }).Median, of(func(t sample) float64 { return t.RedisCPU }).Median)
	}
	b.WriteString("\n| resident | no connection | idle connections | each | requests in flight | each | most under load |\n|---|---|---|---|---|---|---|\n")
	for _, w := range r.Memory {
		each := func(n int64) float64 { return float64(n-w.Bare) / float64(r.Connections) / 1024 }
		most := report.SpreadBy(r.of(w.Server), func(t sample) float64 { return float64(t.Resident) })
		fmt.Fprintf(&b, "| %s | %d MB | %d MB | %.1f KiB | %d MB | %.1f KiB | %.0f MB |\n", w.Server,
			w.Bare>>20, w.Idle>>20, each(w.Idle), w.InFlight>>20, each(w.InFlight), most.Max/(1<<20))
	}
	return b.String()
}

// write leaves the record behind.
func (r *result) write(dir string) error {
	r.judge()
	return r.Record(dir, "inflight", r)
}
