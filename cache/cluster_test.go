package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestCluster drives every kind of access over keys on all nodes, and sees
// each node's link proven by a canary of its own.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	var delays atomic.Int64
	c := open(t, testConfig(), func(cfg *setup) {
		cfg.Redis.URL = fmt.Sprintf("redis://%s?addr=%s", nodes[0].Addr(), nodes[1].Addr())
		cfg.Lease, cfg.MaxLoads, cfg.Wait = 5*time.Second, 16, 3*time.Second
		cfg.OnDelay = func(time.Duration) { delays.Add(1) }
	})
	testkit.Eventually(t, 20*time.Second, "the cluster is reached", func() bool { return c.Up() == nil })
	testkit.Eventually(t, 20*time.Second, "every master's canary comes back", func() bool { return delays.Load() >= 3 })

	item := NewResource("item", "item", Lifetimes{Stale: time.Minute}, nil)
	var keys []string
	var items []Item
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("item:%d", i))
		items = append(items, Item{Key: keys[i], Value: []byte(fmt.Sprintf(`{"id":%d}`, i))})
	}
	if errs := c.Store(t.Context(), items, 0); errs != nil {
		t.Fatal(errs)
	}
	for round, want := range []Tier{TierRedis, TierMemory} {
		for i, key := range keys {
			a, err := c.Read(t.Context(), item, key, nil)
			if err != nil || string(a.Data()) != string(items[i].Value) {
				t.Fatalf("round %d: reading %q: %v, error %v", round, key, a, err)
			}
			if a.Tier != want || a.Detail != "" {
				t.Errorf("round %d: %q came from %v (detail %q), want %v", round, key, a.Tier, a.Detail, want)
			}
		}
	}
	for _, n := range nodes {
		if n.Int("DBSIZE") == 0 {
			t.Errorf("node %s holds no key", n.Addr())
		}
	}
	answers, err := c.ReadMany(t.Context(), item, append(keys, "item:none"), make([]source.Args, 61))
	if err != nil || len(answers) != 61 || !answers[60].Entry.Missing() {
		t.Errorf("many-read over all nodes: %d answers, error %v", len(answers), err)
	}
	for range 2 { // nobody would report that it comes to be, on another node, while its slot is moved
		if a, err := c.Read(t.Context(), item, "item:none", nil); err != nil || !a.Entry.Missing() || a.Tier != TierRedis || a.Stored {
			t.Errorf("a missing item: got %+v, %v, want it from Redis, not kept", a, err)
		}
	}
	for i := range 5 { // a foreign program changes keys on whatever node they are
		key := keys[i]
		for _, n := range nodes {
			if _, err := n.Try("SET", key, `"changed"`); err == nil {
				break
			}
		}
		testkit.Eventually(t, 10*time.Second, "the change is seen", func() bool {
			a, err := c.Read(t.Context(), item, key, nil)
			return err == nil && string(a.Data()) == `"changed"`
		})
	}
}

// TestWaitFollowsItsWrite: in a Cluster the node that has a guard is the one that is
// asked whether its replicas have it.
func TestWaitFollowsItsWrite(t *testing.T) {
	nodes := testkit.RedisCluster(t)
	cfg := testConfig()
	cfg.Redis = redis.Config{URL: "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr(), WaitReplicas: 1}
	cfg.LinkTimeout = 400 * time.Millisecond
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	const key = "wait:{one}"
	for range 6 {
		testkit.Eventually(t, patience, "a guard is not confirmed", func() bool { // a slow machine may be out of time before
			err := c.tier.Guard(within(t), key, shared.NewToken())
			if err == nil {
				t.Fatal("without replicas a guard is set")
			}
			return strings.Contains(err.Error(), "redis.wait_replicas")
		})
	}
	asked := 0
	for _, n := range nodes {
		_, held := n.Try("GET", key) // others answer MOVED
		if waits := strings.Contains(n.Text("INFO", "commandstats"), "cmdstat_wait:"); waits != (held == nil) {
			t.Errorf("a node was asked for its replicas: %v, want %v", waits, held == nil)
		} else if waits {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("%d nodes were asked, want 1", asked)
	}

	// Of several keys each node is asked once. A slow machine may be out of time before.
	var keys []shared.Outdated
	for i := range 30 {
		keys = append(keys, shared.Outdated{Key: keyOf(t, i)})
	}
	testkit.Eventually(t, patience, "each node is asked once, and none confirms", func() bool {
		for _, n := range nodes {
			n.Do("CONFIG", "RESETSTAT")
		}
		err := c.Outdate(within(t), keys)
		if err == nil {
			t.Fatal("without replicas keys count as outdated")
		}
		return strings.Contains(err.Error(), "redis.wait_replicas") && !slices.ContainsFunc(nodes, func(n *testkit.RedisServer) bool {
			return !strings.Contains(n.Text("INFO", "commandstats"), "cmdstat_wait:calls=1,")
		})
	})
}

// TestADeadMasterKeepsNobodyElsesKeys: its own are told of again when it is back.
func TestADeadMasterKeepsNobodyElsesKeys(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	for _, n := range nodes {
		n.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://" + nodes[0].Addr() })
	testkit.Eventually(t, patience, "every node is reached", func() bool { return len(c.tier.(*redis.Tier).State().Nodes) == 3 && c.Up() == nil })
	var items []Item
	var keys []shared.Outdated
	for i := range 1500 {
		items = append(items, Item{Key: keyOf(t, i), Value: []byte("1")})
		keys = append(keys, shared.Outdated{Key: keyOf(t, i)})
	}
	if errs := c.tier.Set(within(t), items, 0); errs != nil {
		t.Fatal(errs)
	}
	nodes[2].Stop()
	if err := c.Outdate(within(t), keys); !errors.Is(err, shared.ErrAway) {
		t.Errorf("without a master all counts as done: %v", err)
	}
	for i, n := range nodes[:2] {
		for _, key := range keys {
			if got, err := n.Try("EXISTS", key.Key); err == nil && got != int64(0) {
				t.Fatalf("node %d still has %q", i, key.Key)
			}
		}
	}
}

// TestARoundOverACluster keeps guards on all nodes, none of which knows the script yet.
func TestARoundOverACluster(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	cfg := testConfig()
	cfg.Redis.URL = "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr()
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	var guards []shared.HeldGuard
	for n := range 30 {
		g := shared.HeldGuard{Key: keyOf(t, n), Token: shared.NewToken(), Restore: n%3 == 2}
		if n%3 > 0 {
			fixture{c, t, g.Key}.guard(g.Token)
		}
		guards = append(guards, g)
	}
	for round := range 2 {
		for n, got := range c.tier.RenewGuards(within(t), guards) {
			if want := []shared.GuardState{shared.GuardGone, shared.GuardStood, shared.GuardStood}[n%3]; got.Err != nil || got.State != want {
				t.Errorf("round %d, guard %d: got %v, %v, want %v", round, n, got.State, got.Err, want)
			}
		}
	}
}

// TestGuardsReachReplicas before the database is asked; where they do not, the write
// is refused.
func TestGuardsReachReplicas(t *testing.T) {
	t.Parallel()
	srv, replica := testkit.Redis(t), testkit.Redis(t)
	replica.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(srv.Port()))
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Redis.WaitReplicas = 1 }), newLedger("1", "1"))
	testkit.Eventually(t, patience, "the replica follows", func() bool { return d.tier.Guard(within(t), d.key("another"), shared.NewToken()) == nil })
	begun := 0
	d.book.begun = func() error {
		begun++
		if got := replica.Text("GET", d.key("1")); !strings.HasPrefix(got, shared.GuardPrefix) {
			t.Errorf("at the replica the key holds %q, want the guard", got)
		}
		return nil
	}
	d.mustPut("1", "2")
	if got := replica.Text("GET", d.key("1")); got != "2" {
		t.Errorf("at the replica the key holds %q, want the record", got)
	}
	replica.Stop()
	if _, err := d.put("1", "3"); !errors.Is(err, ErrUnavailable) || begun != 1 {
		t.Errorf("without the replica: %v, the database was asked %d times", err, begun)
	}
}
