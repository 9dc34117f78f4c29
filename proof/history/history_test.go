package history

import (
	"testing"
	"time"

	"hearth/bench/report"
)

const s = time.Second

// written is a record with three versions, each acknowledged a moment after it was begun.
func written(by ...int) *Record {
	r := NewRecord("record:1", 3)
	for i, instance := range by {
		begun := time.Duration(i+1) * s
		r.Acknowledge(begun, begun+1, instance)
	}
	return r
}

// TestCheck shows that the checker can say no.
func TestCheck(t *testing.T) {
	c := NewChecker(1500*time.Millisecond, report.NewDelays(time.Millisecond, s))
	f := func(r *Record, instance int, version int64, sent time.Duration, wantOwn, wantLate int64) {
		t.Helper()
		q := c.Ask(r, instance)
		q.sent = sent
		was := c.Violations()
		c.Check(q, version, "")
		got := c.Violations()
		if own, late := got.Own-was.Own, got.Late-was.Late; own != wantOwn || late != wantLate {
			t.Errorf("instance %d, version %d, asked at %v: %d and %d, want %d older than its own and %d late", instance+1, version, sent, own, late, wantOwn, wantLate)
		}
	}
	r := written(0, -1, 1)
	f(r, 0, 3, 9*s, 0, 0)
	f(r, 0, 4, 9*s, 0, 0) // not acknowledged yet
	f(r, 0, 2, 4*s, 0, 0) // the other acknowledged version 3 a second ago
	f(r, 0, 2, 4600*time.Millisecond, 0, 1)
	f(r, 0, 1, 3400*time.Millisecond, 0, 0) // somebody acknowledged version 2 1.4 s ago
	f(r, 0, 1, 3600*time.Millisecond, 0, 1)
	f(r, 1, 2, 3*s+time.Millisecond, 1, 0) // it acknowledged version 3 itself
	f(r, 0, 0, 3*s, 1, 0)
	f(r, 2, 0, 2*s, 0, 0)
	f(r, 2, 0, 4*s, 0, 1)
	f(r, 2, 0, 11*s, 0, 1)
	if got := c.Behind.Worst(); got != 10*s-1 {
		t.Errorf("the longest delay is %v, want 10 s", got)
	}
	if got, want := c.Behind.Text("%s: %d", ", "), "to 1ms: 1, to 1s: 2, more: 6"; got != want {
		t.Errorf("answers behind are %s, want %s", got, want)
	}
	if got := len(c.Violations().Examples); got != 6 {
		t.Errorf("%d examples, want 6", got)
	}
	r.GiveUp()
	f(r, 0, 0, 9*s, 0, 0)
}

func TestCheckAbsent(t *testing.T) {
	c := NewChecker(1500*time.Millisecond, report.NewDelays())
	f := func(instance int, removed, sent time.Duration, want int64, by ...int) {
		t.Helper()
		q := c.Ask(written(by...), instance)
		q.sent = sent
		was := c.Violations().Own
		c.CheckAbsent(q, removed, "")
		if got := c.Violations().Own - was; got != want {
			t.Errorf("by %v, instance %d, removed at %v, asked at %v: %d violations, want %d", by, instance+1, removed, sent, got, want)
		}
	}
	f(0, 0, 9*s, 1, 0, -1, 1)
	f(0, 3*s-1, 9*s, 1, 0, -1, 1) // written since
	f(0, 3*s+5, 9*s, 0, 0, -1, 1)
	f(0, 2*s, 4*s, 0, 0, -1, 1)   // of version 3 it need not know
	f(1, 2*s, 4*s, 1, 0, -1, 1)   // which it acknowledged itself
	f(2, 0, s+1, 0, 0)            // nor of any
	f(2, 0, 3*s, 1, 0)            // but of an old one
	f(2, 1<<62, 9*s, 0, 0, -1, 1) // it is being removed
	q := c.Ask(written(0), 1)
	c.CheckLost(q, "")
	q.Record.GiveUp()
	c.CheckLost(q, "")
	c.CheckAbsent(q, 0, "")
	if got := c.Violations(); got.Own != 5 || got.Late != 0 {
		t.Errorf("%+v, want 5 of the asked instance", got)
	}
}
