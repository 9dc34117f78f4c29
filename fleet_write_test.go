package main

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"hearth/internal/testkit"
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
	own := all[0].begin(http.MethodPut, pathOf(1), nameOf("never"))
	f.awaitWriters(1)
	all[0].kill()
	if got := f.inRedis(1); !guardText.MatchString(got) {
		t.Errorf("Redis holds %q, want the dead writer's guard", got)
	}
	unlock()
	if got := <-own; got.err == nil {
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
	own := victim.begin(http.MethodPut, pathOf(1), nameOf("new"))
	f.awaitWriters(1)
	w.shut(t)
	unlock()
	testkit.Eventually(t, patience, "the write is committed", func() bool {
		return f.count("SELECT count(*) FROM users WHERE name = 'new'") == 1
	})
	victim.kill()
	if got := <-own; got.err == nil {
		t.Errorf("the dead instance answered %v", got)
	}
	f.heals(all, 1, "new")
}

// heals reads a record, whose writer is dead, on each instance until Redis has
// it again. No read fails and none is answered with anything but name, and
// Redis never holds anything else.
func (f *fleet) heals(all []*instance, id int, name string) {
	f.t.Helper()
	for i, in := range all {
		testkit.Eventually(f.t, patience, "the record is in Redis and in memory again", func() bool {
			if got := f.inRedis(id); got != "" && got != recordOf(id, name) && !leaseText.MatchString(got) && !guardText.MatchString(got) {
				f.t.Errorf("Redis holds %q", got)
			}
			got := in.get(pathOf(id))
			if !got.tells(id, name) {
				f.t.Errorf("instance %d answers %v, want the name %q", i, got, name)
			}
			return got.fromMemory()
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
	writers := []*instance{f.startBehind(ways[0]), f.startBehind(ways[1])}
	all := append(f.start(1), writers...)
	overlap := func(id, first, last int) {
		t.Run(fmt.Sprintf("instance %d commits first, instance %d leaves last", first, last), func(t *testing.T) {
			f := f.in(t)
			f.store(id, "old")
			bringIntoMemory(t, all, id)
			unlock := f.lockRow(id)
			names := []string{"late", "late"}
			names[first] = "early"
			said := make([]<-chan reply, 2)
			said[first] = writers[first].begin(http.MethodPut, pathOf(id), nameOf("early"))
			f.awaitWriters(1)
			said[1-first] = writers[1-first].begin(http.MethodPut, pathOf(id), nameOf("late"))
			f.awaitWriters(2)
			if got := f.inRedis(id); !guardsText.MatchString(got) {
				t.Errorf("Redis holds %q, want the guards of both", got)
			}
			open := ways[last].shut(t)
			unlock()
			if got := <-said[1-last]; !got.loaded(id, names[1-last]) {
				t.Errorf("the writer who left first is answered %v", got)
			}
			testkit.Eventually(t, patience, "both are committed", func() bool {
				return f.count("SELECT count(*) FROM users WHERE id = $1 AND name = 'late'", id) == 1
			})
			open()
			// It may have been kept for longer than it waits for a confirmation.
			if got := <-said[last]; !got.loaded(id, names[last]) && got.code != http.StatusGatewayTimeout {
				t.Errorf("the writer who left last is answered %v", got)
			}
			for _, in := range all { // the push may still be on its way
				testkit.Eventually(t, patience, "the last commit is read", func() bool { return in.get(pathOf(id)).tells(id, "late") })
			}
			mustTell(t, "after the last commit was read", all, id, "late")
			testkit.Eventually(t, patience, "Redis holds what was committed last", func() bool { return f.inRedis(id) == recordOf(id, "late") })
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
			own := all[0].begin(http.MethodPut, pathOf(id), nameOf("new"))
			f.awaitWriters(1)
			remove(f)
			bringIntoMemory(t, all, id)
			mustTell(t, "before the commit", all, id, "old")
			unlock()
			if got := <-own; !got.loaded(id, "new") {
				t.Errorf("PUT is answered %v", got)
			}
			mustTell(t, "after the answer, on the writer's instance", all[:1], id, "new")
			testkit.Eventually(t, patience, "the push has arrived", func() bool { return all[1].get(pathOf(id)).tells(id, "new") })
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
		testkit.Eventually(t, patience, "memory knows that the record is missing", func() bool {
			got := in.get(pathOf(1))
			if !got.missing() {
				t.Errorf("answered %v, want 404", got)
			}
			return got.fromMemory()
		})
	}
	const readsAfter = 100
	var watching sync.WaitGroup
	for i, in := range all[1:] {
		watching.Go(func() {
			for seen := 0; seen < readsAfter && t.Context().Err() == nil; {
				got := in.get(pathOf(1))
				if got.tells(1, "born") {
					seen++
				} else if !got.missing() || seen > 0 {
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
