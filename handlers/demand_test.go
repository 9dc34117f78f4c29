package handlers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/source"
)

// asked is a reader that notes what is demanded of it, asks for leave where it may, and goes
// on as the cache does for others.
type asked struct {
	reader
	age time.Duration
	err error // of every read with a demand

	mu  sync.Mutex
	got []cache.Demand
}

func (a *asked) ReadFresh(ctx context.Context, r *cache.Resource, key string, args source.Args, d cache.Demand) (cache.Answer, error) {
	a.mu.Lock()
	a.got = append(a.got, d)
	a.mu.Unlock()
	if d.Aged && d.Allow != nil && !d.Allow() {
		return cache.Answer{}, fmt.Errorf("reading %q: %w", key, cache.ErrNotAllowed)
	}
	if a.err != nil {
		return cache.Answer{}, a.err
	}
	answer, err := a.Read(ctx, r, key, args)
	answer.Age = a.age
	return answer, err
}

// demands are those since the last call.
func (a *asked) demands() []cache.Demand {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.got
	a.got = nil
	return got
}

// numbered are versions v1, v2 and so on, of which only those of user:1 and user:2 concern
// a record.
type numbered struct{}

func (numbered) NewVersion(keys ...string) string { return fmt.Sprintf("v%d", len(keys)) }

func (numbered) SinceOf(versions []byte, key string) (since int64, ok bool) {
	for one := range strings.SplitSeq(string(versions), ",") {
		if one = strings.Trim(one, " \t"); one == "" {
			continue
		}
		n := int64(0)
		if _, err := fmt.Sscanf(one, "v%d", &n); err != nil {
			return 0, false
		}
		since = max(since, n)
	}
	if key != "user:1" && key != "user:2" {
		return 0, true
	}
	return since, true
}

const freshToken, otherToken = "Authorization: Bearer fresh-secret", "Authorization: Bearer write-secret"

// newAsked starts a server whose readers with the token may ask, or all, and whose cache
// notes what they do ask.
func newAsked(tb testing.TB, honor Honor, rate float64) (*fixture, *asked) {
	f := newFixture(tb, func(c *Config, d *Deps) {
		c.Honor, c.FreshRate = honor, rate
		d.Tokens = auth.New([]auth.Token{{Name: "app", Scopes: auth.Fresh, Secret: "fresh-secret"}, {Name: "job", Scopes: auth.Write, Secret: "write-secret"}})
	})
	a := &asked{reader: f.reads, age: 1500 * time.Millisecond}
	f.reads, f.fresh.versions = a, numbered{}
	return f, a
}

// freshCounts are the series of hearth_fresh_total that are not 0.
func freshCounts(f *fixture) string {
	var all []string
	for i, directive := range directiveNames {
		for j, result := range freshResults {
			if c := f.fresh.counts[i][j]; c != nil && c.Value() > 0 {
				all = append(all, fmt.Sprintf("%s %s %v", directive, result, c.Value()))
			}
		}
	}
	return strings.Join(all, ", ")
}

func TestDemands(t *testing.T) {
	f, a := newAsked(t, HonorAuthorised, 0)
	warm(t, f, "/user/1")
	ask := func(path string, fields ...string) (answer, []cache.Demand) {
		t.Helper()
		a.demands()
		return f.send(t, "GET", path, "", fields...), a.demands()
	}
	one := func(want cache.Demand, fields ...string) {
		t.Helper()
		for _, path := range []string{"/user/1", "/user/01", "/user?user_id=1"} {
			got, demands := ask(path, fields...)
			if got.StatusCode != 200 || len(demands) != 1 {
				t.Fatalf("%s %q: got %d and demands %+v, want one", path, fields, got.StatusCode, demands)
			}
			d := demands[0]
			if (d.Allow != nil) != (want.Since == 0) {
				t.Errorf("%q: asks for leave is %v", fields, d.Allow != nil)
			}
			if d.Allow = nil; fmt.Sprint(d) != fmt.Sprint(want) {
				t.Errorf("%s %q: got %+v, want %+v", path, fields, d, want)
			}
			age := "2"
			if want.Since != 0 {
				age = ""
			}
			got.wantHeader(t, "Age", age)
		}
	}
	none := func(fields ...string) {
		t.Helper()
		got, demands := ask("/user/1", fields...)
		if got.StatusCode != 200 || len(demands) != 0 {
			t.Errorf("%q: got %d and demands %+v, want none", fields, got.StatusCode, demands)
		}
		got.wantHeader(t, "Age", "")
	}
	one(cache.Demand{Aged: true}, freshToken, "Cache-Control: no-cache")
	one(cache.Demand{Aged: true}, freshToken, "Cache-Control: no-store", "Cache-Control: max-age=0")
	one(cache.Demand{Aged: true, MaxAge: time.Minute, MinFresh: time.Second, MaxStale: -1, OnlyIfCached: true}, freshToken,
		"cache-control: max-age=60, min-fresh=1", "cache-control: max-stale, only-if-cached")
	one(cache.Demand{Aged: true}, freshToken, "Pragma: x, No-Cache")
	one(cache.Demand{Since: 7}, "Hearth-Version: v7")
	one(cache.Demand{Since: 9}, "Hearth-Version: v7, ,v9", "Hearth-Version: v8", "Cache-Control: no-cache")

	none("Pragma: no-cache")
	none("Cache-Control: no-cache")
	none("Cache-Control: no-cache", otherToken)
	none("Cache-Control: no-cache", "Authorization: Bearer nobody")
	none("Cache-Control: no-cache", freshToken, freshToken)
	none("Cache-Control: no-store, no-transform, x=1", freshToken)
	none("Cache-Control: no-store", "Pragma: no-cache", freshToken) // RFC 9111, 5.4
	none("Pragma: max-age=0", freshToken)
	none("Hearth-Version: ,", "Hearth-Version:")
	f.send(t, "GET", "/user/-5", "")
	if got, demands := ask("/user/-5", "Hearth-Version: v7"); got.StatusCode != 200 || len(demands) != 0 { // of another record
		t.Errorf("a version of another record: got %d and %+v", got.StatusCode, demands)
	}
	if got := f.send(t, "HEAD", "/user/1", "", freshToken, "Cache-Control: no-cache"); got.Header.Get("Age") != "2" || len(a.demands()) != 1 {
		t.Error("a HEAD asks for nothing")
	}
	for _, path := range []string{"/user/1", "/user/01", "/user?user_id=2&user_id=1"} {
		got, _ := ask(path, "Hearth-Version: v1, nonsense")
		got.wantProblem(t, 400, "send it back as it came")
	}
	got, demands := ask("/user?user_id=1&user_id=-5&user_id=1", "Hearth-Version: v3")
	if len(demands) != 2 || demands[0].Since+demands[1].Since != 3 {
		t.Errorf("a many-read demands %+v, want 3 of one record and nothing of the other", demands)
	}
	got.want(t, 200, `[{"user":{"id":1,"name":"张三"},"source":"cache"},{"user":{"id":-5},"source":"cache"},{"user":{"id":1,"name":"张三"},"source":"cache"}]`)
	got, _ = ask("/user/1", "Hearth-Version: v3", "If-None-Match: *")
	got.want(t, 304, "")
	if counts := freshCounts(f); counts != "no-cache met 7, no-cache ignored 3, max-age met 6, min-fresh met 3, max-stale met 3, only-if-cached met 3, version met 9" {
		t.Errorf("counted: %s", counts)
	}
}

// TestAge: what was just loaded is of this moment, and what nobody knows is not told.
func TestAge(t *testing.T) {
	f, a := newAsked(t, HonorAll, 0)
	a.age = 0
	got := f.send(t, "GET", "/user/2", "", "Cache-Control: no-cache")
	got.want(t, 200, `{"user":{"id":2,"name":"李四"},"source":"db"}`)
	got.wantHeader(t, "Age", "0")
	f.send(t, "GET", "/user/2", "", "Cache-Control: no-cache").wantHeader(t, "Age", "")
	f.send(t, "GET", "/user?user_id=2&user_id=9", "", "Cache-Control: no-cache").wantHeader(t, "Age", "")
	a.age = time.Second
	f.send(t, "GET", "/user?user_id=2&user_id=9", "", "Cache-Control: no-cache").wantHeader(t, "Age", "1")
	f.send(t, "GET", "/user/2", "", "Cache-Control: max-age=1").wantHeader(t, "Cache-Control", "no-cache")
}

// TestOverTheRate: who has the right to ask is told, and all others are answered as ever.
func TestOverTheRate(t *testing.T) {
	f, a := newAsked(t, HonorAll, 0.001)
	warm(t, f, "/user/1")
	const noCache = "Cache-Control: no-cache"
	f.send(t, "GET", "/user/1", "", noCache).wantHeader(t, "Age", "2") // which uses the rate up
	for _, path := range []string{"/user/1", "/user?user_id=1"} {
		refused := f.send(t, "GET", path, "", noCache, freshToken)
		refused.wantProblem(t, 429, "server.fresh_rate")
		if after := refused.Header.Get("Retry-After"); len(after) != 3 && after != "1000" {
			t.Errorf("Retry-After: got %q, want nearly 1000", after)
		}
		a.demands()
		ordinary := f.send(t, "GET", path, "", noCache, otherToken)
		ordinary.wantHeader(t, "Age", "")
		if ordinary.StatusCode != 200 || len(a.demands()) != 1 {
			t.Errorf("%s without the scope: got %d", path, ordinary.StatusCode)
		}
		kept := f.send(t, "GET", path, "", noCache, "Hearth-Version: v5")
		kept.wantHeader(t, "Age", "")
		if d := a.demands(); len(d) != 2 || d[1].Since != 5 || d[1].Aged || d[1].Allow != nil {
			t.Errorf("%s with a version: demanded %+v", path, d)
		}
	}
	f.send(t, "GET", "/user/1", "", "Cache-Control: only-if-cached").wantHeader(t, "Age", "2") // which loads nothing
	if counts := freshCounts(f); counts != "no-cache met 1, no-cache limited 2, no-cache waived 4, only-if-cached met 1, version met 2" {
		t.Errorf("counted: %s", counts)
	}
}

func TestUnmetDemands(t *testing.T) {
	f, a := newAsked(t, HonorAll, 0)
	const cached = "Cache-Control: only-if-cached"
	a.err = fmt.Errorf("reading: %w", cache.ErrNotCached)
	for _, path := range []string{"/user/1", "/user?user_id=1"} {
		f.send(t, "GET", path, "", cached).wantProblem(t, 504, "only-if-cached forbids")
	}
	if log := f.log.String(); strings.Contains(log, "request failed") {
		t.Errorf("what a client wanted is logged as a fault: %s", log)
	}
	a.err = cache.ErrUnavailable
	f.send(t, "GET", "/user/1", "", "Cache-Control: no-cache").wantProblem(t, 503, "cannot be reached")
	a.err = cache.ErrTimeout
	f.send(t, "GET", "/user/1", "", "Cache-Control: max-age=1", "Hearth-Version: v1").wantProblem(t, 504, "in time")
	a.err = errors.New("what nobody has thought of")
	f.send(t, "GET", "/user/1", "", "Hearth-Version: v1").wantProblem(t, 500, "its log has the cause")
	if counts := freshCounts(f); counts != "no-cache failed 1, max-age failed 1, only-if-cached unmet 2, version failed 2" {
		t.Errorf("counted: %s", counts)
	}
}

// TestHonorNone: nobody's directives count, and they cost a hit nothing.
func TestHonorNone(t *testing.T) {
	f, a := newAsked(t, HonorNone, 1)
	warm(t, f, "/user/1")
	f.send(t, "GET", "/user/1", "", freshToken, "Cache-Control: no-cache", "Pragma: no-cache").wantHeader(t, "Age", "")
	f.send(t, "GET", "/user?user_id=1", "", freshToken, "Cache-Control: no-cache").wantHeader(t, "Age", "")
	if d := a.demands(); len(d) != 0 {
		t.Errorf("demanded %+v", d)
	}
	f.send(t, "GET", "/user/1", "", "Hearth-Version: v1")
	if d := a.demands(); len(d) != 1 || d[0].Since != 1 {
		t.Errorf("a version demanded %+v", d)
	}
}

// TestVersionsOfWrites: each confirmed write has one, and no other answer.
func TestVersionsOfWrites(t *testing.T) {
	f := newFixture(t)
	f.fresh.versions = numbered{}
	f.send(t, "PUT", "/user/1", `{"name":"x"}`, "Content-Type: application/json").wantHeader(t, "Hearth-Version", "v1")
	f.send(t, "DELETE", "/user/1", "").wantHeader(t, "Hearth-Version", "v1")
	f.send(t, "DELETE", "/user/1", "").wantHeader(t, "Hearth-Version", "")
	f.send(t, "POST", "/batch_process", `[{"id":1},{"id":2},{"id":1}]`).wantHeader(t, "Hearth-Version", "v2")
	f.send(t, "POST", "/batch_process", `[]`).wantHeader(t, "Hearth-Version", "")
	f.send(t, "GET", "/user/2", "").wantHeader(t, "Hearth-Version", "")
	f.send(t, "GET", "/concurrent_test", "").wantHeader(t, "Hearth-Version", "")
	f.writes = broken{err: cache.ErrUnconfirmed}
	f.send(t, "PUT", "/user/1", `{"name":"x"}`, "Content-Type: application/json").wantHeader(t, "Hearth-Version", "")
	f.send(t, "DELETE", "/user/1", "").wantHeader(t, "Hearth-Version", "")
	f.send(t, "POST", "/batch_process", `[{"id":1}]`).wantHeader(t, "Hearth-Version", "")
}

// TestWirePathLeavesDemands: whoever may ask is read by those who know what is asked.
func TestWirePathLeavesDemands(t *testing.T) {
	none, authorised, all := newWirePair(t), newWirePair(t, func(c *Config, _ *Deps) { c.Honor = HonorAuthorised }), newWirePair(t, func(c *Config, _ *Deps) { c.Honor = HonorAll })
	f := func(p *wirePair, taken bool, fields ...string) {
		t.Helper()
		in := []byte(wireGet("/user/1", fields...))
		if answered, _ := p.on.Answer(&scripted{}, in, nil); (answered == len(in)) != taken {
			t.Errorf("%q: answered %d bytes of %d, want all: %v", fields, answered, len(in), taken)
		}
	}
	for _, p := range []*wirePair{none, authorised, all} {
		f(p, true)
		f(p, true, "Authorization: Bearer x")
		f(p, false, "Hearth-Version: a")
		f(p, p != all, "Cache-Control: no-cache")
		f(p, p != all, "Pragma: no-cache")
		f(p, p == none, "Cache-Control: no-cache", "Authorization: Bearer x")
	}
}
