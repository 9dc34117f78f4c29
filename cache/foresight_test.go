package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// The states that a key can be in when it is read, by what decides in the order of a read, and
// where each is compared with what the read does. What stands before the cache (routes,
// methods, limits, spelling, a server that ends) is in handlers.FuzzFind and test.TestExplain….
//
//	memory         nothing; fresh; a missing record; expired; too old to be served     TestExplainForetells
//	               untracked, the tier away or its link unproven                       …OverRedis, …AnUnprovenLink
//	               fresh but large, beyond the budget for answers                      …LargeAnswers
//	place          none left (server.max_in_flight): with a copy, old or none          …WithoutAPlace
//	write          unconfirmed here, with a source and without                         …Trouble
//	shared tier    nothing, value, missing; with and without a source                  TestExplainForetells
//	               lease or guard, of others or of this instance; too many wait        …OverRedis, …Trouble, …WhoseItIs
//	               malformed; refused; away                                            …OverRedis, …ARefusedKey
//	               a server that has just taken over                                   TestATakeover… (the mark)
//	               values that memory does not keep: too large, not asked for lately   …WhatIsNotKept
//	feed           lost: copies with a mark and without, within its time and after     …ALostFeed
//	source         asked; spared; its queue full; forbids to share                     …Trouble
//	many-reads     all of the above, of several keys                                   …ManyReads

// foretoldFull is foretold for a request that has no place beyond memory.
func (d *desk) foretoldFull(what, id string, want Tier) {
	d.t.Helper()
	got := d.Explain(within(d.t), d.r, d.key(id), true).Next
	a, ok := d.Memory(d.r, d.key(id), source.Args{id})
	if !ok {
		a.Tier = TierNone
	}
	if a.Tier != want || got.Tier != want.String() || ok && got.Detail != a.Detail || !ok && got.Status != 503 {
		d.t.Errorf("%s: foretold %+v, memory answers from %v, marked %q, want %v", what, got, a.Tier, a.Detail, want)
	}
}

func TestExplainForetellsWithoutAPlace(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		d.foretoldFull("cold", "1", TierNone)
		d.warm("1", "1")
		d.foretoldFull("fresh", "1", TierMemory)
		e, _ := d.Hit(d.r, []byte(d.key("1")), time.Now())
		d.expireAt(e, d.store.Now())
		d.foretoldFull("old", "1", TierStale)
		bare := newDesk(t, d.Cache, nil)
		if errs := d.Store(within(t), []Item{{Key: d.key("bare"), Value: []byte(`"x"`)}}, 0); errs != nil {
			t.Fatal(errs)
		}
		bare.warm("bare", `"x"`)
		e, _ = d.Hit(bare.r, []byte(d.key("bare")), time.Now())
		d.expireAt(e, d.store.Now())
		bare.foretoldFull("old, without a source", "bare", TierNone) // the shared tier has the record itself
	})
}

// TestExplainForetellsTrouble: writes, sources and waits that go wrong.
func TestExplainForetellsTrouble(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		var over bool
		d := newDesk(t, open(t, func(c *setup) { c.MaxLoads, c.MaxWaiting = 1, 40 }), newLedger("1", "1", "2", "2", "3", "3"))
		bare := newDesk(t, d.Cache, nil)
		d.warm("1", "1")

		private, book := newTermedDesk(t, d.Cache, "private", "1")
		book.term.Store(&source.Term{Unshared: "private"})
		if a, err := private.read("private"); err != nil || a.Detail != "unshared" {
			t.Fatalf("got %+v, %v", a, err)
		}
		private.foretold("not to be shared", "private", TierSource)

		var mu sync.Mutex
		d.book.over = func() (bool, error) { mu.Lock(); defer mu.Unlock(); return over, nil }
		d.book.commit = func(apply func()) error { apply(); return source.ErrUnknownOutcome }
		if _, err := d.put("2", "22"); !errors.Is(err, ErrUnconfirmed) {
			t.Fatalf("got %v, want ErrUnconfirmed", err)
		}
		d.foretold("a write is unconfirmed", "2", TierSource)
		bare.foretold("a write is unconfirmed, without a source", "2", TierNone)
		mu.Lock()
		over = true
		mu.Unlock()
		testkit.Eventually(t, patience, "it is confirmed", func() bool { return d.Stats().Unconfirmed == 0 })

		for what, place := range map[string]func(key, token string){
			"a lease": func(key, token string) { fixture{d.Cache, t, key}.acquire(token, "") },
			"a guard": func(key, token string) { fixture{d.Cache, t, key}.guard(token) },
		} {
			token := shared.NewToken()
			place(d.key(what), token)
			if got := d.Explain(within(t), d.r, d.key(what), false); got.Shared.State != what[2:] || got.Shared.Ours || got.Next.Tier != d.shared.String() {
				t.Errorf("%s of another: %+v, %+v", what, got.Shared, got.Next)
			}
			d.waiting.Store(40)
			d.foretold(what+", and too many wait", what, TierNone)
			d.waiting.Store(0)
		}

		hold := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-hold; return nil }
		var all sync.WaitGroup
		for i := range 17 {
			all.Go(func() { _, _ = d.read(fmt.Sprint("queued", i)) })
		}
		testkit.Eventually(t, patience, "the queue is full", func() bool { return d.queued() == 16 })
		d.foretold("the queue of loads is full", "3", TierNone)
		d.outlive("1")
		d.foretold("the queue is full, with an old copy", "1", TierStale)
		close(hold)
		all.Wait()

		d.book.loaded = func(context.Context, string) error { return errAway }
		for i := 0; !d.BreakerOpen("", nil); i++ {
			_, _ = d.read(fmt.Sprint("absent", i))
		}
		d.foretold("the source is spared", "3", TierNone)
		d.foretold("the source is spared, with an old copy", "1", TierStale)
	})
}

// outlive has memory keep a copy whose lifetime in the shared tier is over, and takes it away
// there.
func (d *desk) outlive(id string) {
	d.t.Helper()
	e, _ := d.Hit(d.r, []byte(d.key(id)), time.Now())
	if e == nil {
		d.t.Fatalf("memory has no copy of %s", id)
	}
	fixture{d.Cache, d.t, d.key(id)}.remove()
	testkit.Eventually(d.t, patience, "memory has heard of it", func() bool { return d.store.Find(d.r.Shape, []byte(d.key(id))) == nil })
	d.store.KeepFor(e, e.Epoch(), memory.Life{Until: d.store.Now(), Ends: d.store.Now(), RefreshAt: memory.Never})
}

// TestExplainForetellsALostFeed: copies of before the loss, and after.
func TestExplainForetellsALostFeed(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		const life = time.Minute
		d := newDesk(t, open(t, degradedFor(life)), newLedger("1", "1", "2", "2", "3", "3", "4", "4"))
		d.stand("1", "1", time.Hour)
		d.stand("2", "2", time.Hour)
		d.lose(0)
		d.foretold("from before the loss, within its time", "1", d.shared)
		d.foretold("from before the loss, in memory", "1", TierMemory)
		d.foretold("loaded since", "3", TierSource)
		d.foretold("loaded since, in the shared tier", "3", d.shared)

		d.Restore(d.r)
		d.lose(2 * life)
		d.stand("4", "4", time.Hour)
		d.foretold("from before the loss, and its time is over", "2", TierSource)
		d.book.loaded = func(context.Context, string) error { return errAway }
		for i := 0; !d.BreakerOpen("", nil); i++ {
			_, _ = d.read(fmt.Sprint("absent", i))
		}
		d.foretold("its time is over, and the source is spared", "4", TierStale)
	})
}

// TestExplainForetellsWhatIsNotKept: memory is full, or the record too large.
func TestExplainForetellsWhatIsNotKept(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, func(c *setup) { c.Budget = 1 << 20 }), nil)
		items := []Item{{Key: d.key("large"), Value: []byte(`"` + strings.Repeat("x", 50_000) + `"`)}, {Key: d.key("late"), Value: []byte("1")}}
		if errs := d.Store(within(t), items, 0); errs != nil {
			t.Fatal(errs)
		}
		d.foretold("too large", "large", d.shared)
		d.foretold("too large, again", "large", d.shared)
		for i := 0; d.store.WouldAdmit(d.key("late")); i++ {
			key := keyOf(t, fmt.Sprint("filler", i))
			d.store.Keep(d.store.NewAnswer(d.r.Shape, key, []byte(`{"v":1}`), 0), d.local, d.local.Epoch(), d.store.Now()+int64(time.Hour), memory.Never)
		}
		if got := d.Explain(within(t), d.r, d.key("late"), false); got.Memory.Kept || !strings.Contains(got.Next.Sentence, "does not keep") {
			t.Errorf("memory is full: %+v", got)
		}
		d.foretold("memory is full", "late", d.shared)
		if got := d.Explain(within(t), d.r, d.key("late"), false); got.Memory.Held || !got.Memory.Kept {
			t.Errorf("it was asked for: %+v", got)
		}
		d.foretold("memory is full, and it was asked for", "late", d.shared)
		d.foretold("memory has made room", "late", TierMemory)
	})
}

// TestExplainForetellsManyReads: one answer for all, from the farthest.
func TestExplainForetellsManyReads(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 3)
		d.warm("0", "0")
		foretold := func(what string, status int, want Tier, ids ...string) {
			t.Helper()
			var keys []string
			for _, id := range ids {
				keys = append(keys, d.key(id))
			}
			got := d.ExplainMany(within(t), d.r, keys, false)
			if got.Tier != want.String() || got.Status != status {
				t.Errorf("%s: foretold %+v, want %d from %v", what, got, status, want)
			}
			answers, err := d.readMany(ids...)
			farthest := TierNone
			for _, a := range answers {
				farthest = max(farthest, a.Tier)
			}
			if farthest != want || (err == nil) != (status == 200) {
				t.Errorf("%s: answered from %v, %v", what, farthest, err)
			}
		}
		foretold("in memory", 200, TierMemory, "0", "0")
		foretold("one is to be loaded", 200, TierSource, ids...)
		foretold("in the shared tier", 200, d.shared, ids...)
		s.loaded = func(context.Context, string) error { return errAway }
		for i := 0; !d.BreakerOpen("", nil); i++ {
			_, _ = d.read(fmt.Sprint("absent", i))
		}
		foretold("one cannot be loaded", 503, TierNone, "0", "nowhere")
	})
}

// TestExplainForetellsAnUnprovenLink: no change was ever seen to be reported.
func TestExplainForetellsAnUnprovenLink(t *testing.T) {
	t.Parallel()
	d := newDesk(t, openUnproven(t, testkit.Redis(t), func(c *setup) { c.hears, c.UntrackedTTL = func(string) bool { return false }, time.Hour }), newLedger("1", "1"))
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return d.Up() == nil })
	d.stand("1", "1", time.Hour)
	d.foretold("in the shared tier", "1", TierRedis)
	d.foretold("in memory", "1", TierMemory)
}

// TestExplainForetellsARefusedKey: the user that Redis knows us as may not read it.
func TestExplainForetellsARefusedKey(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1"))
	srv.Do("ACL", "SETUSER", "default", "resetkeys", "~hearth:*")
	d.foretold("refused", "1", TierSource)
	newDesk(t, d.Cache, nil).foretold("refused, without a source", "1", TierNone)
}

// TestExplainTellsWhoseItIs: the load or the write is this instance's.
func TestExplainTellsWhoseItIs(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		var seen []string
		look := func() {
			got := d.Explain(within(t), d.r, d.key("1"), false)
			seen = append(seen, fmt.Sprint(got.Shared.State, " ", got.Shared.Ours, " ", strings.Contains(got.Next.Sentence, "through this instance")))
		}
		d.book.loaded = func(context.Context, string) error { look(); return nil }
		d.wantRead("1", "1", TierSource)
		d.book.begun = func() error { look(); return nil }
		d.mustPut("1", "2")
		if want := []string{"lease true true", "guard true true"}; !slices.Equal(seen, want) {
			t.Errorf("saw %q, want %q", seen, want)
		}
	})
}
