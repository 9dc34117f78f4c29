package cache

import (
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

const testTimeout = time.Second

// newTestStore is a store with one resource and one proven connection.
func newTestStore(t *testing.T) (*Flights, *Resource, *memory.Owner) {
	t.Helper()
	s := NewFlights(memory.New(memory.Config{Budget: 4 << 20, MissingShare: 0.25, LinkTimeout: testTimeout}))
	o := s.NewOwner(false)
	o.Prove(0)
	return s, NewResource("user", "user", testLives, nil), o
}

// cacheOn is a Cache without tiers behind its memory.
func cacheOn(s *Flights) *Cache {
	return &Cache{LargeAnswers: s.LargeAnswers, store: s.Store, flights: s}
}

// memoryOf is a store of so many bytes.
func memoryOf(bytes int64) *Flights {
	return NewFlights(memory.New(memory.Config{Budget: bytes, MissingShare: 0.05, LinkTimeout: time.Second}))
}

// fly reads key on o as a tier would: bound, answered, finished.
func fly(t *testing.T, s *Flights, r *Resource, o *memory.Owner, key, data string) bool {
	t.Helper()
	f := lead(t, s, r, o, key)
	s.Arrived(o, key)
	return end(s, f, data)
}

// lead begins a tracked read on o.
func lead(t *testing.T, s *Flights, r *Resource, o *memory.Owner, key string) *flight {
	t.Helper()
	f, lead, plain := s.join(r, key)
	if !lead || plain {
		t.Fatalf("joining %q: lead %v, plain %v, want to lead", key, lead, plain)
	}
	s.Bind(o, key, s.Now())
	return f
}

// end hands in what the read found and tells whether it was stored.
func end(s *Flights, f *flight, data string) bool {
	res := result{Content: shared.Content{State: shared.Value, Data: []byte(data)}}
	res.entry = memory.NewEntry(f.res.Shape, f.key, []byte(data), 0)
	s.finish(f, res, s.Now()+int64(time.Minute))
	return f.result.stored
}

func TestInvalidationTouchesOwnAndDeadOwnersEntries(t *testing.T) {
	t.Parallel()
	s, r, a := newTestStore(t)
	b := s.NewOwner(false)
	fly(t, s, r, a, "k", "1")
	s.Invalidated(b, "k")
	if s.Find(r.Shape, []byte("k")) == nil {
		t.Error("another living connection's invalidation dropped the entry")
	}
	s.Closed(a)
	s.Invalidated(b, "k")
	if s.Find(r.Shape, []byte("k")) != nil {
		t.Error("an invalidation left a dead connection's entry")
	}
	fly(t, s, r, b, "k", "2")
	s.Invalidated(b, "k")
	if s.Find(r.Shape, []byte("k")) != nil {
		t.Error("an invalidation left its own connection's entry")
	}
}

func TestAnOpenWriteKeepsItsKeyOutOfMemory(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	s.open = func(key string) bool { return key == "open" }
	if fly(t, s, r, o, "open", "1") {
		t.Error("a key whose write awaits its confirmation was stored")
	}
	if !fly(t, s, r, o, "other", "1") {
		t.Error("another key was not stored")
	}
}

func TestTooLargeValuesAreServedNotKept(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fly(t, s, r, o, "k", "1")
	s.Closed(o)
	next := s.NewOwner(false)
	large := `"` + string(make([]byte, s.MaxValue())) + `"`
	if fly(t, s, r, next, "k", large) {
		t.Error("a value over 1 % of the budget was kept")
	}
	if s.Find(r.Shape, []byte("k")) != nil {
		t.Error("the value that a larger one replaced is still there")
	}
}

// TestAKeyWithAnUnansweredReadIsNotProbed: its late answer would be taken for the
// probe's.
func TestAKeyWithAnUnansweredReadIsNotProbed(t *testing.T) {
	t.Parallel()
	s, _, o := newTestStore(t)
	lead(t, s, probes, o, "canary")
	s.Abandoned(o, "canary")
	read := func() error { s.Bind(o, "canary", s.Now()); s.Arrived(o, "canary"); return nil }
	if _, begun, _ := s.Probe("canary", read); begun {
		t.Error("a key whose read has not been answered was probed")
	}
	s.Arrived(o, "canary")
	if got, begun, err := s.Probe("canary", read); !begun || got != o || err != nil {
		t.Errorf("after the late answer: got %v, begun %v, %v", got, begun, err)
	}
}
