package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

const (
	connectWithin = 60 * time.Second       // until every connection has been answered
	quietFor      = 500 * time.Millisecond // without a further request: none is under way
)

// sample is what one server did under load.
type sample struct {
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

// measure puts a server under load, counts for d, and checks the numbers. Nothing is
// under way before it and after it, so all that was counted between has to agree.
func (s *servers) measure(tb testkit.TB, srv *server, d time.Duration) sample {
	t := sample{Server: srv.name}
	before := s.quiet(tb, srv) // a turn that failed may have left requests behind
	longest := connectWithin + d + load.AnswerWithin
	w, err := load.StartWrk(tb.Context(), s.dir, "", s.cpus, "-t2", "-c", strconv.Itoa(s.connections), "-d", fmt.Sprintf("%.0fs", longest.Seconds()),
		"--latency", "http://"+srv.addr+workPath)
	if err != nil {
		tb.Fatal(err)
	}
	err = testkit.Try(tb, func(tb testkit.TB) { s.count(tb, srv, before.begun, d, &t) })
	w.Stop()
	report, wrkErr := w.Wait()
	if err = errors.Join(err, wrkErr); err != nil {
		tb.Fatal(err)
	}
	t.Requests, t.P50, t.P99 = report.Requests, ms(report.P50), ms(report.P99)
	t.WrkRate = float64(report.Requests) / report.Elapsed.Seconds()
	after := s.quiet(tb, srv)
	t.Counted = after.begun - before.begun
	// What wrk leaves behind when it ends is at most one request of each connection.
	if t.Counted < t.Requests || t.Counted > t.Requests+int64(s.connections) {
		tb.Fatalf("%d requests were counted, wrk was answered %d on %d connections", t.Counted, t.Requests, s.connections)
	}
	if n := after.answered - before.answered; srv.answered != nil && n != t.Counted {
		tb.Fatalf("%d requests were counted, %d answered", t.Counted, n)
	}
	return t
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// reading is what is read before and after. Rates are formed by its own time, not by how
// long the load was meant to last.
type reading struct {
	begun, answered int64
	cpu, redisCPU   time.Duration
	at              time.Time
}

func (s *servers) read(tb testkit.TB, srv *server) (r reading) {
	r.begun = srv.begun(tb)
	r.at = time.Now()
	var err1, err2 error
	r.cpu, err1 = srv.CPUTime()
	r.redisCPU, err2 = s.redis.CPUTime()
	if err := errors.Join(err1, err2); err != nil {
		tb.Fatal(err)
	}
	if srv.answered != nil {
		r.answered = srv.answered(tb)
	}
	return r
}

// count waits until every connection has been answered and a moment longer, and then
// counts for d.
func (s *servers) count(tb testkit.TB, srv *server, before int64, d time.Duration, t *sample) {
	ends := time.Now().Add(connectWithin)
	// The second request of a connection comes after its first answer.
	for n := int64(0); n < 2*int64(s.connections); n = srv.begun(tb) - before {
		if time.Now().After(ends) {
			tb.Fatalf("%d requests have come within %v on %d connections", n, connectWithin, s.connections)
		}
		sleep(tb, pollEvery)
	}
	sleep(tb, steadyAfter)
	first := s.read(tb, srv)
	for time.Since(first.at) < d {
		sleep(tb, pollEvery)
		t.Resident = max(t.Resident, resident(tb, srv))
	}
	last := s.read(tb, srv)
	n := float64(last.begun - first.begun)
	t.Seconds = last.at.Sub(first.at).Seconds()
	t.Rate = n / t.Seconds
	t.CPU = float64((last.cpu - first.cpu).Microseconds()) / n
	t.RedisCPU = float64((last.redisCPU - first.redisCPU).Microseconds()) / n
}

// quiet waits until no request is under way any more.
func (s *servers) quiet(tb testkit.TB, srv *server) reading {
	before := s.read(tb, srv)
	for ends := time.Now().Add(load.AnswerWithin); ; {
		sleep(tb, quietFor)
		now := s.read(tb, srv)
		if now.begun == before.begun && now.answered == before.answered {
			return now
		}
		if before = now; now.at.After(ends) {
			tb.Fatalf("waiting for %s to have answered all: in vain", srv.name)
		}
	}
}
