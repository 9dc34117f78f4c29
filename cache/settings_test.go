package cache

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
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
			if got := c.gateOf(r).Places(); got != s.MaxLoads {
				t.Errorf("the gate of %q has %d places, want %d", r.Source, got, s.MaxLoads)
			}
		}
	})
}
