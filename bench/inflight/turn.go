package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hearth/bench/process"
)

//go:embed report.lua
var script []byte

const (
	rampWithin = 60 * time.Second // until every connection has been answered
	settle     = time.Second      // from then on, before anything is counted
	pollEvery  = 50 * time.Millisecond
	quietFor   = 500 * time.Millisecond // without a further request: none is under way
)

// turn is what one server did under load.
type turn struct {
	Round    int
	Server   string
	Requests int64   // answers that wrk has got, from the first to the last
	Counted  int64   // requests that the server has counted meanwhile
	Seconds  float64 // that were measured
	Rate     float64 // requests per second in these
	WrkRate  float64 // as wrk reports it, connecting included
	P50, P99 float64 // milliseconds, as wrk reports them
	CPU      float64 // microseconds of processor time of the server for one request
	RedisCPU float64 // likewise, of Redis
	Resident int64   // bytes, the most that was seen
}

// measure puts a server under load, counts for d, and checks the numbers.
func (s *stage) measure(ctx context.Context, srv *server, d time.Duration) (turn, error) {
	t := turn{Server: srv.name}
	before, err := s.quiet(ctx, srv) // a turn that failed may have left requests behind
	if err != nil {
		return t, err
	}
	w, err := s.startWrk(ctx, srv, rampWithin+d+answerWithin)
	if err != nil {
		return t, err
	}
	err = s.count(ctx, srv, before.begun, d, &t)
	report, wrkErr := w.stop()
	if err = errors.Join(err, wrkErr); err != nil {
		return t, err
	}
	t.Requests, t.P50, t.P99 = report.requests, ms(report.p50), ms(report.p99)
	t.WrkRate = float64(report.requests) / report.took.Seconds()
	after, err := s.quiet(ctx, srv)
	if err != nil {
		return t, err
	}
	t.Counted = after.begun - before.begun
	// What wrk leaves behind when it ends is at most one request of each connection.
	if t.Counted < t.Requests || t.Counted > t.Requests+int64(s.connections) {
		return t, fmt.Errorf("%d requests were counted, wrk was answered %d on %d connections", t.Counted, t.Requests, s.connections)
	}
	if n := after.answered - before.answered; srv.answered != nil && n != t.Counted {
		return t, fmt.Errorf("%d requests were counted, %d answered", t.Counted, n)
	}
	return t, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// gauge is what is read before and after.
type gauge struct {
	begun, answered int64
	cpu, redisCPU   time.Duration
	at              time.Time
}

func (s *stage) gauge(ctx context.Context, srv *server) (g gauge, err error) {
	if g.begun, err = srv.begun(ctx); err != nil {
		return g, fmt.Errorf("asking %s for its count: %w", srv.name, err)
	}
	g.at = time.Now()
	if g.cpu, err = process.CPUTime(srv.proc.PID()); err != nil {
		return g, err
	}
	if g.redisCPU, err = process.CPUTime(s.redis.PID()); err != nil || srv.answered == nil {
		return g, err
	}
	g.answered, err = srv.answered(ctx)
	return g, err
}

// count waits until every connection has been answered and a moment longer, and then
// counts for d.
func (s *stage) count(ctx context.Context, srv *server, before int64, d time.Duration, t *turn) error {
	ramp, cancel := context.WithTimeout(ctx, rampWithin)
	defer cancel()
	for {
		n, err := srv.begun(ctx)
		if err != nil {
			return err
		}
		if n-before >= 2*int64(s.connections) { // nobody's second request comes before his first answer
			break
		}
		if !pause(ramp, pollEvery) {
			return fmt.Errorf("%d requests have come within %v on %d connections", n-before, rampWithin, s.connections)
		}
	}
	if !pause(ctx, settle) {
		return context.Cause(ctx)
	}
	first, err := s.gauge(ctx, srv)
	if err != nil {
		return err
	}
	for time.Since(first.at) < d {
		if !pause(ctx, pollEvery) {
			return context.Cause(ctx)
		}
		n, err := resident(srv.proc.PID())
		if err != nil {
			return err
		}
		t.Resident = max(t.Resident, n)
	}
	last, err := s.gauge(ctx, srv)
	if err != nil {
		return err
	}
	n := float64(last.begun - first.begun)
	t.Seconds = last.at.Sub(first.at).Seconds()
	t.Rate = n / t.Seconds
	t.CPU = float64((last.cpu - first.cpu).Microseconds()) / n
	t.RedisCPU = float64((last.redisCPU - first.redisCPU).Microseconds()) / n
	return nil
}

// quiet waits until no request is under way any more.
func (s *stage) quiet(ctx context.Context, srv *server) (g gauge, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		before := g
		if g, err = s.gauge(ctx, srv); err != nil {
			return g, err
		}
		if g.begun == before.begun && g.answered == before.answered {
			return g, nil
		}
		if !pause(ctx, quietFor) {
			return g, fmt.Errorf("waiting for %s to have answered all: %w", srv.name, context.Cause(ctx))
		}
	}
}

// pause waits for d; false: ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wrk is a running load.
type wrk struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// startWrk starts the load. It ends when it is stopped, and after longest at the latest.
func (s *stage) startWrk(ctx context.Context, srv *server, longest time.Duration) (*wrk, error) {
	bin, err := process.Find("wrk", "wrk")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "report.lua")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		return nil, err
	}
	argv := onTwo(bin, "-t2", "-c", strconv.Itoa(s.connections), "-d", fmt.Sprintf("%.0fs", longest.Seconds()), "--latency", "-s", file,
		"http://"+srv.addr+workPath)
	w := &wrk{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.out
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting wrk: %w", err)
	}
	return w, nil
}

// stop ends the load and returns what it reports. Any error that it saw is one.
func (w *wrk) stop() (wrkReport, error) {
	_ = w.cmd.Process.Signal(os.Interrupt) // one that has ended already has reported
	if err := w.cmd.Wait(); err != nil {
		return wrkReport{}, fmt.Errorf("running wrk: %w: %s", err, w.out.String())
	}
	return parseReport(w.out.String())
}

// wrkReport is what report.lua prints.
type wrkReport struct {
	requests       int64
	took, p50, p99 time.Duration
}

func parseReport(out string) (wrkReport, error) {
	_, line, found := strings.Cut(out, "\nresult ")
	fields := strings.Fields(line)
	const kinds = 9
	if !found || len(fields) < kinds {
		return wrkReport{}, fmt.Errorf("reading wrk's report: no result in %q", out)
	}
	var n [kinds]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return wrkReport{}, fmt.Errorf("reading wrk's report: %w", err)
		}
	}
	for i, what := range []string{"connect", "read", "write", "status", "timeout"} {
		if n[4+i] != 0 {
			return wrkReport{}, fmt.Errorf("wrk counts %d errors of the kind %q", n[4+i], what)
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return wrkReport{}, errors.New("wrk got no answers")
	}
	us := func(i int) time.Duration { return time.Duration(n[i]) * time.Microsecond }
	return wrkReport{requests: n[0], took: us(1), p50: us(2), p99: us(3)}, nil
}
