package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// killRows is how many rows there are.
const killRows = 1000

// kill hurts everything at random, with a Redis at an address that moves.
func kill(t *trial) {
	t.survive(newAddress(t), t.changes)
}

// killSentinel does the same with sentinels.
func killSentinel(t *trial) {
	t.survive(newSentinels(t), t.changes/10)
}

// killCluster does the same with a Cluster.
func killCluster(t *trial) {
	t.survive(newCluster(t), t.changes/10)
}

// survive changes rows while faults happen, and looks at everything at the end.
func (t *trial) survive(shared sharedTier, changes int) {
	t.Helper()
	db := testkit.Postgres(t, testkit.OwnServer("synchronous_commit = on"))
	g := onPostgres(t, db, killRows)
	// Nothing but the drain heals an old copy here: a life that is shorter is an hour still.
	s := settings{Redis: shared.url(), Keep: "60s", After: "10m", TTL: "1h", Lease: "3s"}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	l := newLedger(killRows)
	c := &changing{fleet: f, ledger: l, wanted: int64(changes), mostRow: 50, pace: 10 * time.Millisecond}
	stop := f.read(l, nil)
	end := c.begin()
	t.Figure("began", "%s", l.began.UTC().Format("15:04:05.000"))
	hurt := &faults{changing: c, database: db, shared: shared}
	happened := hurt.rounds()
	end()
	f.drained()
	f.settled("when nobody writes any more", killRows, shared.past, t.within(10*time.Second))
	stop()
	asked, _, old := l.lags(0)
	t.Figure("changes", "%d rows in %d statements' worth of commits, of them %d by PUT; %d statements and PUTs had no answer", c.done.Load(), asked.N, c.puts.Load(), c.lost.Load())
	t.Figure("answers", "%d, of them %d marked, %d without a row", l.reads.Load(), l.marked.Load(), l.failed.Load())
	t.Figure("faults", "%s", happened)
	t.Times("last old one asked for", asked)
	t.Figure("seen old", "%d", old)
	t.Bound(c.enough(), "%d rows are changed", changes)
}

// rounds has faults happen at random until enough rows are changed and each fault has
// happened.
func (f *faults) rounds() string {
	all := f.all()
	if f.fewFaults {
		all = slices.DeleteFunc(all, func(one fault) bool { return !slices.Contains(fewFaults, one.name) })
	}
	counts := make([]int, len(all))
	var happened []string
	order := f.dice.Perm(len(all))
	for n := 0; (n < len(all) || !f.enough()) && f.Context().Err() == nil; n++ {
		i := f.dice.IntN(len(all))
		if n < len(all) {
			i = order[n]
		}
		counts[i]++
		began := f.now()
		all[i].do()
		happened = append(happened, fmt.Sprintf("%v to %v %s", began.Round(time.Millisecond), f.now().Round(time.Millisecond), all[i].name))
		f.pause(100, 1000)
	}
	var text []string
	for i, one := range all {
		text = append(text, fmt.Sprintf("%s: %d", one.name, counts[i]))
	}
	if f.logs {
		f.Figure("what happened", "%s", strings.Join(happened, "; "))
	}
	return strings.Join(text, "; ")
}

// fewFaults are those of the short form.
var fewFaults = []string{
	"the leader killed", "Redis killed, back with data of a while ago", "Redis fails over to a replica that lags, the master killed",
	"the database killed",
}

// drained waits until nothing waits in the outbox.
func (f *fleet) drained() {
	f.Helper()
	if f.off {
		return
	}
	left := int64(0)
	took, good := f.await(patience, func() bool { left = f.ground.count(f.trial, f.ground.pending); return left == 0 })
	f.Bound(good, "nothing waits to be drained any more, %v after the last change", took.Round(time.Millisecond))
	if !good {
		f.Figure("", "%d rows wait in the outbox; instance %d leads", left, f.leader()+1)
	}
}

// leader kills leaders under changes, and shows what that costs.
func leader(t *trial) {
	g := onPostgres(t, testkit.Postgres(t), lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), After: "10m"}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	l := newLedger(lagRows)
	stop := f.read(l, nil)
	f.warm(l)
	change := f.session()
	next := int64(0)
	write := func(during time.Duration) {
		for began := l.now(); l.now()-began < during; next++ {
			id, version := next%lagRows, 1+next/lagRows
			if err := change(fmt.Sprintf("UPDATE numbers SET v = %d WHERE id = %d;", version, id)); err != nil {
				f.Fatal(err)
			}
			l.commit(version, id)
			f.rest(f.pace)
		}
	}
	var worst time.Duration
	for range t.leaders {
		write(300 * time.Millisecond)
		i := f.leader()
		if i < 0 {
			f.Fatalf("nobody leads")
		}
		f.restarts[i].Add(1)
		f.ins[i].Kill()
		at := l.now()
		write(feedLease + 2*looked)
		f.rest(looked)
		worst = max(worst, l.worst(at-looked, l.now()))
		f.ins[i] = f.ins[i].Again()
		f.ins[i].AwaitReady()
		f.restarts[i].Add(1)
		testkit.Eventually(f, patience, "somebody leads", func() bool { return f.leader() >= 0 })
	}
	f.rest(time.Second)
	stop()
	t.Timed(worst <= looked+feedLease, "of %d leaders killed none costs more than %v and the lease of %v: the latest old answer is asked for %v after its change", t.leaders, looked, feedLease, worst.Round(time.Millisecond))
	f.settled("afterwards", lagRows, one(redis), t.within(5*time.Second))
}
