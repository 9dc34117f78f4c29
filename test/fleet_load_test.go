package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestOldLoadIsNotStored stops a loader that has read the record, changes the
// record by every way there is, and lets the loader go on: promise C5. Its
// own client gets what it has read. Nobody else ever does, neither while it
// stands nor afterwards.
func TestOldLoadIsNotStored(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	a, b := all[0], all[1]
	id := 0
	// interrupted is what all of them have in common. meanwhile either leaves a
	// record in Redis, which then must survive and is served while the loader
	// stands, or nothing; then the next reader has to load.
	interrupted := func(name string, leaves bool, then string, meanwhile func(f *fleet, id int)) {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			id++
			f.store(id, "old")
			release := f.hold(havingRead, id)
			first := a.Begin(http.MethodGet, pathOf(id), "")
			f.awaitHeld(id, 1)
			meanwhile(f, id)
			stands := ""
			if leaves {
				stands = recordOf(id, then)
				mustTell(t, "while the loader stands", all, id, then)
			}
			release()
			if got := <-first; !loaded(got, id, "old") || strings.Contains(got.Tiers, "stored") {
				t.Errorf("the loader's own client is answered %v, want the old record, loaded and not stored", got)
			}
			if got := f.inRedis(id); got != stands {
				t.Errorf("Redis holds %q, want %q", got, stands)
			}
			mustTell(t, "afterwards", all, id, then)
		})
	}
	interrupted("DEL", false, "new", func(f *fleet, id int) {
		f.store(id, "new")
		f.redis.Do("DEL", keyOf(id))
	})
	interrupted("invalidate", false, "new", func(f *fleet, id int) {
		f.store(id, "new")
		if got := b.AskAdmin(http.MethodPost, "/api/invalidate", fmt.Sprintf(`{"keys":[%q]}`, keyOf(id))); got.Code != http.StatusOK {
			f.t.Fatalf("POST /api/invalidate is answered %v", got)
		}
	})
	interrupted("SET", true, "set", func(f *fleet, id int) {
		f.redis.Do("SET", keyOf(id), recordOf(id, "set"))
	})
	interrupted("PUT", true, "put", func(f *fleet, id int) {
		mustPut(f.t, b, id, "put")
	})
	interrupted("PUT there and here", true, "here", func(f *fleet, id int) {
		mustPut(f.t, b, id, "there")
		mustPut(f.t, a, id, "here")
	})
}

// TestOldFillArrivesLate holds not the load but its fill, on its way to Redis,
// until somebody else has loaded the record anew.
func TestOldFillArrivesLate(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	w := f.newWay()
	slow, other := f.startBehind(w), f.start(1)[0]
	f.store(1, "old")
	release := f.hold(havingRead, 1)
	first := slow.Begin(http.MethodGet, pathOf(1), "")
	f.awaitHeld(1, 1)
	open := w.shut(t)
	release()
	if got := <-first; !loaded(got, 1, "old") || strings.Contains(got.Tiers, "stored") {
		t.Errorf("the loader's own client is answered %v, want the old record, loaded and not stored", got)
	}
	f.store(1, "new")
	f.redis.Do("DEL", keyOf(1))
	mustTell(t, "while the fill is on its way", []*launch.Instance{other}, 1, "new")
	before := f.scripts()
	open()
	await(t, "the fill has arrived", func() bool { return f.scripts() > before })
	if got, want := f.inRedis(1), recordOf(1, "new"); got != want {
		t.Errorf("Redis holds %q, want %q", got, want)
	}
	await(t, "the loader has found its way again", func() bool { return slow.Get(pathOf(1)).FromMemory() })
	mustTell(t, "afterwards", []*launch.Instance{slow, other}, 1, "new")
}

// scripts is how many scripts Redis has been asked to run.
func (f *fleet) scripts() (n int) {
	f.t.Helper()
	for line := range strings.Lines(f.redis.Text("INFO", "commandstats")) {
		calls := 0
		if _, text, ok := strings.Cut(line, "cmdstat_eval"); ok {
			_, text, _ = strings.Cut(text, "calls=")
			if _, err := fmt.Sscanf(text, "%d,", &calls); err != nil {
				f.t.Fatalf("reading %q: %v", line, err)
			}
		}
		n += calls
	}
	return n
}

// TestReadersAfterADeletionLoadAgain sends readers after the DEL and before the old
// load ends: they must wait for a load that began after the DEL, and not join the one
// that is under way.
func TestReadersAfterADeletionLoadAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	f.store(1, "old")
	release := f.hold(havingRead, 1)
	first := all[0].Begin(http.MethodGet, pathOf(1), "")
	f.awaitHeld(1, 1)
	f.store(1, "new")
	f.redis.Do("DEL", keyOf(1))
	var late []<-chan launch.Reply
	for range 3 {
		for _, in := range all {
			late = append(late, in.Begin(http.MethodGet, pathOf(1), ""))
		}
	}
	f.awaitHeld(1, 2) // one of them loads, the others wait for it
	release()
	if got := <-first; !loaded(got, 1, "old") {
		t.Errorf("the first loader's own client is answered %v", got)
	}
	for _, said := range late {
		if got := <-said; !tells(got, 1, "new") {
			t.Errorf("a reader who came after the DEL is answered %v", got)
		}
	}
	if got, want := f.inRedis(1), recordOf(1, "new"); got != want {
		t.Errorf("Redis holds %q, want %q", got, want)
	}
	mustTell(t, "afterwards", all, 1, "new")
	if got := f.loads(); got != 2 {
		t.Errorf("%d loads reached the database, want 2", got)
	}
}

// TestOldAbsenceIsNotStored stops a loader that has found no record, and one
// whose record is deleted meanwhile.
func TestOldAbsenceIsNotStored(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	a, b := all[0], all[1]

	release := f.hold(havingRead, 1)
	first := a.Begin(http.MethodGet, pathOf(1), "")
	f.awaitHeld(1, 1)
	mustPut(t, b, 1, "born")
	mustTell(t, "while the loader stands", all, 1, "born")
	release()
	if got := <-first; !missing(got) {
		t.Errorf("the loader's own client is answered %v, want 404", got)
	}
	mustTell(t, "afterwards", all, 1, "born")
	if got, want := f.inRedis(1), recordOf(1, "born"); got != want {
		t.Errorf("Redis holds %q, want %q", got, want)
	}

	f.store(2, "old")
	release = f.hold(havingRead, 2)
	first = a.Begin(http.MethodGet, pathOf(2), "")
	f.awaitHeld(2, 1)
	if got := b.Ask(http.MethodDelete, pathOf(2), ""); got.Code != http.StatusNoContent {
		t.Fatalf("DELETE is answered %v", got)
	}
	release()
	if got := <-first; !loaded(got, 2, "old") {
		t.Errorf("the loader's own client is answered %v, want the old record", got)
	}
	if got := f.inRedis(2); got != "" {
		t.Errorf("Redis holds %q, want nothing", got)
	}
	for i, in := range all {
		if got := in.Get(pathOf(2)); !missing(got) {
			t.Errorf("after the DELETE instance %d answers %v, want 404", i, got)
		}
	}
}

// TestManyReadKeepsNothingOld stops a many-read that has read one of its
// records, which is then changed. The other records are as good as ever.
func TestManyReadKeepsNothingOld(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	for id := 1; id <= 3; id++ {
		f.store(id, "old")
	}
	release := f.hold(havingRead, 2)
	first := all[0].Begin(http.MethodGet, "/user?id=1&id=2&id=3&id=4", "")
	f.awaitHeld(2, 1)
	f.store(2, "new")
	f.redis.Do("DEL", keyOf(2))
	release()
	got := <-first
	want := `[{"user":` + recordOf(1, "old") + `,"source":"db"},{"user":` + recordOf(2, "old") + `,"source":"db"},` +
		`{"user":` + recordOf(3, "old") + `,"source":"db"},{"user":null,"source":"db"}]`
	if got.Code != http.StatusOK || got.Body != want {
		t.Errorf("the many-read is answered %v, want %s", got, want)
	}
	for id, want := range map[int]string{1: recordOf(1, "old"), 2: "", 3: recordOf(3, "old"), 4: "null"} {
		if got := f.inRedis(id); got != want {
			t.Errorf("Redis holds %q for record %d, want %q", got, id, want)
		}
	}
	mustTell(t, "afterwards", all, 2, "new")
	for i, in := range all {
		want := `{"user":` + recordOf(2, "new") + `,"source":"cache"}`
		if got := in.Get("/user?id=1&id=2"); got.Code != http.StatusOK || !strings.Contains(got.Body, want) {
			t.Errorf("the many-read on instance %d is answered %v, want it to have %s", i, got, want)
		}
	}
}

// TestKilledLoader kills the instance that holds a lease while it loads. The
// others answer when the lease has expired, and one of them loads.
func TestKilledLoader(t *testing.T) {
	t.Parallel()
	f := newFleet(t, brisk, testkit.Postgres(t))
	all := f.start(3)
	f.store(1, "here")
	release := f.hold(havingRead, 1)
	own := all[0].Begin(http.MethodGet, pathOf(1), "")
	f.awaitHeld(1, 1)
	var waiting []<-chan launch.Reply
	for range 3 {
		for _, in := range all[1:] {
			waiting = append(waiting, in.Begin(http.MethodGet, pathOf(1), ""))
		}
	}
	all[0].Kill()
	if left := f.redis.Int("PTTL", keyOf(1)); left <= 0 || left > brisk.lease.Milliseconds() {
		t.Errorf("the dead loader's lease lives for %d ms, want it to end within load.lease", left)
	}
	release() // for the next loader
	for _, said := range waiting {
		if got := <-said; !tells(got, 1, "here") {
			t.Errorf("a reader elsewhere is answered %v, want the record", got)
		}
	}
	if got := f.loads(); got != 2 {
		t.Errorf("%d loads reached the database, want the dead one and one more", got)
	}
	if got := <-own; got.Err == nil {
		t.Errorf("the dead instance answered %v", got)
	}
	mustTell(t, "afterwards", all[1:], 1, "here")
}

// TestHangingLoader lets every load of a record hang. Readers of it are
// refused in time, on the loader's instance and elsewhere; the fleet does not
// send query after query; and all is well when the database lets go.
func TestHangingLoader(t *testing.T) {
	t.Parallel()
	f := newFleet(t, timing{timeout: time.Second, lease: 1200 * time.Millisecond, wait: time.Second}, testkit.Postgres(t))
	all := f.start(2)
	f.store(1, "here")
	release := f.hold(havingRead, 1)
	asked := []<-chan launch.Reply{all[0].Begin(http.MethodGet, pathOf(1), "")}
	f.awaitHeld(1, 1)
	for range 10 {
		for _, in := range all {
			asked = append(asked, in.Begin(http.MethodGet, pathOf(1), ""))
		}
	}
	most, codes := 0, map[int]int{}
	for _, said := range asked {
		await(t, "the request is answered", func() bool {
			most = max(most, f.held(havingRead, 1))
			select {
			case got := <-said:
				if codes[got.Code]++; got.Code != http.StatusGatewayTimeout && got.Code != http.StatusServiceUnavailable {
					t.Errorf("answered %v, want 504 or 503", got)
				}
				return true
			default:
				return false
			}
		})
	}
	t.Logf("%d requests, by code %v; %d loads, %d of them at a time", len(asked), codes, f.loads(), most)
	if most > 1 {
		t.Errorf("%d loads of one record stood in the database at a time, want 1", most)
	}
	if got := f.loads(); got > len(asked)/2 {
		t.Errorf("%d loads for %d requests, want them to wait for each other's", got, len(asked))
	}
	release()
	for _, in := range all {
		await(t, "the record is served again", func() bool {
			got := in.Get(pathOf(1))
			return tells(got, 1, "here") && got.Unmarked()
		})
	}
	if got, want := f.inRedis(1), recordOf(1, "here"); got != want {
		t.Errorf("Redis holds %q, want %q", got, want)
	}
}

// TestValueTooLargeForMemory serves a record of more than one percent of
// memory.budget. It is loaded once and read from Redis each time, and packed for
// nobody.
func TestValueTooLargeForMemory(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t), "HEARTH_MEMORY_BUDGET=1MiB")
	all := f.start(2)
	served := func(name string) {
		t.Helper()
		for n := range 4 {
			for i, in := range all {
				got := in.Get(pathOf(1))
				if !tells(got, 1, name) {
					t.Fatalf("read %d on instance %d is answered %.100v…, want %.20s…", n, i, got, name)
				}
				if strings.HasPrefix(got.Tiers, "Hearth-Memory; hit") {
					t.Errorf("read %d on instance %d is a hit of memory (%s): it is not to be kept there", n, i, got.Tiers)
				}
				if body := getPacking(t, in, pathOf(1)); body != strings.Replace(got.Body, `"source":"db"`, `"source":"cache"`, 1) {
					t.Errorf("read %d on instance %d, asked for with gzip, is answered %.100s…", n, i, body)
				}
			}
		}
		if got := f.inRedis(1); got != recordOf(1, name) {
			t.Errorf("Redis holds %.100q…, want the record", got)
		}
	}
	large := strings.Repeat("large ", 5000)
	f.store(1, large)
	served(large)
	if got := f.loads(); got != 1 {
		t.Errorf("%d loads reached the database, want 1", got)
	}
	larger := strings.Repeat("larger ", 5000)
	mustPut(t, all[1], 1, larger)
	served(larger)
}

// getPacking asks for gzip, which a record that is not kept has not.
func getPacking(t *testing.T, in *launch.Instance, path string) string {
	t.Helper()
	got := in.Ask(http.MethodGet, path, "", "Accept-Encoding: gzip")
	if encoding := got.Header.Get("Content-Encoding"); got.Err != nil || encoding != "" {
		t.Fatalf("answered %v with Content-Encoding %q: it was packed for this answer alone", got, encoding)
	}
	return got.Body
}
