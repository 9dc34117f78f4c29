package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/limit"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// startCluster returns three masters that share all slots.
func startCluster(t *testing.T) []*testkit.RedisServer {
	t.Helper()
	nodes := make([]*testkit.RedisServer, 3)
	var first string // where the first node talks to the others
	for i := range nodes {
		// Left to itself Redis takes its port and 10,000, among those that the
		// kernel gives to clients.
		bus := fmt.Sprint(testkit.FreePort(t))
		if i == 0 {
			first = bus
		}
		nodes[i] = testkit.Redis(t, testkit.WithConfig("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000", "cluster-port "+bus))
	}
	for i, n := range nodes {
		n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(16384*i/3), fmt.Sprint(16384*(i+1)/3-1))
		n.Do("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(nodes[0].Port()), first)
	}
	for _, n := range nodes {
		testkit.Eventually(t, 20*time.Second, "the cluster agrees on its slots", func() bool {
			info, slots := n.Text("CLUSTER", "INFO"), n.Text("CLUSTER", "NODES")
			return strings.Contains(info, "cluster_state:ok") && strings.Count(slots, "connected") == 3 && strings.Count(slots, "-") >= 3
		})
	}
	return nodes
}

// TestCluster drives every kind of access over keys on all nodes, and sees
// each node's link proven by a canary of its own.
func TestCluster(t *testing.T) {
	nodes := startCluster(t)
	var delays atomic.Int64
	c, err := New(Config{
		Redis:      RedisConfig{URL: fmt.Sprintf("redis://%s?addr=%s", nodes[0].Addr(), nodes[1].Addr())},
		Revalidate: time.Minute, LinkTimeout: 2 * time.Second, Lease: 5 * time.Second,
		Settings: Settings{
			Budget: 64 << 20, MissingShare: 0.05, MissingRate: 1000, UntrackedTTL: time.Second,
			MaxLoads: 16, Wait: 3 * time.Second,
		},
		Log: slog.New(slog.DiscardHandler), OnDelay: func(time.Duration) { delays.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	testkit.Eventually(t, 20*time.Second, "the cluster is reached", func() bool { return c.Up() == nil })
	testkit.Eventually(t, 20*time.Second, "every master's canary comes back", func() bool { return delays.Load() >= 3 })

	item := NewResource("item", "item", Lifetimes{Stale: time.Minute}, nil)
	var keys []string
	var items []Item
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("item:%d", i))
		items = append(items, Item{Key: keys[i], Value: []byte(fmt.Sprintf(`{"id":%d}`, i))})
	}
	if errs := c.Store(t.Context(), items); errs != nil {
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
	checkLimitOfCluster(t, c)
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

// checkLimitOfCluster: each subject is counted on the node of its slot, and so is
// what it has had of the count that subjects without a key share.
func checkLimitOfCluster(t *testing.T, c *Cache) {
	t.Helper()
	spend := spender(t, c, limit.Rate{Count: 10, Window: hours})
	closeTo(c, "hearth:limit:{api:}")
	shared := 0
	for i := range 20 {
		shared += spend(fmt.Sprint("subject ", i), 1)
	}
	if shared != 10 {
		t.Errorf("%d subjects without a key were admitted, want 10", shared)
	}
	openTo(c, "hearth:limit:{api:}")
	for i := range 20 {
		want := 10
		if i < 10 {
			want = 9
		}
		if n := spend(fmt.Sprint("subject ", i), 20); n != want {
			t.Errorf("subject %d was admitted %d times more, want %d", i, n, want)
		}
	}
}

// TestWaitFollowsItsWrite: in a Cluster the node that has a guard is the one that is
// asked whether its replicas have it.
func TestWaitFollowsItsWrite(t *testing.T) {
	nodes := startCluster(t)
	cfg := testConfig()
	cfg.Redis = RedisConfig{URL: "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr(), WaitReplicas: 1}
	cfg.LinkTimeout = 400 * time.Millisecond
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	const key = "wait:{one}"
	for range 6 {
		if err := c.tier.guard(within(t), key, newToken()); err == nil || !strings.Contains(err.Error(), "redis.wait_replicas") {
			t.Fatalf("without replicas a guard is set: %v", err)
		}
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
}

// TestARoundOverACluster keeps guards on all nodes, none of which knows the script yet.
func TestARoundOverACluster(t *testing.T) {
	nodes := startCluster(t)
	cfg := testConfig()
	cfg.Redis.URL = "redis://" + nodes[0].Addr() + "?addr=" + nodes[1].Addr()
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	var guards []kept
	for n := range 30 {
		g := kept{keyOf(t, n), newToken(), n%3 == 2}
		if n%3 > 0 {
			fixture{c, t, g.key}.guard(g.token)
		}
		guards = append(guards, g)
	}
	for round := range 2 {
		for n, got := range c.tier.uphold(within(t), guards) {
			if want := []upheldState{guardGone, guardStood, guardStood}[n%3]; got.err != nil || got.state != want {
				t.Errorf("round %d, guard %d: got %v, %v, want %v", round, n, got.state, got.err, want)
			}
		}
	}
}

// TestGuardsReachReplicas before the database is asked; where they do not, the write
// is refused.
func TestGuardsReachReplicas(t *testing.T) {
	srv, replica := testkit.Redis(t), testkit.Redis(t)
	replica.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(srv.Port()))
	d := newDesk(t, openRedis(t, srv, func(c *Config) { c.Redis.WaitReplicas = 1 }), newLedger("1", "1"))
	testkit.Eventually(t, patience, "the replica follows", func() bool { return d.tier.guard(within(t), d.key("another"), newToken()) == nil })
	begun := 0
	d.book.begun = func() error {
		begun++
		if got := replica.Text("GET", d.key("1")); !strings.HasPrefix(got, guardPrefix) {
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
