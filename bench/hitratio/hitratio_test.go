package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// short plays all that a test has time for.
func short(t *testing.T, args ...string) *result {
	t.Helper()
	o, err := parse(append([]string{"-keys", "5000", "-requests", "100000", "-sizes", "10"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return o.play()
}

// ratio is that of a policy in a row.
func (r *result) ratio(t *testing.T, trace, policy string) float64 {
	t.Helper()
	i := slices.IndexFunc(r.rows, func(one row) bool { return one.name == trace })
	j := slices.IndexFunc(r.policies, func(c contender) bool { return c.name == policy })
	if i < 0 || j < 0 {
		t.Fatalf("there is no ratio of %q on %q", policy, trace)
	}
	return r.rows[i].ratios[j]
}

// TestAScanLeavesMemoryAlone is what admission is for, and what it must not cost.
func TestAScanLeavesMemoryAlone(t *testing.T) {
	t.Parallel()
	r := short(t, "-policies", "fifo,clock,s3fifo,wtinylfu,hearth")
	for _, one := range r.rows {
		for i, c := range r.policies {
			if one.ratios[i] > one.best || one.ratios[i] <= 0 {
				t.Errorf("%s on %s: %.3f of the requests hit, the optimum is %.3f", c.name, one.name, one.ratios[i], one.best)
			}
		}
		if one.fixed > one.best {
			t.Errorf("%s: a fixed set has %.3f, the optimum %.3f", one.name, one.fixed, one.best)
		}
	}
	for _, trace := range []string{"one-hit", "scans"} {
		if got, lru := r.ratio(t, trace, "hearth"), r.ratio(t, trace, "lru"); got < lru+0.05 {
			t.Errorf("%s: %.3f of the requests hit, LRU has %.3f: want at least 5 points more", trace, got, lru)
		}
	}
	for _, trace := range []string{"zipf-0.7", "zipf-0.9", "zipf-1.1", "shift", "loop-near", "loop-long", "database"} {
		if got, lru := r.ratio(t, trace, "hearth"), r.ratio(t, trace, "lru"); got < lru {
			t.Errorf("%s: %.3f of the requests hit, LRU has %.3f: want as many", trace, got, lru)
		}
	}
}

// TestTheStoreIsAsGoodAsItsSimulation: with as many records as its least budget has.
func TestTheStoreIsAsGoodAsItsSimulation(t *testing.T) {
	t.Parallel()
	r := short(t, "-keys", "40000", "-requests", "200000", "-traces", "one-hit,scans,shift", "-policies", "hearth,store")
	for _, one := range r.rows {
		got, want, lru := r.ratio(t, one.name, "store"), r.ratio(t, one.name, "hearth"), r.ratio(t, one.name, "lru")
		if got < want-0.02 || got > want+0.02 {
			t.Errorf("%s: %.3f of the requests hit, by the simulation %.3f", one.name, got, want)
		}
		if one.name != "shift" && got < lru+0.05 {
			t.Errorf("%s: %.3f of the requests hit, LRU has %.3f: want at least 5 points more", one.name, got, lru)
		}
	}
}

// TestOptimumIsTheBest: on traces that are short enough to try everything.
func TestOptimumIsTheBest(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		tr := &trace{universe: 5}
		for range 12 {
			tr.requests = append(tr.requests, uint32(rnd.IntN(5)))
		}
		for capacity := 1; capacity <= 3; capacity++ {
			want := bestHits(tr.requests, nil, capacity)
			if got := optimum(tr, capacity) * 12; int(got+0.5) != want {
				t.Fatalf("%v, %d held: the optimum has %v hits, there are %d", tr.requests, capacity, got, want)
			}
		}
	}
}

// bestHits tries every choice of what to hold after each request.
func bestHits(requests, held []uint32, capacity int) int {
	if len(requests) == 0 {
		return 0
	}
	key, rest := requests[0], requests[1:]
	if slices.Contains(held, key) {
		return 1 + bestHits(rest, held, capacity)
	}
	best := bestHits(rest, held, capacity)
	if len(held) < capacity {
		return max(best, bestHits(rest, append(slices.Clone(held), key), capacity))
	}
	for i := range held {
		other := slices.Clone(held)
		other[i] = key
		best = max(best, bestHits(rest, other, capacity))
	}
	return best
}

func TestTracesAreTheSameEveryTime(t *testing.T) {
	t.Parallel()
	for _, m := range makers {
		one, other := m.trace(2000, 20_000), m.trace(2000, 20_000)
		if !slices.Equal(one.requests, other.requests) || len(one.requests) != 20_000 {
			t.Errorf("%s: two traces of %d and %d requests differ", m.name, len(one.requests), len(other.requests))
		}
	}
}

func TestTheRecordHasTableAndPlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run([]string{"-keys", "1000", "-requests", "2000", "-traces", "zipf-0.9", "-policies", "hearth", "-sizes", "1,10", "-record", dir}); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "hitratio.md"))
	if err != nil || !strings.Contains(string(table), "| trace | LRU | simulated | fixed set | optimum |") {
		t.Errorf("the table is %q, %v", table, err)
	}
	if plot, err := os.ReadFile(filepath.Join(dir, "hitratio.svg")); err != nil || !strings.HasPrefix(string(plot), "<svg") {
		t.Errorf("the plot is %q, %v", plot, err)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", args, err, want)
		}
	}
	f(`"zipf-9" is none of those that -traces takes: zipf-0.7,`, "-traces", "zipf-9")
	f(`"arc" is none of those that -policies takes: lru,`, "-policies", "arc")
	f(`size "0" is no percentage`, "-sizes", "0")
	f("at least 1000 keys", "-keys", "10")
}
