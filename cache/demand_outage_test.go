package cache

import (
	"context"
	"errors"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestADemandWhileRedisIsAway: a stale copy meets no demand that it does not meet, and the source
// is asked. A client that takes what is stale gets it where there is nothing else.
func TestADemandWhileRedisIsAway(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `"1"`))
	d.stand("1", `"old"`, time.Hour)
	d.warm("1", `"old"`)
	d.book.write("1", `"new"`)
	since := d.store.Now()
	srv.Kill()
	testkit.Eventually(t, patience, "it is known to be away", func() bool { return d.Up() != nil })
	d.wantRead("1", `"old"`, TierStale)
	d.wantFresh("1", Demand{OnlyIfCached: true}, `"old"`, TierStale)
	d.wantFresh("1", Demand{MinFresh: time.Second}, `"old"`, TierStale)
	if _, err := d.fresh("1", Demand{Aged: true, Allow: func() bool { return false }}); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a load that others do not cause: %v", err)
	}
	if _, err := d.fresh("1", Demand{Aged: true, OnlyIfCached: true}); !errors.Is(err, ErrNotCached) {
		t.Errorf("a load that may not be: %v", err)
	}
	d.wantLoads(0)
	d.book.loaded = func(context.Context, string) error { return source.ErrDown }
	for _, demand := range []Demand{noCache, {Since: since}, {Since: since, MaxStale: -1}} {
		if a, err := d.fresh("1", demand); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%+v without any tier: %v, %v", demand, a, err)
		}
	}
	d.wantFresh("1", Demand{Aged: true, MaxStale: -1}, `"old"`, TierStale)
	d.book.loaded = nil
	d.Returned(d.r.Source, d.r.Opened)
	d.wantFresh("1", noCache, `"new"`, TierSource)
	d.wantFresh("1", Demand{Since: d.store.Now()}, `"new"`, TierSource)
}

// TestMaxStale answers with a copy that nobody vouches for although others could be asked.
func TestMaxStale(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `"new"`))
	d.stand("1", `"old"`, time.Hour)
	d.warm("1", `"old"`)
	e := d.store.Find(d.r.Shape, []byte(d.key("1")))
	d.expireAt(e, d.store.Now()-int64(time.Minute))
	a := d.wantFresh("1", Demand{MaxStale: 2 * time.Minute}, `"old"`, TierStale)
	if a.Detail != "stale" || a.TTL > -time.Minute {
		t.Errorf("marked %q, with %v left", a.Detail, a.TTL)
	}
	d.wantFresh("1", Demand{MaxStale: -1}, `"old"`, TierStale)
	since := d.store.Now()
	d.wantFresh("1", Demand{MaxStale: -1, Since: since}, `"old"`, TierRedis)
	d.wantFresh("1", Demand{MaxStale: -1}, `"old"`, TierMemory)
	d.expireAt(d.store.Find(d.r.Shape, []byte(d.key("1"))), d.store.Now()-int64(time.Minute))
	d.wantFresh("1", Demand{MaxStale: 30 * time.Second}, `"old"`, TierRedis)
	d.expireAt(d.store.Find(d.r.Shape, []byte(d.key("1"))), d.store.Now()-int64(time.Minute))
	d.wantFresh("1", Demand{MaxStale: -1, Aged: true}, `"new"`, TierSource)
}

// TestNoCacheOfARecordWithoutASource reads the shared tier, whatever memory was not told.
func TestNoCacheOfARecordWithoutASource(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.hears = func(string) bool { return false } }), nil)
	srv.Do("SET", d.key("1"), `"old"`)
	d.warm("1", `"old"`)
	srv.Do("SET", d.key("1"), `"new"`)
	refuse := func() bool { t.Error("a load was asked for"); return false }
	if a := d.wantFresh("1", maxAge(time.Hour), `"old"`, TierMemory); a.Age <= 0 {
		t.Errorf("the age is %v", a.Age)
	}
	d.wantFresh("1", Demand{Aged: true, Allow: refuse}, `"new"`, TierRedis)
	d.wantMemory("1", `"new"`)
	d.wantFresh("none", Demand{Aged: true, OnlyIfCached: true}, "null", TierRedis)
	d.admits = func(string) bool { return false }
	srv.Do("SET", d.key("2"), `"2"`, "EX", "100")
	d.wantFresh("2", Demand{Aged: true, MinFresh: time.Hour, Allow: refuse}, `"2"`, TierRedis)
	d.wantMemory("2", "")
}

// TestADemandOnWhatMemoryDoesNotKeep: what is left of its lifetime is asked for.
func TestADemandOnWhatMemoryDoesNotKeep(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		d.admits = func(string) bool { return false }
		d.stand("1", `"old"`, longest-time.Minute)
		d.wantFresh("1", Demand{Since: d.store.Now()}, `"old"`, d.shared)
		d.wantFresh("1", maxAge(2*time.Minute), `"old"`, d.shared)
		d.wantFresh("1", Demand{MinFresh: time.Minute}, `"old"`, d.shared)
		d.wantMemory("1", "")
		d.wantFresh("1", noCache, `"new"`, TierSource)
		x := fixture{d.Cache, t, d.key("1")}
		x.remove()
		x.acquire("t", "")
		p := d.freshBeside("1", maxAge(time.Hour))
		testkit.Eventually(t, patience, "the reader waits", func() bool { return d.Stats().Waiting == 1 })
		x.fill("t", `"theirs"`)
		p.want(t, `"theirs"`)
	})
}

// TestAReadFromBeforeTheLoadIsNotKept: it is on the wire when no-cache replaces what it has
// found, and the report of that is not heard.
func TestAReadFromBeforeTheLoadIsNotKept(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), newLedger("1", `"new"`))
	key := d.key("1")
	s.set(key, `"old"`)
	s.plan(key, holdAt(partExec))
	first := d.readBeside("1")
	s.awaitReads(t, key, 1)
	s.do(func() { s.mute = true })
	loaded, err := d.newQuery(within(t), d.r, key, source.Args{"1"}).pass(false)
	if err != nil {
		t.Fatal(err)
	}
	q := d.newQuery(within(t), d.r, key, nil)
	q.wish = newWish(noCache, q.began)
	if _, err := q.granted(loaded); err != nil {
		t.Fatal(err)
	}
	s.release()
	if a := first.want(t, `"old"`); a.Stored {
		t.Error("the reply from before the load was stored")
	}
	d.wantMemory("1", "")
}

// TestNoCacheDropsWhatMemoryWasNotToldOf: the report of the load's own change is not there yet when
// the client is answered.
func TestNoCacheDropsWhatMemoryWasNotToldOf(t *testing.T) {
	d := newDesk(t, openRedis(t, testkit.Redis(t), func(c *setup) { c.hears = func(string) bool { return false } }), newLedger("1", `"old"`))
	d.warm("1", `"old"`)
	d.book.write("1", `"new"`)
	d.wantMemory("1", `"old"`)
	d.wantFresh("1", noCache, `"new"`, TierSource)
	d.wantMemory("1", "")
}

// TestNoCacheKeepsItsOwnLoad: while the shared tier is away memory keeps what no-cache has loaded
// for a moment, marked, and the next reader causes no load.
func TestNoCacheKeepsItsOwnLoad(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.UntrackedTTL = time.Minute }), newLedger("1", `"old"`))
	srv.Stop()
	testkit.Eventually(t, patience, "the shared tier is away", func() bool { return d.tier.Readable(d.key("1")) != nil })
	d.wantFresh("1", noCache, `"old"`, TierSource)
	d.wantFresh("1", Demand{OnlyIfCached: true}, `"old"`, TierMemory)
}
