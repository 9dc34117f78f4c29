package cache

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// outdate tells whether the record was kept as its writer's own.
func (x fixture) outdate(writer string) bool {
	x.t.Helper()
	keys := []shared.Outdated{{Key: x.key, Writer: writer}}
	x.must(x.tier.Outdate(within(x.t), keys))
	return keys[0].Kept
}

// putOwn is a whole write of which the change feed is going to tell.
func (x fixture) putOwn(token, value string) {
	x.t.Helper()
	x.guard(token)
	x.must(x.tier.Unguard(within(x.t), x.key, token, []byte(value), time.Hour, true))
}

// tierOutdates: a change of others, and POST /api/invalidate, are one step.
func tierOutdates(t *testing.T, open opener) {
	c := open(t)
	for how, take := range map[string]func(fixture){"outdate": func(x fixture) { x.outdate("") }, "remove": fixture.remove} {
		f := func(id, want string, before, after func(fixture)) {
			t.Helper()
			x := fixture{c, t, keyOf(t, how+" "+id)}
			before(x)
			take(x)
			after(x)
			x.want(want)
		}
		none := func(fixture) {}
		f("nothing", "nothing", none, none)
		f("a value", "nothing", func(x fixture) { x.set("1") }, none)
		f("null", "nothing", func(x fixture) { x.set("null") }, none)
		f("bad bytes", "nothing", func(x fixture) { x.set("{") }, none)
		f("a lease", "nothing", func(x fixture) { x.acquire("r", "") }, func(x fixture) {
			if x.fill("r", "1") {
				t.Errorf("%s: a load from before was stored", how)
			}
		})
		f("a guard stays", "guard", func(x fixture) { x.guard("w") }, func(x fixture) {
			if !x.renew("w") {
				t.Errorf("%s: the guard is gone, so its write is rolled back", how)
			}
		})
		f("and its writer puts nothing", "nothing", func(x fixture) { x.guard("w") }, func(x fixture) { x.unguard("w", "1") })
		f("two guards", "guard", func(x fixture) { x.guard("v"); x.guard("w") }, func(x fixture) { x.unguard("w", "1") })
		f("a guard that comes later", "1", none, func(x fixture) { x.guard("w"); x.unguard("w", "1") })
		f("a refresh under way", "2", func(x fixture) { x.acquire("r", ""); x.fill("r", "1"); x.claim("x", "1") }, func(x fixture) {
			x.acquire("r", "")
			x.fill("r", "2")
			if x.claim("y", "2") == 0 {
				t.Errorf("%s: the refresh of what was removed keeps others from one", how)
			}
		})
	}
	short := open(t, func(s *setup) { s.Lease = 60 * time.Millisecond })
	x := fixture{short, t, keyOf(t, "the guard of a dead writer")}
	x.guard("dead")
	testkit.Eventually(t, patience, "the guard expires", func() bool { return x.holds() == "nothing" })
	x.set("1")
	x.outdate("")
	x.want("nothing")
	tierOutdatesMany(t, c)
}

// claim returns when the value expires, 0 if the refresh lease was refused.
func (x fixture) claim(token, was string) int64 {
	x.t.Helper()
	expires, _, err := x.tier.Claim(within(x.t), x.key, token, []byte(was))
	x.must(err)
	return expires
}

func tierOutdatesMany(t *testing.T, c *Cache) {
	var items []Item
	var keys []shared.Outdated
	for i := range 3000 {
		key := keyOf(t, fmt.Sprint("many ", i))
		items = append(items, Item{Key: key, Value: []byte("1")})
		keys = append(keys, shared.Outdated{Key: key})
	}
	keys = append(keys, keys[0], shared.Outdated{Key: keyOf(t, "{one} {two}")}, shared.Outdated{Key: keyOf(t, "one}{"), Writer: "w"})
	if errs := c.tier.Set(within(t), items, 0); errs != nil {
		t.Fatal(errs)
	}
	if err := c.Outdate(within(t), keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		x := fixture{c, t, k.Key}
		if x.want("nothing"); k.Kept {
			t.Fatalf("%q was kept", k.Key)
		}
	}
}

// tierOwnWrites: what a writer has put contains its own change, and nobody else's.
func tierOwnWrites(t *testing.T, c *Cache) {
	f := func(id, want string, kept bool, steps func(fixture) bool) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		if got := steps(x); got != kept {
			t.Errorf("%s: kept %v, want %v", id, got, kept)
		}
		x.want(want)
	}
	f("its own change", "1", true, func(x fixture) bool { x.putOwn("w", "1"); return x.outdate("w") })
	f("told twice", "nothing", false, func(x fixture) bool { x.putOwn("w", "1"); x.outdate("w"); return x.outdate("w") })
	f("a change of another", "nothing", false, func(x fixture) bool { x.putOwn("w", "1"); return x.outdate("v") })
	f("a change of others", "nothing", false, func(x fixture) bool { x.putOwn("w", "1"); return x.outdate("") })
	f("of others first", "nothing", true, func(x fixture) bool { x.putOwn("w", "1"); x.outdate(""); return x.outdate("w") })
	f("no mark was asked for", "nothing", false, func(x fixture) bool { x.guard("w"); x.unguard("w", "1"); return x.outdate("w") })
	f("told before it is put", "1", false, func(x fixture) bool {
		x.guard("w")
		kept := x.outdate("w")
		x.unguard("w", "1")
		return kept
	})
	f("told twice before it is put, then of others", "nothing", false, func(x fixture) bool {
		x.guard("w")
		x.outdate("w")
		kept := x.outdate("w")
		x.outdate("")
		x.unguard("w", "1")
		return kept
	})
	f("a later write stands", "guard", true, func(x fixture) bool { x.putOwn("v", "1"); x.guard("w"); return x.outdate("v") })
	f("and puts its record", "2", true, func(x fixture) bool {
		x.putOwn("v", "1")
		x.guard("w")
		kept := x.outdate("v")
		x.unguard("w", "2")
		return kept
	})
	f("an earlier write", "2", true, func(x fixture) bool { x.putOwn("v", "1"); x.putOwn("w", "2"); return x.outdate("w") })
	f("an earlier write whose mark is gone", "nothing", false, func(x fixture) bool { x.putOwn("v", "1"); x.putOwn("w", "2"); return x.outdate("v") })
	f("two at once", "nothing", false, func(x fixture) bool {
		x.guard("v")
		x.guard("w")
		x.outdate("v")
		x.must(x.tier.Unguard(within(t), x.key, "v", []byte("1"), time.Hour, true))
		x.must(x.tier.Unguard(within(t), x.key, "w", []byte("2"), time.Hour, true))
		return x.outdate("w")
	})
	f("a deletion", "nothing", false, func(x fixture) bool {
		x.guard("w")
		x.must(x.tier.Unguard(within(t), x.key, "w", nil, 0, true))
		return x.outdate("w")
	})
	f("another key of the same write", "1", false, func(x fixture) bool {
		x.putOwn("w", "1")
		list := fixture{c, t, keyOf(t, "a list")}
		list.set("1")
		kept := list.outdate("w")
		list.want("nothing")
		return kept
	})
}

func tierLeads(t *testing.T, c *Cache) {
	key := "hearth:test:" + keyOf(t, "lead")
	f := func(holder, note, want string, held bool) {
		t.Helper()
		got, ok, err := c.Lead(within(t), key, holder, []byte(note), time.Hour)
		if err != nil || string(got) != want || ok != held {
			t.Fatalf("%s asks for the lease: got %q, %v, %v, want %q, %v", holder, got, ok, err, want, held)
		}
	}
	yield := func(holder string) {
		t.Helper()
		if err := c.Yield(within(t), key, holder); err != nil {
			t.Fatal(err)
		}
	}
	f("a", "one", "a one", true)
	f("b", "", "a one", false)
	f("a", `{"n": 2}`, `a {"n": 2}`, true)
	yield("b")
	f("ab", "", `a {"n": 2}`, false)
	yield("a")
	f("b", "", "b ", true)
	for key, want := range map[string]string{key: "b ", key + " nobody": ""} {
		if got, err := c.Peek(within(t), key); err != nil || string(got) != want {
			t.Errorf("peeking at %q: got %q, %v, want %q", key, got, err, want)
		}
	}
	for _, nobody := range []string{"", "a b"} {
		if _, _, err := c.Lead(within(t), key, nobody, nil, time.Hour); !errors.Is(err, shared.ErrRefused) {
			t.Errorf("the holder %q: got %v, want it refused", nobody, err)
		}
	}
	short := key + " short"
	if _, held, err := c.Lead(within(t), short, "dead", nil, 30*time.Millisecond); err != nil || !held {
		t.Fatal(held, err)
	}
	testkit.Eventually(t, patience, "the lease expires", func() bool {
		_, held, err := c.Lead(within(t), short, "next", nil, time.Hour)
		return held && err == nil
	})
}
