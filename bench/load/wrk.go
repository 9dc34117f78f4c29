package load

import (
	"bytes"
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hearth/internal/testkit"
)

//go:embed report.lua
var reportScript string

// Wrk is a running wrk.
type Wrk struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// WrkReport is what wrk has measured.
type WrkReport struct {
	Requests          int64
	Elapsed, P50, P99 time.Duration
}

// StartWrk starts wrk with a Lua script, to which it adds how to report. dir is for the
// script; it ends with ctx. cpus are those that it may use.
func StartWrk(ctx context.Context, dir, script string, cpus []int, args ...string) (*Wrk, error) {
	path, err := testkit.Find("wrk", []string{"wrk"})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "load.lua")
	if err := os.WriteFile(file, []byte(script+reportScript), 0o600); err != nil {
		return nil, err
	}
	argv := testkit.Pinned(cpus, append([]string{path, "-s", file}, args...)...)
	w := &Wrk{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.out
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting wrk: %w", err)
	}
	return w, nil
}

// Stop lets wrk end before its time, for Wait. One that has ended already has reported.
func (w *Wrk) Stop() { _ = w.cmd.Process.Signal(os.Interrupt) }

// Wait waits until wrk has ended. Any error that it saw is one.
func (w *Wrk) Wait() (WrkReport, error) {
	if err := w.cmd.Wait(); err != nil {
		return WrkReport{}, fmt.Errorf("running wrk: %w: %s", err, w.out.String())
	}
	return parseReport(w.out.String())
}

// parseReport reads the line that report.lua prints.
func parseReport(out string) (WrkReport, error) {
	_, line, found := strings.Cut(out, "\nresult ")
	fields := strings.Fields(line)
	var n [9]int64
	if !found || len(fields) < len(n) {
		return WrkReport{}, fmt.Errorf("reading wrk's report: no result in %q", out)
	}
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return WrkReport{}, fmt.Errorf("reading wrk's report: %w", err)
		}
	}
	for i, what := range []string{"connect", "read", "write", "status", "timeout"} {
		if n[4+i] != 0 {
			return WrkReport{}, fmt.Errorf("wrk counts %d errors: %q", n[4+i], what)
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return WrkReport{}, errors.New("wrk got no answers")
	}
	us := func(i int) time.Duration { return time.Duration(n[i]) * time.Microsecond }
	return WrkReport{Requests: n[0], Elapsed: us(1), P50: us(2), P99: us(3)}, nil
}
