package cache

import (
	"context"
	"errors"
	"sync"
	"testing"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

func TestAnInvalidationAfterTheReplyForbidsStoring(t *testing.T) {
	f := func(what string, want bool, between func(s *Flights, o *memory.Owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.Arrived(o, "k")
		between(s, o)
		if got := end(s, fl, "1"); got != want {
			t.Errorf("%s: stored %v, want %v", what, got, want)
		}
		if string(fl.result.Data) != "1" {
			t.Errorf("%s: the read's own answer got lost", what)
		}
		if n := inFlight(s); n != 0 {
			t.Errorf("%s: %d reads are still on the books", what, n)
		}
	}
	f("nothing", true, func(*Flights, *memory.Owner) {})
	f("an invalidation", false, func(s *Flights, o *memory.Owner) { s.Invalidated(o, "k") })
	f("an invalidation of another key", true, func(s *Flights, o *memory.Owner) { s.Invalidated(o, "l") })
	f("an invalidation on another connection", true, func(s *Flights, _ *memory.Owner) { s.Invalidated(s.NewOwner(false), "k") })
	f("an own write", false, func(s *Flights, _ *memory.Owner) { s.Changed("k") })
	f("a flush", false, func(s *Flights, o *memory.Owner) { s.Flushed(o) })
	f("the end of the connection", false, func(s *Flights, o *memory.Owner) { s.Closed(o) })
}

func TestAnInvalidationBeforeTheReplyIsOlderThanIt(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.Invalidated(o, "k")
	s.Arrived(o, "k")
	if !end(s, fl, "1") {
		t.Error("a reply that is newer than the invalidation was not stored")
	}
}

// inFlight counts the reads on the books.
func inFlight(s *Flights) (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].flights)
		s.shards[i].mu.Unlock()
	}
	return n
}

func watches(s *Flights) (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].watches)
		s.shards[i].mu.Unlock()
	}
	return n
}

func TestAnOwnWritePoisonsTheReadInFlight(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	if same, first, plain := s.join(r, "k"); same != fl || first || plain {
		t.Error("a second reader did not join the read in flight")
	}
	s.Changed("k")
	if _, first, plain := s.join(r, "k"); first || !plain {
		t.Error("a poisoned read was joined, or a second tracked read begun beside it")
	}
	s.Arrived(o, "k")
	if end(s, fl, "old") {
		t.Error("a poisoned read was stored")
	}
	if got := string(fl.wait(context.Background()).Data); got != "old" {
		t.Errorf("those who waited got %q, want what was read", got)
	}
	if !fly(t, s, r, o, "k", "new") {
		t.Error("the next read was not stored")
	}
}

func TestAnOwnWriteBeforeTheReadIsSent(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl, _, _ := s.join(r, "k")
	s.Changed("k") // the leader has not reached its connection yet
	s.Bind(o, "k", s.Now())
	s.Arrived(o, "k")
	if end(s, fl, "1") {
		t.Error("a read poisoned before it was bound was stored")
	}
	if n := inFlight(s); n != 0 {
		t.Errorf("%d reads are still on the books", n)
	}
}

func TestRepliesCountOnTheirOwnConnectionOnly(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	old := s.NewOwner(false)
	s.Arrived(o, "never asked") // after ASK, say
	fl := lead(t, s, r, o, "k")
	s.Arrived(old, "k")
	if fl.replied {
		t.Error("a late reply of an old connection resolved the read")
	}
	s.Abandoned(old, "k")
	s.Closed(old)
	s.Arrived(o, "k")
	if !end(s, fl, "1") {
		t.Error("the read was not stored on its own connection")
	}
	if old.VerifiedAt() > 0 {
		t.Error("a reply to nobody's read verified a connection")
	}
}

func TestAnAbandonedReadIsNotTakenForALaterOne(t *testing.T) {
	f := func(what string, free func(s *Flights, o *memory.Owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.Abandoned(o, "k")
		s.finish(fl, result{err: ErrTimeout}, 0)
		if err := fl.wait(context.Background()).err; !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: the leader got %v", what, err)
		}
		if _, _, plain := s.join(r, "k"); !plain {
			t.Errorf("%s: the key was read tracked while the late reply is on the wire", what)
		}
		free(s, o)
		next := s.NewOwner(false)
		if !fly(t, s, r, next, "k", "2") {
			t.Errorf("%s: the key was not freed", what)
		}
		if s.late.count.Load() != 0 && !fl.replied {
			t.Errorf("%s: the connection still holds the late read", what)
		}
	}
	f("its reply comes", func(s *Flights, o *memory.Owner) { s.Arrived(o, "k") })
	f("a later command is answered", func(s *Flights, o *memory.Owner) { s.stamp(o, s.Now()+1) })
	f("the connection closes", func(s *Flights, o *memory.Owner) { s.Closed(o) })
	f("the connection closes twice", func(s *Flights, o *memory.Owner) { s.Closed(o); s.Closed(o) })
}

func TestAStampOfAnEarlierCommandFreesNothing(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	earlier := s.Now()
	lead(t, s, r, o, "k")
	s.Abandoned(o, "k")
	s.stamp(o, earlier)
	if _, _, plain := s.join(r, "k"); !plain {
		t.Error("the answer to an earlier command freed an abandoned read")
	}
}

func TestAnAbandonAfterTheConnectionClosed(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.Closed(o)
	s.Abandoned(o, "k")
	s.finish(fl, result{err: ErrTimeout}, 0)
	if n := inFlight(s); n != 0 {
		t.Errorf("%d reads are still on the books", n)
	}
}

func TestABrokenOrFlushedReadIsNotJoined(t *testing.T) {
	f := func(what string, change func(s *Flights, o *memory.Owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.Arrived(o, "k")
		change(s, o)
		if next, first, _ := s.join(r, "k"); !first || next == fl {
			t.Errorf("%s: a later reader joined the read from before", what)
		}
		if end(s, fl, "1") {
			t.Errorf("%s: the read was stored", what)
		}
	}
	f("the link broke", func(s *Flights, o *memory.Owner) { s.Closed(o) })
	f("all was flushed", func(s *Flights, o *memory.Owner) { s.Flushed(o) })
	f("invalidated", func(s *Flights, o *memory.Owner) { s.Invalidated(o, "k") })
}

// awaitChange waits for w, the watch of the key "k", as a reader does.
func awaitChange(ctx context.Context, s *Flights, w *watch) error {
	cfg := testConfig()
	c := cacheOn(s)
	c.cfg = cfg.Config
	c.settings.Store(&cfg.Settings)
	q := &query{Cache: c, ctx: ctx, key: "k"}
	s.watching("k", w)
	defer s.unwatch("k", w)
	_, again, err := q.await(w.fired, patience)
	if err == nil && (!again || q.waited >= patience) {
		return errors.New("the watch did not fire")
	}
	return err
}

func TestWatchesFireAndDoNotLeak(t *testing.T) {
	f := func(what string, fire func(s *Flights, o *memory.Owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.Arrived(o, "k")
		s.finish(fl, result{Content: shared.Content{State: shared.Lease, Text: "lease:x"}}, 0)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := awaitChange(context.Background(), s, fl.result.changed); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		fire(s, o)
		all.Wait()
		if n := watches(s); n != 0 {
			t.Errorf("%s: %d watches are left", what, n)
		}
	}
	f("an invalidation", func(s *Flights, o *memory.Owner) { s.Invalidated(o, "k") })
	f("an own write", func(s *Flights, _ *memory.Owner) { s.Changed("k") })
	f("a flush", func(s *Flights, o *memory.Owner) { s.Flushed(o) })

	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.Arrived(o, "k")
	s.finish(fl, result{Content: shared.Content{State: shared.Guard, Text: "guard:x"}}, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := awaitChange(ctx, s, fl.result.changed); !errors.Is(err, ErrTimeout) {
		t.Errorf("waiting with a dead context: got %v, want ErrTimeout", err)
	}
	if n := watches(s); n != 0 {
		t.Errorf("%d watches are left by a waiter that gave up", n)
	}
}

func TestAPlaceholderChangedBeforeItWasSeen(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.Arrived(o, "k")
	s.Invalidated(o, "k")
	s.finish(fl, result{Content: shared.Content{State: shared.Lease, Text: "lease:x"}}, 0)
	if err := awaitChange(context.Background(), s, fl.result.changed); err != nil {
		t.Error(err)
	}
	if fl.result.changed != firedWatch {
		t.Error("the reader waits for a change that has already come")
	}
}

// TestFlightsUnderRace lets connections, readers, writers and invalidations
// meet; what is stored at the end must have been written last.
func TestFlightsUnderRace(t *testing.T) {
	t.Parallel()
	s, r, _ := newTestStore(t)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			o := s.NewOwner(false)
			for i := range 3000 {
				key := string(rune('a' + i%7))
				f, first, plain := s.join(r, key)
				switch {
				case plain:
				case first:
					s.Bind(o, key, s.Now())
					switch (i + w) % 5 {
					case 0:
						s.Abandoned(o, key)
						s.finish(f, result{err: ErrTimeout}, 0)
					case 1:
						s.Arrived(o, key)
						s.Changed(key)
						end(s, f, "1")
					case 2:
						s.Closed(o)
						end(s, f, "1")
						o = s.NewOwner(false)
					default:
						s.Arrived(o, key)
						s.Invalidated(o, key)
						end(s, f, "1")
					}
				default:
					f.wait(context.Background())
				}
			}
			s.Closed(o)
		})
	}
	all.Wait()
	for key := 'a'; key < 'h'; key++ {
		s.Changed(string(key))
		if _, _, plain := s.join(r, string(key)); plain {
			t.Errorf("key %c can never be read tracked again", key)
		}
	}
}
