package handlers

import (
	"strings"
	"testing"
	"time"

	"hearth/cache"
)

// parsed is what the lines of a Cache-Control ask for.
func parsed(lines ...string) (d cache.Demand, asked directives) {
	for _, line := range lines {
		asked = addDirectives(&d, asked, []byte(line))
	}
	return d, asked
}

// names are those of a set.
func (d directives) names() string {
	var all []string
	for bit, name := range directiveNames {
		if d&(1<<bit) != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

func TestDirectives(t *testing.T) {
	const most = mostSeconds * time.Second
	aged := func(seconds int) cache.Demand {
		return cache.Demand{Aged: true, MaxAge: time.Duration(seconds) * time.Second}
	}
	fresh := func(d time.Duration) cache.Demand { return cache.Demand{MinFresh: d} }
	stale := func(d time.Duration) cache.Demand { return cache.Demand{MaxStale: d} }
	f := func(want cache.Demand, names string, lines ...string) {
		t.Helper()
		d, asked := parsed(lines...)
		d.Allow = nil
		if d.Aged != want.Aged || d.MaxAge != want.MaxAge || d.MinFresh != want.MinFresh || d.MaxStale != want.MaxStale || d.OnlyIfCached != want.OnlyIfCached || asked.names() != names {
			t.Errorf("%q: got %+v of %q, want %+v of %q", lines, d, asked.names(), want, names)
		}
	}
	none := cache.Demand{}
	f(none, "")
	f(none, "", "")
	f(none, "", " , ,, \t,")
	f(none, "", "no-store, no-transform, max-ages=1, x=\"max-age=1, no-cache\", =, =1, \"", "stale-if-error=5")
	f(aged(0), "no-cache", "no-cache")
	f(aged(0), "no-cache", "NO-Cache")
	f(aged(0), "no-cache", `no-cache="a, b"`)
	f(aged(0), "no-cache", "", "x, no-cache")
	f(aged(60), "max-age", "max-age=60")
	f(aged(60), "max-age", ",Max-AGE=60 ,")
	f(aged(60), "max-age", `max-age="60"`)
	f(aged(60), "max-age", `x="\"", max-age="60" , y`)
	f(aged(7), "max-age", "max-age=007")

	// Twice: the stricter one.
	f(aged(5), "max-age", "max-age=60, max-age=5, max-age=30")
	f(aged(5), "max-age", "max-age=5", "max-age=60")
	f(aged(0), "no-cache max-age", "no-cache, max-age=60")
	f(aged(0), "no-cache max-age", "max-age=60, no-cache")
	f(fresh(9*time.Second), "min-fresh", "min-fresh=9, min-fresh=3")
	f(stale(3*time.Second), "max-stale", "max-stale=9, max-stale=3")
	f(stale(3*time.Second), "max-stale", "max-stale, max-stale=3")
	f(stale(3*time.Second), "max-stale", "max-stale=3, max-stale")
	f(stale(-1), "max-stale", "max-stale", "max-stale")

	// No number: at the strictest.
	for _, bad := range []string{"", "=", "=x", "=-1", "=+1", "=1.5", "=1e3", "= 60", "=60s", `="6`, `="60"x`, `="6\0"`, "=6 0", "==60", "=0x10", "=６"} {
		f(aged(0), "max-age", "max-age"+bad)
		f(fresh(most), "min-fresh", "min-fresh"+bad)
		if bad != "" {
			f(stale(0), "max-stale", "max-stale"+bad)
		}
	}
	f(aged(0), "no-cache max-age", `max-age="60, no-cache`)

	// Beyond what is counted.
	f(cache.Demand{Aged: true, MaxAge: most}, "max-age", "max-age=2147483648")
	f(cache.Demand{Aged: true, MaxAge: most}, "max-age", "max-age=99999999999999999999999999999999999999")
	f(fresh(most), "min-fresh", "min-fresh=18446744073709551617")

	f(cache.Demand{Aged: true, MaxAge: time.Second, MinFresh: 2 * time.Second, MaxStale: 3 * time.Second, OnlyIfCached: true},
		"max-age min-fresh max-stale only-if-cached", "max-age=1, min-fresh=2, max-stale=3, only-if-cached")
}

// FuzzDirectives: whatever a client writes, what is asked for has bounds, another directive
// never loosens it, and lines of their own mean what one line does.
func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{
		"no-cache", "max-age=60, min-fresh=5, max-stale, only-if-cached", `max-age="60", max-stale="1"`, `a="b\",c", no-cache`, "max-age=99999999999999999999", ",=\"",
	} {
		f.Add(seed, "max-age=1")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		first, asked := parsed(one)
		for _, d := range []time.Duration{first.MaxAge, first.MinFresh, first.MaxStale + 1} {
			if d < 0 || d > mostSeconds*time.Second+1 {
				t.Fatalf("%q: got %+v", one, first)
			}
		}
		if asked&version != 0 || first.Aged != (asked&(noCache|maxAge) != 0) ||
			asked&minFresh == 0 && first.MinFresh != 0 || asked&maxStale == 0 && first.MaxStale != 0 || first.OnlyIfCached != (asked&onlyIfCached != 0) {
			t.Fatalf("%q: got %+v of %q", one, first, asked.names())
		}
		both, of := parsed(one, two)
		if asked&^of != 0 || first.Aged && (!both.Aged || both.MaxAge > first.MaxAge) || both.MinFresh < first.MinFresh || first.OnlyIfCached && !both.OnlyIfCached {
			t.Fatalf("%q behind %q loosens it: %+v, before %+v", two, one, both, first)
		}
		if asked&maxStale != 0 && first.MaxStale >= 0 && (both.MaxStale < 0 || both.MaxStale > first.MaxStale) {
			t.Fatalf("%q behind %q allows more: %+v, before %+v", two, one, both, first)
		}
		if strings.Contains(one, `"`) {
			return // which a comma of the other line may end
		}
		joined, ofJoined := parsed(one + "," + two)
		if joined.Aged != both.Aged || joined.MaxAge != both.MaxAge || joined.MinFresh != both.MinFresh || joined.MaxStale != both.MaxStale || ofJoined != of {
			t.Fatalf("%q and %q: got %+v on one line, %+v on two", one, two, joined, both)
		}
	})
}
