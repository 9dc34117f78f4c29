package cache

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// tap is a tier that counts and can hold up attempts at leases.
type tap struct {
	SharedTier
	acquires atomic.Int64
	acquired func(ctx context.Context) // before the tier is asked
}

func (p *tap) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	p.acquires.Add(1)
	if p.acquired != nil {
		p.acquired(ctx)
	}
	return p.SharedTier.Acquire(ctx, key, token, instead)
}

func tapped(d *desk) *tap {
	p := &tap{SharedTier: d.tier}
	d.tier = p
	return p
}

// TestOneAttemptAtALease: however many readers of a cold key there are, one of
// them asks for its lease.
func TestOneAttemptAtALease(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		p := tapped(d)
		gate := make(chan struct{})
		p.acquired = func(context.Context) { <-gate }
		const readers = 200
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				if a, err := d.read("1"); err != nil || string(a.Data()) != "1" {
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		testkit.Eventually(t, patience, "all but one wait", func() bool { return d.Stats().Waiting == readers-1 })
		close(gate)
		all.Wait()
		if n, loads := p.acquires.Load(), d.book.loads.Load(); n != 1 || loads != 1 {
			t.Errorf("the lease was asked for %d times, the source %d times, want once", n, loads)
		}
	})
}

// TestAnAttemptThatIsCancelled: the reader who asks for the lease is out of
// time before the shared tier has answered. Whether the lease stands then is
// open; the others must not wait for it longer than it lives.
func TestAnAttemptThatIsCancelled(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, func(c *setup) { c.Lease = 500 * time.Millisecond }), newLedger("1", "1"))
		p := tapped(d)
		ctx, cancel := context.WithCancel(context.Background())
		var first atomic.Bool
		p.acquired = func(context.Context) {
			if first.CompareAndSwap(false, true) {
				cancel()
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			if a, err := d.readWithin(ctx, "1"); err == nil && string(a.Data()) != "1" || err != nil && !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("the one out of time: got %v, %v", a, err)
			}
		})
		testkit.Eventually(t, patience, "it has asked for the lease", first.Load)
		for range 20 {
			all.Go(func() {
				if a, err := d.read("1"); err != nil || string(a.Data()) != "1" {
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		all.Wait()
	})
}

// TestWaitingIsBounded: who comes when load.max_waiting readers wait already is
// refused at once, or answered with what there is.
func TestWaitingIsBounded(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		const most = 5
		d := newDesk(t, open(t, func(c *setup) { c.MaxWaiting = most }), newLedger("1", "1"))
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		var all sync.WaitGroup
		var refused atomic.Int64
		read := func() {
			all.Go(func() {
				switch a, err := d.read("1"); {
				case errors.Is(err, ErrOverload):
					refused.Add(1)
				case err != nil || string(a.Data()) != "1":
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		read()
		testkit.Eventually(t, patience, "one loads", func() bool { return d.book.loads.Load() == 1 })
		for range most {
			read()
		}
		testkit.Eventually(t, patience, "as many wait as may", func() bool { return d.Stats().Waiting == most })
		for range 10 {
			read()
		}
		testkit.Eventually(t, patience, "all others are refused", func() bool { return refused.Load() == 10 })
		close(gate)
		all.Wait()
		if n := d.Stats().Waiting; n != 0 {
			t.Errorf("%d readers are said to wait still", n)
		}
		fixture{d.Cache, t, d.key("1")}.want("1")
	})
}

// TestWaitersDoNotOutliveTheirWait: the load hangs. Readers elsewhere are
// answered when load.wait is over, with the copy they have if they have one.
func TestWaitersDoNotOutliveTheirWait(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "1")
	quick := func(c *setup) { c.Wait = 100 * time.Millisecond }
	a, b := newDesk(t, openRedis(t, srv), book), newDesk(t, openRedis(t, srv, quick), book)
	b.r = NewResource("user", "user", Lifetimes{Cold: 300 * time.Millisecond, Hot: time.Hour, Missing: time.Hour, Stale: time.Hour}, book)
	b.warm("1", "1")
	testkit.Eventually(t, patience, "the record expires in Redis", func() bool { return srv.Text("GET", b.key("1")) == "" })
	gate := make(chan struct{})
	book.loaded = func(context.Context, string) error { <-gate; return nil }
	slow, other := a.readBeside("1"), a.readBeside("2")
	testkit.Eventually(t, patience, "both are being loaded", func() bool { return book.loads.Load() == 3 })
	if _, err := b.read("2"); !errors.Is(err, ErrTimeout) {
		t.Errorf("without a copy: got %v, want ErrTimeout", err)
	}
	if got := b.wantRead("1", "1", TierStale); got.Detail != "stale" {
		t.Errorf("with an old copy: got %+v", got)
	}
	close(gate)
	slow.want(t, "1")
	other.want(t, "null")
}

// TestTheReleasedTryOneAfterTheOther: every load fails its first readers; those
// on several instances who waited for it go on with a load of their own, and
// never with two at a time.
func TestTheReleasedTryOneAfterTheOther(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "1")
	var running, most, calls atomic.Int64
	gate := make(chan struct{})
	book.loaded = func(context.Context, string) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-gate
		if calls.Add(1) <= 3 {
			return errBroken
		}
		return nil
	}
	var fleet []*desk
	for range 4 {
		fleet = append(fleet, newDesk(t, openRedis(t, srv), book))
	}
	var all sync.WaitGroup
	var failed atomic.Int64
	for i := range 80 {
		all.Go(func() {
			if a, err := fleet[i%4].read("1"); err != nil {
				failed.Add(1)
			} else if string(a.Data()) != "1" {
				t.Errorf("got %s", a.Data())
			}
		})
	}
	testkit.Eventually(t, patience, "all but one wait", func() bool {
		waiting := int64(0)
		for _, d := range fleet {
			waiting += d.Stats().Waiting
		}
		return waiting == 79 && book.loads.Load() == 1
	})
	close(gate)
	all.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d loads of one key ran at a time", n)
	}
	if n := failed.Load(); n == 0 || n > 75 {
		t.Errorf("%d of 80 readers were refused for 3 loads that failed", n)
	}
	if got, err := strconv.Atoi(srv.Text("GET", fleet[0].key("1"))); got != 1 || err != nil {
		t.Errorf("Redis holds %d, %v in the end", got, err)
	}
}
