package cache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearth/cache/memory"
	"hearth/internal/testkit"
)

// TestASmallerBudgetIsKept: what is too much for it is gone when Reconfigure
// returns, and the most recent entries are not all lost with it.
func TestASmallerBudgetIsKept(t *testing.T) {
	c := openFile(t, func(cfg *setup) { cfg.Budget = 64 << 20 })
	book := newLedger()
	for i := range 300 {
		book.write(strconv.Itoa(i), `"`+strings.Repeat("x", 8000+i)+`"`)
	}
	d := newDesk(t, c, book)
	for i := range 300 {
		d.read(strconv.Itoa(i)) // loaded …
		d.read(strconv.Itoa(i)) // … and remembered
	}
	if before := c.Stats(); before.MemoryBytes < 2<<20 {
		t.Fatalf("only %d bytes to begin with", before.MemoryBytes)
	}
	s := testConfig().Settings
	s.Budget = 1 << 20
	c.Reconfigure(s)
	if after := c.Stats(); after.MemoryBytes > s.Budget || after.MemoryEntries == 0 {
		t.Errorf("with a budget of %d bytes there are %d, in %d entries", s.Budget, after.MemoryBytes, after.MemoryEntries)
	}
}

// TestALineChangesItsSize: places come at once, and go when they are free, and
// however often their number changes, just as many can be at work.
func TestALineChangesItsSize(t *testing.T) {
	l := newQueue(2, patience, memory.NewClock())
	fill := func(want int) {
		t.Helper()
		for n := range want {
			if !l.tryEnter() {
				t.Fatalf("there are %d places, want %d", n, want)
			}
		}
		if l.tryEnter() {
			t.Fatalf("there are more than %d places", want)
		}
	}
	fill(2)
	l.resize(5)
	fill(3)
	entered := make(chan error)
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	l.resize(1)
	for range 4 { // all but one of those at work end; nobody gets their places
		l.leave()
	}
	select {
	case err := <-entered:
		t.Fatalf("the one who waits was let in beside another: %v", err)
	default:
	}
	l.leave()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	l.resize(3) // which is a place for it, and one more
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	fill(1)
}

// TestAPlaceIsNotLost when whoever waits for it gives up in the moment in which it
// is given: many times over, and then all places are there.
func TestAPlaceIsNotLost(t *testing.T) {
	l := newQueue(2, patience, memory.NewClock())
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 2000 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%3*n)*time.Microsecond)
				if l.enter(ctx) == nil {
					l.leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	free := 0
	for l.tryEnter() {
		free++
	}
	if free != 2 {
		t.Errorf("there are %d places, want 2", free)
	}
	if l.waiters.Len() != 0 || l.queued.Load() != 0 {
		t.Error("somebody is left in the queue")
	}
}

// TestAChangedWaitHoldsForThoseWhoCome.
func TestAChangedWaitHoldsForThoseWhoCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue(1, time.Hour, memory.NewClock())
		if !l.tryEnter() {
			t.Fatal("no place")
		}
		l.wait.Store(int64(time.Second))
		began := time.Now()
		if err := l.enter(t.Context()); !errors.Is(err, ErrOverload) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want ErrOverload after a second", err, time.Since(began))
		}
	})
}

// TestReconfigureBesideReads changes everything while all of it is in use, for
// the race detector, and sees that the last word holds for gates that are there
// already and for those to come.
func TestReconfigureBesideReads(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		book := newLedger()
		for i := range 50 {
			book.write(strconv.Itoa(i), strconv.Itoa(i))
		}
		d := newDesk(t, c, book)
		var readers sync.WaitGroup
		for n := range 4 {
			readers.Go(func() {
				for i := range 300 {
					if _, err := d.read(strconv.Itoa((i + n) % 60)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		s := testConfig().Settings
		for i := range 100 {
			s.MaxLoads, s.Wait, s.HotRate = 1+i%7, patience+time.Duration(i), float64(i)
			s.Budget, s.MissingRate, s.MaxWaiting = int64(2+i%3)<<20, 1000+i, 1000+i
			c.Reconfigure(s)
		}
		readers.Wait()
		other := NewResource("other", "", testLives, book)
		other.Source = "elsewhere"
		for _, r := range []*Resource{d.r, other} {
			if got := c.gateOf(r).loads.size.Load(); got != int64(s.MaxLoads) {
				t.Errorf("the gate of %q has %d places, want %d", r.Source, got, s.MaxLoads)
			}
		}
	})
}
