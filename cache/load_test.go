package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

var errBroken = errors.New("the ledger is on fire")

func TestLoadsAreBounded(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		const slots = 2
		d := newDesk(t, open(t, func(c *setup) { c.MaxLoads = slots; c.Wait = patience; c.Lease = 2 * patience }), newLedger())
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		all := slots * (1 + 16)
		results := make(chan error, all+10)
		var readers sync.WaitGroup
		read := func(id string) {
			readers.Go(func() { _, err := d.read(id); results <- err })
		}
		for i := range all {
			read(fmt.Sprint(i))
		}
		testkit.Eventually(t, patience, "the queue is full", func() bool { return d.Stats().Queued == slots*16 })
		testkit.Eventually(t, patience, "as many load as may", func() bool { return d.book.loads.Load() >= slots })
		if n := d.book.loads.Load(); n != slots {
			t.Errorf("%d loads run at a time, want %d", n, slots)
		}
		for i := range 10 {
			read(fmt.Sprint("more", i))
		}
		for range 10 {
			if err := <-results; !errors.Is(err, ErrOverload) {
				t.Errorf("a load beyond the queue: got %v, want ErrOverload", err)
			}
		}
		close(gate)
		readers.Wait()
		for range all {
			if err := <-results; err != nil {
				t.Errorf("a load in the queue: %v", err)
			}
		}
		if n := d.Stats().Queued; n != 0 {
			t.Errorf("%d loads are still queued", n)
		}
	})
}

func TestAFailingSource(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1", "2", "2"))
		d.wantRead("1", "1", TierSource)
		d.wantRead("1", "1", d.SharedTier())
		d.book.loaded = func(context.Context, string) error { return errBroken }
		if _, err := d.read("2"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errBroken) {
			t.Errorf("got %v, want ErrUnavailable with its cause", err)
		}
		fixture{d.Cache, t, d.key("2")}.want("nothing") // the lease was given back
		// The copy in memory has expired, and so has the shared tier's.
		e := d.store.Find(d.r.Shape, []byte(d.key("1")))
		d.expireAt(e, d.store.Now()-int64(time.Second))
		x := fixture{d.Cache, t, d.key("1")}
		if r, err := d.tier.Acquire(within(t), x.key, "t", []byte("1")); err != nil || r.State != shared.Absent {
			t.Fatalf("emptying the shared tier: %v, %v", r, err)
		}
		x.must(d.tier.Release(within(t), x.key, "t"))
		if d.SharedTier() == TierRedis { // the push has dropped the copy: nothing stale to serve
			testkit.Eventually(t, patience, "the copy is dropped", func() bool { return d.store.Find(d.r.Shape, []byte(x.key)) == nil })
		}
		d.book.loaded = nil
		d.wantRead("2", "2", TierSource)
		if ok, failed := d.Loads("user", 0), d.Loads("user", 2); ok != 2 || failed != 1 {
			t.Errorf("counted %d loads and %d failures, want 2 and 1", ok, failed)
		}
	})
}

func TestStaleIfTheSourceFails(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		q := query{Cache: d.Cache, ctx: within(t), r: d.r, key: d.key("1"), args: source.Args{"1"}}
		d.wantRead("1", "1", TierSource)
		d.wantRead("1", "1", d.SharedTier())
		d.expireAt(d.store.Find(d.r.Shape, []byte(q.key)), d.store.Now()-int64(1500*time.Millisecond))
		d.book.loaded = func(context.Context, string) error { return errBroken }
		a, err := q.orStale(q.pass(false))
		if err != nil || a.Tier != TierStale || a.Detail != "stale" || a.TTL >= 0 {
			t.Errorf("got %+v, %v, want a stale answer", a, err)
		}
		if n := d.Stats().Stale; n != 1 {
			t.Errorf("counted %d stale answers, want 1", n)
		}
		d.expireAt(d.store.Find(d.r.Shape, []byte(q.key)), d.store.Now()-int64(testLives.Stale))
		if _, err := q.orStale(q.pass(false)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("past ttl.stale: got %v, want ErrUnavailable", err)
		}
	})
}

func TestAPanicInTheSourceStrandsNobody(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; panic("boom") }
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := d.read("1"); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
			all.Go(func() {
				if _, err := d.readMany("1", "2"); !errors.Is(err, ErrUnavailable) {
					t.Errorf("reading many: got %v, want ErrUnavailable", err)
				}
			})
		}
		testkit.Eventually(t, patience, "a load runs", func() bool { return d.book.loads.Load() > 0 })
		close(gate)
		all.Wait()
		d.book.loaded = nil
		d.wantRead("1", "1", TierSource)
	})
}

func TestAReaderKeepsItsDeadlineWhileItsLoadGoesOn(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		ctx, cancel := context.WithCancel(context.Background())
		var leader, other sync.WaitGroup
		leader.Go(func() {
			if _, err := d.readWithin(ctx, "1"); !errors.Is(err, ErrTimeout) {
				t.Errorf("the reader out of time: got %v, want ErrTimeout", err)
			}
		})
		testkit.Eventually(t, patience, "the load runs", func() bool { return d.book.loads.Load() == 1 })
		other.Go(func() {
			if a, err := d.read("1"); err != nil || string(a.Data()) != "1" {
				t.Errorf("the reader who waits: got %v, %v", a, err)
			}
		})
		cancel()
		leader.Wait() // though the load has not ended
		close(gate)
		other.Wait()
		if n := d.book.loads.Load(); n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
	})
}

func TestLoadsPastAGuardAreBatches(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, func(c *setup) { c.Wait = 150 * time.Millisecond }), newLedger("1", "1"))
		x := fixture{d.Cache, t, d.key("1")}
		x.guard("slow writer")
		for range 2 {
			a := d.wantRead("1", "1", TierSource)
			if a.Stored {
				t.Error("a load past a guard was stored")
			}
		}
		x.want("guard")
		if d.store.Find(d.r.Shape, []byte(x.key)) != nil {
			t.Error("a load past a guard is in memory")
		}
		// One runs; those who come meanwhile form one batch, not joined to it.
		gate := make(chan struct{})
		before := d.book.loads.Load()
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		var all sync.WaitGroup
		past := func(want string) {
			all.Go(func() {
				q := query{Cache: d.Cache, ctx: within(t), r: d.r, key: x.key, args: source.Args{"1"}}
				if a, err := q.pass(false); err != nil || string(a.Data()) != want {
					t.Errorf("got %s, %v, want %s", a.Data(), err, want)
				}
			})
		}
		past("1")
		testkit.Eventually(t, patience, "the first load runs", func() bool { return d.book.loads.Load() == before+1 })
		d.book.write("1", "2")
		for range 50 {
			past("2")
		}
		close(gate)
		all.Wait()
		if n := d.book.loads.Load() - before; n < 2 || n > 51 {
			t.Errorf("the source was asked %d times", n)
		}
		if n := len(d.passing.byKey); n != 0 {
			t.Errorf("%d queues are left", n)
		}
	})
}
