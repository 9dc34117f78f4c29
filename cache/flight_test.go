package cache

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestAnInvalidationAfterTheReplyForbidsStoring(t *testing.T) {
	f := func(what string, want bool, between func(s *store, o *owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.arrived(o, "k")
		between(s, o)
		if got := end(s, fl, "1"); got != want {
			t.Errorf("%s: stored %v, want %v", what, got, want)
		}
		if string(fl.result.data) != "1" {
			t.Errorf("%s: the read's own answer got lost", what)
		}
		if n := inFlight(s); n != 0 {
			t.Errorf("%s: %d reads are still on the books", what, n)
		}
	}
	f("nothing", true, func(*store, *owner) {})
	f("an invalidation", false, func(s *store, o *owner) { s.invalidate(o, "k") })
	f("an invalidation of another key", true, func(s *store, o *owner) { s.invalidate(o, "l") })
	f("an invalidation on another connection", true, func(s *store, _ *owner) { s.invalidate(s.newOwner(false), "k") })
	f("an own write", false, func(s *store, _ *owner) { s.changed("k") })
	f("a flush", false, func(s *store, o *owner) { s.flush(o) })
	f("the end of the connection", false, func(s *store, o *owner) { s.bury(o) })
}

func TestAnInvalidationBeforeTheReplyIsOlderThanIt(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.invalidate(o, "k")
	s.arrived(o, "k")
	if !end(s, fl, "1") {
		t.Error("a reply that is newer than the invalidation was not stored")
	}
}

// inFlight counts the reads on the books.
func inFlight(s *store) (n int) {
	for i := range s.flights {
		s.flights[i].mu.Lock()
		n += len(s.flights[i].flights)
		s.flights[i].mu.Unlock()
	}
	return n
}

func watches(s *store) (n int) {
	for i := range s.flights {
		s.flights[i].mu.Lock()
		n += len(s.flights[i].watches)
		s.flights[i].mu.Unlock()
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
	s.changed("k")
	if _, first, plain := s.join(r, "k"); first || !plain {
		t.Error("a poisoned read was joined, or a second tracked read begun beside it")
	}
	s.arrived(o, "k")
	if end(s, fl, "old") {
		t.Error("a poisoned read was stored")
	}
	if got := string(fl.wait(context.Background()).data); got != "old" {
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
	s.changed("k") // the leader has not reached its connection yet
	s.bind(o, "k", s.now())
	s.arrived(o, "k")
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
	old := s.newOwner(false)
	s.arrived(o, "never asked") // after ASK, say
	fl := lead(t, s, r, o, "k")
	s.arrived(old, "k")
	if fl.replied {
		t.Error("a late reply of an old connection resolved the read")
	}
	s.abandon(old, "k")
	s.bury(old)
	s.arrived(o, "k")
	if !end(s, fl, "1") {
		t.Error("the read was not stored on its own connection")
	}
	if old.verified.Load() > 0 {
		t.Error("a reply to nobody's read verified a connection")
	}
}

func TestAnAbandonedReadIsNotTakenForALaterOne(t *testing.T) {
	f := func(what string, free func(s *store, o *owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.abandon(o, "k")
		s.finish(fl, result{err: ErrTimeout}, 0)
		if err := fl.wait(context.Background()).err; !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: the leader got %v", what, err)
		}
		if _, _, plain := s.join(r, "k"); !plain {
			t.Errorf("%s: the key was read tracked while the late reply is on the wire", what)
		}
		free(s, o)
		next := s.newOwner(false)
		if !fly(t, s, r, next, "k", "2") {
			t.Errorf("%s: the key was not freed", what)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.stray) != 0 && !fl.replied {
			t.Errorf("%s: the connection still holds the stray read", what)
		}
	}
	f("its reply comes", func(s *store, o *owner) { s.arrived(o, "k") })
	f("a later command is answered", func(s *store, o *owner) { s.stamp(o, s.now()+1) })
	f("the connection closes", func(s *store, o *owner) { s.bury(o) })
	f("the connection closes twice", func(s *store, o *owner) { s.bury(o); s.bury(o) })
}

func TestAStampOfAnEarlierCommandFreesNothing(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	earlier := s.now()
	lead(t, s, r, o, "k")
	s.abandon(o, "k")
	s.stamp(o, earlier)
	if _, _, plain := s.join(r, "k"); !plain {
		t.Error("the answer to an earlier command freed an abandoned read")
	}
}

func TestAnAbandonAfterTheConnectionClosed(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.bury(o)
	s.abandon(o, "k")
	s.finish(fl, result{err: ErrTimeout}, 0)
	if n := inFlight(s); n != 0 {
		t.Errorf("%d reads are still on the books", n)
	}
}

func TestABrokenOrFlushedReadIsNotJoined(t *testing.T) {
	f := func(what string, change func(s *store, o *owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.arrived(o, "k")
		change(s, o)
		if next, first, _ := s.join(r, "k"); !first || next == fl {
			t.Errorf("%s: a later reader joined the read from before", what)
		}
		if end(s, fl, "1") {
			t.Errorf("%s: the read was stored", what)
		}
	}
	f("the link broke", func(s *store, o *owner) { s.bury(o) })
	f("all was flushed", func(s *store, o *owner) { s.flush(o) })
	f("invalidated", func(s *store, o *owner) { s.invalidate(o, "k") })
}

// awaitChange waits for w, the watch of the key "k", as a reader does.
func awaitChange(ctx context.Context, s *store, w *watch) error {
	cfg := testConfig()
	c := &Cache{cfg: cfg, store: s}
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
	f := func(what string, fire func(s *store, o *owner)) {
		t.Helper()
		s, r, o := newTestStore(t)
		fl := lead(t, s, r, o, "k")
		s.arrived(o, "k")
		s.finish(fl, result{reply: reply{kind: kindLease, text: "lease:x"}}, 0)
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
	f("an invalidation", func(s *store, o *owner) { s.invalidate(o, "k") })
	f("an own write", func(s *store, _ *owner) { s.changed("k") })
	f("a flush", func(s *store, o *owner) { s.flush(o) })

	s, r, o := newTestStore(t)
	fl := lead(t, s, r, o, "k")
	s.arrived(o, "k")
	s.finish(fl, result{reply: reply{kind: kindGuard, text: "guard:x"}}, 0)
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
	s.arrived(o, "k")
	s.invalidate(o, "k")
	s.finish(fl, result{reply: reply{kind: kindLease, text: "lease:x"}}, 0)
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
			o := s.newOwner(false)
			for i := range 3000 {
				key := string(rune('a' + i%7))
				f, first, plain := s.join(r, key)
				switch {
				case plain:
				case first:
					s.bind(o, key, s.now())
					switch (i + w) % 5 {
					case 0:
						s.abandon(o, key)
						s.finish(f, result{err: ErrTimeout}, 0)
					case 1:
						s.arrived(o, key)
						s.changed(key)
						end(s, f, "1")
					case 2:
						s.bury(o)
						end(s, f, "1")
						o = s.newOwner(false)
					default:
						s.arrived(o, key)
						s.invalidate(o, key)
						end(s, f, "1")
					}
				default:
					f.wait(context.Background())
				}
			}
			s.bury(o)
		})
	}
	all.Wait()
	for key := 'a'; key < 'h'; key++ {
		s.changed(string(key))
		if _, _, plain := s.join(r, string(key)); plain {
			t.Errorf("key %c can never be read tracked again", key)
		}
	}
}
