package handlers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/cache"
	"hearth/internal/testkit"
)

// full returns a change of newFixture and a function that takes the one place
// for work beyond memory until the test ends.
func full(t *testing.T) (one func(*Config, *Deps), occupy func(*fixture)) {
	one = func(c *Config, _ *Deps) { c.MaxInFlight = 1 }
	return one, func(f *fixture) {
		h := held{make(chan struct{}), make(chan struct{})}
		f.reads = h
		done := make(chan answer, 1)
		go func() { done <- f.send(t, "GET", "/user/9", "") }()
		<-h.entered
		t.Cleanup(func() {
			close(h.release)
			<-done
		})
	}
}

// TestHitsNeedNoPlace: what memory has is answered while as much work as may be
// goes on beyond it, whichever way the request takes to memory.
func TestHitsNeedNoPlace(t *testing.T) {
	one, occupy := full(t)
	f := newFixture(t, one)
	etag := warm(t, f, "/user/1")
	warm(t, f, "/user/404")
	occupy(f)
	const hit = `{"user":{"id":1,"name":"张三"},"source":"cache"}`
	f.send(t, "GET", "/user/2", "").wantProblem(t, 503, "as many requests as it can")
	f.send(t, "GET", "/user?user_id=1&user_id=2", "").wantProblem(t, 503, "as many requests as it can")
	f.send(t, "GET", "/user?user_id=1&user_id=%31&user_id=404", "").want(t, 200, `[`+hit+`,`+hit+`,{"user":null,"source":"cache"}]`)
	f.send(t, "HEAD", "/user?user_id=1", "").want(t, 200, "")
	f.send(t, "GET", "/user/%31", "").want(t, 200, hit)
	f.send(t, "HEAD", "/user/%31", "").want(t, 200, "")
	f.send(t, "GET", "/user/%31", "", "If-None-Match: "+etag).want(t, 304, "")
	f.send(t, "GET", "/user/%34%30%34", "").wantProblem(t, 404, "no record")
	for _, target := range []string{"/", "/healthz", "/docs", "/openapi.json"} {
		if a := f.send(t, "GET", target, ""); a.StatusCode != 200 {
			t.Errorf("%s: got %d", target, a.StatusCode)
		}
	}
	if n := f.inFlight.Load(); n != 1 {
		t.Errorf("requests at work beyond memory: got %d, want 1", n)
	}
}

// TestACopyThatIsNotFreshIsBetterThanNone while there is no place to ask for a
// fresh one.
func TestACopyThatIsNotFreshIsBetterThanNone(t *testing.T) {
	one, occupy := full(t)
	f := newFixture(t, one, forgetful(t))
	etag := warm(t, f, "/user/1")
	warm(t, f, "/item/none")
	occupy(f)
	testkit.Eventually(t, 5*time.Second, "the copy is not fresh any more", func() bool {
		a := f.send(t, "GET", "/user/1", "")
		a.want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
		return strings.HasSuffix(a.Header.Get("Cache-Status"), "; detail=stale")
	})
	for _, target := range []string{"/user/1", "/user/%31", "/user?user_id=1&user_id=1"} {
		a := f.send(t, "GET", target, "")
		a.wantStatus(t, 200)
		a.wantHeader(t, "Cache-Control", "no-store")
	}
	f.send(t, "GET", "/user/1", "", "If-None-Match: "+etag).want(t, 304, "")
	f.send(t, "GET", "/user/2", "").wantProblem(t, 503, "as many requests as it can")
	f.send(t, "GET", "/user?user_id=1&user_id=2", "").wantProblem(t, 503, "as many requests as it can")
	// What lives in the shared tier only can be asked for there.
	testkit.Eventually(t, 5*time.Second, "its copy is not fresh any more", func() bool {
		return f.send(t, "GET", "/item/none", "").StatusCode == 503
	})
}

// TestAHitWhoseLimitHasToAskNeedsNoPlace: the count is asked for by every new
// subject, and that is no work beyond memory.
func TestAHitWhoseLimitHasToAskNeedsNoPlace(t *testing.T) {
	one, occupy := full(t)
	f := newFixture(t, one, limited(t, "keys", 1, ByHeader, "X-Api-Key", all))
	etag := warmAs(t, f, "/user/1")
	occupy(f)
	for i, c := range []struct {
		method, target string
		status         int
		fields         []string
	}{
		{"GET", "/user/1", 200, nil},
		{"HEAD", "/user/1", 200, nil},
		{"GET", "/user/%31", 200, nil},
		{"GET", "/user?user_id=1", 200, nil},
		{"GET", "/user/1", 304, []string{"If-None-Match: " + etag}},
		{"GET", "/user/2", 503, nil},
	} {
		key := "X-Api-Key: subject " + strconv.Itoa(i)
		a := f.send(t, c.method, c.target, "", append(c.fields, key)...)
		if a.StatusCode != c.status {
			t.Errorf("%s %s: got %d, want %d", c.method, c.target, a.StatusCode, c.status)
		}
		a.wantRate(t, "keys", 0)
		f.send(t, c.method, c.target, "", append(c.fields, key)...).wantStatus(t, 429)
	}
}

func (a answer) wantStatus(t *testing.T, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("got %d, want %d", a.StatusCode, status)
	}
}

// warmAs is warm for a fixture with a limit of one request for each subject.
func warmAs(t *testing.T, f *fixture, target string) (etag string) {
	t.Helper()
	for i := range 10 {
		a := f.send(t, "GET", target, "", "X-Api-Key: warming "+strconv.Itoa(i))
		if s := a.Header.Get("Cache-Status"); len(s) > 19 && s[:19] == "Hearth-Memory; hit;" {
			return a.Header.Get("ETag")
		}
	}
	t.Fatalf("%s never came from memory", target)
	return ""
}

// forgetful returns a change of newFixture: a cache that trusts no copy for long.
func forgetful(t *testing.T) func(*Config, *Deps) {
	return func(_ *Config, d *Deps) {
		d.Cache = openCache(t, func(c *cache.Config) { c.Revalidate = 200 * time.Millisecond })
	}
}
