package main

import (
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// engines plays short forms on the other databases, and on the embedded tier.
func engines(t *trial) {
	t.part("MariaDB", func(t *trial) {
		db := testkit.MariaDB(t)
		t.others(onMariaDB(t, db, lagRows), instances, true)
	})
	t.part("SQLite, with Redis", func(t *trial) {
		t.others(onSQLite(t, lagRows), 2, true)
	})
	t.part("SQLite, with the embedded tier", func(t *trial) {
		t.others(onSQLite(t, lagRows), 1, false)
	})
}

// others times changes, and kills the leader while rows are changed.
func (t *trial) others(g *ground, n int, shared bool) {
	t.Helper()
	s, redis := settings{TTL: "1h", Keep: "60s"}, (*testkit.RedisServer)(nil)
	if shared {
		redis = testkit.Redis(t)
		s.Redis = redis.URL()
	}
	t.install(g, s)
	f := t.start(g, n, s)
	f.live()
	f.lagOf("one session", t.lag/10, f.session(), false)
	f.settled("afterwards", lagRows, one(redis), t.within(2*time.Second))
	f.killed(redis)
}

// killed ends instances, and Redis, while rows are changed.
func (f *fleet) killed(redis *testkit.RedisServer) {
	l := newLedger(lagRows)
	c := &changing{fleet: f, ledger: l, wanted: int64(f.changes / 10), mostRow: 10, pace: 5 * time.Millisecond, first: f.ground.count(f.trial, "SELECT max(v) FROM numbers;")}
	stop := f.read(l, nil)
	end := c.begin()
	hurt := &faults{changing: c}
	for round := 0; round < 3 || !c.enough() && f.Context().Err() == nil; round++ {
		switch {
		case redis != nil && round%2 == 1:
			redis.Kill()
			hurt.pause(0, 500)
			redis.StartEmpty()
		default:
			hurt.instance(hurt.leading(), (*launch.Instance).Kill)
		}
		hurt.pause(200, 700)
	}
	end()
	f.drained()
	f.settled("when nobody writes any more, after leaders and Redis were killed", lagRows, one(redis), f.within(10*time.Second))
	stop()
	f.Figure("changes", "%d rows, of them %d by PUT; %d statements and PUTs had no answer", c.done.Load(), c.puts.Load(), c.lost.Load())
}
