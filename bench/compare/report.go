package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"hearth/bench/figure"
	"hearth/bench/process"
)

// report is what a run leaves behind.
type report struct {
	Date      string
	Command   string
	Hearth    string
	CPU       string
	Pinned    bool
	Kernel    string
	Go        string
	Versions  map[string]string // of Debian's packages
	Rounds    int
	Seconds   int
	Rows      []finding
	Samples   []sample
	Unit      string
	collected time.Time
}

// finding is a row with what came out.
type finding struct {
	Name    string
	Work    string
	Ratio   figure.Spread // of Hearth's processor time to the peer's, round by round
	Bound   float64
	Verdict string
	Problem string `json:",omitempty"` // why it was not measured
	Hearth  means
	Peer    means
}

// means are the medians of one server over the rounds.
type means struct {
	CPU, RedisCPU float64 // microseconds for one unit of work
	Rate          float64 // requests a second
	P99           float64 // milliseconds
}

// describe notes what the figures depend on.
func (r *report) describe(ctx context.Context, hearth string) {
	r.collected = time.Now().UTC()
	r.Date = r.collected.Format(time.RFC3339)
	r.Go, r.Pinned = runtime.Version(), processors().server != process.AnyCPU
	r.Unit = "processor microseconds of the server for one request, or for one item of a batch"
	r.Hearth = output(ctx, hearth, "version")
	r.Kernel = output(ctx, "uname", "-r")
	r.CPU = fmt.Sprintf("%d × %s", runtime.NumCPU(), cpuModel())
	r.Versions = map[string]string{}
	for _, debian := range []string{
		"wrk", "redis-server", "nginx-light", "libnginx-mod-http-lua", "webdis", "python3", "python3-fastapi",
		"python3-uvicorn", "python3-redis", "python3-hiredis", "python3-uvloop", "python3-httptools",
	} {
		if version := output(ctx, "dpkg-query", "-W", "-f", "${Version}", debian); version != "" {
			r.Versions[debian] = version
		}
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

// add puts a group's rounds together.
func (r *report) add(g group, samples []sample, problems map[string]error) {
	r.Samples = append(r.Samples, samples...)
	of := func(peer string) []sample {
		return slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.Peer != peer })
	}
	hearth := of("hearth")
	for _, w := range g.rows {
		peer := of(w.peer)
		f := finding{Name: g.name + "/" + w.peer, Work: w.work, Bound: w.bound, Hearth: meansOf(hearth), Peer: meansOf(peer)}
		var ratios []float64
		for _, h := range hearth {
			i := slices.IndexFunc(peer, func(s sample) bool { return s.Round == h.Round })
			if i >= 0 && peer[i].CPU > 0 {
				ratios = append(ratios, h.CPU/peer[i].CPU)
			}
		}
		f.Ratio = figure.SpreadOf(ratios)
		f.Verdict = f.Ratio.AtMost(w.bound)
		if err := errors.Join(problems["hearth"], problems[w.peer]); err != nil || len(ratios) == 0 {
			f.Verdict, f.Problem = "not measured", "no round is complete"
			if err != nil {
				f.Problem = strings.Join(strings.Fields(err.Error()), " ")
			}
		}
		r.Rows = append(r.Rows, f)
	}
}

func meansOf(samples []sample) means {
	median := func(value func(sample) float64) float64 {
		var all []float64
		for _, s := range samples {
			all = append(all, value(s))
		}
		return figure.SpreadOf(all).Median
	}
	return means{
		CPU:      median(func(s sample) float64 { return s.CPU }),
		RedisCPU: median(func(s sample) float64 { return s.RedisCPU }),
		Rate:     median(func(s sample) float64 { return s.Rate }),
		P99:      median(func(s sample) float64 { return s.P99 }),
	}
}

// table is the report for people, in Markdown.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Hearth and its peers, side by side\n\n")
	fmt.Fprintf(&b, "%s, `%s`, %s, %s, Linux %s, %s. rounds: %d, of %d s each; ",
		r.Date, r.Command, r.Hearth, r.CPU, r.Kernel, r.Go, r.Rounds, r.Seconds)
	if r.Pinned {
		b.WriteString("the server alone on one processor, wrk and Redis on another.\n\n")
	} else {
		b.WriteString("**nothing is pinned: this machine has one processor, so these figures are no comparison.**\n\n")
	}
	b.WriteString("The ratio is Hearth's processor time for a unit of work (a request, or an item of a batch) to its peer's: the median of the rounds,\n")
	b.WriteString("and the least and most of them. A bound is missed when all rounds are beyond it.\n\n")
	b.WriteString("| row | work | ratio | least–most | bound | | Hearth µs | peer µs | Hearth req/s | peer req/s | Hearth p99 ms | peer p99 ms |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range r.Rows {
		if f.Problem != "" {
			fmt.Fprintf(&b, "| %s | %s | | | %.3f | %s | | | | | | |\n", f.Name, f.Work, f.Bound, f.Verdict)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | **%.3f** | %.3f–%.3f | %.3f | %s | %.2f | %.2f | %.0f | %.0f | %.2f | %.2f |\n",
			f.Name, f.Work, f.Ratio.Median, f.Ratio.Min, f.Ratio.Max, f.Bound, f.Verdict,
			f.Hearth.CPU, f.Peer.CPU, f.Hearth.Rate, f.Peer.Rate, f.Hearth.P99, f.Peer.P99)
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

// write leaves the files behind. A run of some rows does not replace the table
// of all.
func (r *report) write(o options) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(r); err != nil {
		return err
	}
	name := r.collected.Format("2006-01-02-1504") + "-" + o.name + ".json"
	if err := os.WriteFile(filepath.Join(o.out, name), b.Bytes(), 0o644); err != nil {
		return err
	}
	if !o.all {
		return nil
	}
	if err := os.WriteFile(filepath.Join(o.out, "latest.svg"), []byte(r.plot()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "latest.md"), []byte(r.table()), 0o644)
}
