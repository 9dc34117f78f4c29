package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLatencies compares with what sorting says.
func TestLatencies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l, half latencies
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(random.Int64N(1 << random.IntN(40)))
		all = append(all, d)
		if len(all)%2 == 0 {
			l.add(d)
		} else {
			half.add(d)
		}
	}
	l.merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.9999} {
		want := all[int(q*float64(len(all)))]
		if got := l.quantile(q); got < want || got > want+want/steps+1 {
			t.Errorf("quantile %v is %v, want %v or a sixteenth more", q, got, want)
		}
	}
	if l.n != 10_000 || l.worst != all[len(all)-1] || l.quantile(1) != l.worst {
		t.Errorf("%d times, the longest %v, quantile 1 %v, want 10000 and %v", l.n, l.worst, l.quantile(1), all[len(all)-1])
	}
	if got := new(latencies).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	l.add(1<<63 - 1)
	l.add(-1)
	if l.n != 10_002 {
		t.Error("the extremes were not counted")
	}
}

func TestClassesAreInOrder(t *testing.T) {
	for c := range 40 * steps {
		if class(upper(c)) != c || class(upper(c)+1) != c+1 {
			t.Fatalf("class %d ends at %v, which is in class %d, and the next in %d", c, upper(c), class(upper(c)), class(upper(c)+1))
		}
	}
}

func TestHistogram(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Minute+time.Duration(i)*time.Second)
	}
	least, most, counts := histogram(all)
	if least != time.Minute || most != time.Minute+99*time.Second || counts != [spreadBuckets]int{10, 10, 10, 10, 10, 10, 10, 10, 10, 10} {
		t.Errorf("got %v to %v, %v", least, most, counts)
	}
	if _, _, counts := histogram([]time.Duration{7, 7}); counts[0] != 2 {
		t.Errorf("of equal times: %v", counts)
	}
	if least, most, _ := histogram(nil); least != 0 || most != 0 {
		t.Errorf("of none: %v to %v", least, most)
	}
}

func TestTiers(t *testing.T) {
	f := func(status string, want tier) {
		t.Helper()
		if got := tierOf([]byte(status)); got != want {
			t.Errorf("%q comes from %s, want %s", status, tierNames[got], tierNames[want])
		}
	}
	f("Hearth-Memory; hit; ttl=41", memory)
	f("Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored", redis)
	f("Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss", source)
	f("Hearth-Redis; fwd=miss, Hearth-Memory; fwd=miss", source)
	f("Hearth-Memory; hit; ttl=-12; detail=stale", marked)
	f("Hearth-Memory; fwd=miss; stored; detail=untracked", marked)
	f("Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored; detail=untracked", marked)
}

func TestNumbersOfAnswers(t *testing.T) {
	f := func(body, member string, want int64) {
		t.Helper()
		if got := number([]byte(body), member); got != want {
			t.Errorf("%s of %s is %d, want %d", member, body, got, want)
		}
	}
	f(`{"row":{"id":1,"v":27,"stamp":5},"source":"db"}`, `"v":`, 27)
	f(`{"row":{"id":1,"v":27,"stamp":5},"source":"db"}`, `"stamp":`, 5)
	f(`{"row":{"id":1}}`, `"v":`, -1)
	f(`{"v":`, `"v":`, -1)
	f(`{"v":null}`, `"v":`, -1)
	a, b := record([]byte(`{"row":{"id":1},"source":"db"}`)), record([]byte(`{"row":{"id":1},"source":"cache"}`))
	if !bytes.Equal(a, b) || string(a) != `{"row":{"id":1}` {
		t.Errorf("records %q and %q, want the same", a, b)
	}
}

func TestManyPath(t *testing.T) {
	if got, want := manyPath(9, 3), "/many?id=9&id=10&id=11"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAbsentIDs(t *testing.T) {
	ids := absentIDs(1000, 7)
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 1000 || ids[0] <= lastRecord {
		t.Errorf("%d different ids from %d on, want 1000 beyond %d", len(slices.Compact(ids)), ids[0], lastRecord)
	}
}

func TestTimeline(t *testing.T) {
	l := newTimeline()
	fill := func(slot, all, memory int) {
		for i := range all {
			l.noteAt(time.Duration(slot)*slotLasts+time.Duration(i), i < memory)
		}
	}
	fill(0, 100, 100)
	fill(2, 100, 98)
	fill(3, slotLeast-1, slotLeast-1)
	fill(4, 100, 99)
	f := func(since, now, want time.Duration, found bool) {
		t.Helper()
		if got, ok := l.warmAfter(since*slotLasts/10, now*slotLasts/10); ok != found || got != want*slotLasts/10 {
			t.Errorf("warm after %d tenths of a slot, at %d: %v, %v, want %v, %v", since, now, got, ok, want*slotLasts/10, found)
		}
	}
	f(0, 10, 10, true)
	f(0, 9, 0, false) // the slot is not over
	f(1, 49, 0, false)
	f(1, 50, 49, true)
	f(10, 100, 40, true)
	f(41, 100, 0, false)
	l.noteAt(24*time.Hour, true) // later than there are slots
}

func TestSection(t *testing.T) {
	s := &section{title: "title"}
	var l latencies
	l.add(1234567)
	s.times("latency", &l)
	s.tiers(&tally{ok: [tiers]int64{3, 0, 1, 0}, refused: 2})
	s.bound(true, "held: %d", 1)
	s.bound(false, "not held")
	var out strings.Builder
	s.print(&out)
	want := `
title
  latency                    p50 1.23ms, p99 1.23ms, longest 1.23ms
  answers                    3 memory, 1 the database, 2 refused, 0 failed
  ok   held: 1
  MISS not held
`
	if out.String() != want || s.missed != 1 {
		t.Errorf("%d missed, got:%s\nwant:%s", s.missed, out.String(), want)
	}
}
