package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
	"hearth/internal/testkit/topology"
)

const (
	clusterMasters = 3
	clusterTimeout = 2 * time.Second // cluster-node-timeout: a node that is silent for so long is failed over
	clusterWithin  = 3 * time.Second // after the Cluster's own fail-over all is to be well
	startedWithin  = 3 * time.Second // an instance is to serve, whichever master is dead
	resumeWithin   = 5 * time.Second // memory hits are to resume
	foreignWithin  = 50 * time.Millisecond
)

// clusterTrial is instances over a Cluster, with clients at work. Records are divided by
// the master that had them at the beginning.
type clusterTrial struct {
	*traffic
	cluster *topology.Cluster
	backing backing
	masters []*testkit.RedisServer // that had the groups at the beginning
	version int                    // of what foreign programs have set
	end     func()
}

// overCluster starts all and lets the clients work.
func overCluster(t *trial) *clusterTrial {
	c := topology.NewCluster(t, clusterMasters, clusterTimeout)
	over := backing{redis: c.URL(), database: testkit.Postgres(t).URL()}
	fleet := t.start(over.times(3)...)
	m := &mix{
		records: t.records, group: groupOf, readers: 2, writers: 6, batches: 2, loaders: 2, past: c.Past,
		allowed: t.allowed(),
	}
	for i := range clusterMasters {
		m.groups = append(m.groups, fmt.Sprintf("master %d", i+1))
	}
	ct := &clusterTrial{traffic: newTraffic(t, fleet, m), cluster: c, backing: over, masters: c.Nodes()[:clusterMasters]}
	ct.end = ct.begin(m)
	t.rest(t.calm)
	ct.forget() // what was cold at the beginning
	return ct
}

// groupOf is the master that has a key's slot at the beginning.
func groupOf(key string) int {
	slot := outside.Slot(key)
	for i := range clusterMasters {
		if slot < topology.Slots*(i+1)/clusterMasters {
			return i
		}
	}
	panic("BUG: a slot past the last")
}

// finish ends the clients and notes what holds of all that they were answered.
func (ct *clusterTrial) finish() {
	ct.rest(ct.calm)
	ct.end()
	ct.violations()
	ct.sweep("at the end")
	for i, group := range ct.groups {
		ct.Figure(group, "%v", ct.tallies[i])
	}
}

// clusterKill kills the masters one after another, as kill -9 does, and starts each again
// when its replica has taken its place.
func clusterKill(t *trial) {
	ct := overCluster(t)
	for n := range min(t.moves, clusterMasters) {
		replica, at := ct.cluster.ReplicaOf(ct.masters[n]), ct.checker.Now()
		ct.masters[n].Kill()
		if n == 0 {
			ct.startMeanwhile(n)
		}
		_, ok := ct.failedOver(replica)
		took := ct.checker.Now() - at
		t.Bound(ok, "the cluster fails over from master %d by itself: after %v", n+1, took.Round(time.Millisecond))
		t.rest(clusterWithin)
		healed := at + took + t.within(clusterWithin)
		t.rest(t.calm)
		ct.masters[n].Start()
		ct.cluster.AwaitWhole()
		t.rest(t.calm)
		ct.unharmed(n, at)
		ct.wellSince(n, healed)
	}
	ct.finish()
}

// startMeanwhile starts one more instance while a master is dead, and notes the bound that
// it serves the records of all others.
func (ct *clusterTrial) startMeanwhile(dead int) {
	in := ct.spawn(ct.backing)[0]
	took, ok := ct.await(ct.within(startedWithin), func() bool {
		for _, r := range ct.records {
			if r.group == dead {
				continue
			}
			if got := in.Get(r.path()); got.Code != http.StatusOK || !got.Unmarked() {
				return false
			}
		}
		return true
	})
	ct.Bound(ok, "an instance that starts while master %d is dead serves the records of the others within %v: after %v", dead+1, startedWithin, took.Round(time.Millisecond))
}

// failedOver waits until a replica is a master and the Cluster serves all slots.
func (ct *clusterTrial) failedOver(replica *testkit.RedisServer) (took time.Duration, ok bool) {
	return ct.await(time.Minute, func() bool { return ct.cluster.IsMaster(replica) && ct.cluster.Serving() == nil })
}

// unharmed notes the bound that records of all other masters had no trouble since a time,
// and were in use.
func (ct *clusterTrial) unharmed(dead int, since time.Duration) {
	for i, one := range ct.tallies {
		if i == dead {
			continue
		}
		first, n := one.since(since)
		ct.Bound(n == 0, "%s, while master %d is dead, fails over and comes back: %d answers are marked or refused%s", ct.groups[i], dead+1, n, firstOf(first))
		for op, good := range one.counts() {
			ct.Bound(good > 0, "… with %d %s", good, opNames[op])
		}
	}
}

// clusterReshard moves slots and masters about in all the ways that are no accident, and
// freezes a master, which comes back as a replica.
func clusterReshard(t *trial) {
	ct := overCluster(t)
	c := ct.cluster
	for range t.reshards {
		from, to := c.Owner(0), c.Owner(topology.Slots/2)
		slots := c.SlotsOf(from)[:t.slots]
		ct.step(fmt.Sprintf("%d slots resharded", len(slots)), func() { c.Move(from, to, slots...) })
		ct.step("… and back", func() { c.Move(to, from, slots...) })
		ct.step("CLUSTER FAILOVER", func() { c.Failover(to) })
		frozen := c.Owner(0)
		ct.step("a master frozen until its replica has taken its place", func() { ct.freeze(frozen) })
		ct.step("… which comes back as a replica", func() {
			frozen.Resume()
			c.AwaitWhole()
		})
	}
	var added *testkit.RedisServer
	ct.step("a node added", func() { added = c.Add() })
	ct.step("… which takes slots", func() {
		from := c.Owner(0)
		c.Move(from, added, c.SlotsOf(from)[:t.slots]...)
	})
	ct.finish()
}

// freeze stops a master until its replica has taken its place.
func (ct *clusterTrial) freeze(master *testkit.RedisServer) {
	replica := ct.cluster.ReplicaOf(master)
	master.Pause()
	if took, ok := ct.failedOver(replica); !ok {
		ct.Fatalf("the cluster does not fail over from a frozen master within %v", took)
	}
}

// step does something to the Cluster, and notes the bound that memory hits resume.
func (ct *clusterTrial) step(what string, do func()) {
	began := ct.checker.Now()
	do()
	lasted := ct.checker.Now() - began
	var err error
	took, ok := ct.await(ct.within(resumeWithin), func() bool { err = ct.resumed(); return err == nil })
	ct.Bound(ok, "%s, in %v: memory hits resume everywhere within %v: after %v%s", what, lasted.Round(time.Millisecond), resumeWithin, took.Round(time.Millisecond), because(err))
	for i, one := range ct.tallies {
		if _, n := one.since(began); n > 0 {
			ct.Figure("", "%s: %d answers were marked or refused, the last %v after that began", ct.groups[i], n, (one.last() - began).Round(time.Millisecond))
		}
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// resumed is nil when every instance has a record of each group in memory, and what a
// foreign program sets then is seen everywhere soon.
func (ct *clusterTrial) resumed() error {
	past := ct.cluster.Past()
	defer past.Close()
	for group := range ct.groups {
		id := foreignID(group)
		key, path := fmt.Sprintf("item:%d", id), fmt.Sprintf("/item/%d", id)
		set := func() error {
			ct.version++
			return past.Set(key, fmt.Sprintf(`{"id":%d,"v":%d}`, id, ct.version))
		}
		if err := set(); err != nil {
			return err
		}
		for i, in := range ct.fleet {
			if err := inMemory(in, i, path); err != nil {
				return err
			}
		}
		if err := set(); err != nil {
			return err
		}
		testkit.Sleep(ct.Context(), ct.within(foreignWithin))
		want := fmt.Sprintf(`"v":%d}`, ct.version)
		for i, in := range ct.fleet {
			if got := in.Get(path); got.Code != http.StatusOK || !got.Unmarked() || !strings.Contains(got.Body, want) {
				return fmt.Errorf("%v after version %d of %s was set past all, instance %d answers %v", foreignWithin, ct.version, key, i+1, got)
			}
		}
	}
	return nil
}

// inMemory reads a record until it is a hit.
func inMemory(in *launch.Instance, instance int, path string) error {
	var got launch.Reply
	for range 4 {
		if got = in.Get(path); got.Code == http.StatusOK && got.FromMemory() {
			return nil
		}
	}
	return fmt.Errorf("instance %d does not have %s in memory: %v", instance+1, path, got)
}

// foreignID is the number of an item in a group that nobody else uses.
func foreignID(group int) int {
	for id := 9_000_000; ; id++ {
		if groupOf(fmt.Sprintf("item:%d", id)) == group {
			return id
		}
	}
}

// clusterCanary moves the slots that the instances' own keys are in, again and again.
func clusterCanary(t *trial) {
	ct := overCluster(t)
	c := ct.cluster
	for round := range t.canaries {
		masters := c.Masters()
		moved := 0
		for i, from := range masters {
			slots := canarySlots(from)
			moved += len(slots)
			others := 0
			if i == round%len(masters) { // one of them moves thousands, as a reshard does
				others = t.canarySlots
			}
			t.moveSlots(c, from, masters[(i+1)%len(masters)], slots, others)
			t.rest(t.calm)
		}
		t.Figure("", "round %d: %d slots with keys of instances moved, among others", round+1, moved)
	}
	for range 2 {
		c.Add()
	}
	t.rebalance(c)
	t.rest(t.calm)
	for i, one := range ct.tallies {
		n, marks, longest := one.worst(500 * time.Millisecond)
		first, _ := one.since(0)
		t.Bound(n == marks, "%s: %d answers are refused%s", ct.groups[i], n-marks, firstOf(first))
		t.Bound(longest <= t.within(time.Second), "%s: %d answers are marked, for %v at a time at most, 1s allowed", ct.groups[i], marks, longest.Round(time.Millisecond))
	}
	var err error
	took, ok := t.await(t.within(resumeWithin), func() bool { err = ct.resumed(); return err == nil })
	t.Bound(ok, "memory hits resume everywhere within %v: after %v%s", resumeWithin, took.Round(time.Millisecond), because(err))
	ct.finish()
}

// canarySlots are those of a master that instances have keys of their own in.
func canarySlots(master *testkit.RedisServer) (slots []int) {
	keys, _ := master.Do("KEYS", "hearth:*").([]any)
	for _, key := range keys {
		slots = append(slots, outside.Slot(fmt.Sprint(key)))
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

// moveSlots moves certain slots, and others as they come, up to so many.
func (t *trial) moveSlots(c *topology.Cluster, from, to *testkit.RedisServer, first []int, most int) {
	all := slices.Clone(first)
	for _, slot := range c.SlotsOf(from) {
		if len(all) >= most {
			break
		}
		if !slices.Contains(first, slot) {
			all = append(all, slot)
		}
	}
	c.Move(from, to, all...)
}

// rebalance gives every master the same number of slots. Those that instances have keys
// in move first.
func (t *trial) rebalance(c *topology.Cluster) {
	var masters []*testkit.RedisServer
	for _, n := range c.Nodes() {
		if c.IsMaster(n) {
			masters = append(masters, n)
		}
	}
	share := topology.Slots / len(masters)
	for _, to := range masters {
		for _, from := range masters {
			want, spare := share-len(c.SlotsOf(to)), len(c.SlotsOf(from))-share
			if n := min(want, spare); n > 0 {
				slots := append(canarySlots(from), c.SlotsOf(from)...)
				c.Move(from, to, unique(slots)[:min(n, t.rebalanced)]...)
			}
		}
	}
}

// unique keeps the first of equal numbers.
func unique(all []int) (kept []int) {
	seen := map[int]bool{}
	for _, n := range all {
		if !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}

// firstOf tells of the first of some events.
func firstOf(e *event) string {
	if e == nil {
		return ""
	}
	return ", the first " + e.String()
}
