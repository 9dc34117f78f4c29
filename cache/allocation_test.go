//go:build !race

package cache

import (
	"strconv"
	"testing"
	"time"
)

// TestHitAllocatesNothing is left out under the race detector, which allocates.
func TestHitAllocatesNothing(t *testing.T) {
	c := cacheOn(memoryOf(16 << 20))
	r, o := NewResource("user", "user", testLives, nil), c.store.NewOwner(false)
	var keys [][]byte
	for i := range 1000 {
		key := "user:" + strconv.Itoa(i)
		fly(t, c.flights, r, o, key, `{"id":1}`)
		keys = append(keys, []byte(key))
	}
	absent, n := []byte("user:absent"), 0
	got := testing.AllocsPerRun(10_000, func() {
		e, _ := c.Hit(r, keys[n%len(keys)], time.Now())
		if e == nil {
			t.Fatal("a fresh entry is no hit")
		}
		if e, _ := c.Hit(r, absent, time.Now()); e != nil {
			t.Fatal("an absent key is a hit")
		}
		n++
	})
	if got != 0 {
		t.Errorf("a hit allocates %v times, want 0", got)
	}
}
