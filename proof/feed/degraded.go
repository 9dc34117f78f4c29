package main

import (
	"fmt"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// degraded shows what the instances do while nobody can drain, and when somebody can
// again.
func degraded(t *trial) {
	db := testkit.Postgres(t, testkit.OwnServer())
	g := onPostgres(t, db, lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), After: t.after.String(), TTL: t.ttl.String()}
	t.install(g, s)
	const role = "drains"
	db.Exec("CREATE ROLE " + role + " LOGIN; GRANT USAGE ON SCHEMA hearth TO " + role + "; GRANT ALL ON ALL TABLES IN SCHEMA hearth TO " + role +
		"; GRANT ALL ON ALL SEQUENCES IN SCHEMA hearth TO " + role + "; GRANT SELECT ON numbers TO " + role + ";")
	s.FeedURL = strings.Replace(db.URL(), "postgres@", role+"@", 1)
	f := t.start(g, instances, s)
	f.live()
	l := newLedger(lagRows)
	stop := f.read(l, nil)
	f.warm(l)
	change := f.session()
	n := int64(0)
	write := func(during time.Duration, until func() bool) time.Duration {
		began := l.now()
		for l.now()-began < during && !until() {
			id, version := n%lagRows, 1+n/lagRows
			if err := change(fmt.Sprintf("UPDATE numbers SET v = %d WHERE id = %d;", version, id)); err != nil {
				f.Fatal(err)
			}
			l.commit(version, id)
			n++
			f.rest(5 * time.Millisecond)
		}
		return l.now() - began
	}
	never := func() bool { return false }
	write(200*time.Millisecond, never)
	db.Exec("REVOKE ALL ON ALL TABLES IN SCHEMA hearth FROM " + role + ";")
	at := l.now()
	took := write(patience, func() bool { return f.all("hearth_feed_live", 0) })
	f.Bound(took < patience, "when nobody may drain, all instances say that the feed is not live, after %v (degraded_after is %v)", took.Round(10*time.Millisecond), t.after)
	write(t.ttl*2+t.after, never)
	load := time.Second
	worst := l.worst(at, l.now())
	f.Bound(worst <= t.after+t.ttl+t.within(load), "no unmarked answer is older than %v + %v + a load: the latest old one is asked for %v after its change", t.after, t.ttl, worst.Round(time.Millisecond))
	f.Bound(worst > t.after, "… and some are older than %v: nobody drains", t.after)
	f.Figure("meanwhile", "%d changes wait; %.0f loads", g.count(t, g.pending), f.sum("hearth_loads_total"))
	db.Exec("GRANT ALL ON ALL TABLES IN SCHEMA hearth TO " + role + ";")
	took = write(patience, func() bool { return f.all("hearth_feed_live", 1) })
	f.Bound(took < patience, "when somebody may again, it is live after %v", took.Round(time.Millisecond))
	stop()
	f.settled("afterwards", lagRows, one(redis), t.within(2*time.Second))
}
