package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// gaps forces the two gaps that guards leave, with the feed and without.
func gaps(t *trial) {
	db := testkit.Postgres(t)
	g := onPostgres(t, db, lagRows)
	// The commit of a PUT of row 6 waits for whoever has the lock.
	db.Exec(`CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER held AFTER INSERT OR UPDATE ON numbers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 6) EXECUTE FUNCTION held();`)
	for _, gap := range []struct {
		what           string
		lease, timeout string
		force          func(f *gapped)
	}{
		{"the guard is lost under a writer that dies after its commit", "30s", "10s", (*gapped).lostGuard},
		{"the commit finishes after the guard of its writer, which has died, has expired", "6s", "2500ms", (*gapped).lateCommit},
	} {
		for _, mode := range []string{"off", "outbox"} {
			t.part(gap.what+", feed.mode "+mode, func(t *trial) {
				t.gap(g, settings{Feed: mode, Lease: gap.lease, Timeout: gap.timeout}, gap.force)
			})
		}
	}
}

// gapped is a writer that dies, and others.
type gapped struct {
	*fleet
	redis  *testkit.RedisServer
	relay  *testkit.Relay // the writer's way to Redis
	writer *launch.Instance
	holds  *testkit.Session // of the database
	id     int              // of the row
	now    int64            // its version before
}

// gap forces one gap, and looks at what the others answer then.
func (t *trial) gap(g *ground, s settings, force func(f *gapped)) {
	redis := testkit.Redis(t)
	relay := testkit.NewRelay(t, redis.Addr())
	s.Redis = redis.URL()
	t.install(g, s)
	f := &gapped{fleet: t.start(g, instances-1, s), redis: redis, relay: relay}
	w := s
	w.Redis = "redis://" + relay.Addr()
	f.writer = launch.Program{Path: t.binary, Config: w.text(t, g), Public: launch.Port, Admin: launch.Port}.Ready(t)
	if s.Feed != "off" {
		f.live()
	}
	var err error
	if f.holds, err = g.shell(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.holds.Close)
	force(f)
	old := func() int { return f.answering(f.now) }
	if s.Feed == "off" {
		f.rest(f.calm)
		f.Bound(old() == len(f.ins), "%v after the commit %d of %d instances answer with the row as it was", f.calm, old(), len(f.ins))
		return
	}
	took, good := f.await(t.within(2*time.Second), func() bool { return old() == 0 })
	f.Bound(good, "no instance answers with the row as it was, %v after the commit was seen", took.Round(time.Millisecond))
	f.settled("afterwards", lagRows, one(redis), patience)
}

// answering is how many instances answer with a version, without a mark.
func (f *gapped) answering(version int64) (n int) {
	f.Helper()
	for _, in := range f.ins {
		got := in.Get(fmt.Sprintf("/row/%d", f.id))
		if got.Code == http.StatusOK && got.Unmarked() && strings.Contains(got.Body, fmt.Sprintf(`"v":%d}`, version)) {
			n++
		}
	}
	return n
}

// begin has all instances remember the row, and what it is.
func (f *gapped) begin(id int) {
	f.Helper()
	f.id = id
	f.now = f.ground.count(f.trial, fmt.Sprintf("SELECT v FROM numbers WHERE id = %d;", id))
	testkit.Eventually(f, patience, "all instances have the row", func() bool { return f.answering(f.now) == len(f.ins) })
}

// put begins a PUT of the next version by the writer, and waits until it is where it is to
// be, with its guard. One that has ended before that, as it came too late to, is begun again.
func (f *gapped) put(where string, there func() bool) {
	f.Helper()
	var answer <-chan launch.Reply
	testkit.Eventually(f, patience, where, func() bool {
		select {
		case <-answer:
			answer = nil
		default:
		}
		if answer == nil {
			answer = f.writer.Begin(http.MethodPut, fmt.Sprintf("/row/%d", f.id), fmt.Sprintf(`{"grp":0,"v":%d}`, f.now+1))
		}
		return strings.HasPrefix(f.redis.Text("GET", fmt.Sprintf("row:%d", f.id)), "guard") && there()
	})
}

// waiting is how many sessions of the database wait for a lock of a kind.
func (f *gapped) waiting(kind string) int64 {
	return f.ground.count(f.trial, fmt.Sprintf("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.datname = current_database() AND l.locktype = '%s' AND NOT l.granted;", kind))
}

// hold has the database's session do something.
func (f *gapped) hold(sql string) {
	f.Helper()
	if _, err := f.holds.Do(sql); err != nil {
		f.Fatal(err)
	}
}

// committed waits until the row of the PUT is what others see.
func (f *gapped) committed() {
	f.Helper()
	testkit.Eventually(f, patience, "the PUT has committed", func() bool {
		return f.ground.count(f.trial, fmt.Sprintf("SELECT v FROM numbers WHERE id = %d;", f.id)) == f.now+1
	})
}

// lostGuard: the writer waits for the row's lock while its guard is deleted and it is cut
// off from Redis; others load the row as it is; the lock is given, the writer commits, and
// dies before it could take its guard out.
func (f *gapped) lostGuard() {
	f.begin(5)
	f.hold("BEGIN; SELECT v FROM numbers WHERE id = 5 FOR UPDATE;")
	f.put("the guard stands, and the writer waits for the lock", func() bool { return f.waiting("transactionid") == 1 })
	f.relay.Retarget("")
	f.relay.Cut()
	f.redis.Do("DEL", "row:5")
	testkit.Eventually(f, patience, "others have loaded the row as it was", func() bool { return f.answering(f.now) == len(f.ins) })
	f.hold("COMMIT;")
	f.committed()
	f.writer.Kill()
}

// lateCommit: the writer's COMMIT waits in the database while the writer dies and its
// guard expires; others load the row as it is; then the database commits.
func (f *gapped) lateCommit() {
	f.begin(6)
	f.hold("SELECT pg_advisory_lock(77);")
	f.put("the guard stands, and the COMMIT waits", func() bool { return f.waiting("advisory") == 1 })
	f.writer.Kill()
	testkit.Eventually(f, patience, "others have loaded the row as it was", func() bool {
		return f.answering(f.now) == len(f.ins) && strings.HasPrefix(f.redis.Text("GET", "row:6"), "{")
	})
	f.hold("SELECT pg_advisory_unlock(77);")
	f.committed()
}
