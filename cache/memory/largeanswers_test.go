package memory

import (
	"sync"
	"testing"

	"hearth/internal/budget"
)

// newSendingStore is a store of 16 MiB, of which a value may have 1 %, and room for
// so many bytes of large answers.
func newSendingStore(t *testing.T, bytes int64) (*Store, *Shape, *Owner) {
	t.Helper()
	s := New(Config{Budget: 16 << 20, MissingShare: 0.25, LinkTimeout: testTimeout, Answers: budget.New(bytes)})
	return s, NewShape("user"), s.NewOwner(true)
}

// TestBytesInFlight: an entry takes room while answers with it are on their way
// and no table has it, whichever of the two begins or ends first.
func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	s, r, o := newSendingStore(t, 250<<10)
	taken := func(what string, entries int64) {
		t.Helper()
		if got := (s.budget.Taken() + 50<<10) / (100 << 10); got != entries {
			t.Errorf("%s: the bytes of %d entries are taken (%d), want %d", what, got, s.budget.Taken(), entries)
		}
	}
	send := func(what string, e *Entry, want bool) {
		t.Helper()
		if got := s.BeginSend(e); got != want {
			t.Fatalf("%s: sent %v, want %v", what, got, want)
		}
	}
	entry := func(key string) *Entry { return s.NewKept(r, key, []byte(noise(100<<10)), 0) }

	outside := entry("outside")
	send("outside", outside, true)
	send("outside, once more", outside, true)
	taken("two answers with one entry", 1)
	s.EndSend(outside)
	taken("one of them has left", 1)
	s.EndSend(outside)
	taken("both have left", 0)

	kept := entry("kept")
	s.Keep(kept, o, o.Epoch(), Never, Never)
	send("kept", kept, true)
	taken("what the budget counts", 0)
	s.Drop("kept", nil)
	taken("it is evicted while it is sent", 1)
	send("found before it was evicted", kept, true)
	s.EndSend(kept)
	s.EndSend(kept)
	taken("both have left", 0)

	kept = entry("kept")
	s.Keep(kept, o, o.Epoch(), Never, Never)
	send("kept", kept, true)
	s.Keep(entry("kept"), o, o.Epoch(), Never, Never)
	taken("another value comes in its place", 1)
	second := entry("second")
	send("as many as there is room for", second, true)
	taken("two entries", 2)
	send("one too many", entry("third"), false)
	send("one that is on its way already", second, true)
	fresh := s.Find(r, []byte("kept"))
	send("one that is kept", fresh, true)
	s.Drop("kept", nil)
	taken("it is evicted, too", 3)
	s.Keep(entry("more"), o, o.Epoch(), Never, Never)
	send("one that is kept, with more than all taken", s.Find(r, []byte("more")), false)
	for _, e := range []*Entry{kept, second, second, fresh} {
		s.EndSend(e)
	}
	taken("all have left", 0)
	if len(s.sending) != 0 || s.budget.Refused() != 2 {
		t.Errorf("%d entries are shared at the end, and %d were refused; want none and 2", len(s.sending), s.budget.Refused())
	}
}

// TestBytesInFlightUnderRace: all at once, and in the end nothing is taken.
func TestBytesInFlightUnderRace(t *testing.T) {
	t.Parallel()
	s, r, o := newSendingStore(t, 1<<30)
	var one sync.Mutex
	data := []byte(noise(80 << 10))
	entries := make([]*Entry, 4)
	for i := range entries {
		entries[i] = s.NewKept(r, string(rune('a'+i)), data, 0)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 2000 {
				e := entries[(i+n)%len(entries)]
				if i < 2 {
					one.Lock()
					if n%2 == 0 {
						s.Keep(e, o, o.Epoch(), Never, Never)
					} else {
						s.Drop(e.key(), nil)
					}
					one.Unlock()
				} else if s.BeginSend(e) {
					s.EndSend(e)
				}
			}
		})
	}
	all.Wait()
	if n := s.Budget().Taken(); n != 0 || len(s.sending) != 0 {
		t.Errorf("%d bytes and %d entries are left", n, len(s.sending))
	}
}
