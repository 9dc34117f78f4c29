package cache

import (
	"slices"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// promotion is a fail-over as Sentinel makes it: another server becomes the master, with
// what had been replicated, while the former one goes on serving; two instances learn of it
// one after the other.
type promotion struct {
	t              *testing.T
	former, server *testkit.RedisServer
	book           *ledger
	relays         [2]*testkit.Relay
	desks          [2]*desk
}

// newPromotion opens both instances at the former server. How long a node is held follows
// from link.
func newPromotion(t *testing.T, link time.Duration, rows ...string) *promotion {
	p := &promotion{t: t, former: testkit.Redis(t), server: testkit.Redis(t), book: newLedger(rows...)}
	for i := range p.desks {
		p.relays[i] = testkit.NewRelay(t, p.former.Addr())
		cfg := testConfig()
		cfg.Redis.URL, cfg.LinkTimeout = "redis://"+p.relays[i].Addr(), link
		c := open(t, cfg)
		testkit.Eventually(t, patience, "the connection has proved itself", func() bool { return c.Up() == nil && proven(c) })
		p.desks[i] = newDesk(t, c, p.book)
	}
	return p
}

// replicate brings to the new server what the former one has.
func (p *promotion) replicate(ids ...string) {
	for _, id := range ids {
		key := p.desks[0].key(id)
		p.server.Do("SET", key, p.former.Text("GET", key), "PX", "3600000")
	}
}

// learn lets instance i take over.
func (p *promotion) learn(i int) {
	p.t.Helper()
	p.relays[i].Retarget(p.server.Addr())
	p.relays[i].Cut()
	testkit.Eventually(p.t, patience, "the instance has taken over", func() bool { return p.state(i).Takeovers > 0 })
}

func (p *promotion) state(i int) redis.State { return p.desks[i].tier.(*redis.Tier).State() }

// holds tells whether instance i still marks what it reads.
func (p *promotion) holds(i int) bool {
	return slices.ContainsFunc(p.state(i).Nodes, func(n redis.NodeState) bool { return n.Held })
}

// has is what the new server has of a record.
func (p *promotion) has(id string) string { return p.server.Text("GET", p.desks[0].key(id)) }

// wantNothingOlder reads on instance i: no answer is old, or with marked none that is not
// marked.
func (p *promotion) wantNothingOlder(i int, id, want string, marked bool) {
	p.t.Helper()
	a, err := p.desks[i].read(id)
	if err != nil {
		p.t.Fatalf("instance %d, reading %s: %v", i, id, err)
	}
	if got := string(a.Data()); got != want && (!marked || a.Detail == "") {
		p.t.Fatalf("instance %d, reading %s: got %s from %v (%q), want %s", i, id, got, a.Tier, a.Detail, want)
	}
}

// untilUnmarked reads on instance i until memory answers, unmarked.
func (p *promotion) untilUnmarked(i int, id, want string) {
	p.t.Helper()
	testkit.Eventually(p.t, patience, "memory answers, unmarked", func() bool {
		p.wantNothingOlder(i, id, want, p.holds(i))
		e, _ := p.desks[i].Hit(p.desks[i].r, []byte(p.desks[i].key(id)), time.Now())
		return e != nil && !e.Untracked()
	})
}

// TestATakeOverUndoesNoWrite which the former master has acknowledged: on the instance
// that wrote never, on the other in no unmarked answer.
func TestATakeOverUndoesNoWrite(t *testing.T) {
	t.Parallel()
	p := newPromotion(t, 20*time.Second, "1", `"old"`)
	p.desks[0].wantRead("1", `"old"`, TierSource)
	p.desks[1].wantRead("1", `"old"`, TierRedis)
	p.desks[1].wantRead("1", `"old"`, TierMemory)
	p.replicate("1")
	p.learn(1)
	p.desks[0].mustPut("1", `"new"`)
	if !p.holds(1) {
		t.Error("what the new master answers is not marked after the take-over")
	}
	p.wantNothingOlder(1, "1", `"new"`, true)
	p.learn(0)
	if got := p.has("1"); got == `"old"` {
		t.Errorf("the new master still has %s after the writer has taken over", got)
	}
	p.wantNothingOlder(0, "1", `"new"`, false)
	p.wantNothingOlder(1, "1", `"new"`, true)
}

// TestATakeOverEnds: what the tiers answer is not marked for ever.
func TestATakeOverEnds(t *testing.T) {
	t.Parallel()
	p := newPromotion(t, time.Second, "1", `"old"`, "2", `"other"`)
	for _, id := range []string{"1", "2"} {
		p.desks[0].wantRead(id, p.book.row(id), TierSource)
	}
	p.replicate("1", "2")
	p.desks[0].mustPut("1", `"new"`)
	p.learn(0)
	p.learn(1)
	for i := range p.desks {
		p.untilUnmarked(i, "1", `"new"`)
		p.untilUnmarked(i, "2", `"other"`)
	}
	if got := p.has("2"); got != `"other"` {
		t.Errorf("of a record that nobody has written lately the new master has %q, want it to be left alone", got)
	}
}

// TestATakeOverMarksGuards of others as shared: the writer that has its guard at the new
// master has committed before the one at the former master.
func TestATakeOverMarksGuards(t *testing.T) {
	t.Parallel()
	p := newPromotion(t, 20*time.Second, "1", `"old"`)
	p.desks[0].wantRead("1", `"old"`, TierSource)
	p.learn(1)
	committed, goOn := make(chan struct{}), make(chan struct{})
	p.book.commit = func(apply func()) error {
		apply()
		if p.book.row("1") == `"first"` {
			close(committed)
			<-goOn
		}
		return nil
	}
	first := make(chan error, 1)
	go func() {
		_, err := p.desks[1].put("1", `"first"`)
		first <- err
	}()
	<-committed
	p.desks[0].mustPut("1", `"second"`)
	p.learn(0)
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("the write whose guard stands at the new master: %v", err)
	}
	if got := p.has("1"); got != "" && got != `"second"` {
		t.Errorf("the new master has %s, want the later write or nothing", got)
	}
	for i := range p.desks {
		p.wantNothingOlder(i, "1", `"second"`, false)
	}
}

// TestATakeOverForADeadWriter: the instance that wrote is gone, and the other one was told
// of the write.
func TestATakeOverForADeadWriter(t *testing.T) {
	t.Parallel()
	p := newPromotion(t, 20*time.Second, "1", `"old"`)
	p.desks[1].wantRead("1", `"old"`, TierSource)
	p.desks[1].wantRead("1", `"old"`, TierRedis)
	p.replicate("1")
	p.desks[0].mustPut("1", `"new"`)
	testkit.Eventually(t, patience, "the other instance is told", func() bool {
		return p.desks[1].store.Find(p.desks[1].r.Shape, []byte(p.desks[1].key("1"))) == nil
	})
	p.desks[0].Close()
	p.learn(1)
	if got := p.has("1"); got != "" {
		t.Errorf("the new master has %s, want nothing", got)
	}
	p.wantNothingOlder(1, "1", `"new"`, false)
}

// TestATakeOverKeepsItems: what has no source is nowhere else.
func TestATakeOverKeepsItems(t *testing.T) {
	t.Parallel()
	p := newPromotion(t, 20*time.Second)
	items := newDesk(t, p.desks[0].Cache, nil)
	set := func(value string) {
		t.Helper()
		if errs := p.desks[0].tier.Set(within(t), []Item{{Key: items.key("1"), Value: []byte(value)}}, 0); errs != nil {
			t.Fatal(errs)
		}
	}
	set("1")
	items.wantRead("1", "1", TierRedis)
	set("2") // which is pushed, and drops the copy
	testkit.Eventually(t, patience, "the copy is dropped", func() bool {
		return items.store.Find(items.r.Shape, []byte(items.key("1"))) == nil
	})
	p.server.Do("SET", items.key("1"), "2")
	p.learn(0)
	if got := p.has("1"); got != "2" {
		t.Errorf("the new master has %q, want the item", got)
	}
}
