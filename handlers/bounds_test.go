package handlers

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"hearth/cache"
	"hearth/internal/source"
)

var errBroken = errors.New("broken on purpose")

func TestSizeLimits(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/user/1", "", "X-Long: "+strings.Repeat("x", 4096)).wantProblem(t, 431, "server.max_header")
	f.send(t, "GET", "/item/"+strings.Repeat("x", 4096), "").wantProblem(t, 431, "server.max_header")
	f.send(t, "POST", "/batch_process", "["+strings.Repeat(" ", 64<<10)+"]").wantProblem(t, 413, "server.max_body")
	chunked := "POST /batch_process HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n[" +
		strings.Repeat(" ", 0x11000-1) + "\r\n0\r\n\r\n"
	f.raw(t, "POST", chunked).wantProblem(t, 413, "server.max_body")
	small := "POST /batch_process HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n[{\"id\":1}\r\n1\r\n]\r\n0\r\n\r\n"
	f.raw(t, "POST", small).want(t, 200, `{"status":"success","count":1}`)
	f.raw(t, "GET", "GET /user/1 HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n").wantProblem(t, 400, "HTTP/1.1")
}

func TestSlowClientsTimeOut(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.ReadTimeout = 50 * time.Millisecond })
	f.raw(t, "POST", "POST /batch_process HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n[").wantProblem(t, 408, "in time")
	f.raw(t, "GET", "GET /user/1 HTTP/1.1\r\nHost:").wantProblem(t, 408, "in time")
}

// held is a tier whose reads wait until they are released.
type held struct {
	entered chan struct{}
	release chan struct{}
}

func (h held) Read(ctx context.Context, _ *cache.Resource, _ string, _ source.Args) (cache.Answer, error) {
	h.entered <- struct{}{}
	select {
	case <-h.release:
		return cache.Answer{}, cache.ErrUnavailable
	case <-ctx.Done():
		return cache.Answer{}, ctx.Err()
	}
}

func (h held) ReadFresh(ctx context.Context, r *cache.Resource, key string, args source.Args, _ cache.Demand) (cache.Answer, error) {
	return h.Read(ctx, r, key, args)
}

func (h held) ReadMany(context.Context, *cache.Resource, []string, []source.Args) ([]cache.Answer, error) {
	return nil, errBroken
}

func TestTooMuchInFlight(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.MaxInFlight = 1 })
	warm(t, f, "/user/1")
	h := held{make(chan struct{}), make(chan struct{})}
	f.reads = h
	done := make(chan answer, 1)
	go func() { done <- f.send(t, "GET", "/user/2", "") }()
	<-h.entered
	busy := f.send(t, "GET", "/user/2", "")
	busy.wantProblem(t, 503, "as many requests as it can")
	if after := busy.Header.Get("Retry-After"); after < "1" || after > "3" {
		t.Errorf("Retry-After: got %q, want 1 to 3", after)
	}
	f.send(t, "POST", "/batch_process", `[{"id":1}]`).wantProblem(t, 503, "as many requests as it can")
	// What needs no work is answered all the same: hits on either way, and health.
	f.send(t, "GET", "/user/1", "").want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
	f.send(t, "GET", "/user/%31", "").want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
	f.send(t, "GET", "/healthz", "").want(t, 200, `{"status":"ok"}`)
	close(h.release)
	first := <-done
	first.wantProblem(t, 503, "cannot be reached")
	if n := f.inFlight.Load(); n != 0 {
		t.Errorf("requests in flight at the end: got %d", n)
	}
}

func TestDeadline(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.RequestTimeout = 20 * time.Millisecond })
	h := held{make(chan struct{}, 1), make(chan struct{})}
	f.reads = h
	f.send(t, "GET", "/user/1", "").wantProblem(t, 504, "in time")
}

func TestCounter(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.Counters[0].Work = time.Millisecond })
	a := f.send(t, "GET", "/concurrent_test", "")
	a.want(t, 200, `{"current_requests":1}`)
	a.wantHeader(t, "Cache-Control", "no-store")
	f.send(t, "GET", "/concurrent_test", "").want(t, 200, `{"current_requests":2}`)
}

// The end of the process does not wait for simulated work, and its requests
// are answered.
func TestCounterEndsEarlyAtShutdown(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.Counters[0].Work = time.Hour })
	counting := make(chan struct{}, 1)
	f.counters = signalling{f.counters, counting}
	done := make(chan answer, 1)
	go func() { done <- f.send(t, "GET", "/concurrent_test", "") }()
	<-counting
	f.stop()
	(<-done).want(t, 200, `{"current_requests":1}`)
}

type signalling struct {
	counts
	counted chan struct{}
}

func (s signalling) Increment(ctx context.Context, key string) (int64, error) {
	n, err := s.counts.Increment(ctx, key)
	s.counted <- struct{}{}
	return n, err
}

// panicking fails in the way that must not end the process.
type panicking struct{ reader }

func (panicking) Read(context.Context, *cache.Resource, string, source.Args) (cache.Answer, error) {
	panic("secret of the cache")
}

func TestPanicBecomes500(t *testing.T) {
	f := newFixture(t)
	f.reads = panicking{}
	a := f.send(t, "GET", "/user/1?token=hidden", "", "X-Request-Id: req-1", "Origin: https://app.test")
	a.wantProblem(t, 500, "its log has the cause")
	a.wantHeader(t, "X-Request-Id", "req-1")
	a.wantHeader(t, "Access-Control-Allow-Origin", "*")
	log := f.log.String()
	for _, want := range []string{"request panicked", "path=/user/1 ", "status=500", "request_id=req-1", "secret of the cache", "bounds_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	if strings.Contains(log, "hidden") || strings.Contains(a.body, "secret") {
		t.Errorf("the query is logged or the cause answered: %s %s", log, a.body)
	}
	if n := f.inFlight.Load(); n != 0 {
		t.Errorf("requests in flight after the panic: got %d", n)
	}
	f.send(t, "GET", "/", "").want(t, 200, `{"Hello":"World"}`)
}

func TestRequestID(t *testing.T) {
	f := newFixture(t)
	warm(t, f, "/user/1")
	for _, target := range []string{"/user/1", "/user/2", "/nowhere"} {
		f.send(t, "GET", target, "").wantHeader(t, "X-Request-Id", "")
		f.send(t, "GET", target, "", "X-Request-Id: a.B_c-9").wantHeader(t, "X-Request-Id", "a.B_c-9")
		for _, bad := range []string{"a b", "a~b", "ä", strings.Repeat("x", 65)} {
			got := f.send(t, "GET", target, "", "X-Request-Id: "+bad).Header.Get("X-Request-Id")
			if got == bad || !isID([]byte(got)) {
				t.Errorf("%s with id %q: got %q, want a new one", target, bad, got)
			}
		}
	}
}

func TestLogOfSlowAndSampledRequests(t *testing.T) {
	quiet := newFixture(t)
	quiet.send(t, "GET", "/user/1", "")
	quiet.send(t, "GET", "/user/abc", "")
	if log := quiet.log.String(); strings.Contains(log, "path=") {
		t.Errorf("requests without fault are logged: %s", log)
	}
	slow := newFixture(t, func(c *Config, _ *Deps) { c.Slow = 1 })
	slow.send(t, "GET", "/user/1?q=hidden", "")
	if log := slow.log.String(); !strings.Contains(log, "slow request") || !strings.Contains(log, "path=/user/1 status=200") || strings.Contains(log, "hidden") {
		t.Errorf("slow request: got %s", log)
	}
	sampled := newFixture(t, func(c *Config, _ *Deps) { c.AccessSample = 1 })
	warm(t, sampled, "/user/1")
	if log := sampled.log.String(); !strings.Contains(log, "msg=request method=GET path=/user/1 status=200") {
		t.Errorf("sampled request: got %s", log)
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	warm(t, f, "/user/1")
	f.send(t, "GET", "/user/404", "")
	f.send(t, "GET", "/user/x", "")
	f.send(t, "GET", "/nowhere/at/all", "")
	f.raw(t, "GET", "nonsense\r\n\r\n")
	f.send(t, "POST", "/batch_process", `[{"id":1}]`)
	f.send(t, "GET", "/user/1", "", "If-None-Match: *")
	var text strings.Builder
	if err := f.set.WritePrometheus(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`hearth_requests_total{code="200",resource="user",tier="memory"} `,
		`hearth_requests_total{code="200",resource="user",tier="source"} 1`,
		`hearth_requests_total{code="404",resource="user",tier="source"} 1`,
		`hearth_requests_total{code="304",resource="user",tier="memory"} 1`,
		`hearth_requests_total{code="422",resource="user",tier="none"} 1`,
		`hearth_requests_total{code="404",resource="",tier="none"} 1`,
		`hearth_requests_total{code="400",resource="",tier="none"} 1`,
		`hearth_requests_total{code="200",resource="item",tier="none"} 1`,
		`hearth_requests_total{code="200",resource="bare",tier="memory"} 0`,
		`hearth_request_seconds_count{resource="user",tier="memory"} `,
	} {
		if !hasSeries(text.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// hasSeries tells whether text has the series in want, whatever the order of
// its labels.
func hasSeries(text, want string) bool {
	name, rest, _ := strings.Cut(want, "{")
	labels, value, _ := strings.Cut(rest, "}")
line:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") || !strings.Contains(line, "}"+value) {
			continue
		}
		for _, l := range strings.Split(labels, ",") {
			if !strings.Contains(line, l) {
				continue line
			}
		}
		return true
	}
	return false
}

// Pipelined requests are answered in order, and bodies of different length do
// not mix.
func TestPipelining(t *testing.T) {
	f := newFixture(t)
	warm(t, f, "/user/1")
	conn, err := f.network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const one = "GET /user/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /user/9 HTTP/1.1\r\nHost: h\r\n\r\n"
	go func() {
		_, _ = io.WriteString(conn, strings.Repeat(one, 4)+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	}()
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(all), "HTTP/1.1 200 OK"); got != 9 {
		t.Errorf("answers: got %d, want 9", got)
	}
	if got := strings.Count(string(all), `{"user":{"id":9,`); got != 4 {
		t.Errorf("answers for user 9: got %d, want 4", got)
	}
}
