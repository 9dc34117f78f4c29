package test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var (
	leaseText = regexp.MustCompile(`^lease:[0-9a-f]{24}$`)
	guardText = regexp.MustCompile(`^guard:[0-9a-f]{24}@[0-9]+$`)
	// guardsText is the guard of two writers who have met.
	guardsText = regexp.MustCompile(`^guard\+:[0-9a-f]{24}@[0-9]+,[0-9a-f]{24}@[0-9]+$`)
)

// TestWriterKilledBeforeItsCommit kills an instance whose write waits for a
// locked row: its guard stands, nothing is committed. The others serve what
// the database has, at first past the guard, then from Redis again.
func TestWriterKilledBeforeItsCommit(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	all := f.start(3)
	f.store(1, "old")
	bringIntoMemory(t, all, 1)
	unlock := f.lockRow(1)
	own := all[0].Begin(http.MethodPut, pathOf(1), nameOf("never"))
	f.awaitWriters(1)
	all[0].Kill()
	if got := f.inRedis(1); !guardText.MatchString(got) {
		t.Errorf("Redis holds %q, want the dead writer's guard", got)
	}
	unlock()
	if got := <-own; got.Err == nil {
		t.Errorf("the dead instance answered %v", got)
	}
	f.heals(all[1:], 1, "old")
}

// TestWriterKilledAfterItsCommit kills an instance that has committed a write
// and cannot tell Redis any more: its way there is closed before the commit.
func TestWriterKilledAfterItsCommit(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	w := f.newWay()
	victim, all := f.startBehind(w), f.start(2)
	f.store(1, "old")
	bringIntoMemory(t, append(all, victim), 1)
	unlock := f.lockRow(1)
	own := victim.Begin(http.MethodPut, pathOf(1), nameOf("new"))
	f.awaitWriters(1)
	w.shut(t)
	unlock()
	await(t, "the write is committed", func() bool {
		return f.count("SELECT count(*) FROM users WHERE name = 'new'") == 1
	})
	victim.Kill()
	if got := <-own; got.Err == nil {
		t.Errorf("the dead instance answered %v", got)
	}
	f.heals(all, 1, "new")
}

// heals reads a record, whose writer is dead, on each instance until Redis has
// it again. No read fails and none is answered with anything but name, and
// Redis never holds anything else.
func (f *fleet) heals(all []*launch.Instance, id int, name string) {
	f.t.Helper()
	for i, in := range all {
		await(f.t, "the record is in Redis and in memory again", func() bool {
			if got := f.inRedis(id); got != "" && got != recordOf(id, name) && !leaseText.MatchString(got) && !guardText.MatchString(got) {
				f.t.Errorf("Redis holds %q", got)
			}
			got := in.Get(pathOf(id))
			if !tells(got, id, name) {
				f.t.Errorf("instance %d answers %v, want the name %q", i, got, name)
			}
			return got.FromMemory()
		})
	}
	if got, want := f.inRedis(id), recordOf(id, name); got != want {
		f.t.Errorf("Redis holds %q, want %q", got, want)
	}
}

// TestWritersOnTwoInstances lets two writes of one record overlap on two
// instances, so that both guards stand. The row lock decides who commits
// first, and closing one's way to Redis who takes its guard out last.
// Whatever the order is, everybody then reads what was committed last.
func TestWritersOnTwoInstances(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	ways := []*way{f.newWay(), f.newWay()}
	writers := []*launch.Instance{f.startBehind(ways[0]), f.startBehind(ways[1])}
	all := append(f.start(1), writers...)
	overlap := func(id, first, last int) {
		t.Run(fmt.Sprintf("instance %d commits first, instance %d leaves last", first, last), func(t *testing.T) {
			f := f.in(t)
			f.store(id, "old")
			bringIntoMemory(t, all, id)
			unlock := f.lockRow(id)
			names := []string{"late", "late"}
			names[first] = "early"
			said := make([]<-chan launch.Reply, 2)
			said[first] = writers[first].Begin(http.MethodPut, pathOf(id), nameOf("early"))
			f.awaitWriters(1)
			said[1-first] = writers[1-first].Begin(http.MethodPut, pathOf(id), nameOf("late"))
			f.awaitWriters(2)
			if got := f.inRedis(id); !guardsText.MatchString(got) {
				t.Errorf("Redis holds %q, want the guards of both", got)
			}
			open := ways[last].shut(t)
			unlock()
			if got := <-said[1-last]; !loaded(got, id, names[1-last]) {
				t.Errorf("the writer who left first is answered %v", got)
			}
			await(t, "both are committed", func() bool {
				return f.count("SELECT count(*) FROM users WHERE id = $1 AND name = 'late'", id) == 1
			})
			open()
			// It may have been kept for longer than it waits for a confirmation.
			if got := <-said[last]; !loaded(got, id, names[last]) && got.Code != http.StatusGatewayTimeout {
				t.Errorf("the writer who left last is answered %v", got)
			}
			for _, in := range all { // the push may still be on its way
				await(t, "the last commit is read", func() bool { return tells(in.Get(pathOf(id)), id, "late") })
			}
			mustTell(t, "after the last commit was read", all, id, "late")
			await(t, "Redis holds what was committed last", func() bool { return f.inRedis(id) == recordOf(id, "late") })
		})
	}
	overlap(1, 0, 0)
	overlap(2, 0, 1)
	overlap(3, 1, 0)
	overlap(4, 1, 1)
}

// TestGuardRemovedByOthers takes a writer's guard away while its transaction
// runs, so that a reader elsewhere fills the key with the record from before
// the commit. The writer, on its way out, deletes what it finds.
func TestGuardRemovedByOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	id := 0
	removed := func(name string, remove func(f *fleet)) {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			id++
			f.store(id, "old")
			unlock := f.lockRow(id)
			own := all[0].Begin(http.MethodPut, pathOf(id), nameOf("new"))
			f.awaitWriters(1)
			remove(f)
			bringIntoMemory(t, all, id)
			mustTell(t, "before the commit", all, id, "old")
			unlock()
			if got := <-own; !loaded(got, id, "new") {
				t.Errorf("PUT is answered %v", got)
			}
			mustTell(t, "after the answer, on the writer's instance", all[:1], id, "new")
			await(t, "the push has arrived", func() bool { return tells(all[1].Get(pathOf(id)), id, "new") })
			mustTell(t, "afterwards", all, id, "new")
			if got, want := f.inRedis(id), recordOf(id, "new"); got != want {
				t.Errorf("Redis holds %q, want %q", got, want)
			}
		})
	}
	removed("DEL", func(f *fleet) { f.redis.Do("DEL", keyOf(id)) })
	removed("SET", func(f *fleet) { f.redis.Do("SET", keyOf(id), recordOf(id, "old")) })
	removed("FLUSHALL", func(f *fleet) { f.redis.Do("FLUSHALL") })
}

// TestInsertAfterNotFound writes a record that every instance remembers to be
// missing. The writer's instance has it at once, the others when the push has
// arrived, and nobody forgets it again.
func TestInsertAfterNotFound(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(3)
	for _, in := range all {
		await(t, "memory knows that the record is missing", func() bool {
			got := in.Get(pathOf(1))
			if !missing(got) {
				t.Errorf("answered %v, want 404", got)
			}
			return got.FromMemory()
		})
	}
	const readsAfter = 100
	var watching sync.WaitGroup
	for i, in := range all[1:] {
		watching.Go(func() {
			for seen := 0; seen < readsAfter && t.Context().Err() == nil; {
				got := in.Get(pathOf(1))
				if tells(got, 1, "born") {
					seen++
				} else if !missing(got) || seen > 0 {
					t.Errorf("instance %d answers %v after %d answers with the record", i+1, got, seen)
					return
				}
			}
		})
	}
	mustPut(t, all[0], 1, "born")
	mustTell(t, "at once", all[:1], 1, "born")
	watching.Wait()
	mustTell(t, "afterwards", all, 1, "born")
}

// TestTwoWritersWhoBothReadFirst: on two instances two clients read one record,
// and each writes over what it has read. One change is stored, the other refused,
// and everybody reads the one.
func TestTwoWritersWhoBothReadFirst(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	all := f.start(2)
	for round := range 10 {
		id := round + 1
		f.store(id, "old")
		var writes [2]<-chan launch.Reply
		var tags [2]string
		for i, in := range all {
			got := in.Get(pathOf(id))
			if tags[i] = got.Header.Get("ETag"); !tells(got, id, "old") || tags[i] == "" {
				t.Fatalf("instance %d answers %v", i, got)
			}
		}
		if tags[0] != tags[1] {
			t.Errorf("one record has the validators %s and %s", tags[0], tags[1])
		}
		for i, in := range all {
			writes[i] = in.Begin(http.MethodPut, pathOf(id), nameOf(fmt.Sprintf("new %d", i)), "If-Record-Match: "+tags[i])
		}
		first, second := <-writes[0], <-writes[1]
		name := "new 0"
		if first.Code != http.StatusOK {
			first, second, name = second, first, "new 1"
		}
		if first.Code != http.StatusOK || second.Code != http.StatusPreconditionFailed {
			t.Errorf("round %d: the two answers are %v and %v, want 200 and 412", round, first, second)
			continue
		}
		if n := f.count("SELECT count(*) FROM users WHERE id = $1 AND name = $2", id, name); n != 1 {
			t.Errorf("round %d: the database does not have %q", round, name)
		}
		await(t, "both instances tell of the change", func() bool {
			return tells(all[0].Get(pathOf(id)), id, name) && tells(all[1].Get(pathOf(id)), id, name)
		})
	}
}

// TestACommitThatHangs lets a COMMIT hang for many lifetimes of its guard and then take
// effect. Meanwhile a reload replaces the connections to the database and Redis loses
// all keys. Once a client has read the record on the instance where it was written,
// no instance answers with an older one.
func TestACommitThatHangs(t *testing.T) {
	t.Parallel()
	redis, pg := testkit.Redis(t), testkit.Postgres(t)
	const config = `
[server]
drain = "0s"
[database]
demo = true
timeout = "400ms"
max_conns = 8
[load]
lease = "500ms"
wait = "300ms"
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT name FROM users WHERE id = {user_id}"
upsert = "UPDATE users SET name = {body.name} WHERE id = {user_id}"
`
	env := []string{"HEARTH_REDIS_URL=" + redis.URL(), "HEARTH_DATABASE_URL=" + pg.URL()}
	here, there := launch.Start(t, config, env...), launch.Start(t, config, env...)
	here.AwaitReady()
	there.AwaitReady()
	pg.Exec(`CREATE TABLE gate (open boolean); INSERT INTO gate VALUES (false);
		CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOOP
			BEGIN IF (SELECT open FROM gate) THEN RETURN NULL; END IF; PERFORM pg_sleep(0.01); EXCEPTION WHEN query_canceled THEN NULL; END;
		END LOOP; END $$;
		CREATE CONSTRAINT TRIGGER hanging AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang()`)
	if r := here.Ask(http.MethodPut, "/user/1", `{"name":"late"}`); r.Code != http.StatusGatewayTimeout {
		t.Fatalf("the write is answered %s, want 504", r)
	}
	guarded := func() bool { return strings.HasPrefix(redis.Text("GET", "user:1"), "guard") }
	if !guarded() {
		t.Errorf("the key holds %q, want the guard", redis.Text("GET", "user:1"))
	}
	here.Configure(strings.Replace(config, "max_conns = 8", "max_conns = 7", 1))
	here.Reload("ok")
	redis.Do("FLUSHALL")
	await(t, "the guard is set anew", guarded)
	deadlines := map[string]bool{} // a renewal gives it another
	await(t, "the guard outlives two more lifetimes", func() bool {
		if !guarded() {
			t.Fatalf("the key holds %q, want the guard", redis.Text("GET", "user:1"))
		}
		deadlines[redis.Text("GET", "user:1")] = true
		return len(deadlines) > 8
	})
	pg.Exec(`UPDATE gate SET open = true`)
	await(t, "the record is seen where it was written", func() bool {
		return strings.Contains(here.Get("/user/1").Body, "late")
	})
	for range 20 {
		if r := there.Get("/user/1"); r.Code == http.StatusOK && r.Unmarked() && !strings.Contains(r.Body, "late") {
			t.Fatalf("the other instance answers %s", r)
		}
	}
	await(t, "the write is confirmed", func() bool {
		return here.Metric("hearth_writes_unconfirmed") == 0
	})
	for _, in := range []*launch.Instance{here, there} {
		await(t, "it is in memory", func() bool { r := in.Get("/user/1"); return r.FromMemory() && strings.Contains(r.Body, "late") })
	}
	if log := here.Logs(); strings.Contains(log, "panic") {
		t.Errorf("the log: %s", log)
	}
}
