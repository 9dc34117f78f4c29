package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// opener returns a Cache on an empty or shared tier; keys are the tests' own.
type opener func(*testing.T, ...func(*setup)) *Cache

// TestTierContract holds both kinds of shared tier to the same promises.
func TestTierContract(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) { testTier(t, open) })
}

func testTier(t *testing.T, open opener) {
	t.Run("reads tell what a key holds", func(t *testing.T) { tierReads(t, open(t)) })
	t.Run("a lease is filled by its holder only", func(t *testing.T) { tierLeases(t, open(t)) })
	t.Run("a lease expires", func(t *testing.T) { tierLeaseExpires(t, open) })
	t.Run("a lease replaces exactly what was seen", func(t *testing.T) { tierInstead(t, open(t)) })
	t.Run("a guard replaces what is no guard", func(t *testing.T) { tierGuardOver(t, open(t)) })
	t.Run("a lost guard", func(t *testing.T) { tierGuardLost(t, open) })
	t.Run("a guard set anew", func(t *testing.T) { tierGuardAnew(t, open(t)) })
	t.Run("an expired guard among living ones", func(t *testing.T) { tierGuardExpires(t, open) })
	t.Run("what others have changed goes", func(t *testing.T) { tierOutdates(t, open) })
	t.Run("own writes stay", func(t *testing.T) { tierOwnWrites(t, open(t)) })
	t.Run("a sweep", func(t *testing.T) { tierSweeps(t, open) })
	t.Run("a lease of the fleet", func(t *testing.T) { tierLeads(t, open(t)) })
	t.Run("items and counters", func(t *testing.T) { tierItems(t, open(t)) })
	t.Run("changes reach memory", func(t *testing.T) { tierInvalidates(t, open(t)) })
	t.Run("a dead context asks nothing", func(t *testing.T) { tierDeadline(t, open(t)) })
}

// fixture is a tier with one key, and the steps of the protocol as test steps.
type fixture struct {
	*Cache
	t   *testing.T
	key string
}

func (x fixture) holds() string {
	x.t.Helper()
	r, err := x.tier.Get(within(x.t), x.key)
	if err != nil {
		x.t.Fatalf("getting %q: %v", x.key, err)
	}
	return shown(r)
}

// shown is a reply without what changes from run to run.
func shown(r shared.Content) string {
	switch r.State {
	case shared.Absent:
		return "nothing"
	case shared.Lease:
		return r.Text
	case shared.Guard:
		return "guard"
	case shared.Malformed:
		return "bad " + string(r.Data)
	}
	return string(r.Data)
}

func (x fixture) want(state string) {
	x.t.Helper()
	if got := x.holds(); got != state {
		x.t.Fatalf("%q holds %s, want %s", x.key, got, state)
	}
}

func (x fixture) set(value string) {
	x.t.Helper()
	if errs := x.tier.Set(within(x.t), []Item{{Key: x.key, Value: []byte(value)}}, 0); errs != nil {
		x.t.Fatal(errs)
	}
}

func (x fixture) remove() {
	x.t.Helper()
	x.must(x.tier.Remove(within(x.t), []string{x.key}, true))
}

func (x fixture) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x fixture) acquire(token, instead string) string {
	x.t.Helper()
	var bytes []byte
	if instead != "" {
		bytes = []byte(instead)
	}
	r, err := x.tier.Acquire(within(x.t), x.key, token, bytes)
	x.must(err)
	return shown(r)
}

func (x fixture) fill(token, value string) bool {
	x.t.Helper()
	ok, err := x.tier.Fill(within(x.t), x.key, token, []byte(value), time.Hour)
	x.must(err)
	return ok
}

func (x fixture) guard(token string) { x.t.Helper(); x.must(x.tier.Guard(within(x.t), x.key, token)) }

func (x fixture) renew(token string) bool {
	x.t.Helper()
	return x.uphold(token, false) == shared.GuardStood
}

func (x fixture) uphold(token string, anew bool) shared.GuardState {
	x.t.Helper()
	got := x.tier.RenewGuards(within(x.t), []shared.HeldGuard{{Key: x.key, Token: token, Restore: anew}})
	if len(got) != 1 || got[0].Err != nil {
		x.t.Fatalf("upholding the guard of %s: %v", token, got)
	}
	return got[0].State
}

func (x fixture) unguard(token, value string) {
	x.t.Helper()
	x.must(x.tier.Unguard(within(x.t), x.key, token, []byte(value), time.Hour, false))
}

func tierReads(t *testing.T, c *Cache) {
	f := func(id, want string, prepare func(fixture), ttl, atMost time.Duration) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		prepare(x)
		got, err := c.tier.Get(within(t), x.key)
		x.must(err)
		r := NewResource("", "", testLives, nil)
		fl, _, _ := c.flights.join(r, x.key)
		tracked := c.tier.Track(within(t), []string{x.key})[0]
		c.flights.finish(fl, result{}, 0)
		x.must(tracked.Err)
		for how, got := range map[string]shared.Content{"get": got, "track": tracked.Content} {
			if shown(got) != want {
				t.Errorf("%s of %s: got %s, want %s", how, id, shown(got), want)
			}
			if got.TTL < ttl || got.TTL > atMost {
				t.Errorf("%s of %s: ttl %v, want %v to %v", how, id, got.TTL, ttl, atMost)
			}
		}
	}
	f("absent", "nothing", func(fixture) {}, 0, 0)
	f("value", `{"a":1}`, func(x fixture) { x.set(`{"a":1}`) }, 0, 0)
	f("null", "null", func(x fixture) { x.set("null") }, 0, 0)
	f("no JSON", `bad {"a":`, func(x fixture) { x.set(`{"a":`) }, 0, 0)
	for id, text := range map[string]string{
		"no UTF-8": "{\"a\":\"\xff\"}", "half a surrogate pair": `{"a":"\ud800"}`, "a byte order mark": "\ufeff{}", "null behind a blank of Unicode": "\u00a0null",
		"NUL behind it": "{}\x00", "too deep": strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	} {
		f(id, "bad "+text, func(x fixture) { x.set(text) }, 0, 0)
	}
	f("two members of one name", `{"a":1,"a":2}`, func(x fixture) { x.set(`{"a":1,"a":2}`) }, 0, 0)
	f("empty", "bad ", func(x fixture) { x.set("") }, 0, 0)
	f("lease", "lease:one", func(x fixture) { x.acquire("one", "") }, time.Millisecond, c.cfg.Lease)
	f("guard", "guard", func(x fixture) { x.guard("one") }, time.Millisecond, c.cfg.Lease)
	f("shared guard", "guard", func(x fixture) { x.guard("one"); x.guard("two") }, time.Millisecond, c.cfg.Lease)
	f("filled", "[1]", func(x fixture) { x.acquire("one", ""); x.fill("one", "[1]") }, 59*time.Minute, time.Hour)
	f("unguarded", "[2]", func(x fixture) { x.guard("one"); x.unguard("one", "[2]") }, 59*time.Minute, time.Hour)
}

func tierLeases(t *testing.T, c *Cache) {
	f := func(id string, between func(fixture), filled bool, left string) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		if got := x.acquire("mine", ""); got != "nothing" {
			t.Fatalf("%s: acquiring an empty key found %s", id, got)
		}
		between(x)
		if got := x.fill("mine", "[1]"); got != filled {
			t.Errorf("%s: fill said %v, want %v", id, got, filled)
		}
		x.want(left)
	}
	f("nothing between", func(fixture) {}, true, "[1]")
	f("another asks", func(x fixture) {
		if got := x.acquire("other", ""); got != "lease:mine" {
			t.Errorf("acquiring a leased key found %s, want lease:mine", got)
		}
	}, true, "[1]")
	f("another fills", func(x fixture) {
		if x.fill("other", "[2]") {
			t.Error("a fill without the lease was stored")
		}
	}, true, "[1]")
	f("another releases", func(x fixture) { x.must(c.tier.Release(within(t), x.key, "other")) }, true, "[1]")
	f("it was released", func(x fixture) { x.must(c.tier.Release(within(t), x.key, "mine")) }, false, "nothing")
	f("a DEL", func(x fixture) { x.remove() }, false, "nothing")
	f("a SET", func(x fixture) { x.set("[3]") }, false, "[3]")
	f("a DEL and another's lease", func(x fixture) { x.remove(); x.acquire("other", "") }, false, "lease:other")
	f("a guard", func(x fixture) { x.guard("writer") }, false, "guard")
	f("a whole write", func(x fixture) { x.guard("writer"); x.unguard("writer", "[4]") }, false, "[4]")
	f("a write whose guard was lost before", func(x fixture) { x.unguard("writer", "[4]") }, false, "nothing")
	f("it was filled already", func(x fixture) { x.fill("mine", "[5]") }, false, "[5]")
}

func tierLeaseExpires(t *testing.T, open opener) {
	x := fixture{open(t, func(c *setup) { c.Lease = 60 * time.Millisecond }), t, keyOf(t, 1)}
	x.acquire("dead", "")
	testkit.Eventually(t, patience, "the lease expires", func() bool { return x.holds() == "nothing" })
	if x.fill("dead", "[1]") {
		t.Error("a fill under an expired lease was stored")
	}
	if got := x.acquire("next", ""); got != "nothing" {
		t.Errorf("acquiring after the expiry found %s", got)
	}
}

func tierInstead(t *testing.T, c *Cache) {
	x := fixture{c, t, keyOf(t, 1)}
	x.set("{oops")
	if got := x.acquire("a", ""); got != "bad {oops" {
		t.Errorf("acquiring found %s, want the bad bytes", got)
	}
	if got := x.acquire("a", "{other"); got != "bad {oops" {
		t.Errorf("swapping other bytes found %s, want the bad bytes", got)
	}
	if got := x.acquire("a", "{oops"); got != "nothing" {
		t.Errorf("swapping the bytes found %s", got)
	}
	if !x.fill("a", "[1]") {
		t.Error("the fill after a swap was refused")
	}
	x.want("[1]")
}

func tierGuardOver(t *testing.T, c *Cache) {
	f := func(id string, before func(fixture)) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		before(x)
		x.guard("w")
		x.want("guard")
		if got := x.acquire("reader", ""); got != "guard" {
			t.Errorf("%s: acquiring a guarded key found %s", id, got)
		}
		if !x.renew("w") {
			t.Errorf("%s: renewing a guard that stands failed", id)
		}
		x.unguard("w", "")
		x.want("nothing")
	}
	f("nothing", func(fixture) {})
	f("a value", func(x fixture) { x.set("[1]") })
	f("a lease", func(x fixture) { x.acquire("r", "") })
	f("bad bytes", func(x fixture) { x.set("{") })
	f("null", func(x fixture) { x.set("null") })
}

func tierGuardLost(t *testing.T, open opener) {
	c := open(t)
	f := func(id, want string, steps func(fixture)) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		x.guard("w")
		steps(x)
		x.want(want)
	}
	f("a DEL voids the right to put", "nothing", func(x fixture) { x.remove(); x.unguard("w", "[1]") })
	f("a SET does too", "nothing", func(x fixture) { x.set("[9]"); x.unguard("w", "[1]") })
	f("filled meanwhile", "nothing", func(x fixture) {
		x.remove()
		x.acquire("r", "")
		x.fill("r", "[0]")
		x.unguard("w", "[1]")
	})
	f("unguarded twice", "nothing", func(x fixture) { x.unguard("w", "[1]"); x.unguard("w", "[1]") })
	x := fixture{c, t, keyOf(t, "never guarded")}
	if x.renew("w") {
		t.Error("renewing a guard that never stood succeeded")
	}
	x.set("[1]")
	x.unguard("w", "[2]")
	x.want("nothing")
}

// tierGuardAnew: a guard that is set anew replaces what is no guard, joins others',
// and counts as shared, so that nobody puts a record there.
func tierGuardAnew(t *testing.T, c *Cache) {
	f := func(id string, before func(fixture)) {
		t.Helper()
		x := fixture{c, t, keyOf(t, id)}
		before(x)
		if got := x.uphold("w", true); got != shared.GuardRestored {
			t.Errorf("%s: got %v, want the guard set anew", id, got)
		}
		x.want("guard")
		if got := x.uphold("w", true); got != shared.GuardStood {
			t.Errorf("%s: got %v, want that the guard stands", id, got)
		}
		x.unguard("w", "[1]")
		x.want("nothing")
	}
	f("nothing", func(fixture) {})
	f("a value", func(x fixture) { x.set("[1]") })
	f("a lease", func(x fixture) { x.acquire("r", "") })
	f("bad bytes", func(x fixture) { x.set("{") })
	x := fixture{c, t, keyOf(t, "another's guard")}
	x.guard("other")
	x.uphold("w", true)
	x.unguard("w", "")
	x.want("guard")
	x.unguard("other", "[1]")
	x.want("nothing")
}

func tierGuardExpires(t *testing.T, open opener) {
	c := open(t, func(c *setup) { c.Lease = 60 * time.Millisecond })
	x := fixture{c, t, keyOf(t, "one")}
	x.guard("slow")
	testkit.Eventually(t, patience, "the guard expires", func() bool { return !x.renewOnce("slow") && x.holds() == "nothing" })
	// Now the slow writer commits and meets nobody: whatever stands is deleted.
	x.set("[0]")
	x.unguard("slow", "[1]")
	x.want("nothing")
}

// renewOnce asks with a token that is no guard's, so that nothing is prolonged.
func (x fixture) renewOnce(token string) bool { return x.renew("not " + token) }

func tierItems(t *testing.T, c *Cache) {
	var items []Item
	for i := range 100 {
		items = append(items, Item{Key: keyOf(t, i), Value: fmt.Appendf(nil, `{"id":%d}`, i)})
	}
	if errs := c.tier.Set(within(t), items, 0); errs != nil {
		t.Fatalf("setting items: %v", errs)
	}
	for i := range 100 {
		fixture{c, t, keyOf(t, i)}.want(fmt.Sprintf(`{"id":%d}`, i))
	}
	if err := c.tier.Remove(within(t), []string{keyOf(t, 0), keyOf(t, 1), keyOf(t, "absent")}, true); err != nil {
		t.Fatal(err)
	}
	fixture{c, t, keyOf(t, 1)}.want("nothing")
	fixture{c, t, keyOf(t, 2)}.want(`{"id":2}`)

	key := keyOf(t, "counter")
	if n, err := c.tier.Count(within(t), key); n != 0 || err != nil {
		t.Errorf("counting nothing: got %d, %v", n, err)
	}
	for want := range int64(5) {
		if n, err := c.tier.Add(within(t), key, 1); n != want+1 || err != nil {
			t.Errorf("incrementing: got %d, %v, want %d", n, err, want+1)
		}
	}
	if n, err := c.tier.Count(within(t), key); n != 5 || err != nil {
		t.Errorf("counting: got %d, %v, want 5", n, err)
	}
	if _, err := c.tier.Add(within(t), keyOf(t, 2), 1); err == nil || errors.Is(err, shared.ErrAway) {
		t.Errorf("incrementing an object: got %v, want an error that is no outage", err)
	}
	fixture{c, t, keyOf(t, 2)}.want(`{"id":2}`)
}

func tierInvalidates(t *testing.T, c *Cache) {
	d := newDesk(t, c, nil)
	f := func(id string, change func(fixture)) {
		t.Helper()
		x := fixture{c, t, d.key(id)}
		x.set("1")
		testkit.Eventually(t, patience, "the key is in memory", func() bool {
			_, err := d.read(id)
			return err == nil && c.store.Find(d.r.Shape, []byte(x.key)) != nil
		})
		change(x)
		testkit.Eventually(t, patience, id+" drops the copy in memory", func() bool { return c.store.Find(d.r.Shape, []byte(x.key)) == nil })
	}
	f("set", func(x fixture) { x.set("2") })
	f("remove", func(x fixture) { x.remove() })
	f("outdate", func(x fixture) { x.outdate("") })
	f("guard", func(x fixture) { x.guard("w") })
	f("unguard", func(x fixture) { x.unguard("w", "3") })
	f("increment", func(x fixture) { _, err := c.tier.Add(within(t), x.key, 1); x.must(err) })
	f("acquire and fill", func(x fixture) { x.acquire("r", "1"); x.fill("r", "4") })
}

// tierDeadline: whether a step with a dead context is done is open; it returns,
// and an error says that the tier was not reached.
func tierDeadline(t *testing.T, c *Cache) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	key := keyOf(t, 1)
	_, get := c.tier.Get(ctx, key)
	_, fill := c.tier.Fill(ctx, key, "x", []byte("1"), time.Hour)
	for what, err := range map[string]error{
		"get": get, "fill": fill, "guard": c.tier.Guard(ctx, key, "x"), "remove": c.tier.Remove(ctx, []string{key}, true),
		"outdate": c.tier.Outdate(ctx, []shared.Outdated{{Key: key}}),
		"unguard": c.tier.Unguard(ctx, key, "x", nil, 0, false), "set": errors.Join(c.tier.Set(ctx, []Item{{Key: key, Value: []byte("1")}}, 0)...),
	} {
		if err != nil && !errors.Is(err, shared.ErrAway) {
			t.Errorf("%s with a dead context: got %v, want one that wraps errDown", what, err)
		}
	}
	if err := c.Up(); err != nil {
		t.Errorf("a caller's dead context passed for an outage: %v", err)
	}
}
