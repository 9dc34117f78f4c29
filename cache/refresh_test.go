package cache

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// allHot makes every key that is read at all a hot one.
func allHot(c *setup) { c.HotRate = 0 }

// dueNow makes the copy of id in memory due, as if its time had come.
func (d *desk) dueNow(id string) {
	d.t.Helper()
	defer d.Pin(0).Release()
	v := d.store.Peek(d.r.Shape, []byte(d.key(id)))
	if !v.Found() {
		d.t.Fatalf("%s is not in memory", id)
	}
	v.SetRefreshAt(d.store.Now())
}

// takes tells whether the next reader of id is to refresh it.
func (d *desk) takes(id string) bool {
	defer d.Pin(0).Release()
	return d.TakeRefresh(d.r, []byte(d.key(id)), d.store.Peek(d.r.Shape, []byte(d.key(id))))
}

// warm brings id into memory.
func (d *desk) warm(id, data string) {
	d.t.Helper()
	testkit.Eventually(d.t, patience, "the record is in memory", func() bool {
		a, err := d.read(id)
		return err == nil && a.Tier == TierMemory && string(a.Data()) == data
	})
}

// refresh runs one refresh of what memory holds, or of was, to its end.
func (d *desk) refresh(id string, was string) {
	d.refreshNow(within(d.t), d.r, d.key(id), source.Args{id}, []byte(was))
}

func (d *desk) wantRefreshes(result refreshResult, want int64) {
	d.t.Helper()
	if got := d.Refreshes(int(result)); got != want {
		d.t.Errorf("%d refreshes ended as %q, want %d", got, RefreshResults[result], want)
	}
}

func TestAHotRecordIsLoadedAnewWhileReadersAreAnswered(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, allHot), newLedger("1", "1"))
		d.warm("1", "1")
		d.book.write("1", "2")
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		before := d.book.loads.Load()
		d.dueNow("1")
		for range 50 { // as handlers do it: the first takes the task, none waits
			d.hit("1", "1")
		}
		testkit.Eventually(t, patience, "the record is loaded anew", func() bool { return d.book.loads.Load() == before+1 })
		pin := d.Pin(0)
		if v, ttl := d.Look(d.r, []byte(d.key("1")), time.Now()); !v.Found() || string(v.Entry().Data()) != "1" || v.RefreshDue(ttl) {
			t.Errorf("while it is loaded: found %v, want the copy, not due", v.Found())
		}
		pin.Release()
		close(gate)
		d.running.Wait()
		d.wantRefreshes(refreshStored, 1)
		d.warm("1", "2")
		if n := d.book.loads.Load() - before; n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
	})
}

// TestOneRefreshInTheFleet: copies of several instances come due at once.
func TestOneRefreshInTheFleet(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "1")
	var fleet []*desk
	for range 4 {
		d := newDesk(t, openRedis(t, srv, allHot), book)
		d.warm("1", "1")
		fleet = append(fleet, d)
	}
	book.write("1", "2")
	before := book.loads.Load()
	gate := make(chan struct{})
	book.loaded = func(context.Context, string) error { <-gate; return nil }
	var all sync.WaitGroup
	for _, d := range fleet {
		all.Go(func() { d.refresh("1", "1") })
	}
	testkit.Eventually(t, patience, "three have seen that one is at it", func() bool {
		var skipped int64
		for _, d := range fleet {
			skipped += d.Refreshes(int(refreshSkipped))
		}
		return skipped == 3
	})
	close(gate)
	all.Wait()
	if n := book.loads.Load() - before; n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
	for _, d := range fleet {
		d.warm("1", "2")
	}
}

// TestARefreshNeverStoresOverAWrite comes between the load of a refresh and
// its storing, in all the ways there are. An equal value is no alibi: the bytes
// may have come back.
func TestARefreshNeverStoresOverAWrite(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		noted := &claims{}
		c := open(t, allHot, func(c *setup) {
			c.around = func(t SharedTier) SharedTier { noted.SharedTier = t; return noted }
		})
		f := func(what, left string, between func(x fixture)) {
			t.Helper()
			d := newDesk(t, c, newLedger(what, `"old"`))
			d.r = NewResource("user", "user", testLives, d.book)
			x := fixture{c, t, d.key(what)}
			if x.acquire("t", ""); !x.fill("t", `"old"`) {
				t.Fatal("the first value was not stored")
			}
			superseded, stored := c.Refreshes(int(refreshSuperseded)), c.Refreshes(int(refreshStored))
			d.book.loaded = func(context.Context, string) error { between(x); return nil }
			d.refresh(what, `"old"`)
			if got := c.Refreshes(int(refreshSuperseded)) - superseded; got != 1 {
				t.Errorf("%s: %d refreshes were superseded, %d stored", what, got, c.Refreshes(int(refreshStored))-stored)
			}
			x.want(left)
		}
		f("a DEL", "nothing", func(x fixture) { x.remove() })
		f("a SET", `"new"`, func(x fixture) { x.set(`"new"`) })
		f("a SET of the same bytes", `"old"`, func(x fixture) { x.set(`"old"`) })
		f("a guard", "guard", func(x fixture) { x.guard("w") })
		f("a whole write of the same bytes", `"old"`, func(x fixture) { x.guard("w"); x.unguard("w", `"old"`) })
		f("a write that has lost its guard", "nothing", func(x fixture) { x.unguard("w", `"new"`) })
		f("a DEL and a fill of the same bytes", `"old"`, func(x fixture) { x.remove(); x.acquire("r", ""); x.fill("r", `"old"`) })
		f("its lease was given back", `"old"`, func(x fixture) {
			// Another's would take its place the same way.
			x.must(x.tier.Disclaim(within(x.t), x.key, noted.last.Load().(string)))
		})
	})
}

// claims notes the token of the last refresh that began.
type claims struct {
	SharedTier
	last atomic.Value
}

func (c *claims) Claim(ctx context.Context, key, token string, was []byte) (int64, bool, error) {
	c.last.Store(token)
	return c.SharedTier.Claim(ctx, key, token, was)
}

func TestWhatIsNotRefreshed(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t, allHot)
		f := func(what, was string, prepare func(x fixture)) {
			t.Helper()
			d := newDesk(t, c, newLedger(what, `"new"`))
			x := fixture{c, t, d.key(what)}
			prepare(x)
			before, skipped := x.holds(), c.Refreshes(int(refreshSkipped))
			d.refresh(what, was)
			if n := d.book.loads.Load(); n != 0 || c.Refreshes(int(refreshSkipped)) != skipped+1 {
				t.Errorf("%s: the source was asked %d times", what, n)
			}
			x.want(before)
		}
		f("nothing", `"old"`, func(fixture) {})
		f("a lease", `"old"`, func(x fixture) { x.acquire("t", "") })
		f("a guard", `"old"`, func(x fixture) { x.guard("w") })
		f("another value", `"old"`, func(x fixture) { x.acquire("t", ""); x.fill("t", `"other"`) })
		f("a value without expiry", `"old"`, func(x fixture) { x.set(`"old"`) })
		f("what another is refreshing", `"old"`, func(x fixture) {
			x.acquire("t", "")
			x.fill("t", `"old"`)
			if _, ok, err := x.tier.Claim(within(x.t), x.key, "other", []byte(`"old"`)); !ok || err != nil {
				t.Fatalf("claiming: %v, %v", ok, err)
			}
		})
	})
}

func TestARefreshThatFails(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, allHot), newLedger("1", "1"))
		d.warm("1", "1")
		d.book.loaded = func(context.Context, string) error { return errBroken }
		d.refresh("1", "1")
		d.wantRefreshes(refreshFailed, 1)
		d.wantRead("1", "1", TierMemory) // what stands is served on
		d.book.loaded = func(context.Context, string) error { panic("boom") }
		d.refresh("1", "1")
		d.wantRefreshes(refreshFailed, 2)
		d.book.loaded = nil
		d.book.write("1", "2")
		d.refresh("1", "1") // the failed ones have given their leases back
		d.wantRefreshes(refreshStored, 1)
		d.warm("1", "2")
		d.book.write("1", "")
		d.refresh("1", "2")
		d.wantRefreshes(refreshStored, 2)
		fixture{d.Cache, t, d.key("1")}.want("null")
	})
}

func TestABusySourceIsNotRefreshedFrom(t *testing.T) {
	d := newDesk(t, openFile(t, allHot, func(c *setup) { c.MaxLoads = 1 }), newLedger("1", "1", "2", "2"))
	d.warm("1", "1")
	gate := make(chan struct{})
	d.book.loaded = func(_ context.Context, id string) error {
		if id == "2" {
			<-gate
		}
		return nil
	}
	slow := d.readBeside("2")
	testkit.Eventually(t, patience, "the only place is taken", func() bool { return d.book.loads.Load() == 2 })
	d.refresh("1", "1")
	d.wantRefreshes(refreshSkipped, 1)
	close(gate)
	slow.want(t, "2")
	d.refresh("1", "1")
	d.wantRefreshes(refreshStored, 1)
}

// TestColdRecordsExpire: only hot ones are worth a load that nobody asked for.
func TestColdRecordsExpire(t *testing.T) {
	d := newDesk(t, openFile(t, func(c *setup) { c.HotRate = 1e9 }), newLedger("1", "1"))
	d.warm("1", "1")
	if d.dueNow("1"); d.takes("1") {
		t.Error("a cold record is to be refreshed")
	}
	bare := newDesk(t, openFile(t, allHot), nil)
	fixture{bare.Cache, t, bare.key("1")}.set("1")
	bare.warm("1", "1")
	if bare.dueNow("1"); bare.takes("1") {
		t.Error("a record without a source is to be refreshed")
	}
}

// TestCopiesComeDueBeforeTheirEnd draws many times: early enough for two loads,
// and not before half the lifetime.
func TestCopiesComeDueBeforeTheirEnd(t *testing.T) {
	r := NewResource("user", "user", Lifetimes{Hot: 100 * time.Second, Missing: 10 * time.Second}, newLedger())
	f := func(name string, missing bool, least, most time.Duration) {
		t.Helper()
		distinct := map[time.Duration]bool{}
		for range 1000 {
			lead := r.refreshAhead(missing)
			distinct[lead] = true
			if lead < least || lead > most {
				t.Errorf("%s: due %v before the end, want between %v and %v", name, lead, least, most)
			}
		}
		if len(distinct) < 500 {
			t.Errorf("%s: %d different times out of 1000: a fleet would load at once", name, len(distinct))
		}
	}
	f("nothing loaded yet", false, 4*time.Second, 50*time.Second)
	f("missing", true, 400*time.Millisecond, 5*time.Second)
	for range 100 {
		r.noteLoadTime(8 * time.Second)
	}
	f("slow loads", false, 15*time.Second, 50*time.Second)
	for range 100 {
		r.noteLoadTime(time.Millisecond)
	}
	f("fast loads again", false, 4*time.Second, 50*time.Second)
}

// TestShortLivesAreLivedHalf: a copy with little left is not loaded anew at
// once, unless a load would come too late.
func TestShortLivesAreLivedHalf(t *testing.T) {
	r := NewResource("user", "user", Lifetimes{Hot: time.Hour, Missing: time.Hour}, newLedger())
	const sent = int64(time.Hour)
	f := func(ttl, load, least, most time.Duration) {
		t.Helper()
		r.loadTime.Store(int64(load))
		for range 100 {
			if due := time.Duration(r.dueAt(sent, sent+int64(ttl), false) - sent); due < least || due > most {
				t.Errorf("%v left, a load takes %v: due after %v, want %v to %v", ttl, load, due, least, most)
			}
		}
	}
	f(time.Hour, time.Millisecond, 30*time.Minute, time.Hour-2*time.Hour/50)
	f(time.Minute, time.Millisecond, 30*time.Second, 30*time.Second)
	f(time.Second, 400*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond)
}

func TestCopiesKnowWhenTheyAreDue(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		d.warm("1", "1")
		e, now := d.store.Find(d.r.Shape, []byte(d.key("1"))), d.store.Now()
		if left := time.Duration(e.SharedExpiry() - now); left < 50*time.Minute || left > 66*time.Minute {
			t.Errorf("the copy ends in %v, want an hour ± 10 %%", left)
		}
		if lead := time.Duration(e.SharedExpiry() - e.RefreshAt()); lead < 2*testLives.Hot/50 || lead > testLives.Hot/2 {
			t.Errorf("it is due %v before that", lead)
		}
		fixture{d.Cache, t, d.key("2")}.set(`"forever"`)
		d.warm("2", `"forever"`)
		if e := d.store.Find(d.r.Shape, []byte(d.key("2"))); e.SharedExpiry() != memory.Never || e.RefreshAt() != memory.Never {
			t.Errorf("a value without expiry ends at %d and is due at %d", e.SharedExpiry(), e.RefreshAt())
		}
	})
}

// TestLargeRecordsAreRefreshedToo: memory does not keep them, so that what the
// shared tier says decides.
func TestLargeRecordsAreRefreshedToo(t *testing.T) {
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, allHot), newLedger("1", large))
		d.r = NewResource("user", "user", Lifetimes{Cold: time.Hour, Hot: 100 * time.Hour, Missing: time.Hour}, d.book)
		d.r.loadTime.Store(int64(2 * time.Hour))
		x := fixture{d.Cache, t, d.key("1")}
		if x.acquire("t", ""); !x.fill("t", large) { // for an hour, and a load takes two
			t.Fatal("the value was not stored")
		}
		for range 3 {
			if a := d.wantRead("1", large, d.SharedTier()); a.Stored {
				t.Error("memory keeps a value over 1 % of its budget")
			}
			d.running.Wait()
		}
		d.wantRefreshes(refreshStored, 1)
		if n := d.book.loads.Load(); n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
	})
}

func TestSiblingKeys(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		got := shared.SiblingOf(key)
		if got != want {
			t.Errorf("the sibling of %q is %q, want %q", key, got, want)
		}
		if got != "" && (*redis.Tier)(nil).Slot(got[len(shared.RefreshPrefix)+1:len(got)-1]) != (*redis.Tier)(nil).Slot(key) {
			t.Errorf("%q and %q are in different slots", key, got)
		}
	}
	f("user:1", "hearth:refresh:{user:1}")
	f("a%7Bb", "hearth:refresh:{a%7Bb}")
	f("{a}:1", "")
	f("a}b", "")
	f("a{b", "")
}
