package cache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

func TestForeignClientsReadPlainText(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `{"id":1}`))
	f := func(id, want string, prepare func(fixture)) {
		t.Helper()
		x := fixture{d.Cache, t, d.key(id)}
		prepare(x)
		if got := srv.Text("GET", x.key); !matches(got, want) {
			t.Errorf("%s: a foreign client reads %q, want %q", id, got, want)
		}
	}
	f("1", `{"id":1}`, func(fixture) { d.wantRead("1", `{"id":1}`, TierSource) })
	f("2", "null", func(fixture) { d.wantRead("2", "null", TierSource) })
	f("3", "lease:abc", func(x fixture) { x.acquire("abc", "") })
	f("4", "guard:abc@…", func(x fixture) { x.guard("abc") })
	f("5", "guard+:abc@…", func(x fixture) { x.guard("abc"); x.guard("def") })
	f("6", "guard+:def@…", func(x fixture) { x.guard("abc"); x.guard("def"); x.unguard("abc", "1") })
	f("7", `{"v":7}`, func(x fixture) { x.set(`{"v":7}`) })
	f("8", "1", func(x fixture) { _, err := d.Increment(within(t), x.key); x.must(err) })
	if ttl := srv.Int("PTTL", d.key("7")); ttl != -1 {
		t.Errorf("an item lives %d ms, want no expiry", ttl)
	}
	for _, id := range []string{"3", "4", "5", "6"} {
		if ttl := srv.Int("PTTL", d.key(id)); ttl <= 0 || ttl > d.cfg.Lease.Milliseconds() {
			t.Errorf("placeholder %s lives %d ms", id, ttl)
		}
	}
}

// matches compares up to an … in want.
func matches(got, want string) bool {
	for i, r := range want {
		if r == '…' {
			return len(got) > i && got[:i] == want[:i]
		}
	}
	return got == want
}

func TestForeignChangesReachMemory(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `"db"`))
	f := func(want string, cmd ...string) {
		t.Helper()
		srv.Do("SET", d.key("1"), `"before"`)
		testkit.Eventually(t, patience, "the value is in memory", func() bool {
			a, err := d.read("1")
			return err == nil && a.Tier == TierMemory && string(a.Data()) == `"before"`
		})
		srv.Do(cmd...)
		testkit.Eventually(t, patience, cmd[0]+" reaches memory", func() bool {
			a, err := d.read("1")
			return err == nil && string(a.Data()) == want
		})
	}
	f(`"after"`, "SET", d.key("1"), `"after"`)
	f(`"db"`, "DEL", d.key("1"))
	f(`"db"`, "FLUSHALL")
	f(`"db"`, "PEXPIRE", d.key("1"), "1")
	f("1", "EVAL", `redis.call('DEL', KEYS[1]); return redis.call('INCR', KEYS[1])`, "1", d.key("1"))
	f(`"db"`, "RENAME", d.key("1"), "elsewhere")
}

func TestAPlaceholderWithoutExpiryIsTakenOver(t *testing.T) {
	srv := testkit.Redis(t)
	for _, text := range []string{"lease:dead", "guard:dead@1", "guard+:dead@1,gone@2"} {
		d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Wait = 100 * time.Millisecond }), newLedger("1", "1"))
		srv.Do("SET", d.key("1"), text)
		if a := d.wantRead("1", "1", TierSource); !a.Stored {
			t.Errorf("%s: the record did not take its place", text)
		}
		d.wantRead("1", "1", TierRedis)
		srv.Do("DEL", d.key("1"))
	}
}

// seam lets a test come between a Cache and its shared tier.
type seam struct {
	SharedTier
	beforeAcquire func()
}

func (s seam) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	s.beforeAcquire()
	return s.SharedTier.Acquire(ctx, key, token, instead)
}

// TestALivingPlaceholderIsNotStolen: SET does not tell what lifetime is left of
// what it found, and that must not pass for none.
func TestALivingPlaceholderIsNotStolen(t *testing.T) {
	srv := testkit.Redis(t)
	f := func(id, want string, place func(fixture)) {
		t.Helper()
		d := newDesk(t, openRedis(t, srv), newLedger(id, "1"))
		x := fixture{d.Cache, t, d.key(id)}
		real := d.tier
		var once sync.Once
		d.tier = seam{real, func() { once.Do(func() { place(fixture{&Cache{tier: real}, t, x.key}) }) }}
		q := query{Cache: d.Cache, ctx: within(t), r: d.r, key: x.key, args: []any{id}, began: d.store.Now(), waited: time.Hour}
		_, _, _ = q.loadLeased(nil) // an answer past it, or none in time: either is fair
		x.want(want)
	}
	f("lease", "lease:living", func(x fixture) { x.acquire("living", "") })
	f("guard", "guard", func(x fixture) { x.guard("living") })
}

func TestAKeyOfAnotherType(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1"))
	srv.Do("LPUSH", d.key("1"), "x")
	if a := d.wantRead("1", "1", TierSource); !a.Stored {
		t.Error("the record did not take the list's place")
	}
	d.wantRead("1", "1", TierRedis)
	shelf := newDesk(t, d.Cache, nil)
	srv.Do("LPUSH", d.key("2"), "x")
	if _, err := shelf.read("2"); !errors.Is(err, ErrNotJSON) {
		t.Errorf("without a source: got %v, want ErrNotJSON", err)
	}
	x := fixture{d.Cache, t, d.key("2")}
	x.guard("w")
	x.want("guard")
	x.unguard("w", "1")
	x.want("1")
}

// TestADeafConnection has a Redis that answers and does not report changes: the
// user may not say CLIENT CACHING.
func TestADeafConnection(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	srv.Do("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-client|caching")
	var mu sync.Mutex
	var worst time.Duration
	d := newDesk(t, openUnproven(t, srv, func(c *setup) {
		c.Redis.URL = "redis://deaf:pw@" + srv.Addr()
		c.LinkTimeout = 600 * time.Millisecond
		c.OnDelay = func(delay time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, delay)
		}
	}), newLedger("1", "1"))
	testkit.Eventually(t, patience, "Redis answers", func() bool { return d.Up() == nil })
	if _, err := d.read("1"); err != nil {
		t.Fatal(err)
	}
	a, err := d.read("1")
	if err != nil || a.Detail != "untracked" {
		t.Errorf("got %+v, %v, want it marked untracked", a, err)
	}
	testkit.Eventually(t, patience, "two canaries are lost", func() bool { return d.Stats().LostCanaries > 1 })
	mu.Lock()
	if worst < 600*time.Millisecond {
		t.Errorf("the longest delay told is %v, want link_timeout at least", worst)
	}
	mu.Unlock()
	srv.Do("SET", d.key("1"), "2")
	testkit.Eventually(t, patience, "an untracked copy lives for a moment only", func() bool {
		a, err := d.read("1")
		if err != nil || a.Tier == TierMemory && a.Detail != "untracked" {
			t.Fatalf("got %+v, %v from a connection that is deaf", a, err)
		}
		return string(a.Data()) == "2"
	})
	srv.Do("ACL", "SETUSER", "deaf", "+client|caching")
	testkit.Eventually(t, patience, "memory is trusted", func() bool {
		a, err := d.read("1")
		return err == nil && a.Tier == TierMemory && a.Detail == ""
	})
}

// TestTheFirstReadsWaitForTheFirstConnection: an instance that has only just
// started does not know yet whether Redis is there. It must not load past it.
func TestTheFirstReadsWaitForTheFirstConnection(t *testing.T) {
	srv := testkit.Redis(t)
	for range 10 {
		d := newDesk(t, openUnproven(t, srv), newLedger("1", "1"))
		srv.Do("SET", d.key("1"), "2")
		if a := d.wantRead("1", "2", TierRedis); a.Detail != "" {
			t.Errorf("the first read is marked %q", a.Detail)
		}
	}
}

// TestAMarkLivesBesideItsKey, in one slot of a Cluster, or not at all.
func TestAMarkLivesBesideItsKey(t *testing.T) {
	srv := testkit.Redis(t)
	c := openRedis(t, srv)
	x := fixture{c, t, keyOf(t, "plain")}
	x.putOwn("w", "1")
	if got, ttl := srv.Text("GET", shared.OwnOf(x.key)), srv.Int("PTTL", shared.OwnOf(x.key)); got != "w" || ttl <= 0 || ttl > shared.OwnFor.Milliseconds() {
		t.Errorf("the mark is %q, for %d ms", got, ttl)
	}
	if !x.outdate("w") || srv.Int("EXISTS", shared.OwnOf(x.key)) != 0 {
		t.Error("the mark did not do, or is left")
	}
	x = fixture{c, t, keyOf(t, "{braces}")}
	x.putOwn("w", "1")
	if x.outdate("w") {
		t.Error("of a key with braces nobody knows whether it was put")
	}
}

// TestOutdatingNeedsNoMemory. A script that has begun to write may go on; one whose first
// write would be the marked guard may not. Then the guard goes, and its write is given up.
func TestOutdatingNeedsNoMemory(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	c := openRedis(t, srv)
	x, guarded, bare := fixture{c, t, keyOf(t, "value")}, fixture{c, t, keyOf(t, "guard")}, fixture{c, t, keyOf(t, "{guard}")}
	x.set("1")
	guarded.guard("w")
	bare.guard("w")
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	x.outdate("")
	guarded.outdate("")
	bare.outdate("")
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	x.want("nothing")
	guarded.want("guard")
	guarded.unguard("w", "1")
	guarded.want("nothing")
	bare.want("nothing")
}
