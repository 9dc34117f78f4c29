package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// freshConfig is that of a fleet, with a token whose reads may ask for fresh answers.
func freshConfig(server string) string {
	return strings.Replace(fleetConfig, "[server]\n", "[server]\n"+server+"\n", 1) + `
[[auth.token]]
name = "app"
scopes = ["write", "fresh"]
token = "0123456789abcdef"

[[auth.token]]
name = "job"
scopes = ["write", "metrics"]
token = "fedcba9876543210"
`
}

const (
	mayAsk    = "Authorization: Bearer 0123456789abcdef"
	mayNotAsk = "Authorization: Bearer fedcba9876543210"
)

// startFresh starts instances of such a fleet.
func (f *fleet) startFresh(n int, server string) []*launch.Instance {
	f.t.Helper()
	all := make([]*launch.Instance, n)
	for i := range all {
		all[i] = launch.Start(f.t, freshConfig(server), append(f.env, "HEARTH_REDIS_URL="+f.redis.URL())...)
	}
	for _, in := range all {
		in.AwaitReady()
	}
	return all
}

// metricOf is a series of /metrics, which a token opens here.
func metricOf(in *launch.Instance, series string) string {
	_, after, _ := strings.Cut(in.AskAdmin(http.MethodGet, "/metrics", "", mayNotAsk).Body, "\n"+series+" ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// reload makes an instance read another configuration.
func reload(t *testing.T, in *launch.Instance, config string) {
	t.Helper()
	const reloads = `hearth_reloads_total{result="ok"}`
	before := metricOf(in, reloads)
	in.Configure(config)
	in.Signal(syscall.SIGHUP)
	await(t, "the configuration is reloaded", func() bool { return metricOf(in, reloads) != before })
}

// warmUp reads until memory answers.
func (f *fleet) warmUp(in *launch.Instance, id int) {
	f.t.Helper()
	await(f.t, "memory has the record", func() bool { return in.Get(pathOf(id)).FromMemory() })
}

// TestFreshnessOfARead asks for freshness in every way, of records that somebody changes in
// the database while nobody tells.
func TestFreshnessOfARead(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.startFresh(2, "fresh_rate = 0")
	in, other := all[0], all[1]
	f.store(1, "old")
	f.warmUp(in, 1)
	f.warmUp(other, 1)
	f.store(1, "new")
	read := func(control string, header ...string) launch.Reply {
		t.Helper()
		return in.Ask(http.MethodGet, pathOf(1), "", append(header, "Cache-Control: "+control)...)
	}
	for _, nobody := range [][]string{nil, {mayNotAsk}, {"Authorization: Bearer nobody"}} {
		if got := read("no-cache", nobody...); !tells(got, 1, "old") || !got.FromMemory() || got.Header.Get("Age") != "" {
			t.Errorf("a reader with %q may not ask, and is answered %v", nobody, got)
		}
	}
	before := f.loads()
	if got := read("max-age=3600", mayAsk); !tells(got, 1, "old") || f.loads() != before {
		t.Errorf("an hour is old enough, but %d loads answered %v", f.loads()-before, got)
	} else if age, err := strconv.Atoi(got.Header.Get("Age")); err != nil || age < 1 || age > 3600 {
		t.Errorf("Age: got %q", got.Header.Get("Age"))
	}
	if got := read("only-if-cached", mayAsk); !tells(got, 1, "old") || f.loads() != before {
		t.Errorf("what is cached is answered %v", got)
	}
	if got := read("no-cache", mayAsk); !loaded(got, 1, "new") || got.Header.Get("Age") != "0" || got.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("no-cache: got %v, Age %q", got, got.Header.Get("Age"))
	}
	for i, in := range all { // what was loaded is there for everybody
		await(t, fmt.Sprintf("instance %d answers all readers with what one has asked for", i), func() bool { return tells(in.Get(pathOf(1)), 1, "new") })
	}
	f.store(1, "newer")
	if got := in.Ask(http.MethodGet, pathOf(1), "", mayAsk, "Pragma: no-cache"); !loaded(got, 1, "newer") {
		t.Errorf("Pragma: got %v", got)
	}
	f.store(1, "newest")
	if got := read("min-fresh=7200", mayAsk); !loaded(got, 1, "newest") {
		t.Errorf("no copy lives for two hours, but the answer is %v", got)
	}
	f.store(2, "second")
	before = f.loads()
	got := in.Ask(http.MethodGet, pathOf(2), "", mayAsk, "Cache-Control: only-if-cached")
	if got.Code != http.StatusGatewayTimeout || !strings.Contains(got.Body, "only-if-cached") || f.loads() != before {
		t.Errorf("nobody has the record, and only-if-cached gets %v after %d loads", got, f.loads()-before)
	}
	f.exec("INSERT INTO failing VALUES (1)")
	if got := read("no-cache", mayAsk); got.Code < http.StatusInternalServerError {
		t.Errorf("no load succeeds, and no-cache gets %v", got)
	}
	if got := read("no-cache, max-stale", mayAsk); !tells(got, 1, "newest") || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("no load succeeds, and max-stale gets %v, Cache-Control %q", got, got.Header.Get("Cache-Control"))
	}
	for series, want := range map[string]string{
		`{directive="no-cache",result="met"}`: "3", `{directive="no-cache",result="ignored"}`: "2", `{directive="no-cache",result="failed"}`: "1",
		`{directive="max-age",result="met"}`: "1", `{directive="only-if-cached",result="unmet"}`: "1", `{directive="max-stale",result="met"}`: "1",
	} {
		if got := metricOf(in, "hearth_fresh_total"+series); got != want {
			t.Errorf("hearth_fresh_total%s: got %v, want %v", series, got, want)
		}
	}
}

// TestRateOfFreshness reloads one instance through what may be asked, by whom, how often.
func TestRateOfFreshness(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	in := f.startFresh(1, "fresh_rate = 0.001")[0]
	f.store(1, "old")
	f.warmUp(in, 1)
	noCache := func(header ...string) launch.Reply {
		return in.Ask(http.MethodGet, pathOf(1), "", append(header, "Cache-Control: no-cache")...)
	}
	if got := noCache(mayAsk); !loaded(got, 1, "old") {
		t.Errorf("within the rate: got %v", got)
	}
	got := noCache(mayAsk)
	if after, err := strconv.Atoi(got.Header.Get("Retry-After")); got.Code != http.StatusTooManyRequests || err != nil || after < 1 || after > 1000 {
		t.Errorf("over the rate: got %v, Retry-After %q", got, got.Header.Get("Retry-After"))
	}
	reload(t, in, freshConfig(`fresh_rate = 0.001`+"\n"+`honor_request_cache_control = "all"`))
	if got := noCache(); !loaded(got, 1, "old") {
		t.Errorf("of all, within the rate: got %v", got)
	}
	if got := noCache(); got.Code != http.StatusOK || loaded(got, 1, "old") {
		t.Errorf("of all, over the rate: got %v, want the answer that everybody gets", got)
	}
	if got := noCache(mayAsk); got.Code != http.StatusTooManyRequests {
		t.Errorf("with the scope, over the rate: got %v", got)
	}
	reload(t, in, freshConfig(`honor_request_cache_control = "none"`))
	if got := noCache(mayAsk); got.Code != http.StatusOK || loaded(got, 1, "old") {
		t.Errorf("of nobody: got %v", got)
	}
	for result, want := range map[string]string{"met": "2", "limited": "2", "waived": "1"} {
		if got := metricOf(in, `hearth_fresh_total{directive="no-cache",result="`+result+`"}`); got != want {
			t.Errorf("%s: got %v, want %v", result, got, want)
		}
	}
}

// TestVersionsOfWrites writes on one instance and reads on the other at once, which may not
// have heard of the write yet: with the version it answers what was written.
func TestVersionsOfWrites(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.startFresh(2, "")
	const clients, rounds = 4, 30
	var clientsDone sync.WaitGroup
	for id := 1; id <= clients; id++ {
		clientsDone.Go(func() {
			for round := range rounds {
				writer, reader := all[round%2], all[1-round%2]
				reader.Get(pathOf(id))
				name := fmt.Sprintf("name %d", round)
				put := writer.Ask(http.MethodPut, pathOf(id), `{"name":"`+name+`"}`, mayAsk)
				version := put.Header.Get("Hearth-Version")
				if put.Code != http.StatusOK || version == "" {
					t.Errorf("PUT: got %v, version %q", put, version)
					return
				}
				for _, path := range []string{pathOf(id), "/user?id=" + strconv.Itoa(id)} {
					if got := reader.Ask(http.MethodGet, path, "", "Hearth-Version: "+version); got.Code != http.StatusOK || !strings.Contains(got.Body, `"`+name+`"`) {
						t.Errorf("GET %s with version %q: got %v, want %q", path, version, got, name)
					}
				}
			}
		})
	}
	clientsDone.Wait()
	gone := all[0].Ask(http.MethodDelete, pathOf(1), "", mayAsk)
	if got := all[1].Ask(http.MethodGet, pathOf(1), "", "Hearth-Version: "+gone.Header.Get("Hearth-Version")); got.Code != http.StatusNotFound {
		t.Errorf("after the DELETE: got %v", got)
	}
	if got := all[0].Ask(http.MethodGet, pathOf(2), "", "Hearth-Version: of my own"); got.Code != http.StatusBadRequest {
		t.Errorf("what is no version: got %v, want 400", got)
	}
	const origin = "Origin: https://app.example.org"
	if got := all[0].Ask(http.MethodPut, pathOf(2), `{"name":"x"}`, mayAsk, origin); !strings.Contains(got.Header.Get("Access-Control-Expose-Headers"), "Age, Hearth-Version") {
		t.Errorf("a page may read %q", got.Header.Get("Access-Control-Expose-Headers"))
	}
	asks := all[0].Ask(http.MethodOptions, pathOf(2), "", origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: hearth-version,cache-control")
	if asks.Code != http.StatusNoContent || asks.Header.Get("Access-Control-Allow-Headers") != "hearth-version,cache-control" {
		t.Errorf("a page may send %q: %v", asks.Header.Get("Access-Control-Allow-Headers"), asks)
	}
}
