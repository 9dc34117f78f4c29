package main

import (
	"slices"
	"testing"
	"time"
)

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
