package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// TestAServerInAnothersPlace: the address leads to a server that lacks the latest write.
// What was written here is removed there before anything is read, and answers are marked
// for a while. What was written long ago, and what has no source, stays.
func TestAServerInAnothersPlace(t *testing.T) {
	t.Parallel()
	first, second := testkit.Redis(t), testkit.Redis(t)
	address := testkit.NewRelay(t, first.Addr())
	d := newDesk(t, open(t, testConfig(), func(c *setup) { c.Redis.URL = "redis://" + address.Addr() }), newLedger("1", "1", "2", "1"))
	item := newDesk(t, d.Cache, nil)
	waitUp(t, d.Cache)
	d.mustPut("1", "2")
	d.wantRead("1", "2", TierRedis)
	for _, key := range []string{d.key("1"), d.key("2"), item.key("3")} {
		second.Do("SET", key, "1")
	}
	monitor := second.AdminConn()
	monitor.Do("MONITOR")
	address.Retarget(second.Addr())
	address.Cut()
	read := func(d *desk, id, want string) {
		t.Helper()
		if a, err := d.read(id); err != nil || string(a.Data()) != want {
			t.Errorf("reading %s: got %v, %v, want %s", id, a, err, want)
		}
	}
	for range 3 {
		read(d, "1", "2")
		read(d, "2", "1")
		read(item, "3", "1")
	}
	testkit.Eventually(t, patience, "the first read of the key at the other server", func() bool {
		read(d, "1", "2")
		line, err := monitor.Receive()
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(line)
		if !strings.Contains(text, `"`+d.key("1")+`"`) {
			return false
		}
		if !strings.Contains(strings.ToUpper(text), `"EVAL"`) && !strings.Contains(text, " lua] ") {
			t.Errorf("before the key was removed: %s", text)
		}
		return true
	})
	waitUp(t, d.Cache)
	d.wantRead("1", "2", TierSource)
	d.wantRead("2", "1", TierRedis)
	if got := second.Text("GET", item.key("3")); got != "1" {
		t.Errorf("a record without a source: got %q at the other server, want it left alone", got)
	}
}

// TestAnswersAreMarkedAfterATakeOver, other than those of the source.
func TestAnswersAreMarkedAfterATakeOver(t *testing.T) {
	t.Run("kept", func(t *testing.T) { marksAfterATakeOver(t, func(string) bool { return true }) })
	t.Run("not kept", func(t *testing.T) { marksAfterATakeOver(t, keepNothing) })
}

func marksAfterATakeOver(t *testing.T, admits func(string) bool) {
	first, second := testkit.Redis(t), testkit.Redis(t)
	address := testkit.NewRelay(t, first.Addr())
	d := newDesk(t, open(t, testConfig(), func(c *setup) {
		c.Redis.URL = "redis://" + address.Addr()
		c.LinkTimeout = time.Minute // marked for half of it
	}), newLedger("1", "1", "2", "2"))
	waitUp(t, d.Cache)
	d.admits = admits
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	second.Do("SET", d.key("1"), "1") // written by another instance, perhaps
	address.Retarget(second.Addr())
	address.Cut()
	testkit.Eventually(t, patience, "the other server is reached", func() bool { return d.Up() == nil && held(d.Cache) })
	if a := d.wantRead("1", "1", TierRedis); a.Detail != "untracked" {
		t.Errorf("a value: detail %q, want it marked", a.Detail)
	}
	if a := d.wantRead("2", "2", TierSource); a.Detail != "untracked" || second.Int("EXISTS", d.key("2")) != 0 {
		t.Errorf("a load: detail %q, want it marked and not stored in Redis", a.Detail)
	}
	d.mustPut("1", "3")
	if a := d.wantRead("1", "3", TierRedis); a.Detail != "untracked" {
		t.Errorf("what was written since: detail %q, want it marked", a.Detail)
	}
	answers, err := d.readMany("1", "2")
	if err != nil || answers[0].Detail != "untracked" || answers[1].Detail != "untracked" {
		t.Errorf("a many-read: got %v, %v, want it marked", answers, err)
	}
}

// TestASlotOnItsWay: a slot is being moved, and nobody finishes the move. Keys of it are
// read, loaded, written and refreshed as ever, wherever they are.
func TestASlotOnItsWay(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://" + nodes[0].Addr() })
	testkit.Eventually(t, patience, "the cluster is reached", func() bool { return c.Up() == nil && proven(c) })
	book := newLedger("here", "1", "there", "1", "new", "1")
	d := newDesk(t, c, book)
	d.r = NewResource("user", "user", testLives, book)
	key := func(id string) string { return "{" + t.Name() + "}:" + id } // all in one slot; without siblings
	plain := t.Name()                                                   // one with a sibling
	slot := fmt.Sprint(nodes[0].Int("CLUSTER", "KEYSLOT", plain))
	var from, to *testkit.RedisServer
	for _, n := range nodes {
		if _, err := n.Try("GET", plain); err == nil {
			from = n
		} else {
			to = n
		}
	}
	from.Do("SET", plain, "1")
	from.Do("SET", key("here"), "1")
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Text("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.Text("CLUSTER", "MYID"))

	// A key that stands at the one node, and its sibling would at the other.
	for round, want := range []string{`{"v":1}`, `{"v":2}`} {
		token := shared.NewToken()
		if err := c.tier.Guard(within(t), plain, token); err != nil {
			t.Fatalf("round %d: the guard: %v", round, err)
		}
		for _, got := range c.tier.RenewGuards(within(t), []shared.HeldGuard{{Key: plain, Token: token}}) {
			if got.Err != nil || got.State != shared.GuardStood {
				t.Errorf("round %d: the guard is renewed: %v, %v", round, got.State, got.Err)
			}
		}
		if err := c.tier.Unguard(within(t), plain, token, []byte(want), time.Hour, true); err != nil {
			t.Errorf("round %d: its removal: %v", round, err)
		}
		if got, err := c.tier.Get(within(t), plain); err != nil || string(got.Data) != want {
			t.Errorf("round %d: the key holds %s, %v, want %s", round, got.Data, err, want)
		}
		if _, ok, err := c.tier.Claim(within(t), plain, shared.NewToken(), []byte(want)); ok && round == 0 || err != nil {
			t.Errorf("round %d: a refresh may begin: %v, %v", round, ok, err)
		}
		from.Do("MIGRATE", "127.0.0.1", fmt.Sprint(to.Port()), plain, "0", "5000")
	}
	// Of an own write nobody knows whether it was put, where its mark is elsewhere.
	changed := []shared.Outdated{{Key: plain, Writer: "w"}, {Key: key("here")}, {Key: "elsewhere"}}
	for range 2 {
		if err := c.Outdate(within(t), changed); err != nil || changed[0].Kept {
			t.Errorf("a change of others: %v, kept: %v", err, changed[0].Kept)
		}
	}
	if got, err := c.tier.Get(within(t), plain); err != nil || got.State != shared.Absent {
		t.Errorf("the key holds %s, %v, want nothing", got.Data, err)
	}
	if err := c.tier.Remove(within(t), []string{plain}, true); err != nil {
		t.Error(err)
	}

	// Keys by way of the whole cache.
	for _, id := range []string{"here", "new"} {
		for range 2 {
			a, err := c.Read(within(t), d.r, key(id), []any{id})
			if err != nil || string(a.Data()) != "1" || a.Detail != "" {
				t.Errorf("%s: got %v, %v, detail %q", id, a, err, a.Detail)
			}
		}
	}
	bare := newDesk(t, c, nil)
	if errs := c.Store(within(t), []Item{{Key: key("item"), Value: []byte("[1]")}, {Key: "elsewhere", Value: []byte("[2]")}}, 0); errs != nil {
		t.Errorf("a batch: %v", errs)
	}
	if a, err := c.Read(within(t), bare.r, key("item"), nil); err != nil || string(a.Data()) != "[1]" {
		t.Errorf("an item: got %v, %v", a, err)
	}
	for n := range int64(2) {
		if got, err := c.Increment(within(t), key("count")); got != n+1 || err != nil {
			t.Errorf("a counter: got %d, %v, want %d", got, err, n+1)
		}
	}
	if err := c.Up(); err != nil {
		t.Errorf("the cluster counts as away: %v", err)
	}
	for _, n := range c.tier.(*redis.Tier).State().Nodes {
		if !n.Up {
			t.Errorf("%s counts as away", n.Name)
		}
	}
}

// TestAClusterThatIsDownForAMoment: no node of it answers while any slot is without a
// master. Commands wait for the end of that, and copies in memory stay what they are.
func TestAClusterThatIsDownForAMoment(t *testing.T) {
	t.Parallel()
	nodes := testkit.RedisCluster(t)
	c := open(t, testConfig(), func(cfg *setup) {
		cfg.Redis.URL = "redis://" + nodes[0].Addr()
		cfg.LinkTimeout = patience
	})
	testkit.Eventually(t, patience, "every node is reached", func() bool {
		all := c.tier.(*redis.Tier).State().Nodes
		return len(all) == 3 && !slices.ContainsFunc(all, func(n redis.NodeState) bool { return !n.Up }) && proven(c)
	})
	d := newDesk(t, c, newLedger("1", "1", "2", "1"))
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	down := func() {
		for i, n := range nodes { // each forgets a slot of the next, until that tells of it again
			// It may not have been told yet, or be told at once.
			testkit.Eventually(t, patience, "the cluster is down", func() bool {
				_, _ = n.Try("CLUSTER", "DELSLOTS", fmt.Sprint(16384*((i+1)%3)/3))
				_, err := n.Try("GET", d.key("1"))
				return err != nil && strings.HasPrefix(err.Error(), "CLUSTERDOWN")
			})
		}
	}
	down()
	if a := d.wantRead("1", "1", TierMemory); a.Detail != "" {
		t.Errorf("a copy in memory: detail %q", a.Detail)
	}
	if a := d.wantRead("2", "1", TierSource); a.Detail != "" || !a.Stored {
		t.Errorf("a load: detail %q, stored in Redis: %v", a.Detail, a.Stored)
	}
	down()
	d.mustPut("1", "2")
	down()
	if errs := c.Store(within(t), []Item{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("1")}, {Key: "c", Value: []byte("1")}}, 0); errs != nil {
		t.Errorf("a batch: %v", errs)
	}
	down()
	if answers, err := d.readMany("1", "2"); err != nil || string(answers[0].Data()) != "2" || answers[0].Detail+answers[1].Detail != "" {
		t.Errorf("a many-read: %v, %v", answers, err)
	}
	if err := c.Up(); err != nil {
		t.Errorf("the cluster counts as away: %v", err)
	}
}

// TestAServerThatComesBackWithAnothersData: it was demoted, has taken over its master's
// data, and is promoted again. It is the same process all the time.
func TestAServerThatComesBackWithAnothersData(t *testing.T) {
	t.Parallel()
	srv, other := testkit.Redis(t), testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1"))
	d.wantRead("1", "1", TierSource)
	d.mustPut("1", "2")
	other.Do("SET", d.key("1"), "1") // it was a replica once, and lacks the write
	srv.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(other.Port()))
	testkit.Eventually(t, patience, "it has the other's data", func() bool { return srv.Text("GET", d.key("1")) == "1" })
	waitDown(t, d.Cache)
	srv.Do("REPLICAOF", "NO", "ONE")
	waitUp(t, d.Cache)
	d.wantRead("1", "2", TierSource)
	d.wantRead("1", "2", TierRedis)
}
