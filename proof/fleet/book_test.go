package main

import (
	"testing"
	"time"
)

// TestJudge shows that the judge can say no.
func TestJudge(t *testing.T) {
	const ms = int64(time.Millisecond)
	b := newBook(1, 100*time.Millisecond)
	p := &b.pages[0]
	b.ack(p, 0) // version 1
	b.ack(p, 1) // version 2
	b.ack(p, 0) // version 3
	p.acked = []int64{100 * ms, 200 * ms, 300 * ms}
	f := func(instance int, version, sent int64, wantBroken, wantLate int64) {
		t.Helper()
		q := b.ask(p, instance)
		q.sent = sent * ms
		broken, late := b.broken, b.late
		b.judge(q, version)
		if b.broken-broken != wantBroken || b.late-late != wantLate {
			t.Errorf("instance %d, version %d, asked at %d ms: %d broken, %d late, want %d and %d", instance+1, version, sent, b.broken-broken, b.late-late, wantBroken, wantLate)
		}
	}
	f(0, 3, 900, 0, 0)
	f(0, 4, 900, 0, 0) // not acknowledged yet
	f(0, 2, 301, 1, 0) // it took version 3 itself
	f(1, 2, 301, 0, 0) // the other did, 1 ms ago
	f(1, 2, 400, 0, 0)
	f(1, 2, 401, 0, 1)
	f(1, 1, 301, 1, 0) // it took version 2 itself
	f(2, 1, 300, 0, 0) // version 2 was taken 100 ms ago
	f(2, 1, 301, 0, 1)
	f(2, 0, 350, 0, 1)
	if got := time.Duration(b.worst.Load()); got != 250*time.Millisecond {
		t.Errorf("the longest delay is %v, want 250 ms", got)
	}
	counted := int64(0)
	for i := range b.behind {
		counted += b.behind[i].Load()
	}
	if counted != 8 || len(b.examples) != 5 {
		t.Errorf("%d answers behind and %d examples, want 8 and 5", counted, len(b.examples))
	}
	p.lost.Store(true)
	f(0, 0, 900, 0, 0)
}
