package memory

import (
	"sync/atomic"
	"testing"
	"time"
)

const testTimeout = time.Second

// newTestStore is a store with one shape and one proven connection.
func newTestStore(t *testing.T) (*Store, *Shape, *Owner) {
	t.Helper()
	s := New(Config{Budget: 4 << 20, MissingShare: 0.25, LinkTimeout: testTimeout})
	o := s.NewOwner(false)
	o.Prove(0)
	return s, NewShape("user"), o
}

// fly keeps what a tracked read on o has brought just now.
func fly(s *Store, sh *Shape, o *Owner, key, data string) bool {
	s.Verify(o, s.Now())
	return s.Keep(NewEntry(sh, key, []byte(data), 0), o, o.Epoch(), s.Now()+int64(time.Minute), Never)
}

func (s *Store) isFresh(sh *Shape, key string) bool {
	defer s.Pin(0).Release()
	v := s.Peek(sh, []byte(key))
	return v.Found() && s.Now() < s.FreshUntil(v)
}

func (s *Store) isServable(sh *Shape, key string) bool {
	defer s.Pin(0).Release()
	v := s.Peek(sh, []byte(key))
	return v.Found() && s.Now() < s.StaleUntil(v, time.Minute)
}

// expire makes the record of key one that has expired at a clock time.
func (s *Store) expire(sh *Shape, key string, at int64) {
	defer s.Pin(0).Release()
	atomic.StoreUint32(&s.Peek(sh, []byte(key)).r.expiry, tickOf(at, s.Now()))
}

func TestFreshness(t *testing.T) {
	f := func(what string, wantFresh, wantStale bool, change func(s *Store, o *Owner, sh *Shape)) {
		t.Helper()
		s, sh, o := newTestStore(t)
		if !fly(s, sh, o, "k", "1") || !s.isFresh(sh, "k") {
			t.Fatal("a value just read is not fresh")
		}
		change(s, o, sh)
		if got := s.isFresh(sh, "k"); got != wantFresh {
			t.Errorf("%s: fresh %v, want %v", what, got, wantFresh)
		}
		if got := s.isServable(sh, "k"); got != wantStale {
			t.Errorf("%s: may be served marked %v, want %v", what, got, wantStale)
		}
	}
	f("nothing happened", true, true, func(*Store, *Owner, *Shape) {})
	f("the connection closed", false, true, func(s *Store, o *Owner, _ *Shape) { o.End() })
	f("all was flushed", false, false, func(s *Store, o *Owner, _ *Shape) { o.Flush() })
	f("its lifetime is over", false, true, func(s *Store, _ *Owner, sh *Shape) { s.expire(sh, "k", s.Now()) })
	f("it expired longer ago than ttl.stale", false, false, func(s *Store, _ *Owner, sh *Shape) { s.expire(sh, "k", s.Now()-int64(2*time.Minute)) })
	f("the link is silent", false, true, func(s *Store, o *Owner, _ *Shape) { o.verified.Store(s.Now() - int64(testTimeout)) })
	f("the link is nearly silent", true, true, func(s *Store, o *Owner, _ *Shape) { o.verified.Store(s.Now() - int64(testTimeout)/2) })
	f("the link is silent for longer than ttl.stale", false, false, func(s *Store, o *Owner, _ *Shape) { o.verified.Store(s.Now() - int64(2*time.Minute)) })
	f("the clocks disagree", false, true, func(s *Store, _ *Owner, _ *Shape) { s.distrust() })
	f("another connection closed", true, true, func(s *Store, _ *Owner, _ *Shape) { s.NewOwner(false).End() })
	f("another connection was flushed", true, true, func(s *Store, _ *Owner, _ *Shape) { s.NewOwner(false).Flush() })
	f("thousands of connections came and went", true, true, func(s *Store, _ *Owner, _ *Shape) {
		for range 2 * epochRing {
			s.NewOwner(false).End()
		}
	})
	f("another connection was flushed thousands of times", true, true, func(s *Store, _ *Owner, _ *Shape) {
		o := s.NewOwner(false)
		for range 2 * epochRing {
			o.Flush()
		}
	})
	f("it closed thousands of connections ago", false, false, func(s *Store, o *Owner, _ *Shape) {
		o.End()
		for range epochRing {
			s.NewOwner(false).End()
		}
	})
}

func TestDistrustOutlivesRepliesToEarlierCommands(t *testing.T) {
	t.Parallel()
	s, sh, o := newTestStore(t)
	fly(s, sh, o, "k", "1")
	before := s.Now()
	s.distrust()
	s.Verify(o, before)
	if s.isFresh(sh, "k") {
		t.Error("a command sent before the process slept verified the link")
	}
	s.Verify(o, s.Now())
	if !s.isFresh(sh, "k") {
		t.Error("a command sent after waking did not verify the link")
	}
}

// TestHitNoticesThatTheMachineSlept: what was verified before is no hit any more.
func TestHitNoticesThatTheMachineSlept(t *testing.T) {
	t.Parallel()
	s, sh, o := newTestStore(t)
	fly(s, sh, o, "k", "1")
	hit := func() bool {
		e, _ := s.Hit(sh, []byte("k"), time.Now())
		return e != nil
	}
	if !hit() {
		t.Fatal("a fresh entry is no hit")
	}
	s.drift.Add(-int64(time.Minute)) // the wall clock has run a minute ahead
	if now := time.Now(); hit() || !s.SleptUnnoticed(now, s.At(now)) {
		t.Error("what was verified before the machine slept is served")
	}
	s.NoticeSleep()
	if hit() {
		t.Error("after waking, the entry is fresh without a new proof")
	}
	s.Verify(o, s.Now())
	if !hit() {
		t.Error("after a new proof the entry is no hit")
	}
	s.SetSoleWriter()
	s.drift.Add(-int64(time.Minute))
	if !hit() {
		t.Error("a process that shares its tier with nobody distrusts itself after sleeping")
	}
}

func TestAnEntryBelongsToItsShape(t *testing.T) {
	t.Parallel()
	s, sh, o := newTestStore(t)
	fly(s, sh, o, "k", "1")
	if s.Find(NewShape("user"), []byte("k")) != nil {
		t.Error("a resource made by a reload finds an answer of the old shape")
	}
}

func TestMissingRecordsHaveTheirOwnShare(t *testing.T) {
	t.Parallel()
	s, sh, o := newTestStore(t)
	s.Resize(1<<20, 0.25)
	keep := func(key string, flags uint8) {
		e := NewEntry(sh, key, []byte(`{"a":1}`), flags)
		s.Keep(e, o, o.Epoch(), s.Now()+int64(time.Hour), Never)
	}
	for i := range 1000 {
		keep("there:"+string(rune('a'+i%26))+time.Duration(i).String(), 0)
	}
	_, records := s.entries.sizes()
	if records != 1000 {
		t.Fatalf("%d of 1000 records are kept", records)
	}
	for i := range 20_000 { // ten times as many as there is budget for
		keep("gone:"+time.Duration(i).String(), FlagMissing)
	}
	if _, got := s.entries.sizes(); got != records {
		t.Errorf("absent ids displaced records: %d are left of %d", got, records)
	}
	if got, most := s.Sizes().MissingBytes, int64(1<<18); got > most || got < most*8/10 {
		t.Errorf("missing records take %d bytes of a share of %d", got, most)
	}
	keep("k", 0)
	keep("k", FlagMissing)
	if e := s.Find(sh, []byte("k")); e == nil || !e.Missing() {
		t.Error("a record that is gone is still found")
	}
	keep("k", 0)
	if e := s.Find(sh, []byte("k")); e == nil || e.Missing() {
		t.Error("a record that came back is still missing")
	}
}

// Hit is Look that needs no pin: what it finds is an answer of its own.
func (s *Store) Hit(sh *Shape, key []byte, now time.Time) (e *Entry, ttl time.Duration) {
	defer s.Pin(0).Release()
	v, ttl := s.Look(sh, key, now)
	return v.Entry(), ttl
}
