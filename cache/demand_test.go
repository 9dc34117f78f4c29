package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

var noCache = Demand{Aged: true}

func maxAge(d time.Duration) Demand { return Demand{Aged: true, MaxAge: d} }

func (d *desk) fresh(id string, demand Demand) (Answer, error) {
	return d.ReadFresh(within(d.t), d.r, d.key(id), source.Args{id}, demand)
}

func (d *desk) wantFresh(id string, demand Demand, data string, tier Tier) Answer {
	d.t.Helper()
	a, err := d.fresh(id, demand)
	if err != nil {
		d.t.Fatalf("reading %s with %+v: %v", id, demand, err)
	}
	if got := string(a.Data()); got != data || a.Tier != tier {
		d.t.Fatalf("reading %s with %+v: got %s from %v (%s), want %s from %v", id, demand, got, a.Tier, a.Detail, data, tier)
	}
	return a
}

func (d *desk) wantLoads(want int64) {
	d.t.Helper()
	if got := d.book.loads.Load(); got != want {
		d.t.Fatalf("the source was asked %d times, want %d", got, want)
	}
}

func (d *desk) freshBeside(id string, demand Demand) *pending {
	p := &pending{done: make(chan struct{})}
	ctx := within(d.t)
	go func() {
		defer close(p.done)
		p.answer, p.err = d.ReadFresh(ctx, d.r, d.key(id), source.Args{id}, demand)
	}()
	return p
}

// longest is the longest lifetime that a copy of the tests' resources is given.
var longest = (&Resource{TTL: testLives}).longestLife()

// TestNoCacheLoadsAnew in the copy's place, and nothing older is answered after it.
func TestNoCacheLoadsAnew(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		for _, ttl := range []time.Duration{time.Hour, 0} {
			loads := d.book.loads.Load()
			d.stand("1", `"old"`, ttl)
			d.warm("1", `"old"`)
			a := d.wantFresh("1", noCache, `"new"`, TierSource)
			if status := string(a.AppendStatus(nil)); a.Age != 0 || !a.Stored || strings.Count(status, "fwd=request") != 2 || !strings.Contains(status, "fwd=request; stored") {
				t.Errorf("age %v, stored %v, %s", a.Age, a.Stored, status)
			}
			if got := d.memory("1"); got == `"old"` {
				t.Error("memory answers with the copy of before")
			}
			fixture{d.Cache, t, d.key("1")}.want(`"new"`)
			d.wantLoads(loads + 1)
		}
		d.warm("1", `"new"`)
		d.book.write("1", "")
		a := d.wantFresh("1", noCache, "null", TierSource)
		if a.Body() != nil {
			t.Error("a missing record has a body")
		}
	})
}

// TestAnEarlierLoadMeetsNoDemand: who came when a load was under way shares the next one.
func TestAnEarlierLoadMeetsNoDemand(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"old"`))
		d.admits = func(string) bool { return false } // or a copy there would answer who asks nothing
		held := make(chan struct{}, 10)
		d.book.loaded = func(ctx context.Context, id string) error {
			select {
			case <-held:
			case <-ctx.Done():
			}
			return nil
		}
		first := d.readBeside("1")
		testkit.Eventually(t, patience, "the first load has begun", func() bool { return d.book.loads.Load() == 1 })
		d.book.write("1", `"new"`) // past all tiers
		var crowd []*pending
		for range 10 {
			crowd = append(crowd, d.freshBeside("1", noCache))
		}
		young := d.freshBeside("1", maxAge(time.Hour))
		testkit.Eventually(t, patience, "the crowd waits", func() bool { return d.Stats().Waiting == 11 })
		held <- struct{}{}
		first.want(t, `"old"`)
		young.want(t, `"old"`)
		testkit.Eventually(t, patience, "the second load has begun", func() bool { return d.book.loads.Load() == 2 })
		late := d.readBeside("1") // asks nothing, and waits
		held <- struct{}{}
		for _, p := range crowd {
			p.want(t, `"new"`)
		}
		late.want(t, `"new"`)
		d.wantLoads(2)
	})
}

// TestALoadElsewhereIsWaitedFor: what another instance had begun before does not count.
func TestALoadElsewhereIsWaitedFor(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `"new"`))
	x := fixture{d.Cache, t, d.key("1")}
	x.acquire("elsewhere", "")
	p := d.freshBeside("1", noCache)
	testkit.Eventually(t, patience, "the reader waits", func() bool { return d.Stats().Waiting == 1 })
	if !x.fill("elsewhere", `"old"`) {
		t.Fatal("the lease is gone")
	}
	p.want(t, `"new"`)
	x.want(`"new"`)
	d.wantLoads(1)
}

// TestADemandThatCannotBeMetTakesNothingAway: the copy is put back, no younger than it was, and
// readers that demand nothing are answered with it.
func TestADemandThatCannotBeMetTakesNothingAway(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		d.admits = func(string) bool { return false }
		f := func(ttl time.Duration) {
			t.Helper()
			d.stand("1", `"old"`, ttl)
			held := make(chan struct{})
			d.book.loaded = func(context.Context, string) error { <-held; return source.ErrDown }
			loads := d.book.loads.Load()
			demanding := d.freshBeside("1", noCache)
			bearing := d.freshBeside("1", Demand{Aged: true, MaxStale: -1})
			testkit.Eventually(t, patience, "the load has begun", func() bool { return d.book.loads.Load() == loads+1 })
			plain := d.readBeside("1")
			testkit.Eventually(t, patience, "the others wait", func() bool { return d.Stats().Waiting == 2 })
			close(held)
			plain.want(t, `"old"`)
			if plain.answer.Detail != "" {
				t.Errorf("the answer to who demands nothing is marked %q", plain.answer.Detail)
			}
			awaitFired(t, "the demand fails", demanding.done)
			if !errors.Is(demanding.err, ErrUnavailable) {
				t.Errorf("no-cache without a source: %v, %v", demanding.answer, demanding.err)
			}
			if a := bearing.want(t, `"old"`); a.Detail != "stale" || a.TTL >= 0 {
				t.Errorf("with max-stale the copy is marked %q, with %v left", a.Detail, a.TTL)
			}
			fixture{d.Cache, t, d.key("1")}.want(`"old"`)
			d.Returned(d.r.Source, d.r.Opened)
		}
		f(30 * time.Minute)
		if left := d.left("1"); left > 30*time.Minute || left < 29*time.Minute {
			t.Errorf("%v are left of the copy that was put back", left)
		}
		f(0)
		d.book.loaded = nil
		d.wantFresh("1", maxAge(24*time.Hour), `"new"`, TierSource) // it is still of unknown age
	})
}

// TestMaxAge counts a copy by what is left of its lifetime, by the longest it can have been given.
func TestMaxAge(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger())
		const age = 5 * time.Minute
		for _, warm := range []bool{false, true} {
			tier, id := d.shared, fmt.Sprint(warm)
			d.book.write(id, `"new"`)
			d.stand(id, `"old"`, longest-age)
			if warm {
				d.warm(id, `"old"`)
				tier = TierMemory
			}
			loads := d.book.loads.Load()
			a := d.wantFresh(id, maxAge(age+time.Minute), `"old"`, tier)
			if a.Age < age || a.Age > age+time.Minute {
				t.Errorf("the age is %v, want %v and a bit", a.Age, age)
			}
			d.wantLoads(loads)
			d.wantFresh(id, maxAge(age-time.Second), `"new"`, TierSource)
			for _, ttl := range []time.Duration{0, longest + time.Hour} { // another program's
				d.stand(id, `"old"`, ttl)
				if warm {
					d.warm(id, `"old"`)
				}
				if a := d.wantFresh(id, Demand{MaxStale: -1}, `"old"`, tier); a.Age != 0 {
					t.Errorf("a copy of unknown age says %v", a.Age)
				}
				d.wantFresh(id, maxAge(1<<62), `"new"`, TierSource)
			}
		}
	})
}

// TestWhatWasLoadedHereIsKnown to be as young as it is, jitter or not.
func TestWhatWasLoadedHereIsKnown(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"1"`))
		d.wantRead("1", `"1"`, TierSource)
		if a := d.wantFresh("1", maxAge(patience), `"1"`, d.shared); a.Age <= 0 || a.Age > patience {
			t.Errorf("the age is %v", a.Age)
		}
		d.warm("1", `"1"`)
		testkit.Eventually(t, patience, "memory knows it, too", func() bool {
			a, err := d.fresh("1", maxAge(patience))
			return err == nil && a.Tier == TierMemory && a.Age > 0 && a.Age < patience
		})
		d.wantLoads(1)
		d.wantFresh("1", noCache, `"1"`, TierSource)
		d.wantLoads(2)
	})
}

// TestMinFresh loads what has too little left, once: a lifetime may be shorter than the demand.
func TestMinFresh(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		d.stand("1", `"old"`, time.Minute)
		d.wantFresh("1", Demand{MinFresh: 30 * time.Second}, `"old"`, d.shared)
		d.wantFresh("1", Demand{MinFresh: 2 * time.Minute}, `"new"`, TierSource)
		d.wantLoads(1)
		d.wantFresh("1", Demand{MinFresh: 2 * time.Minute}, `"new"`, d.shared)
		d.wantLoads(1)
		d.wantFresh("1", Demand{MinFresh: 1 << 62}, `"new"`, TierSource)
		d.wantLoads(2)
		d.stand("1", `"old"`, 0)
		d.wantFresh("1", Demand{MinFresh: 1 << 62}, `"old"`, d.shared)
	})
}

// TestOnlyIfCached causes no load, and waits for none.
func TestOnlyIfCached(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		cached := Demand{OnlyIfCached: true}
		refused := func(demand Demand) {
			t.Helper()
			if a, err := d.fresh("1", demand); !errors.Is(err, ErrNotCached) {
				t.Errorf("%+v: got %v, %v", demand, a, err)
			}
		}
		x := fixture{d.Cache, t, d.key("1")}
		refused(cached)
		x.acquire("t", "")
		refused(cached)
		x.fill("t", `"old"`)
		d.wantFresh("1", cached, `"old"`, d.shared)
		d.warm("1", `"old"`)
		d.wantFresh("1", cached, `"old"`, TierMemory)
		refused(Demand{OnlyIfCached: true, Aged: true})
		refused(Demand{OnlyIfCached: true, MinFresh: 2 * time.Hour})
		d.r = NewResource("user", "user", testLives, d.book) // of which memory has nothing
		x.guard("g")
		refused(cached)
		d.wantLoads(0)
	})
}

// TestADemandIsAllowedOnce, and only where it costs what nobody else would cost.
func TestADemandIsAllowedOnce(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `"new"`))
		asked, answer := 0, false
		demand := Demand{Aged: true, Allow: func() bool { asked++; return answer }}
		f := func(want string, err error, times int) {
			t.Helper()
			asked = 0
			a, got := d.fresh("1", demand)
			if !errors.Is(got, err) || err == nil && string(a.Data()) != want || asked != times {
				t.Errorf("got %v, %v, asked %d times; want %s, %v, %d", a, got, asked, want, err, times)
			}
		}
		f(`"new"`, nil, 0) // any reader would load
		d.stand("1", `"old"`, time.Hour)
		f("", ErrNotAllowed, 1)
		d.wantLoads(1)
		fixture{d.Cache, t, d.key("1")}.want(`"old"`)
		answer = true
		f(`"new"`, nil, 1)
		answer, demand.MaxAge = false, patience
		f(`"new"`, nil, 0)
	})
}
