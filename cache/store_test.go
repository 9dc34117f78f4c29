package cache

import (
	"testing"
	"time"
)

const testTimeout = time.Second

// newTestStore is a store with one resource and one proven connection.
func newTestStore(t *testing.T) (*store, *Resource, *owner) {
	t.Helper()
	s := newStore(newClock(), 4<<20, 0.25, testTimeout)
	o := s.newOwner(false)
	o.proven.Store(true)
	return s, NewResource("user", "user", testLives, nil), o
}

// fly reads key on o as a tier would: bound, answered, finished.
func fly(t *testing.T, s *store, r *Resource, o *owner, key, data string) bool {
	t.Helper()
	f := lead(t, s, r, o, key)
	s.arrived(o, key)
	return end(s, f, data)
}

// lead begins a tracked read on o.
func lead(t *testing.T, s *store, r *Resource, o *owner, key string) *flight {
	t.Helper()
	f, lead, plain := s.join(r, key)
	if !lead || plain {
		t.Fatalf("joining %q: lead %v, plain %v, want to lead", key, lead, plain)
	}
	s.bind(o, key, s.now())
	return f
}

// end hands in what the read found and tells whether it was stored.
func end(s *store, f *flight, data string) bool {
	res := result{reply: reply{kind: kindValue, data: []byte(data)}}
	res.entry = newEntry(f.res, f.key, []byte(data), 0)
	s.finish(f, res, s.now()+int64(time.Minute))
	return f.result.stored
}

func (s *store) isFresh(r *Resource, key string) bool {
	e := s.find(r, []byte(key))
	return e != nil && s.now() < s.freshUntil(e)
}

func (s *store) isServable(r *Resource, key string) bool {
	e := s.find(r, []byte(key))
	return e != nil && s.now() < s.staleUntil(e, time.Minute)
}

func TestFreshness(t *testing.T) {
	f := func(what string, wantFresh, wantStale bool, change func(s *store, o *owner, e *Entry)) {
		t.Helper()
		s, r, o := newTestStore(t)
		if !fly(t, s, r, o, "k", "1") || !s.isFresh(r, "k") {
			t.Fatal("a value just read is not fresh")
		}
		change(s, o, s.find(r, []byte("k")))
		if got := s.isFresh(r, "k"); got != wantFresh {
			t.Errorf("%s: fresh %v, want %v", what, got, wantFresh)
		}
		if got := s.isServable(r, "k"); got != wantStale {
			t.Errorf("%s: may be served marked %v, want %v", what, got, wantStale)
		}
	}
	f("nothing happened", true, true, func(*store, *owner, *Entry) {})
	f("the connection closed", false, true, func(s *store, o *owner, _ *Entry) { s.bury(o) })
	f("all was flushed", false, false, func(s *store, o *owner, _ *Entry) { s.flush(o) })
	f("its lifetime is over", false, true, func(s *store, _ *owner, e *Entry) { e.expiry = s.now() })
	f("it expired longer ago than ttl.stale", false, false, func(s *store, _ *owner, e *Entry) { e.expiry = s.now() - int64(2*time.Minute) })
	f("the link is silent", false, true, func(s *store, o *owner, _ *Entry) { o.verified.Store(s.now() - int64(testTimeout)) })
	f("the link is nearly silent", true, true, func(s *store, o *owner, _ *Entry) { o.verified.Store(s.now() - int64(testTimeout)/2) })
	f("the link is silent for longer than ttl.stale", false, false, func(s *store, o *owner, _ *Entry) { o.verified.Store(s.now() - int64(2*time.Minute)) })
	f("the clocks disagree", false, true, func(s *store, _ *owner, _ *Entry) { s.distrust() })
	f("another connection closed", true, true, func(s *store, _ *owner, _ *Entry) { s.bury(s.newOwner(false)) })
	f("another connection was flushed", true, true, func(s *store, _ *owner, _ *Entry) { s.flush(s.newOwner(false)) })
	f("its owner's place was taken", false, false, func(s *store, _ *owner, _ *Entry) {
		for range ownerRing {
			s.newOwner(false)
		}
	})
}

func TestDistrustOutlivesRepliesToEarlierCommands(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fly(t, s, r, o, "k", "1")
	before := s.now()
	s.distrust()
	s.stamp(o, before)
	if s.isFresh(r, "k") {
		t.Error("a command sent before the process slept verified the link")
	}
	s.stamp(o, s.now())
	if !s.isFresh(r, "k") {
		t.Error("a command sent after waking did not verify the link")
	}
}

func TestHitNoticesThatTheMachineSlept(t *testing.T) {
	t.Parallel()
	c := &Cache{store: newStore(newClock(), 4<<20, 0.25, testTimeout)}
	c.local = c.store.newOwner(true)
	r, o := NewResource("user", "", testLives, nil), c.store.newOwner(false)
	fly(t, c.store, r, o, "k", "1")
	if e, _ := c.Hit(r, []byte("k"), time.Now()); e == nil {
		t.Fatal("a fresh entry is no hit")
	}
	c.store.drift.Add(-int64(time.Minute)) // the wall clock has run a minute ahead
	q := query{Cache: c, r: r, key: "k"}
	if e, _ := c.Hit(r, []byte("k"), time.Now()); e != nil {
		t.Error("the fast way served what was verified before the machine slept")
	}
	if _, ok := q.fromMemory(); ok {
		t.Error("the slow way served what was verified before the machine slept")
	}
	c.store.wakeUp()
	if e, _ := c.Hit(r, []byte("k"), time.Now()); e != nil {
		t.Error("after waking, the entry is fresh without a new proof")
	}
	c.store.stamp(o, c.store.now())
	if e, _ := c.Hit(r, []byte("k"), time.Now()); e == nil {
		t.Error("after a new proof the entry is no hit")
	}
	c.store.alone = true
	c.store.drift.Add(-int64(time.Minute))
	if e, _ := c.Hit(r, []byte("k"), time.Now()); e == nil {
		t.Error("a process that shares its tier with nobody distrusts itself after sleeping")
	}
}

func TestInvalidationTouchesOwnAndDeadOwnersEntries(t *testing.T) {
	t.Parallel()
	s, r, a := newTestStore(t)
	b := s.newOwner(false)
	fly(t, s, r, a, "k", "1")
	s.invalidate(b, "k")
	if s.find(r, []byte("k")) == nil {
		t.Error("another living connection's invalidation dropped the entry")
	}
	s.bury(a)
	s.invalidate(b, "k")
	if s.find(r, []byte("k")) != nil {
		t.Error("an invalidation left a dead connection's entry")
	}
	fly(t, s, r, b, "k", "2")
	s.invalidate(b, "k")
	if s.find(r, []byte("k")) != nil {
		t.Error("an invalidation left its own connection's entry")
	}
}

func TestAnEntryBelongsToItsResource(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fly(t, s, r, o, "k", "1")
	if s.find(NewResource("user", "user", testLives, nil), []byte("k")) != nil {
		t.Error("a resource made by a reload finds an answer of the old shape")
	}
}

func TestTooLargeValuesAreServedNotKept(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fly(t, s, r, o, "k", "1")
	s.bury(o)
	next := s.newOwner(false)
	large := `"` + string(make([]byte, s.maxValue.Load())) + `"`
	if fly(t, s, r, next, "k", large) {
		t.Error("a value over 1 % of the budget was kept")
	}
	if s.find(r, []byte("k")) != nil {
		t.Error("the value that a larger one replaced is still there")
	}
}

func TestMissingRecordsHaveTheirOwnShare(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	keep := func(key string, flags uint8) {
		e := newEntry(r, key, []byte(`{"a":1}`), flags)
		s.keep(e, o, o.epoch.Load(), s.now()+int64(time.Hour), never)
	}
	for i := range 1000 {
		keep("there:"+string(rune('a'+i%26))+time.Duration(i).String(), 0)
	}
	records := s.entries.count.Load()
	for i := range 100_000 {
		keep("gone:"+time.Duration(i).String(), flagMissing)
	}
	if got := s.entries.count.Load(); got != records {
		t.Errorf("absent ids displaced records: %d are left of %d", got, records)
	}
	if got, most := s.missing.bytes.Load(), s.missing.budget.Load(); got > most+most/20 {
		t.Errorf("missing records take %d bytes of a share of %d", got, most)
	}
	keep("k", 0)
	keep("k", flagMissing)
	if e := s.find(r, []byte("k")); e == nil || !e.Missing() {
		t.Error("a record that is gone is still found")
	}
	keep("k", 0)
	if e := s.find(r, []byte("k")); e == nil || e.Missing() {
		t.Error("a record that came back is still missing")
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

func TestLinkWithAnUnansweredReadIsNoProof(t *testing.T) {
	t.Parallel()
	s, _, o := newTestStore(t)
	l := &link{store: s, key: canaryPrefix + "x", name: "test"}
	lead(t, s, canaryResource, o, l.key)
	s.abandon(o, l.key)
	if err := l.prove(within(t), time.Millisecond); err == nil {
		t.Error("a link whose canary is still being read passed for proved")
	}
	s.arrived(o, l.key)
	if _, lead, _ := s.join(canaryResource, l.key); !lead {
		t.Error("the late answer did not free the canary")
	}
}
