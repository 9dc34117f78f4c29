package cache

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/audit"
	"hearth/cache/redis"
	"hearth/internal/testkit"
	"hearth/internal/testkit/topology"
)

// TestAuditOfACluster: keys stand on several nodes, slots move under way, and a replica takes
// its master's place. Nothing is called stale whose changes are heard of, and on each node what
// is not heard of is found.
func TestAuditOfACluster(t *testing.T) {
	t.Parallel()
	cluster := topology.NewCluster(t, 3, 2*time.Second)
	isDeaf := func(key string) bool { return strings.HasSuffix(key, "deaf") }
	var mu sync.Mutex
	found := map[string]int{}
	var log journal
	c := open(t, testConfig(), log.use, func(cfg *setup) {
		cfg.Redis.URL, cfg.LinkTimeout, cfg.Audit.Rate = cluster.URL(), 800*time.Millisecond, 5000
		cfg.hears = func(key string) bool { return !isDeaf(key) }
		cfg.OnAudit = func(d Disagreement) {
			mu.Lock()
			defer mu.Unlock()
			found[d.Key]++
		}
	})
	testkit.Eventually(t, patience, "every node is reached", func() bool { return c.Up() == nil && len(c.tier.(*redis.Tier).State().Nodes) == 3 })
	w := &audience{bench: newBench(t, c, newLedger()), ids: 60}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { w.run(ctx) })
	agreed := func(what string) {
		t.Helper()
		before := w.audit.tally.Checks(audit.Memory, audit.OK)
		testkit.Eventually(t, patience, "the audit goes on "+what, func() bool { return w.audit.tally.Checks(audit.Memory, audit.OK) > before+50 })
	}
	agreed("on all nodes")
	masters := cluster.Masters()
	var slots []int
	for id := range 10 {
		slot := int(masters[0].Int("CLUSTER", "KEYSLOT", w.key(fmt.Sprint(id))))
		if cluster.Owner(slot) == masters[0] {
			slots = append(slots, slot)
		}
	}
	cluster.Move(masters[0], masters[1], slots...)
	agreed("behind the move of slots")
	cluster.Failover(masters[1])
	agreed("behind the fail-over")
	cancel()
	all.Wait()
	mu.Lock()
	for key, n := range found {
		t.Errorf("%s was called stale %d times, and its changes were reported: %s", key, n, log.String())
	}
	mu.Unlock()
	if n := w.audit.tally.Checks(audit.Memory, audit.Stale); n != 0 {
		t.Errorf("%d copies were called stale: %s", n, log.String())
	}

	past := cluster.Past()
	defer past.Close()
	seen := map[string]bool{}
	for n := 0; len(seen) < 3; n++ {
		id := fmt.Sprint(n, "deaf")
		node := c.auditor.nodeOf(w.key(id))
		if seen[node] {
			continue
		}
		seen[node] = true
		w.findsLost(id, past.Set)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(found) != 3 {
		t.Errorf("found %v, want one on each node", found)
	}
}

// findsLost changes a key whose changes are not heard of, and waits until its copy is dropped.
func (w *audience) findsLost(id string, set func(key, value string) error) {
	w.t.Helper()
	key := w.key(id)
	for _, value := range []string{`{"v":8}`, `{"v":9}`} {
		if err := set(key, value); err != nil {
			w.t.Fatal(err)
		}
		testkit.Eventually(w.t, patience, "the copy of "+id+" is the new one", func() bool {
			if !w.offer(key) {
				_, _ = w.readWithin(within(w.t), id)
			}
			return w.memory(id) == value
		})
	}
}

// TestAuditOfATakeOver: another server is the master, and lacks the latest writes. Copies from
// before differ from what stands there, and none of them is called stale: their connection has
// ended, and what is read there at first has a mark.
func TestAuditOfATakeOver(t *testing.T) {
	t.Parallel()
	const keys = 20
	p := newPromotion(t, time.Second)
	b := newBench(t, p.desks[0].Cache, p.book)
	p.desks[0] = b.desk
	var picks []audit.Pick
	for i := range keys {
		id := fmt.Sprint(i)
		p.book.write(id, `"old"`)
		b.keep(id, `"old"`)
		p.replicate(id)
		if i%2 == 0 { // which the new master lacks
			testkit.Eventually(t, patience, "it is written", func() bool { _, err := b.desk.put(id, `"new"`); return err == nil })
			b.keep(id, `"new"`)
		}
		picks = append(picks, b.pick(id))
	}
	b.audit.compare(picks) // on the former master
	b.judged()
	learned := make(chan struct{})
	go func() {
		defer close(learned)
		p.relays[0].Retarget(p.server.Addr())
		p.relays[0].Cut()
		testkit.Eventually(t, patience, "the instance has taken over, and marks nothing any more", func() bool { return p.state(0).Takeovers > 0 && !p.holds(0) })
	}()
	for over := false; !over; b.audit.judge() {
		b.audit.compare(picks)
		for i := range keys {
			id := fmt.Sprint(i)
			_, _ = b.read(id)
			if now, ok := b.picked(id); ok {
				picks[i] = now
			}
		}
		select {
		case <-learned:
			over = true
		default:
		}
	}
	b.audit.compare(picks)
	b.judged()
	if n := b.audit.tally.Checks(audit.Memory, audit.Stale); n != 0 {
		t.Errorf("%d copies were called stale because another server has taken over", n)
	}
	before := b.audit.tally.Checks(audit.Memory, audit.OK)
	for i := range keys {
		id := fmt.Sprint(i)
		b.audit.compare([]audit.Pick{b.keep(id, p.book.row(id))})
	}
	b.judged()
	if n := b.audit.tally.Checks(audit.Memory, audit.OK) - before; n < keys {
		t.Errorf("%d copies agree afterwards, want all %d", n, keys)
	}
}
