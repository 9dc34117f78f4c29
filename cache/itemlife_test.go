package cache

import (
	"context"
	"errors"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// Items of a batch may have a lifetime, though their resource has no source.

func (d *desk) storeFor(id, value string, ttl time.Duration) {
	d.t.Helper()
	if errs := d.Store(within(d.t), []Item{{Key: d.key(id), Value: []byte(value)}}, ttl); errs != nil {
		d.t.Fatalf("storing %s: %v", id, errs)
	}
}

func (d *desk) entry(id string) *Entry {
	d.t.Helper()
	e := d.store.Find(d.r.Shape, []byte(d.key(id)))
	if e == nil {
		d.t.Fatalf("memory has no copy of %s", id)
	}
	return e
}

// TestItemsWithALifetime: an item is read with what is left of its life, is never
// refreshed, and is no record any more when that is over. What is stored last counts.
func TestItemsWithALifetime(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, func(s *setup) { s.HotRate = 0.01 }), nil)
		tier := d.shared
		d.storeFor("long", "1", time.Hour)
		if a := d.wantRead("long", "1", tier); a.TTL <= 59*time.Minute || a.TTL > time.Hour || !a.Stored {
			t.Errorf("read with %v left, kept %v; want an hour, kept", a.TTL, a.Stored)
		}
		for range 100 {
			if a := d.wantRead("long", "1", TierMemory); a.TTL <= 0 || a.TTL > d.cfg.Revalidate {
				t.Errorf("memory has %v left, want memory.revalidate at most", a.TTL)
			}
		}
		e := d.entry("long")
		if left := time.Duration(e.SharedExpiry() - d.store.Now()); left <= 59*time.Minute || left > time.Hour {
			t.Errorf("memory knows of %v, want an hour", left)
		}
		if e.RefreshAt() != memory.Never || d.TakeRefresh(d.r, []byte(d.key("long")), memory.ViewOf(e)) {
			t.Error("an item is to be refreshed, and has no source")
		}

		d.storeFor("long", "2", 0)
		if a := d.wantRead("long", "2", tier); a.TTL != 0 {
			t.Errorf("stored again without a lifetime: %v left, want no end", a.TTL)
		}
		if got := d.entry("long").SharedExpiry(); got != memory.Never {
			t.Errorf("stored again without a lifetime: memory has it end at %d", got)
		}
		d.storeFor("long", "3", time.Millisecond)
		testkit.Eventually(t, patience, "a lifetime counts that a later batch gives", func() bool {
			a, err := d.read("long")
			return err == nil && a.Entry.Missing()
		})
	})
}

// TestTheEndOfAnItem: memory has an item for no longer than it lives, in every instance.
func TestTheEndOfAnItem(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { itemEnds(t, newDesk(t, openFile(t), nil)) })
	t.Run("redis", func(t *testing.T) {
		srv := testkit.Redis(t)
		d := newDesk(t, openRedis(t, srv), nil)
		other := newDesk(t, openRedis(t, srv), nil)
		itemEnds(t, d, other)
	})
}

func itemEnds(t *testing.T, first *desk, others ...*desk) {
	const life = 300 * time.Millisecond
	began := time.Now()
	first.storeFor("1", "1", life)
	stored := time.Now()
	for _, d := range append(others, first) {
		testkit.Eventually(t, patience, "the item is no record any more", func() bool {
			before := time.Now()
			a, err := d.read("1")
			if err != nil {
				t.Fatal(err)
			}
			// A tier may tell of the end a moment before it, and Redis' clock counts
			// whole milliseconds. It never comes later than the lifetime.
			const tick = 2 * time.Millisecond
			switch over := before.Sub(stored) > life+tick; {
			case !a.Entry.Missing() && over:
				t.Fatalf("%v answered %s, %v after it was stored for %v", a.Tier, a.Data(), before.Sub(stored), life)
			case a.Entry.Missing() && time.Since(began) < life-tick:
				t.Fatalf("the item was gone %v after it was stored for %v", time.Since(began), life)
			}
			return a.Entry.Missing()
		})
	}
}

// TestAnItemIsNotServedBeyondItsLife: while the shared tier is away, copies in memory are
// all there is. One whose lifetime is over is no copy of anything.
func TestAnItemIsNotServedBeyondItsLife(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		gone := &goneTier{}
		d := newDesk(t, open(t, func(s *setup) {
			s.around = func(tier SharedTier) SharedTier { gone.SharedTier = tier; return gone }
		}), nil)
		d.storeFor("alive", "1", time.Hour)
		d.storeFor("over", "2", time.Hour)
		d.wantRead("alive", "1", d.shared)
		d.wantRead("over", "2", d.shared)
		gone.away = true
		now := d.store.Now()
		for id, ends := range map[string]int64{"alive": now + int64(time.Hour), "over": now} {
			e := d.entry(id)
			o := d.ownerOf(e)
			d.store.Keep(e, o, o.Epoch(), now, ends)
		}
		d.wantRead("alive", "1", TierStale)
		if a, ok := d.Memory(d.r, d.key("alive"), nil); !ok || a.Tier != TierStale {
			t.Errorf("beyond max_in_flight: got %+v, %v; want the copy, marked", a, ok)
		}
		if a, err := d.read("over"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("an item beyond its life: got %+v, %v; want ErrUnavailable", a, err)
		}
		if a, ok := d.Memory(d.r, d.key("over"), nil); ok {
			t.Errorf("an item beyond its life, beyond max_in_flight: got %+v", a)
		}
		if a, ok := d.MemoryMany(d.r, []string{d.key("alive"), d.key("over")}, make([]source.Args, 2), true); ok {
			t.Errorf("a many-read with an item beyond its life: got %+v", a)
		}
		d.flights.Invalidated(d.ownerOf(d.entry("over")), d.key("over")) // as Redis tells of its end
		if d.store.Find(d.r.Shape, []byte(d.key("over"))) != nil {
			t.Error("memory keeps an item whose end was reported")
		}
	})
}

// goneTier cannot be asked once away is set.
type goneTier struct {
	SharedTier
	away bool
}

func (g *goneTier) Readable(key string) error {
	if g.away {
		return shared.ErrAway
	}
	return g.SharedTier.Readable(key)
}

func (g *goneTier) Track(ctx context.Context, keys []string) []shared.Found {
	if !g.away {
		return g.SharedTier.Track(ctx, keys)
	}
	out := make([]shared.Found, len(keys))
	for i := range out {
		out[i].Err = shared.ErrAway
	}
	return out
}

// TestALifetimeBeyondTime: another program may give a key any lifetime that Redis takes,
// also one that ends in more than a clock can count.
func TestALifetimeBeyondTime(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), nil)
	srv.Do("SET", d.key("1"), "1", "PX", "9000000000000000")
	d.wantRead("1", "1", TierRedis)
	d.wantRead("1", "1", TierMemory)
	if got, err := d.tier.Get(within(t), d.key("1")); err != nil || got.TTL <= 0 {
		t.Errorf("got a lifetime of %v, %v; want one of centuries", got.TTL, err)
	}
	if e := d.entry("1"); e.SharedExpiry() <= d.store.Now() {
		t.Errorf("memory has it end at %d, in the past", e.SharedExpiry())
	}
}
