package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// Other programs use the keys of Hearth with plain commands of Redis. These
// tests are such a program: what docs/consistency.md tells it about the keys
// must be so, and what it does to them must be understood by every instance.

// livesAtMost checks that a key expires, and not after d.
func (f *fleet) livesAtMost(id int, d time.Duration) {
	f.t.Helper()
	if left := f.redis.Int("PTTL", keyOf(id)); left <= 0 || left > d.Milliseconds() {
		f.t.Errorf("%s lives for %d ms, want it to expire within %v", keyOf(id), left, d)
	}
}

// jittered is the longest that a copy lives.
func jittered(d time.Duration) time.Duration { return d + d/10 }

// TestForeignReader looks at keys at every step of their lives.
func TestForeignReader(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	in := f.start(1)[0]
	f.store(1, "here")

	release := f.hold(havingRead, 1)
	own := in.Begin(http.MethodGet, pathOf(1), "")
	f.awaitHeld(1, 1)
	if got := f.inRedis(1); !leaseText.MatchString(got) {
		t.Errorf("during a load the key holds %q", got)
	}
	f.livesAtMost(1, patient.lease)
	release()
	<-own

	if got, want := f.inRedis(1), recordOf(1, "here"); got != want {
		t.Errorf("after a load the key holds %q, want %q", got, want)
	}
	f.livesAtMost(1, jittered(time.Hour))

	unlock := f.lockRow(1)
	own = in.Begin(http.MethodPut, pathOf(1), nameOf("new"))
	f.awaitWriters(1)
	guard := f.inRedis(1)
	if !guardText.MatchString(guard) {
		t.Errorf("during a write the key holds %q", guard)
	}
	f.livesAtMost(1, patient.lease)
	_, deadline, _ := strings.Cut(guard, "@")
	if got := f.redis.Int("PEXPIRETIME", keyOf(1)); strconv.FormatInt(got, 10) != deadline {
		t.Errorf("the guard %q expires at %d, want what it says", guard, got)
	}
	unlock()
	<-own

	if got, want := f.inRedis(1), recordOf(1, "new"); got != want {
		t.Errorf("after a write the key holds %q, want %q", got, want)
	}
	f.livesAtMost(1, jittered(time.Hour))

	if got := in.Get(pathOf(2)); !missing(got) {
		t.Errorf("a record that nobody has is answered %v", got)
	}
	if got := f.inRedis(2); got != "null" {
		t.Errorf("the key of a missing record holds %q, want null", got)
	}
	f.livesAtMost(2, jittered(30*time.Second))

	if got := in.Ask(http.MethodDelete, pathOf(1), ""); got.Code != http.StatusNoContent {
		t.Fatalf("DELETE is answered %v", got)
	}
	if got := f.inRedis(1); got != "" {
		t.Errorf("after a DELETE the key holds %q, want nothing", got)
	}
}

// TestForeignWriter writes keys that every instance has in memory.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	id := 0
	// written does something to the key of the record "old", which the database
	// has under the name "new" meanwhile, and waits until every instance serves
	// then, which nothing but the push can bring about; from then on for good.
	written := func(name, then string, command func(f *fleet, key string)) {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			id++
			f.store(id, "old")
			bringIntoMemory(t, all, id)
			f.store(id, "new")
			command(f, keyOf(id))
			for i, in := range all {
				await(t, "the instance is told", func() bool {
					got := in.Get(pathOf(id))
					if !tells(got, id, then) && !tells(got, id, "old") {
						t.Errorf("instance %d answers %v, want the name old or %s", i, got, then)
					}
					return tells(got, id, then)
				})
			}
			mustTell(t, "afterwards", all, id, then)
			if got, want := f.inRedis(id), recordOf(id, then); got != want {
				t.Errorf("Redis holds %q, want %q", got, want)
			}
		})
	}
	written("SET of JSON is served", "foreign", func(f *fleet, key string) {
		f.redis.Do("SET", key, recordOf(id, "foreign"))
	})
	// With less time to live it would soon be loaded anew, as every hot record.
	written("SET of JSON with an expiry is served", "foreign", func(f *fleet, key string) {
		f.redis.Do("SET", key, recordOf(id, "foreign"), "EX", "3600")
	})
	written("SET of what is no JSON is replaced", "new", func(f *fleet, key string) {
		f.redis.Do("SET", key, `{'name': 'python'}`)
	})
	written("SET of nothing is replaced", "new", func(f *fleet, key string) {
		f.redis.Do("SET", key, "")
	})
	written("a list is replaced", "new", func(f *fleet, key string) {
		f.redis.Do("DEL", key)
		f.redis.Do("LPUSH", key, "a", "b")
	})
	written("DEL leads to a load", "new", func(f *fleet, key string) {
		f.redis.Do("DEL", key)
	})
	written("RENAME leads to a load", "new", func(f *fleet, key string) {
		f.redis.Do("RENAME", key, "elsewhere")
	})
	written("an expiry leads to a load", "new", func(f *fleet, key string) {
		f.redis.Do("PEXPIRE", key, "1")
	})

	f.store(100, "here")
	bringIntoMemory(t, all, 100)
	f.redis.Do("SET", keyOf(100), "null")
	for i, in := range all {
		await(t, "the instance is told", func() bool { return missing(in.Get(pathOf(100))) })
		if got := in.Get(pathOf(100)); !missing(got) {
			t.Errorf("after a SET of null instance %d answers %v, want 404", i, got)
		}
	}
}

// TestPersistedPlaceholders takes the expiry away from a lease and a guard
// whose owner then dies. Only a reader that has waited for load.wait removes them;
// and no reader is refused meanwhile.
func TestPersistedPlaceholders(t *testing.T) {
	t.Parallel()
	limits := brisk
	limits.wait = 600 * time.Millisecond
	f := newFleet(t, limits, testkit.Postgres(t))
	all := f.start(2)
	victim, survivor := all[0], all[1]
	const loaded, written = 1, 2
	f.store(loaded, "here")
	f.store(written, "here")
	release := f.hold(havingRead, loaded)
	unlock := f.lockRow(written)
	victim.Begin(http.MethodGet, pathOf(loaded), "")
	victim.Begin(http.MethodPut, pathOf(written), nameOf("never"))
	f.awaitHeld(loaded, 1)
	f.awaitWriters(1)
	for _, id := range []int{loaded, written} {
		f.redis.Do("PERSIST", keyOf(id))
	}
	victim.Kill()
	release()
	unlock()
	for id, text := range map[int]interface{ MatchString(string) bool }{loaded: leaseText, written: guardText} {
		if got := f.inRedis(id); !text.MatchString(got) || f.redis.Int("PTTL", keyOf(id)) != -1 {
			t.Fatalf("Redis holds %q, want a placeholder without expiry", got)
		}
		await(t, "Redis has the record again", func() bool {
			if got := survivor.Get(pathOf(id)); !tells(got, id, "here") {
				t.Errorf("answered %v, want the record", got)
			}
			return f.inRedis(id) == recordOf(id, "here")
		})
		f.livesAtMost(id, jittered(time.Hour))
	}
}

// TestForeignPlaceholders meets placeholders that no instance has put there,
// as after a restore from a dump: with an expiry they are waited for, and
// what stands there when it is over is served.
func TestForeignPlaceholders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	all := f.start(2)
	for id, text := range map[int]string{
		1: "lease:0123456789abcdef01234567",
		2: "guard:0123456789abcdef01234567@1",
		3: "guard+:0123456789abcdef01234567@1,89abcdef0123456789abcdef@1",
	} {
		f.store(id, "here")
		f.redis.Do("SET", keyOf(id), text, "PX", "200")
		for i, in := range all {
			if got := in.Get(pathOf(id)); !tells(got, id, "here") {
				t.Errorf("instance %d answers %v for a key that holds %q", i, got, text)
			}
		}
		await(t, fmt.Sprintf("%q is gone", text), func() bool {
			mustTell(t, "meanwhile", all, id, "here")
			return f.inRedis(id) == recordOf(id, "here")
		})
	}
}
