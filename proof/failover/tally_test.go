package main

import (
	"net"
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

// TestNameServer asks for the name, by another kind, for another name, and nonsense.
func TestNameServer(t *testing.T) {
	question := func(kind byte, labels ...string) []byte {
		q := []byte{7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, label := range labels {
			q = append(append(q, byte(len(label))), label...)
		}
		return append(q, 0, 0, kind, 0, 1)
	}
	ip := net.IPv4(127, 0, 0, 2).To4()
	f := func(q []byte, wantCode byte, wantAnswers byte) {
		t.Helper()
		got := answerTo(q, ip)
		if got == nil || got[0] != 7 || got[1] != 9 || got[3]&15 != wantCode || got[7] != wantAnswers {
			t.Errorf("%q is answered %q", q, got)
		} else if wantAnswers == 1 && string(got[len(got)-4:]) != string(ip) {
			t.Errorf("the address is %v", got[len(got)-4:])
		}
	}
	f(question(1, "redis", "moved", "test"), 0, 1)
	f(question(1, "Redis", "MOVED", "test"), 0, 1)
	f(question(28, "redis", "moved", "test"), 0, 0)
	f(question(1, "other", "test"), 3, 0)
	for n := range len(question(1, "redis")) {
		if got := answerTo(question(1, "redis")[:n], ip); got != nil {
			t.Errorf("%d bytes of a question are answered %q", n, got)
		}
	}
}
