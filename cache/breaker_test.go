package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"hearth/cache/gate"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// errAway is what a source that cannot be reached answers.
var errAway = fmt.Errorf("nobody at home: %w", source.ErrDown)

// TestASourceThatIsAway: after a few failures nobody asks it; what there is a
// copy of is answered from that, and when it is back it is asked again.
func TestASourceThatIsAway(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1", "2", "2", "3", "3"))
		d.warm("1", "1")
		d.wantRead("2", "2", TierSource)
		d.book.loaded = func(context.Context, string) error { return errAway }
		var failed int64
		for i := 0; !d.BreakerOpen("", nil); i++ {
			if _, err := d.read(fmt.Sprint("absent", i)); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			failed++
		}
		if failed > 16 {
			t.Errorf("it was asked %d times", failed)
		}
		before := d.book.loads.Load()
		for range 100 {
			if _, err := d.read("3"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, gate.ErrOpen) {
				t.Fatalf("got %v, want the breaker's refusal", err)
			}
		}
		if n := d.book.loads.Load() - before; n != 0 {
			t.Errorf("it was asked %d times although it is known to be away", n)
		}
		if n := d.Loads("user", loadRefused); n < 100 {
			t.Errorf("%d loads were counted as refused, want 100", n)
		}
		d.wantRead("1", "1", TierMemory)
		if _, err := d.put("2", "5"); !errors.Is(err, ErrUnavailable) || d.book.row("2") != "2" {
			t.Errorf("a write: got %v, want it refused", err)
		}
		d.wantRead("2", "2", d.SharedTier()) // the refused write has not taken the copy away
		d.book.loaded = nil
		testkit.Eventually(t, patience, "it is asked again", func() bool {
			a, err := d.read("3")
			return err == nil && string(a.Data()) == "3"
		})
		if d.BreakerOpen("", nil) {
			t.Error("the breaker is open still")
		}
	})
}

// TestOneBadRecordClosesNothing: what is wrong with a record or a statement is
// no reason to refuse the others.
func TestOneBadRecordClosesNothing(t *testing.T) {
	d := newDesk(t, openFile(t), newLedger("1", "1", "bad", "1"))
	d.book.loaded = func(_ context.Context, id string) error {
		if id == "bad" {
			return errBroken
		}
		return nil
	}
	for range 3 * 16 {
		if _, err := d.read("bad"); !errors.Is(err, ErrUnavailable) || errors.Is(err, gate.ErrOpen) {
			t.Fatalf("got %v, want the record's own failure", err)
		}
	}
	d.wantRead("1", "1", TierSource)
}

// TestSourcesFailByThemselves: each has a cap and a breaker of its own.
func TestSourcesFailByThemselves(t *testing.T) {
	c := openFile(t)
	away, well := newDesk(t, c, newLedger()), newDesk(t, c, newLedger("1", "1"))
	away.r.Source, well.r.Source = "away", "well"
	away.book.loaded = func(context.Context, string) error { return errAway }
	for i := 0; !c.BreakerOpen("away", nil); i++ {
		_, _ = away.read(fmt.Sprint(i))
	}
	well.wantRead("1", "1", TierSource)
	if c.BreakerOpen("well", nil) {
		t.Error("a source is refused for what another one does")
	}
}

// TestAFailingSourceMeetsNoStorm: many readers of one key, and the source fails
// every time: it is asked once for all who wait by then. A few may come late to
// the first load, and share another.
func TestAFailingSourceMeetsNoStorm(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger())
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return errBroken }
		const readers = 200
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				if _, err := d.read("1"); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		testkit.Eventually(t, patience, "all others wait", func() bool { return d.Stats().Waiting == readers-1 })
		close(gate)
		all.Wait()
		if n := d.book.loads.Load(); n > readers/10 {
			t.Errorf("the source was asked %d times by %d readers", n, readers)
		}
	})
}

// TestStaleWhileTheSourceIsAway: the copy's lifetime is over, which Redis
// reports like a change. It is no change: the copy is served, marked, if
// nobody else can answer.
func TestStaleWhileTheSourceIsAway(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		d.r = NewResource("user", "user", Lifetimes{Cold: 400 * time.Millisecond, Hot: time.Hour, Missing: time.Hour, Stale: time.Hour}, d.book)
		d.warm("1", "1")
		d.book.loaded = func(context.Context, string) error { return errAway }
		testkit.Eventually(t, patience, "the copy has expired, and is served marked", func() bool {
			a, err := d.read("1")
			if err != nil || string(a.Data()) != "1" {
				t.Fatalf("got %v, %v", a, err)
			}
			return a.Tier == TierStale && a.Detail == "stale" && a.TTL < 0
		})
		fixture{d.Cache, t, d.key("1")}.want("nothing")
	})
}

// TestAnotherDatabaseOfTheName has a breaker and places of its own: a reload has
// put it in the place of one that is away.
func TestAnotherDatabaseOfTheName(t *testing.T) {
	c := openFile(t)
	old, next := NewResource("r", "", testLives, newLedger()), NewResource("r", "", testLives, newLedger())
	first, second := new(int), new(int)
	old.Source, old.Opened, next.Source, next.Opened = "database", first, "database", second
	for i := 0; !c.BreakerOpen("database", first); i++ {
		if i > 1000 {
			t.Fatal("the breaker never opens")
		}
		g := c.gateOf(old)
		if g.Enter(within(t)) == nil {
			g.Leave(source.ErrDown)
		}
	}
	if c.BreakerOpen("database", second) {
		t.Error("what the old one suffers from is held against the new one")
	}
	if err := c.gateOf(next).Enter(within(t)); err != nil {
		t.Error(err)
	}
	c.gateOf(next).Leave(nil)
	c.Forget("database", first)
	if c.BreakerOpen("database", first) {
		t.Error("a source that is closed is remembered")
	}
}
