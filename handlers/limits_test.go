package handlers

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/limit"
	"hearth/internal/param"
)

// limited returns a change of newFixture that adds a limit of count an hour:
// no test lasts into the next one, but one that begins in its last minute.
func limited(tb testing.TB, name string, count int, by By, header string, paths ...param.Area) func(*Config, *Deps) {
	rate := limit.Rate{Count: count, Window: 1000 * time.Hour}
	l := limit.New(limit.Config{Name: name, Rate: rate})
	tb.Cleanup(l.Close)
	return func(c *Config, _ *Deps) {
		c.Limits = append(c.Limits, Limit{Limiter: l, Rate: rate, By: by, Header: header, Paths: paths})
	}
}

// all covers everything, users the records of users.
var (
	all   = param.Area{Below: true}
	users = param.Area{Segments: []param.Segment{{Literal: "user"}, {Param: "{user_id}"}}}
)

func (a answer) wantRate(t *testing.T, name string, left int) {
	t.Helper()
	if got, want := a.Header.Get("RateLimit"), fmt.Sprintf(`"%s";r=%d;t=`, name, left); !strings.HasPrefix(got, want) {
		t.Errorf("RateLimit: got %q, want %s…", got, want)
	}
}

func TestLimitsOnEveryWay(t *testing.T) {
	for name, target := range map[string]string{"the fast path": "/user/1", "the slow path": "/user/%31", "missing": "/user/404", "many": "/user?user_id=1", "no record": "/", "no path": "/nothing"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, limited(t, "api", 4, ByGlobal, "", all))
			for left := 3; left >= 0; left-- {
				a := f.send(t, "GET", target, "")
				if a.StatusCode == 429 {
					t.Fatalf("refused with %d left: %s", left, a.body)
				}
				a.wantRate(t, "api", left)
				a.wantHeader(t, "RateLimit-Policy", `"api";q=4;w=3600000`)
			}
			a := f.send(t, "GET", target, "", "Origin: https://elsewhere.test")
			a.wantProblem(t, 429, `the limit "api" admits 4 requests in 1000h0m0s`)
			a.wantRate(t, "api", 0)
			a.wantHeader(t, "Access-Control-Expose-Headers", exposed)
			a.wantHeader(t, "Cache-Control", "no-store")
			after, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if err != nil || after < 1 || after > 3600000 {
				t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
			}
			if n := f.config.Limits[0].Limiter.Denied(); n != 1 {
				t.Errorf("%d refusals were counted, want 1", n)
			}
		})
	}
}

func TestWhatLimitsDoNotCover(t *testing.T) {
	f := newFixture(t, limited(t, "users", 1, ByGlobal, "", users), limited(t, "few", 1, ByGlobal, "", param.Area{Segments: []param.Segment{{Literal: "item"}}, Below: true}))
	for range 5 { // a many-read is another path, and so is a counter
		for _, target := range []string{"/user?user_id=1", "/healthz", "/concurrent_test"} {
			if a := f.send(t, "GET", target, ""); a.StatusCode != 200 || a.Header.Get("RateLimit") != "" {
				t.Errorf("%s: got %d with %q", target, a.StatusCode, a.Header.Get("RateLimit"))
			}
		}
		if a := f.send(t, "OPTIONS", "/user/1", ""); a.StatusCode != 204 {
			t.Errorf("OPTIONS: got %d", a.StatusCode)
		}
	}
	f.send(t, "GET", "/user/1", "").want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
	f.send(t, "HEAD", "/user/2", "").want(t, 429, "")
	f.send(t, "DELETE", "/user/2", "").wantProblem(t, 429, "users")
	f.send(t, "GET", "/item/count", "").wantRate(t, "few", 0) // a counter's, below /item
	f.send(t, "GET", "/item/1", "").wantProblem(t, 429, "few")
	f.send(t, "GET", "/item", "").wantProblem(t, 429, "few") // the beginning itself
}

// TestHealthIsNeverLimited: a balancer that is refused takes the instance out.
func TestHealthIsNeverLimited(t *testing.T) {
	f := newFixture(t, limited(t, "api", 1, ByGlobal, "", all))
	for range 5 {
		f.send(t, "GET", "/healthz", "").want(t, 200, `{"status":"ok"}`)
	}
}

func TestLimitsByHeader(t *testing.T) {
	f := newFixture(t, limited(t, "keys", 1, ByHeader, "x-api-KEY", users))
	get := func(status int, fields ...string) {
		t.Helper()
		if a := f.send(t, "GET", "/user/1", "", fields...); a.StatusCode != status {
			t.Errorf("%v: got %d, want %d", fields, a.StatusCode, status)
		}
	}
	get(200, "X-Api-Key: one")
	get(429, "x-api-key: one")
	get(200, "X-Api-Key: two")
	get(200)
	get(429, "X-Api-Key:")
	get(200, "X-Api-Key: "+strings.Repeat("x", 1000))
	get(429, "X-Api-Key: "+strings.Repeat("x", 1000))
}

func TestLimitsByClient(t *testing.T) {
	// The listener in memory has no address, which counts as an unknown peer.
	trusting := func(c *Config, _ *Deps) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("10.0.0.0/8")}
	}
	f := newFixture(t, trusting, limited(t, "clients", 1, ByClient, "", users))
	get := func(status int, forwarded ...string) {
		t.Helper()
		var fields []string
		for _, line := range forwarded {
			fields = append(fields, "X-Forwarded-For: "+line)
		}
		if a := f.send(t, "GET", "/user/1", "", fields...); a.StatusCode != status {
			t.Errorf("%q: got %d, want %d", forwarded, a.StatusCode, status)
		}
	}
	get(200, "192.0.2.1")
	get(429, "192.0.2.1")
	get(429, "8.8.8.8, 192.0.2.1") // what a client claims stands on the left
	get(429, "8.8.8.8", "192.0.2.1, 10.1.1.1")
	get(200, "192.0.2.2")
	get(200, "2001:db8::1")
	get(429, "2001:db8::2") // the same network

	stranger := newFixture(t, limited(t, "clients", 2, ByClient, "", users))
	for i := range 3 {
		a := stranger.send(t, "GET", "/user/1", "", fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i))
		if want := map[bool]int{true: 200, false: 429}[i < 2]; a.StatusCode != want {
			t.Errorf("request %d with a spoofed address: got %d, want %d", i, a.StatusCode, want)
		}
	}
	if n := strings.Count(stranger.log.String(), "untrusted peer"); n != 1 {
		t.Errorf("the log warns %d times, want once a minute:\n%s", n, stranger.log)
	}
}

// TestAllLimitsHaveToAdmit: what one refuses costs the others nothing.
func TestAllLimitsHaveToAdmit(t *testing.T) {
	f := newFixture(t, limited(t, "many", 10, ByGlobal, "", all), limited(t, "few", 2, ByGlobal, "", users))
	for range 2 {
		a := f.send(t, "GET", "/user/1", "")
		if a.StatusCode != 200 || !strings.Contains(a.Header.Get("RateLimit"), `"many";r=`) || !strings.Contains(a.Header.Get("RateLimit"), `, "few";r=`) {
			t.Fatalf("got %d, %q", a.StatusCode, a.Header.Get("RateLimit"))
		}
		a.wantHeader(t, "RateLimit-Policy", `"many";q=10;w=3600000, "few";q=2;w=3600000`)
	}
	for range 20 {
		f.send(t, "GET", "/user/1", "").wantProblem(t, 429, "few")
	}
	admitted := 0
	for range 20 {
		if f.send(t, "GET", "/item/1", "").StatusCode != 429 {
			admitted++
		}
	}
	if admitted != 8 {
		t.Errorf("%d more were admitted by the other limit, want 8", admitted)
	}
}

func TestLimitPaths(t *testing.T) {
	f := func(p param.Area, path string, want bool) {
		t.Helper()
		if got := p.Covers([]byte(path)); got != want {
			t.Errorf("%v covers %s: %v, want %v", p, path, got, want)
		}
	}
	root, below := param.Area{}, param.Area{Segments: []param.Segment{{Literal: "user"}}, Below: true}
	f(all, "/", true)
	f(all, "/user/1", true)
	f(root, "/", true)
	f(root, "/user", false)
	f(users, "/user/1", true)
	f(users, "/user", false)
	f(users, "/user/1/more", false)
	f(users, "/users/1", false)
	f(below, "/user", true)
	f(below, "/user/1", true)
	f(below, "/user/1/more", true)
	f(below, "/users", false)
	f(below, "/", false)
}

// slowStore takes its time, and counts.
type slowStore struct {
	*limit.LocalStore
	asked chan struct{}
	gate  chan struct{}
}

func (s slowStore) TakePermits(ctx context.Context, key string, rate limit.Rate, burst, want int) (limit.Grant, error) {
	s.asked <- struct{}{}
	<-s.gate
	return s.LocalStore.TakePermits(ctx, key, rate, burst, want)
}

// TestLimitsAreDecidedBeforeAnyWork: while the count is asked for, nothing is
// read.
func TestLimitsAreDecidedBeforeAnyWork(t *testing.T) {
	store := slowStore{limit.NewLocalStore(nil), make(chan struct{}, 10), make(chan struct{})}
	rate := limit.Rate{Count: 1, Window: 1000 * time.Hour}
	l := limit.New(limit.Config{Name: "api", Rate: rate, Store: store})
	t.Cleanup(l.Close)
	h := held{make(chan struct{}, 1), make(chan struct{})}
	f := newFixture(t, func(c *Config, _ *Deps) {
		c.Limits = []Limit{{Limiter: l, Rate: rate, By: ByGlobal, Paths: []param.Area{users}}}
	})
	f.reads = h
	done := make(chan answer, 1)
	go func() { done <- f.send(t, "GET", "/user/1", "") }()
	<-store.asked
	select {
	case <-h.entered:
		t.Error("the record is read before the limit has decided")
	default:
	}
	close(store.gate)
	<-h.entered
	close(h.release)
	if a := <-done; a.StatusCode != 503 || a.Header.Get("RateLimit") == "" {
		t.Errorf("got %d, RateLimit %q", a.StatusCode, a.Header.Get("RateLimit"))
	}
}
