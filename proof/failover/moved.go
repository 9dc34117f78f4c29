package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// moved lets the address of a single Redis lead to another server: the old one becomes
// its replica, keeps every connection that it has, and refuses writes from then on.
func moved(t *trial) {
	a, b := testkit.Redis(t), testkit.Redis(t)
	relay := testkit.NewRelay(t, a.Addr())
	db := testkit.Postgres(t)
	follow(b, a)
	fleet := t.start(backing{redis: "redis://" + relay.Addr(), database: db.URL()}.times(2)...)
	master := a
	m := &mix{records: t.records, readers: 2, writers: 4, batches: 1, allowed: linkTimeout + 500*time.Millisecond}
	tr := newTraffic(t, fleet, m)
	end := tr.begin(m)
	bound := linkTimeout + 2*time.Second
	for range t.moves {
		t.rest(t.calm)
		old, next := master, b
		if old == b {
			next = a
		}
		awaitReplica(t, next)
		relay.Retarget(next.Addr())
		next.Do("REPLICAOF", "NO", "ONE")
		follow(old, next)
		at := tr.checker.Now()
		master = next
		t.movedOn(tr, at, bound)
		t.rest(t.calm)
		tr.allWellSince(at + bound + time.Second)
	}
	end()
	tr.violations()
	tr.sweep("after the last move")
}

// movedOn notes the bound of the first write through.
func (t *trial) movedOn(tr *traffic, at, bound time.Duration) {
	took := make([]time.Duration, len(tr.fleet))
	for i, in := range tr.fleet {
		for {
			ok := in.Ask(http.MethodPut, "/row/-1", `{"v":1}`).Code == http.StatusOK
			took[i] = tr.checker.Now() - at
			if ok || took[i] > bound+5*time.Second || !testkit.Sleep(t.Context(), 5*time.Millisecond) {
				break
			}
		}
		t.Bound(took[i] <= bound, "instance %d: the first write is through %v after the move, within %v", i+1, took[i].Round(time.Millisecond), bound)
	}
}

// allWellSince notes the bound that nothing was marked or refused since a time.
func (tr *traffic) allWellSince(at time.Duration) {
	for group := range tr.groups {
		tr.wellSince(group, at)
	}
}

// wellSince is allWellSince for one group.
func (tr *traffic) wellSince(group int, at time.Duration) {
	first, n := tr.tallies[group].since(at)
	tr.Bound(n == 0, "%s: since %v %d answers are marked or refused%s", tr.groups[group], at.Round(time.Millisecond), n, firstOf(first))
}

// follow makes a server the replica of another.
func follow(replica, master *testkit.RedisServer) {
	replica.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
}

// awaitReplica waits until a replica has all that its master has written so far.
func awaitReplica(t *trial, replica *testkit.RedisServer) {
	testkit.Eventually(t, startWithin, "the replica follows its master", func() bool {
		return strings.Contains(replica.Text("INFO", "replication"), "master_link_status:up")
	})
}
