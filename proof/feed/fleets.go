package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// fleets has two fleets over one database, of which one may drain: each would take away
// what the other has not seen.
func fleets(t *trial) {
	t.part("two fleets, each with a Redis", func(t *trial) {
		g := onPostgres(t, testkit.Postgres(t), lagRows)
		one, other := testkit.Redis(t), testkit.Redis(t)
		t.twice(g, settings{Redis: one.URL()}, settings{Redis: other.URL()}, other)
	})
	t.part("two machines with the embedded tier", func(t *trial) {
		g := onPostgres(t, testkit.Postgres(t), lagRows)
		t.twice(g, settings{}, settings{}, nil)
	})
}

// twice starts a fleet for each of two settings, over one database.
func (t *trial) twice(g *ground, a, b settings, other *testkit.RedisServer) {
	t.Helper()
	a.After, a.TTL = t.after.String(), t.ttl.String()
	b.After, b.TTL = a.After, a.TTL
	t.install(g, a)
	first := t.start(g, 1, a)
	first.live()
	second := t.start(g, 1, b)
	left, right := newLedger(lagRows), newLedger(lagRows)
	stopOne, stopTwo := first.read(left, nil), second.read(right, nil)
	first.warm(left)
	second.warm(right)
	change, n := first.session(), int64(0)
	write := func(during time.Duration) {
		for began := left.now(); left.now()-began < during; n++ {
			id, version := n%lagRows, 1+n/lagRows
			if err := change(fmt.Sprintf("UPDATE numbers SET v = %d WHERE id = %d;", version, id)); err != nil {
				t.Fatal(err)
			}
			left.commit(version, id)
			right.commit(version, id)
			t.rest(5 * time.Millisecond)
		}
	}
	write(2*t.ttl + t.after)
	_, good := t.await(t.within(2*time.Second), func() bool { return first.all("hearth_feed_live", 1) && second.all("hearth_feed_live", 0) })
	t.Bound(good, "the first fleet is live, the second says that it is not")
	load := time.Second
	worst := right.worst(0, right.now())
	t.Bound(worst <= t.after+t.ttl+t.within(load), "no unmarked answer of the second is older than %v + %v + a load: the latest old one is asked for %v after its change", t.after, t.ttl, worst.Round(time.Millisecond))
	t.Figure("the first fleet", "the latest old answer is asked for %v after its change", left.worst(0, left.now()).Round(time.Millisecond))
	stopOne()
	first.ins[0].Kill()
	began := time.Now()
	second.live()
	t.Figure("", "when the first is gone the second is live after %v", time.Since(began).Round(100*time.Millisecond))
	write(500 * time.Millisecond)
	t.rest(time.Second)
	stopTwo()
	second.settled("the second fleet, afterwards", lagRows, one(other), t.within(2*time.Second))
}

// restored brings back a dump of the database while instances serve.
func restored(t *trial) {
	db := testkit.Postgres(t)
	g := onPostgres(t, db, lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), After: "10m"}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	dir := testkit.TempDir(t, "dump")
	dump := filepath.Join(dir, "dump.sql")
	t.command(exec.CommandContext(t.Context(), testkit.NeedPostgres(t, "pg_dump"), "--clean", "--if-exists", "--file="+dump, "--dbname="+db.URL()))
	t.rest(2 * time.Second) // the feed has noted more since
	db.Exec("UPDATE numbers SET v = 1;")
	f.settled("after a change", lagRows, one(redis), t.within(2*time.Second))
	t.command(exec.CommandContext(t.Context(), testkit.NeedPostgres(t, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file="+dump, "--dbname="+db.URL()))
	t.Bound(g.count(t, "SELECT max(v) FROM numbers;") == 0, "the database is what it was before the change")
	f.settled("after the dump was restored", lagRows, one(redis), t.within(5*time.Second))
	db.Exec("UPDATE numbers SET v = 2;")
	f.settled("after a change of the restored rows", lagRows, one(redis), t.within(2*time.Second))
}

// command runs a program that has to succeed.
func (t *trial) command(cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running %s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
