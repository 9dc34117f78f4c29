package main

import (
	"fmt"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// page is a resource that the newer configuration has, over the same table, by the next
// template of keys.
const page = `[[resource]]
name = "page"
path = "/page/{id:int}"
key = "page:v2:{id}"
select = "SELECT id, v FROM numbers WHERE id = {id}"
ttl = { cold = "1h", hot = "1h", missing = "10m" }
`

// rolling deploys a configuration with one more watch, instance by instance, while rows
// are changed. The feed goes through PgBouncer.
func rolling(t *trial) {
	db := testkit.Postgres(t)
	pool := testkit.PgBouncer(t, db, "transaction")
	g := onPostgres(t, db, lagRows)
	redis := testkit.Redis(t)
	older := settings{Redis: redis.URL(), Database: pool.URL(), After: "10m"}
	newer := older
	newer.Extra = page
	t.install(g, older)
	f := t.start(g, instances, older)
	f.live()
	l, pages := newLedger(lagRows), newLedger(lagRows)
	stop := f.read(l, nil)
	f.warm(l)
	change, n := f.session(), int64(0)
	write := func(during time.Duration) {
		for began := l.now(); l.now()-began < during; n++ {
			id, version := n%lagRows, 1+n/lagRows
			if err := change(fmt.Sprintf("UPDATE numbers SET v = %d WHERE id = %d;", version, id)); err != nil {
				f.Fatal(err)
			}
			l.commit(version, id)
			pages.commit(version, id)
			f.rest(f.pace)
		}
	}
	write(200 * time.Millisecond)
	t.install(g, newer)
	write(200 * time.Millisecond)
	mixed := 0
	for i := range f.ins {
		f.ins[i].Configure(newer.text(t, g))
		f.restart(i, 0, (*launch.Instance).Stop)
		defer f.readAt(pages, "/page/", nil, f.ins[i:i+1])()
		if leading := f.leader(); leading > i {
			mixed++
		}
		write(t.calm)
	}
	f.rest(time.Second)
	stop()
	f.Figure("", "%d changes; while %d of %d instances had the newer configuration, one with the older one led", n, mixed, len(f.ins))
	f.more = []string{"page:v2:"}
	f.settled("afterwards", lagRows, one(redis), t.within(5*time.Second))
	for name, of := range map[string]*ledger{"the older resource": l, "the newer resource": pages} {
		asked, _, old := of.lags(0)
		f.Figure(name, "%d answers, %d of %d changes were seen old; the last old one asked for p99 %v, longest %v", of.reads.Load(), old, asked.N, asked.Quantile(0.99).Round(10*time.Microsecond), asked.Longest.Round(time.Millisecond))
		t.Timed(asked.Quantile(0.99) <= lagMost, "… %v at most for 99 of 100", lagMost)
	}
}
