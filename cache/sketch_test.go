package cache

import (
	"fmt"
	"testing"
	"time"
)

func TestSketchFindsHotKeys(t *testing.T) {
	var s sketch
	s.distinguish(10)
	hot, warm := hashString("hot"), hashString("warm")
	at := func(second, read int) int64 { return int64(second)*int64(time.Second) + int64(read) }
	for second := range 3 {
		for i := range 5000 { // cold ones, each read once
			s.add(hashString(fmt.Sprint("cold", i)), at(second, i), 1)
		}
		for i := range 100 {
			s.add(hot, at(second, i), 1)
		}
		s.add(warm, at(second, 1), 5)
	}
	if got := s.rate(hot); got < 100 || got > 120 {
		t.Errorf("hot key: %v reads a second, want 100", got)
	}
	if got := s.rate(warm); got < 5 || got > 25 {
		t.Errorf("warm key: %v reads a second, want 5", got)
	}
	s.add(warm, at(9, 0), 1) // nothing was read for a while
	if got := s.rate(hot); got != 0 {
		t.Errorf("hot key after a pause: %v reads a second, want 0", got)
	}
}

// TestHotKeysLiveShorter reads one key often enough to be hot, and another
// once; their lifetimes in the shared tier tell.
func TestHotKeysLiveShorter(t *testing.T) {
	c := &Cache{store: newStore(newClock(), 1<<20, 0.05, time.Second)}
	c.settings.Store(&Settings{HotRate: 10})
	r := NewResource("user", "user", Lifetimes{Cold: time.Hour, Hot: 5 * time.Minute, Missing: 30 * time.Second}, nil)
	c.store.reads.distinguish(10)
	for range 50 {
		c.store.reads.add(hashString("user:1"), c.store.now(), 1)
	}
	within := func(got, want time.Duration) bool { return got >= want*9/10 && got <= want*11/10 }
	for range 100 {
		if got := c.lifetime(r, "user:1", false); !within(got, 5*time.Minute) {
			t.Errorf("hot key lives %v", got)
		}
		if got := c.lifetime(r, "user:2", false); !within(got, time.Hour) {
			t.Errorf("cold key lives %v", got)
		}
		if got := c.lifetime(r, "user:1", true); !within(got, 30*time.Second) {
			t.Errorf("missing record lives %v", got)
		}
	}
}
