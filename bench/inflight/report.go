package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hearth/bench/figure"
)

// least is the part of the bare handler's requests per second that Hearth shall reach.
const least = 0.65

// report is what a run leaves behind.
type report struct {
	Date        string
	Command     string
	Hearth      string
	CPU         string
	Kernel      string
	Go          string
	Redis       string
	Connections int
	Ratio       figure.Spread // of Hearth's requests per second to the bare handler's, round by round
	Bound       float64
	Verdict     string
	Memory      []weight
	Turns       []turn
	at          time.Time
}

// newReport notes what the figures depend on.
func newReport(ctx context.Context, o options) *report {
	at := time.Now().UTC()
	return &report{
		Date: at.Format(time.RFC3339), Command: o.command, Connections: o.connections, Bound: least, at: at,
		Hearth: output(ctx, o.hearth, "version"), Kernel: output(ctx, "uname", "-r"), Go: runtime.Version(),
		Redis: output(ctx, "redis-server", "--version"), CPU: fmt.Sprintf("%d × %s", runtime.NumCPU(), cpuModel()),
	}
}

// output is the first line that a program prints, "" when it fails.
func output(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, found := strings.Cut(string(info), "model name")
	if !found {
		return runtime.GOARCH
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, "\t :")
}

// of is one figure of all turns of a server.
func (r *report) of(server string, number func(turn) float64) figure.Spread {
	var all []float64
	for _, t := range r.Turns {
		if t.Server == server {
			all = append(all, number(t))
		}
	}
	return figure.SpreadOf(all)
}

// judge forms the ratios. The bound is missed only when every round is below it: a
// median just below it may be noise.
func (r *report) judge() {
	rates := map[int]map[string]float64{}
	for _, t := range r.Turns {
		if rates[t.Round] == nil {
			rates[t.Round] = map[string]float64{}
		}
		rates[t.Round][t.Server] = t.Rate
	}
	var ratios []float64
	for _, of := range rates {
		if of["bare"] > 0 {
			ratios = append(ratios, of["hearth"]/of["bare"])
		}
	}
	r.Ratio = figure.SpreadOf(ratios)
	r.Verdict = r.Ratio.AtLeast(r.Bound)
}

// table is the report for people, in Markdown.
func (r *report) table() string {
	r.judge()
	var b strings.Builder
	fmt.Fprintf(&b, "# %d requests in flight\n\n", r.Connections)
	fmt.Fprintf(&b, "%s, `%s`, %s, %s, Linux %s, %s; servers, wrk and Redis on the same two processors; no errors, every request counted once.\n\n",
		r.Date, r.Command, r.Hearth, r.CPU, r.Kernel, r.Go)
	fmt.Fprintf(&b, "Ratio of requests per second: **%.3f** (%.3f–%.3f), bound %.2f: %s\n\n", r.Ratio.Median, r.Ratio.Min, r.Ratio.Max, r.Bound, r.Verdict)
	b.WriteString("| | requests/s | least–most | p50 ms | p99 ms | processor µs per request | of Redis |\n|---|---|---|---|---|---|---|\n")
	for _, w := range r.Memory {
		of := func(f func(turn) float64) figure.Spread { return r.of(w.Server, f) }
		rate := of(func(t turn) float64 { return t.Rate })
		fmt.Fprintf(&b, "| %s | %.0f | %.0f–%.0f | %.1f | %.1f | %.2f | %.2f |\n", w.Server, rate.Median, rate.Min, rate.Max,
			of(func(t turn) float64 { return t.P50 }).Median, of(func(t turn) float64 { return t.P99 }).Median,
			of(func(t turn) float64 { return t.CPU }).Median, of(func(t turn) float64 { return t.RedisCPU }).Median)
	}
	b.WriteString("\n| resident | no connection | idle connections | each | requests in flight | each | most under load |\n|---|---|---|---|---|---|---|\n")
	for _, w := range r.Memory {
		each := func(n int64) float64 { return float64(n-w.Bare) / float64(r.Connections) / 1024 }
		most := r.of(w.Server, func(t turn) float64 { return float64(t.Resident) })
		fmt.Fprintf(&b, "| %s | %d MB | %d MB | %.1f KiB | %d MB | %.1f KiB | %.0f MB |\n", w.Server,
			w.Bare>>20, w.Idle>>20, each(w.Idle), w.InFlight>>20, each(w.InFlight), most.Max/(1<<20))
	}
	return b.String()
}

// write leaves the results behind.
func (r *report) write(dir string) error {
	r.judge()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(r); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.at.Format("2006-01-02-1504")+"-inflight.json"), b.Bytes(), 0o644)
}
