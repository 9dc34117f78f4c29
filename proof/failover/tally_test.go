package main

import (
	"testing"
	"time"

	"hearth/bench/load"
)

const s = time.Second

// TestTally shows that bounds over events can be missed.
func TestTally(t *testing.T) {
	one := &tally{}
	one.ok(opRead, load.Memory)
	one.ok(opRead, load.Redis)
	one.ok(opPut, load.Source)
	for _, e := range []event{{at: s, mark: true, what: "a"}, {at: s + s/4}, {at: 3 * s, from: 1, mark: true}, {at: 3*s + s/4}, {at: 3*s + s/2, mark: true}} {
		one.fail(e)
	}
	if got, want := one.String(), "2 reads, 1 of them from memory, 0 loads, 1 writes, 0 batches, 3 marked, 2 refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n, marks, longest := one.worst(s / 2); n != 5 || marks != 3 || longest != s/2 {
		t.Errorf("%d events, %d marks, for %v at most, want 5, 3 and 0.5 s", n, marks, longest)
	}
	f := func(at time.Duration, wantFirst string, want int64) {
		t.Helper()
		first, n := one.since(at)
		if n != want || (first == nil) != (want == 0) || wantFirst != "" && first.String() != wantFirst {
			t.Errorf("since %v: %v, %d, want %q, %d", at, first, n, wantFirst, want)
		}
	}
	f(0, "at 1s: a", 5)
	f(3*s, "", 3)
	f(4*s, "", 0)
	if first, n := one.which(func(e event) bool { return e.from == 1 }); n != 1 || first.at != 3*s {
		t.Errorf("of instance 2: %v, %d", first, n)
	}
	if one.last() != 3*s+s/2 {
		t.Errorf("the last one was at %v", one.last())
	}
	for range eventsKept {
		one.fail(event{at: 5 * s})
	}
	f(5*s, "", eventsKept) // those past the bound count, though nobody knows when they were
}
