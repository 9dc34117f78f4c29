package main

import (
	"time"

	"hearth/internal/testkit"
)

// tampered has somebody change by hand what the feed has installed, and shows that it is
// noticed, that the application can write, and that installing again mends it.
func tampered(t *trial) {
	for _, act := range []struct{ what, sql string }{
		{"the triggers are disabled", "ALTER TABLE numbers DISABLE TRIGGER USER;"},
		{"a trigger is dropped", "DO $$ DECLARE n name; BEGIN SELECT tgname INTO n FROM pg_trigger WHERE tgrelid = 'numbers'::regclass AND tgname LIKE 'hearth%update'; EXECUTE format('DROP TRIGGER %I ON numbers', n); END $$;"},
		{"the table is made anew from a copy", "BEGIN; CREATE TABLE copied (LIKE numbers INCLUDING ALL); INSERT INTO copied SELECT id, grp, v + 1 FROM numbers; DROP TABLE numbers; ALTER TABLE copied RENAME TO numbers; COMMIT;"},
		{"the outbox is dropped", "DROP TABLE hearth.feed;"},
		{"all of it is dropped", "DROP SCHEMA hearth CASCADE;"},
	} {
		t.part(act.what, func(t *trial) { t.tamper(act.sql) })
	}
}

// noticed is how long it may take until instances know of it: two looks at the triggers.
const noticed = 12 * time.Second

func (t *trial) tamper(sql string) {
	g := onPostgres(t, testkit.Postgres(t), lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), TTL: t.ttl.String()}
	t.install(g, s)
	f := t.start(g, instances-1, s)
	f.live()
	f.warm(newLedger(lagRows))
	g.exec(t, sql)
	refused, last := 0, time.Duration(0)
	began := time.Now()
	write := func() {
		if _, err := g.ask("UPDATE numbers SET v = v + 1;"); err != nil {
			refused, last = refused+1, time.Since(began)
		}
	}
	took, good := f.await(t.within(noticed), func() bool {
		write()
		f.rest(20 * time.Millisecond)
		return f.all("hearth_feed_degraded{resource=\"row\"}", 1) || f.all("hearth_feed_live", 0)
	})
	for range 3 {
		write()
	}
	f.Bound(last < t.within(5*time.Second), "the application's writes are refused %d times, the last %v after that", refused, last.Round(10*time.Millisecond))
	f.Bound(good, "the instances know of it after %v", took.Round(10*time.Millisecond))
	f.settled("without anybody's doing", lagRows, one(redis), t.within(noticed+3*t.ttl))
	t.install(g, s)
	took, good = f.await(t.within(2*noticed), func() bool {
		return f.all("hearth_feed_degraded{resource=\"row\"}", 0) && f.all("hearth_feed_live", 1)
	})
	f.Bound(good, "after it is installed again it is live after %v", took.Round(10*time.Millisecond))
	g.exec(t, "UPDATE numbers SET v = v + 1;")
	f.settled("and a change is told", lagRows, one(redis), t.within(2*time.Second))
}
