package admin_test

import (
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/admin"
)

func TestMetricsPage(t *testing.T) {
	r := start(t, nil)
	got := r.do(t, "GET", "/metrics", "")
	if got.status != 200 || got.body != "hearth_redis_up 1\n" {
		t.Errorf("GET /metrics = %d %q", got.status, got.body)
	}
	if ct, want := got.header.Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8"; ct != want {
		t.Errorf("Content-Type = %q, want %q", ct, want)
	}
	r.pages = func(w io.Writer) error {
		_, err := io.WriteString(w, "half a page")
		return errors.Join(err, errors.New("secret cause"))
	}
	got = r.do(t, "GET", "/metrics", "")
	wantProblem(t, "broken metrics", got, 500)
	if strings.Contains(got.body, "secret") || strings.Contains(got.body, "half") {
		t.Errorf("body %s tells too much", got.body)
	}
}

func TestStatsPage(t *testing.T) {
	r := start(t, nil)
	if got := r.do(t, "GET", "/api/stats", ""); got.status != 200 || got.body != `{"entries":3}` ||
		got.header.Get("Content-Type") != "application/json" {
		t.Errorf("GET /api/stats = %d %s (%s)", got.status, got.body, got.header.Get("Content-Type"))
	}
	r.stats = func() any { return math.NaN() }
	wantProblem(t, "stats that do not encode", r.do(t, "GET", "/api/stats", ""), 500)
}

func TestIndexIsSelfContained(t *testing.T) {
	r := start(t, nil)
	got := r.do(t, "GET", "/", "")
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("GET / = %d (%s)", got.status, got.header.Get("Content-Type"))
	}
	if found := regexp.MustCompile(`(?i)<(img|iframe)|<script\s|<link rel="[^i]|\ssrc=|@import|url\(`).FindString(got.body); found != "" {
		t.Errorf("page has %q, want nothing that is fetched", found)
	}
	for _, row := range admin.Rows(r.admin) {
		if row.Path != "/" && !strings.Contains(row.Path, "{") && !strings.Contains(got.body, row.Path) {
			t.Errorf("page does not mention %s", row.Path)
		}
	}
	for _, link := range regexp.MustCompile(`href="(/[^"]*)"`).FindAllStringSubmatch(got.body, -1) {
		if res := r.do(t, "GET", link[1], ""); res.status != 200 {
			t.Errorf("link %s = %d, want 200", link[1], res.status)
		}
	}
}

func TestProfiles(t *testing.T) {
	r := start(t, nil)
	f := func(path, want string) {
		t.Helper()
		got := r.do(t, "GET", "/debug/pprof/"+path, "")
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("GET %s = %d with %d bytes, want 200 with %q", path, got.status, len(got.body), want)
		}
	}
	f("", "goroutine?debug=1")
	f("goroutine?debug=1", "goroutine profile: total")
	f("heap?debug=1", "heap profile")
	f("heap", "\x1f\x8b") // gzip, as go tool pprof reads it
	f("cmdline", "admin.test")
	f("symbol", "num_symbols")
	f("trace?seconds=0.01", "go 1.")
}

func TestProfileRefusals(t *testing.T) {
	r := start(t, nil)
	wantProblem(t, "unknown profile", r.do(t, "GET", "/debug/pprof/nothing", ""), 404)
	for _, seconds := range []string{"121", "1e9", "-1", "NaN", "Inf", "x", "", "1&seconds=500", "1;x"} {
		for _, name := range []string{"profile", "trace", "heap"} {
			path := "/debug/pprof/" + name + "?seconds=" + seconds
			wantProblem(t, path, r.do(t, "GET", path, ""), 422)
		}
	}
	for _, site := range []string{"cross-site", "same-site"} {
		wantProblem(t, site, r.do(t, "GET", "/debug/pprof/heap", "", "Sec-Fetch-Site", site), 403)
	}
	if got := r.do(t, "GET", "/debug/pprof/heap", "", "Sec-Fetch-Site", "same-origin"); got.status != 200 {
		t.Errorf("profile from the own page = %d, want 200", got.status)
	}
}

func TestPanicIsA500(t *testing.T) {
	r := start(t, nil)
	r.stats = func() any { panic("secret cause") }
	got := r.do(t, "GET", "/api/stats", "")
	wantProblem(t, "panic", got, 500)
	if strings.Contains(got.body, "secret") {
		t.Errorf("body %s tells the cause", got.body)
	}
	if log := r.log.String(); !strings.Contains(log, "secret cause") || !strings.Contains(log, "page_test.go") {
		t.Errorf("log %q lacks the cause or the stack", log)
	}
	if got := r.do(t, "GET", "/livez", ""); got.status != 200 {
		t.Errorf("after the panic GET /livez = %d, want 200", got.status)
	}
}

func TestUnreadableRequestsAreProblems(t *testing.T) {
	r := start(t, nil)
	addr := strings.TrimPrefix(r.base, "http://")
	f := func(what, request string, want int) {
		t.Helper()
		wantProblem(t, what, raw(t, "tcp", addr, request), want)
	}
	f("malformed", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n", 400)
	f("long header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 20<<10)+"\r\n\r\n", 431)
	f("long body", "POST /api/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n", 413)
	f("long chunks", "POST /api/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n"+strings.Repeat(" ", 0x100001)+"\r\n0\r\n\r\n", 413)
}

func TestNewRefusesHalfTheDependencies(t *testing.T) {
	defer func() {
		if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: ") {
			t.Errorf("panic = %q, want one that begins with BUG:", got)
		}
	}()
	admin.New(admin.Config{})
}
