//go:build !race

package cache

import (
	"strconv"
	"testing"
	"time"

	"hearth/cache/shared"
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
		pin := c.Pin(0)
		if v, _ := c.Look(r, keys[n%len(keys)], time.Now()); !v.Found() {
			t.Fatal("a fresh record is no hit")
		}
		if v, _ := c.Look(r, absent, time.Now()); v.Found() {
			t.Fatal("an absent key is a hit")
		}
		pin.Release()
		n++
	})
	if got != 0 {
		t.Errorf("a hit allocates %v times, want 0", got)
	}
}

// TestOutdatingAllocatesLittle: a statement of others may change a million records.
func TestOutdatingAllocatesLittle(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c, ctx := open(t), within(t)
		keys := make([]shared.Outdated, 2000)
		for i := range keys {
			keys[i].Key = keyOf(t, i)
		}
		got := testing.AllocsPerRun(3, func() {
			if err := c.Outdate(ctx, keys); err != nil {
				t.Fatal(err)
			}
		})
		if most := 10.0; got > most*float64(len(keys)) {
			t.Errorf("a key allocates %v times, want %v at most", got/float64(len(keys)), most)
		}
	})
}
