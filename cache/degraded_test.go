package cache

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// degradedFor has copies live so long while a feed is lost.
func degradedFor(d time.Duration) func(*setup) { return func(c *setup) { c.DegradedTTL = d } }

// lose degrades the desk's resource, whose feed is lost for ago already, and waits until
// memory knows it.
func (d *desk) lose(ago time.Duration) {
	d.Degrade(d.r, time.Now().Add(-ago))
	testkit.Eventually(d.t, patience, "memory knows that the feed is lost", func() bool {
		d.losses.Lock()
		defer d.losses.Unlock()
		return !d.losses.walks
	})
}

// stand puts a copy into the shared tier, of which ttl is left; 0: it has no expiry.
func (d *desk) stand(id, value string, ttl time.Duration) {
	d.t.Helper()
	x := fixture{d.Cache, d.t, d.key(id)}
	if ttl == 0 {
		x.set(value)
		return
	}
	x.remove()
	x.acquire("t", "")
	if ok, err := x.tier.Fill(within(d.t), x.key, "t", []byte(value), ttl); !ok || err != nil {
		d.t.Fatalf("filling %s: %v, %v", id, ok, err)
	}
}

// left is what is left of a copy's lifetime in the shared tier.
func (d *desk) left(id string) time.Duration {
	d.t.Helper()
	got, err := d.tier.Get(within(d.t), d.key(id))
	if err != nil || got.State != shared.Value && got.State != shared.NoRecord {
		d.t.Fatalf("%s holds %v, %v", id, shown(got), err)
	}
	return got.TTL
}

// TestWhatIsStoredWhileDegradedLivesShort covers all ways into the shared tier.
func TestWhatIsStoredWhileDegradedLivesShort(t *testing.T) {
	const life = 20 * time.Second
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, degradedFor(life)), newLedger("1", "1", "2", "2", "3", "3"))
		d.lose(0)
		short := func(what, id string) {
			t.Helper()
			if left := d.left(id); left <= life/2 || left > life {
				t.Errorf("%s: the copy lives %v, want at most %v", what, left, life)
			}
		}
		d.wantRead("1", "1", TierSource)
		short("a load", "1")
		d.wantRead("none", "null", TierSource)
		short("a missing record", "none")
		d.mustPut("2", `"new"`)
		short("a write", "2")
		d.stand("3", "3", time.Hour)
		d.refresh("3", "3")
		d.wantRefreshes(refreshStored, 1)
		short("a refresh", "3")
		if !d.r.Degraded() {
			t.Error("the resource does not say that it is degraded")
		}
		d.Restore(d.r)
		d.stand("3", "3", time.Minute)
		d.refresh("3", "3")
		if left := d.left("3"); left < 4*time.Minute || d.r.Degraded() {
			t.Errorf("with the feed back a copy lives %v", left)
		}
	})
}

// TestALongLivedCopyIsLoadedAnewWithinTheWindow: it is served meanwhile, although no key
// is hot, and what came of it stays.
func TestALongLivedCopyIsLoadedAnewWithinTheWindow(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, degradedFor(time.Minute), func(c *setup) { c.HotRate = 1e9 }), newLedger())
		f := func(what, id string, before func()) {
			t.Helper()
			d.book.write(id, `"new"`)
			stored, loads := d.Refreshes(int(refreshStored)), d.book.loads.Load()
			d.r = NewResource("user", "user", testLives, d.book)
			before()
			d.wantMemory(id, `"old"`)
			e := d.store.Find(d.r.Shape, []byte(d.key(id)))
			if at := e.RefreshAt() - d.store.Now(); !e.Aged() || e.TTL(0) > time.Duration(d.r.lost.Load().until) || at > int64(time.Minute) {
				t.Fatalf("%s: memory trusts the copy for %v, and loads it anew in %v", what, e.TTL(d.store.Now()), time.Duration(at))
			}
			d.dueNow(id)
			d.hit(id, `"old"`) // has the task
			d.readUntil(id, `"new"`)
			d.running.Wait()
			if s, l := d.Refreshes(int(refreshStored))-stored, d.book.loads.Load()-loads; s != 1 || l != 1 {
				t.Errorf("%s: %d refreshes and %d loads, want one", what, s, l)
			}
			// What was read may be from before the report of the refresh's own change, which drops it.
			testkit.Eventually(t, patience, what+": memory holds it again", func() bool {
				_, err := d.read(id)
				return err == nil && d.memory(id) == `"new"`
			})
			if e := d.store.Find(d.r.Shape, []byte(d.key(id))); e.Aged() {
				t.Errorf("%s: what was loaded since counts as older", what)
			}
		}
		f("read before the loss", "1", func() { d.stand("1", `"old"`, time.Hour); d.warm("1", `"old"`); d.lose(0) })
		f("read since", "2", func() { d.stand("2", `"old"`, time.Hour); d.lose(0); d.warm("2", `"old"`) })
		f("with little left", "3", func() { d.stand("3", `"old"`, 55*time.Second); d.lose(30 * time.Second); d.warm("3", `"old"`) })
		f("without expiry", "4", func() { d.stand("4", `"old"`, 0); d.lose(0); d.warm("4", `"old"`) })
		f("in a key without a sibling", "{5}", func() { d.stand("{5}", `"old"`, time.Hour); d.lose(0); d.warm("{5}", `"old"`) })
	})
}

// hit answers from memory as handlers do.
func (d *desk) hit(id, data string) {
	d.t.Helper()
	defer d.Pin(0).Release()
	v, ttl := d.Look(d.r, []byte(d.key(id)), time.Now())
	if !v.Found() || string(v.Entry().Data()) != data {
		d.t.Fatalf("memory does not answer %s with %s", id, data)
	}
	if v.RefreshDue(ttl) && d.TakeRefresh(d.r, []byte(d.key(id)), v) {
		d.Refresh(d.r, d.key(id), source.Args{id}, v.Entry())
	}
}

// readUntil reads until the data is there.
func (d *desk) readUntil(id, data string) {
	d.t.Helper()
	testkit.Eventually(d.t, patience, id+" is "+data, func() bool {
		a, err := d.read(id)
		return err == nil && string(a.Data()) == data
	})
}

// TestNoCopyOutlivesTheWindow: whatever is left of its lifetime, and wherever it stands.
func TestNoCopyOutlivesTheWindow(t *testing.T) {
	const life = 30 * time.Second
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		book := newLedger()
		d := newDesk(t, open(t, degradedFor(life)), book)
		large := `"` + strings.Repeat("x", 1<<20) + `"`
		f := func(what, id, old string, ttl time.Duration, warm bool) {
			t.Helper()
			book.write(id, `"new"`)
			d.r = NewResource("user", "user", testLives, book)
			d.stand(id, old, ttl)
			if warm {
				d.warm(id, old)
			}
			d.lose(life + time.Second)
			if e, _ := d.Hit(d.r, []byte(d.key(id)), time.Now()); e != nil {
				t.Errorf("%s: memory goes on answering %.20s", what, e.Data())
			}
			d.wantRead(id, `"new"`, TierSource)
			d.warm(id, `"new"`)
		}
		for _, warm := range []bool{false, true} {
			f("an hour left", "1", `"old"`, time.Hour, warm)
			f("as little left as a new one has", "2", `"old"`, 10*time.Second, warm)
			f("no expiry", "3", `"old"`, 0, warm)
			f("a missing record", "4", "null", time.Hour, warm)
		}
		f("one that memory does not keep", "5", large, time.Hour, false)
		f("what memory cannot tell", "6", "  null ", time.Hour, false)
	})
}

// TestReadersWaitForOneLoad of a copy whose time is over.
func TestReadersWaitForOneLoad(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", `"new"`)
	gate := make(chan struct{})
	book.loaded = func(context.Context, string) error { <-gate; return nil }
	var fleet []*desk
	for range 3 {
		d := newDesk(t, openRedis(t, srv, degradedFor(time.Minute)), book)
		d.stand("1", `"old"`, time.Hour)
		d.lose(2 * time.Minute)
		fleet = append(fleet, d)
	}
	var readers []*pending
	for range 20 {
		for _, d := range fleet {
			readers = append(readers, d.readBeside("1"))
		}
	}
	testkit.Eventually(t, patience, "all but the one that loads wait", func() bool {
		waiting := int64(0)
		for _, d := range fleet {
			waiting += d.Stats().Waiting
		}
		return waiting == int64(len(readers)-1)
	})
	close(gate)
	for _, r := range readers {
		r.want(t, `"new"`)
	}
	if n := book.loads.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
}

// TestManyGoByTheSameRules: those that have outlived the window are loaded with one call.
func TestManyGoByTheSameRules(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		book := &shelf{ledger: newLedger("1", `"new"`, "2", `"new"`, "3", `"new"`)}
		d := newDesk(t, open(t, degradedFor(time.Minute)), book.ledger)
		d.r = NewResource("user", "user", testLives, book)
		for _, id := range []string{"1", "2"} {
			d.stand(id, `"old"`, time.Hour)
		}
		keys := []string{d.key("1"), d.key("2"), d.key("3")}
		args := []source.Args{{"1"}, {"2"}, {"3"}}
		read := func(want ...string) {
			t.Helper()
			answers, err := d.ReadMany(within(t), d.r, keys, args)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				if string(a.Data()) != want[i] {
					t.Errorf("%d is %s, want %s", i, a.Data(), want[i])
				}
			}
		}
		d.lose(0)
		read(`"old"`, `"old"`, `"new"`)
		d.Restore(d.r)
		d.lose(2 * time.Minute)
		calls := book.calls.Load()
		read(`"new"`, `"new"`, `"new"`)
		if n := book.calls.Load() - calls; n != 1 {
			t.Errorf("the source was called %d times, want once for both", n)
		}
	})
}

// TestASourceThatIsAwayLeavesMarkedCopies: a load that fails takes nothing away.
func TestASourceThatIsAwayLeavesMarkedCopies(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, degradedFor(time.Minute)), newLedger("1", `"new"`))
		d.stand("1", `"old"`, time.Hour)
		d.lose(2 * time.Minute)
		d.book.loaded = func(context.Context, string) error { return source.ErrDown }
		for range 30 { // the breaker opens meanwhile
			a := d.wantRead("1", `"old"`, TierStale)
			if a.Detail != "stale" || a.TTL >= 0 {
				t.Fatalf("an answer whose time is over is marked %q, with %v left", a.Detail, a.TTL)
			}
			fixture{d.Cache, t, d.key("1")}.want(`"old"`)
		}
		if left := d.left("1"); left < 50*time.Minute {
			t.Errorf("%v are left of the copy", left)
		}
		d.book.loaded = nil
		d.Returned(d.r.Source, d.r.Opened)
		d.readUntil("1", `"new"`)
		d.Restore(d.r)
		d.Degrade(d.r, time.Time{}) // nobody knows since when: nothing of before is served any more
		d.stand("1", `"old"`, time.Hour)
		d.book.loaded = func(context.Context, string) error { return source.ErrDown }
		if a, err := d.read("1"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a copy of unknown age is answered with %s, %v", a.Data(), err)
		}
	})
}

// TestWhatIsMarkedIsKnown: of the copies with little left those that were loaded since the
// loss are, by any instance, and by these bytes.
func TestWhatIsMarkedIsKnown(t *testing.T) {
	srv := testkit.Redis(t)
	const life = time.Minute
	a := newDesk(t, openRedis(t, srv, degradedFor(life)), newLedger("1", "1"))
	b := newDesk(t, openRedis(t, srv, degradedFor(life)), newLedger("1", "never asked"))
	lost := time.Now().Add(-life - time.Second)
	a.Degrade(a.r, lost)
	b.Degrade(b.r, lost)
	a.wantRead("1", "1", TierSource)
	b.wantRead("1", "1", TierRedis)
	b.wantRead("1", "1", TierMemory)
	b.Restore(b.r)
	b.Degrade(b.r, time.Now().Add(time.Second)) // another loss; but its window is not over
	b.wantRead("1", "1", TierMemory)

	l, now := b.r.lost.Load(), time.Now().UnixMilli()
	found := shared.Content{State: shared.Value, Data: []byte("1"), TTL: life}
	f := func(what string, m mark, found shared.Content, want bool) {
		t.Helper()
		if got := l.verify(m, found) == l; got != want {
			t.Errorf("%s: verified %v, want %v", what, got, want)
		}
	}
	later := mark{now + 2000, digestOf([]byte("1"))}
	f("marked since", later, found, true)
	f("marked before", mark{now - 1000, later.SHA256}, found, false)
	f("not marked", mark{}, found, false)
	f("other bytes", later, shared.Content{State: shared.Value, Data: []byte("2"), TTL: life}, false)
	f("for longer", later, shared.Content{State: shared.Value, Data: []byte("1"), TTL: 2 * life}, false)
	f("for good", later, shared.Content{State: shared.Value, Data: []byte("1")}, false)
	f("a missing record", mark{now + 2000, digestOf(memory.Null)}, shared.Content{State: shared.NoRecord, TTL: life}, true)
	f("nothing", later, shared.Content{}, false)
	if text, _ := json.Marshal(later); !strings.Contains(string(text), `"loaded":`) {
		t.Errorf("a mark is written as %s", text)
	}
}

// TestAnEarlierLossWins, and another life counts from the next moment on.
func TestAnEarlierLossWins(t *testing.T) {
	d := newDesk(t, openFile(t, degradedFor(time.Hour)), newLedger("1", `"new"`))
	d.stand("1", `"old"`, 2*time.Hour)
	d.warm("1", `"old"`)
	d.lose(time.Minute)
	first := d.r.lost.Load()
	d.lose(0)
	if d.r.lost.Load() != first {
		t.Error("a later loss has taken the place of an earlier one")
	}
	d.wantMemory("1", `"old"`)
	s := *d.settings.Load()
	s.DegradedTTL = 30 * time.Second
	d.Reconfigure(s)
	d.lose(0)
	d.wantRead("1", `"new"`, TierSource)
	s.DegradedTTL = 0
	d.Reconfigure(s)
	if d.r.Degraded() {
		t.Error("degraded although nothing is to change")
	}
	for range 10 { // those that reloads have replaced
		d.r = NewResource("user", "user", testLives, d.book)
		d.Degrade(d.r, time.Now())
	}
	testkit.Eventually(t, patience, "nothing holds resources that nobody uses", func() bool {
		runtime.GC()
		d.Degrade(NewResource("user", "user", testLives, d.book), time.Now())
		d.losses.Lock()
		defer d.losses.Unlock()
		return len(d.losses.since) < 5
	})
	bare := newDesk(t, openFile(t, degradedFor(time.Hour)), nil)
	if bare.lose(0); bare.r.Degraded() {
		t.Error("a record without a source cannot be loaded anew")
	}
}

// TestAFlightThatSpansTheLoss has begun before it, and ends behind the walk over memory.
func TestAFlightThatSpansTheLoss(t *testing.T) {
	d := newDesk(t, openFile(t, degradedFor(time.Minute)), newLedger())
	o, key := d.store.NewOwner(true), d.key("1")
	f := lead(t, d.flights, d.r, o, key)
	d.flights.Arrived(o, key)
	d.lose(2 * time.Minute)
	res := result{Content: shared.Content{State: shared.Value, TTL: time.Hour}, entry: memory.NewEntry(d.r.Shape, key, []byte("1"), 0)}
	d.flights.finish(f, res, d.store.Now()+int64(time.Hour))
	if e, ttl := d.Hit(d.r, []byte(key), time.Now()); e != nil {
		t.Errorf("an old copy is fresh for %v", ttl)
	}
}
