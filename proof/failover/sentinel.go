package main

import (
	"fmt"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/topology"
)

const (
	sentinelDown   = time.Second     // down-after-milliseconds
	sentinelWithin = 3 * time.Second // after the sentinels' own fail-over all is to be well
)

// sentinelKill kills the master again and again. What Redis loses by that are copies: no
// answer may show it.
func sentinelKill(t *trial) {
	s := topology.NewSentinels(t, sentinelDown)
	fleet := t.start(backing{redis: s.URL(), database: testkit.Postgres(t).URL()}.times(3)...)
	m := &mix{records: t.records, readers: 2, writers: 4, batches: 1, allowed: t.allowed()}
	tr := newTraffic(t, fleet, m)
	end := tr.begin(m)
	for range t.moves {
		t.rest(t.calm)
		master, at := s.Master(), tr.checker.Now()
		master.Kill()
		took, ok := t.await(time.Minute, func() bool {
			now, err := s.Named()
			return err == nil && now != master && s.IsMaster(now)
		})
		t.Bound(ok, "the sentinels fail over by themselves: after %v", took.Round(time.Millisecond))
		t.rest(sentinelWithin + t.calm)
		master.Start()
		s.AwaitWhole()
		tr.allWellSince(at + took + t.within(sentinelWithin))
	}
	end()
	tr.violations()
	tr.sweep("at the end")
	t.Figure("answers", "%v", tr.tallies[0])
}

// sentinelPlanned fails over by command, under writes, with every number of replicas
// that a write may wait for. The database is not touched, so nothing is lost, and no copy
// of what was may come back.
func sentinelPlanned(t *trial) {
	for replicas := range 3 {
		if err := testkit.Run(t.Context(), func(tb testkit.TB) { t.of(tb).plannedFailovers(replicas) }); err != nil {
			t.Bound(false, "wait_replicas %d: it was cut short: %v", replicas, err)
		}
	}
}

// plannedPuts is how many PUTs per second there are meanwhile.
const plannedPuts = 100

func (t *trial) plannedFailovers(replicas int) {
	s := topology.NewSentinels(t, sentinelDown)
	fleet := t.start(backing{redis: s.URL(), replicas: replicas, database: testkit.Postgres(t).URL()}.times(3)...)
	m := &mix{records: t.records, readers: 2, writers: 4, rate: plannedPuts, allowed: t.allowed()}
	tr := newTraffic(t, fleet, m)
	end := tr.begin(m)
	dice := tr.dice(4000 + replicas)
	allOlder, allUnread := 0, 0
	for round := range t.planned {
		t.rest(t.calm)
		s.Failover()
		// At a moment that is another each time there is no further write, which would put
		// right what the ones before have left.
		t.rest(time.Duration(dice.Int64N(int64(2 * time.Second))))
		tr.hold.Lock()
		t.rest(sentinelWithin)
		older, unread, example := tr.look()
		tr.hold.Unlock()
		if allOlder, allUnread = allOlder+older, allUnread+unread; example != "" {
			t.Figure("", "fail-over %d: %s", round+1, example)
		}
		s.AwaitWhole()
	}
	end()
	t.Bound(allOlder == 0 && allUnread == 0, "wait_replicas %d, %v after the last write before each of %d looks: of %d records on each of %d instances, %d are older than acknowledged, %d cannot be read without a mark",
		replicas, sentinelWithin, t.planned, len(tr.records), len(tr.fleet), allOlder, allUnread)
	t.rest(t.settle)
	tr.sweep(fmt.Sprintf("wait_replicas %d, %v after the last write", replicas, t.settle))
	tr.violations()
	t.Figure("answers", "%v", tr.tallies[0])
}
