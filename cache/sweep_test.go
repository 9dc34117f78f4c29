package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

func tierSweeps(t *testing.T, open opener) {
	c := open(t)
	prefix := keyOf(t, `[?*]\`)
	var items []Item
	store := func(key, value string) fixture {
		items = append(items, Item{Key: key, Value: []byte(value)})
		return fixture{c, t, key}
	}
	const many = 2500
	for i := range many {
		store(fmt.Sprint(prefix, "swept:", i), "1")
	}
	stay := []fixture{
		store(prefix+"swept:spared", "1"), store(prefix+"swepp", "1"), store(prefix+"swept", "1"), store(prefix+"swept;", "1"), store(keyOf(t, "")+"?swept:1", "1"),
	}
	if errs := c.tier.Set(within(t), items, 0); errs != nil {
		t.Fatal(errs)
	}
	lease, guard := fixture{c, t, prefix + "swept:lease"}, fixture{c, t, prefix + "swept:guard"}
	lease.acquire("r", "")
	guard.guard("w")
	pattern := shared.Glob(prefix+"swept:", "")
	spare := func(key string) bool { return !strings.HasSuffix(key, "spared") }
	if n, err := c.Sweep(within(t), pattern, spare); err != nil || n < many+2 {
		t.Errorf("swept %d keys, %v, want %d", n, err, many+2)
	}
	for _, it := range items[:many] {
		fixture{c, t, it.Key}.want("nothing")
	}
	for _, x := range stay {
		x.want("1")
	}
	if lease.fill("r", "1") {
		t.Error("what was loaded before is stored")
	}
	guard.want("guard")
	guard.unguard("w", "1")
	guard.want("nothing")
	// Guards and leases are gone; what the sweep leaves is left by another one, too.
	if n, err := c.Sweep(within(t), pattern, spare); err != nil || n != 0 {
		t.Errorf("a second time: swept %d keys, %v", n, err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := c.Sweep(ctx, pattern, spare); !errors.Is(err, shared.ErrAway) {
		t.Errorf("with a dead context: got %v, want one that says that the tier was not asked", err)
	}
}

// TestASweepMeetsKeysThatMove, from a node that was not walked to its end to one that was.
func TestASweepMeetsKeysThatMove(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://" + nodes[0].Addr() })
	testkit.Eventually(t, patience, "every node is reached", func() bool { return len(c.tier.(*redis.Tier).State().Nodes) == 3 && c.Up() == nil })
	f := func(tag string, finish bool) {
		t.Helper()
		slot := nodes[0].Int("CLUSTER", "KEYSLOT", tag)
		from, to := owner(nodes, slot), owner(nodes, (slot+8192)%16384)
		var items []Item
		for i := range 4000 {
			items = append(items, Item{Key: fmt.Sprint("swept:{", tag, "}:", i), Value: []byte("1")})
		}
		if errs := c.tier.Set(within(t), items, 0); errs != nil {
			t.Fatal(errs)
		}
		var once sync.Once
		n, err := c.Sweep(within(t), shared.Glob("swept:", ""), func(string) bool {
			// The first step is over, and the other nodes had nothing.
			once.Do(func() { moveSlot(t, nodes, from, to, slot, finish) })
			return true
		})
		if err != nil || n < 4000 {
			t.Errorf("%s: swept %d keys, %v", tag, n, err)
		}
		for _, node := range []*testkit.RedisServer{from, to} {
			if left := node.Int("CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(slot)); left != 0 {
				t.Errorf("%s: %d keys are left on a node", tag, left)
			}
		}
	}
	f("over", true)
	f("open", false)
}

// owner is the node that serves a slot.
func owner(nodes []*testkit.RedisServer, slot int64) *testkit.RedisServer {
	return nodes[(slot*3+2)/16384]
}

// moveSlot moves a slot with all its keys; without finish it stays open.
func moveSlot(t *testing.T, nodes []*testkit.RedisServer, from, to *testkit.RedisServer, slot int64, finish bool) {
	t.Helper()
	number := fmt.Sprint(slot)
	to.Do("CLUSTER", "SETSLOT", number, "IMPORTING", from.Text("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", number, "MIGRATING", to.Text("CLUSTER", "MYID"))
	command := []string{"MIGRATE", "127.0.0.1", fmt.Sprint(to.Port()), "", "0", "5000", "KEYS"}
	for _, key := range from.Do("CLUSTER", "GETKEYSINSLOT", number, "100000").([]any) {
		command = append(command, fmt.Sprint(key))
	}
	from.Do(command...)
	if !finish {
		return
	}
	for _, n := range append([]*testkit.RedisServer{to}, nodes...) {
		n.Do("CLUSTER", "SETSLOT", number, "NODE", to.Text("CLUSTER", "MYID"))
	}
}

// TestGenerations: a server in another's place is told of, and whether all keys of the
// minute before were known there.
func TestGenerations(t *testing.T) {
	t.Parallel()
	first, second := testkit.Redis(t), testkit.Redis(t)
	address := testkit.NewRelay(t, first.Addr())
	c := open(t, testConfig(), func(c *setup) { c.Redis.URL = "redis://" + address.Addr() })
	waitUp(t, c)
	if got := c.Generation(); got != (shared.Generation{}) {
		t.Errorf("at the start: %+v", got)
	}
	first.Do("FLUSHALL")
	address.Cut()
	x := fixture{c, t, keyOf(t, 1)}
	testkit.Eventually(t, patience, "the same server is reached", func() bool {
		return c.Outdate(within(t), []shared.Outdated{{Key: x.key}}) == nil
	})
	if got := c.Generation(); got != (shared.Generation{}) {
		t.Errorf("after a break: %+v", got)
	}
	second.Do("SET", x.key, "1") // it has missed what came last
	second.Do("SET", keyOf(t, 2), "1")
	move := func(to *testkit.RedisServer, want shared.Generation) {
		t.Helper()
		address.Retarget(to.Addr())
		address.Cut()
		testkit.Eventually(t, patience, "the other server is reached", func() bool { return c.Generation().Number == want.Number })
		waitUp(t, c)
		if got := c.Generation(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	move(second, shared.Generation{Number: 1})
	if got := second.Int("EXISTS", x.key, keyOf(t, 2)); got != 1 {
		t.Errorf("%d of two keys stand there, want the one that nobody has told of", got)
	}
	move(first, shared.Generation{Number: 2})
}

// TestOutdatedKeysReachReplicas: once for each piece and node, and not before.
func TestOutdatedKeysReachReplicas(t *testing.T) {
	t.Parallel()
	f := func(name string, options ...testkit.RedisOption) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, replica := testkit.Redis(t, options...), testkit.Redis(t, options...)
			replica.Follow(srv)
			c := openRedis(t, srv, func(c *setup) { c.Redis.WaitReplicas, c.LinkTimeout = 1, 800*time.Millisecond })
			var items []Item
			var keys []shared.Outdated
			for i := range 1000 {
				items = append(items, Item{Key: keyOf(t, i), Value: []byte("1")})
				keys = append(keys, shared.Outdated{Key: keyOf(t, i)})
			}
			if errs := c.tier.Set(within(t), items, 0); errs != nil {
				t.Fatal(errs)
			}
			testkit.Eventually(t, patience, "the replica confirms", func() bool { return c.Outdate(within(t), keys) == nil })
			if left := replica.Int("EXISTS", keyOf(t, 0), keyOf(t, 999)); left != 0 {
				t.Errorf("%d keys are left at the replica", left)
			}
			x := fixture{c, t, keyOf(t, "late")}
			x.guard("w")
			replica.Pause()
			defer replica.Resume()
			for round := range 3 { // the second finds nothing left to do
				if err := c.Outdate(within(t), keys[:1]); !errors.Is(err, shared.ErrAway) {
					t.Errorf("round %d: no replica has it, and the step counts: %v", round, err)
				}
				if err := c.tier.Unguard(within(t), x.key, "w", nil, 0, false); !errors.Is(err, shared.ErrAway) {
					t.Errorf("round %d: no replica has it, and the unguard counts: %v", round, err)
				}
			}
		})
	}
	f("Redis")
	f("Valkey", testkit.AsValkey())
}

// TestGlobsAreThoseOfRedis, where the embedded tier reads them by itself.
func TestGlobsAreThoseOfRedis(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	conn := srv.AdminConn()
	defer conn.Close()
	const letters = `aabb**?[]^-\`
	text := func(of string, most int) string {
		b := make([]byte, rand.IntN(most))
		for i := range b {
			b[i] = of[rand.IntN(len(of))]
		}
		return string(b)
	}
	var keys []string
	for range 200 {
		keys = append(keys, text(letters, 6)+letters[rand.IntN(len(letters)):][:1]) // none is empty
		conn.Do("SET", keys[len(keys)-1], "1")
	}
	for range 500 {
		pattern := text(letters, 7)
		got := map[string]bool{}
		for _, key := range conn.Do("KEYS", pattern).([]any) {
			got[fmt.Sprint(key)] = true
		}
		for _, key := range keys {
			if want := shared.MatchGlob(pattern, key); got[key] != want {
				t.Fatalf("%q, %q: Redis says %v", pattern, key, got[key])
			}
		}
	}
	for _, key := range keys {
		if pattern := shared.Glob(key); fmt.Sprint(conn.Do("KEYS", pattern)) != fmt.Sprint([]any{key}) {
			t.Errorf("%q finds %q, want %q alone", pattern, conn.Do("KEYS", pattern), key)
		}
	}
}
