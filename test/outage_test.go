package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestRedisEmptiedDuringALoad takes the lease away from a loader that has read
// the record, in each way in which Redis can lose everything. What it has
// read is answered and never stored, since a change that was to delete the key
// would have found nothing there.
func TestRedisEmptiedDuringALoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t, patient, testkit.Postgres(t))
	all := f.start(2)
	id := 0
	emptied := func(name string, empty func(f *fleet, release func())) {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			id++
			f.store(id, "old")
			release := f.hold(havingRead, id)
			first := all[0].Begin(http.MethodGet, pathOf(id), "")
			f.awaitHeld(id, 1)
			f.store(id, "new")
			empty(f, release)
			if got := <-first; !loaded(got, id, "old") || strings.Contains(got.Tiers, "stored") {
				t.Errorf("the loader's own client is answered %v, want the old record, loaded and not stored", got)
			}
			if got := f.inRedis(id); got != "" {
				t.Errorf("Redis holds %q, want nothing", got)
			}
			for i, in := range all {
				await(t, "memory has the record again", func() bool {
					got := in.Get(pathOf(id))
					if !tells(got, id, "new") {
						t.Errorf("instance %d answers %v, want the new record", i, got)
					}
					return got.FromMemory()
				})
			}
			if got, want := f.inRedis(id), recordOf(id, "new"); got != want {
				t.Errorf("Redis holds %q, want %q", got, want)
			}
		})
	}
	emptied("FLUSHALL", func(f *fleet, release func()) {
		f.redis.Do("FLUSHALL")
		release()
	})
	emptied("restart before the fill", func(f *fleet, release func()) {
		f.redis.Kill()
		f.redis.StartEmpty()
		release()
	})
	emptied("restart after the fill was tried", func(f *fleet, release func()) {
		f.redis.Kill()
		release()
		await(f.t, "the load has ended", func() bool { return f.held(havingRead, id) == 0 })
		f.redis.StartEmpty()
	})
}

// failure is one way in which a database serves badly, and how it ends.
type failure struct {
	name  string
	begin func(f *fleet) (end func())
	// silent: the test itself cannot ask the database meanwhile.
	silent bool
	// answers: it is no outage, so that no load may be refused unasked, and what
	// the database's own function raises is 500.
	answers bool
}

// TestDatabaseOutages asks a fleet for many records while its database is
// locked, fails now and then, is out of connections, or stopped. Each request
// is answered by its deadline; what the tiers hold is served as ever; the
// database is asked by no more loads at a time than allowed and no more often
// than there are requests; and afterwards every record is served.
func TestDatabaseOutages(t *testing.T) {
	t.Parallel()
	const atATime = 3 // load.max_concurrent
	pg := testkit.Postgres(t, testkit.OwnServer("max_connections = 40", "superuser_reserved_connections = 0"))
	f := newFleet(t, timing{timeout: time.Second, lease: 1200 * time.Millisecond, wait: time.Second}, pg,
		fmt.Sprint("HEARTH_LOAD_MAX_CONCURRENT=", atATime))
	all := f.start(2)
	for i, failure := range []failure{
		{name: "slow", begin: func(f *fleet) func() { return f.hold(beforeReading, 0) }},
		{name: "failing every third time", begin: failEveryThird, answers: true},
		{name: "refusing connections", begin: takeAllConnections},
		{name: "stopped", begin: stopDatabase, silent: true},
	} {
		t.Run(failure.name, func(t *testing.T) {
			f.in(t).endure(all, failure, 100*(i+1), atATime)
		})
	}
}

func failEveryThird(f *fleet) func() {
	f.exec("INSERT INTO failing VALUES (3)")
	return func() { f.exec("DELETE FROM failing") }
}

func stopDatabase(f *fleet) func() {
	f.pg.Stop()
	return func() {
		f.pg.Start()
		f.db.Reset() // the test's own sessions have ended, too
	}
}

// takeAllConnections ends those of the instances and takes their places.
func takeAllConnections(f *fleet) func() {
	var taken []*pgx.Conn
	ctx := context.Background()
	await(f.t, "no instance has a connection, and none is to be had", func() bool {
		f.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hearth'")
		for {
			conn, err := pgx.Connect(ctx, f.pg.URL())
			if err != nil {
				break
			}
			taken = append(taken, conn)
		}
		return f.count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hearth'") == 0
	})
	return func() {
		for _, conn := range taken {
			_ = conn.Close(ctx)
		}
	}
}

// endure goes through one failure with records from id on.
func (f *fleet) endure(all []*launch.Instance, failure failure, id, atATime int) {
	f.t.Helper()
	const wanted = 15 // records asked for on each instance
	inMemory, inRedis, own, unknown := id, id+1, id+2, id+2+len(all)
	for i := range 2 + len(all) + wanted {
		f.store(id+i, "here")
	}
	bringIntoMemory(f.t, all, inMemory)
	if got := all[0].Get(pathOf(inRedis)); !loaded(got, inRedis, "here") {
		f.t.Fatalf("loading is answered %v", got)
	}
	before := f.attempts(all)
	end := sync.OnceFunc(failure.begin(f))
	f.t.Cleanup(end)

	var asked []<-chan launch.Reply
	for i := range wanted {
		for _, in := range all {
			asked = append(asked, in.Begin(http.MethodGet, pathOf(unknown+i), ""))
		}
	}
	for i, in := range all {
		if got := in.Get(pathOf(inMemory)); !tells(got, inMemory, "here") || !got.FromMemory() {
			f.t.Errorf("instance %d answers %v for a record that its memory has", i, got)
		}
		if got := in.Get(pathOf(inRedis)); !tells(got, inRedis, "here") || !got.Unmarked() {
			f.t.Errorf("instance %d answers %v for a record that Redis has", i, got)
		}
	}
	most, codes := 0, map[int]int{}
	for i, said := range asked {
		await(f.t, "the request is answered", func() bool {
			if !failure.silent {
				most = max(most, f.loading())
			}
			select {
			case got := <-said:
				codes[got.Code]++
				if !failure.answers || got.Code != http.StatusInternalServerError || got.Header.Get("Retry-After") != "" {
					f.mayBe(got, unknown+i/len(all))
				}
				return true
			default:
				return false
			}
		})
	}
	attempts := f.attempts(all)
	for result := range attempts {
		attempts[result] -= before[result]
	}
	f.t.Logf("%d requests, answered %v; loads counted: %v, at most %d at a time", len(asked), codes, attempts, most)
	if n := attempts["ok"] + attempts["error"]; n > len(asked) { // what was refused has asked nobody
		f.t.Errorf("%d loads for %d requests", n, len(asked))
	}
	if n := attempts["missing"]; n != 0 {
		f.t.Errorf("%d loads are counted as missing, and every record exists", n)
	}
	if limit := len(all) * atATime; most > limit {
		f.t.Errorf("%d loads at a time in the database, want at most %d", most, limit)
	}
	if n := attempts["refused"]; failure.answers && n != 0 {
		f.t.Errorf("%d loads were refused, although the database answers", n)
	}
	end()
	for i, in := range all { // each finds out by itself: nobody else asks for its own record
		await(f.t, "the instance loads again", func() bool {
			got := in.Get(pathOf(own + i))
			f.mayBe(got, own+i)
			return loaded(got, own+i, "here")
		})
	}
	for i := range wanted {
		for _, in := range all {
			await(f.t, "every record is served again", func() bool {
				got := in.Get(pathOf(unknown + i))
				f.mayBe(got, unknown+i)
				return tells(got, unknown+i, "here") && got.Unmarked()
			})
		}
	}
}

// mayBe checks that an answer is the record, or an honest refusal.
func (f *fleet) mayBe(got launch.Reply, id int) {
	f.t.Helper()
	switch {
	case tells(got, id, "here"), got.Code == http.StatusGatewayTimeout:
	case got.Code == http.StatusServiceUnavailable:
		if got.Header.Get("Retry-After") == "" {
			f.t.Errorf("answered %v without Retry-After", got)
		}
	default:
		f.t.Errorf("answered %v, want the record, 503 or 504", got)
	}
}

// loading is how many loads are at work in the database.
func (f *fleet) loading() int {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'hearth' AND state = 'active' AND query LIKE '%record(%'`)
}

// attempts is how many loads the instances have counted, by result.
func (f *fleet) attempts(all []*launch.Instance) map[string]int {
	f.t.Helper()
	counts := map[string]int{}
	for _, in := range all {
		got := in.AskAdmin(http.MethodGet, "/metrics", "")
		if got.Code != http.StatusOK {
			f.t.Fatalf("the metrics are answered %v", got)
		}
		for line := range strings.Lines(got.Body) {
			if line, ok := strings.CutPrefix(line, `hearth_loads_total{resource="user",result="`); ok {
				result, count, _ := strings.Cut(line, `"} `)
				n, err := strconv.Atoi(strings.TrimSpace(count))
				if err != nil {
					f.t.Fatalf("reading the metric %q: %v", line, err)
				}
				counts[result] += n
			}
		}
	}
	return counts
}

// TestFaultsAreNamedRightly provokes, over HTTP, faults that only an operator can mend,
// and outages that end by themselves: a fault is 500 and affects nothing else, an
// outage is tried again and then 503.
func TestFaultsAreNamedRightly(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE TABLE towns (id integer PRIMARY KEY); INSERT INTO towns VALUES (1);
		CREATE TABLE people (id integer PRIMARY KEY, name text, town integer REFERENCES towns (id)); INSERT INTO people VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1);
		CREATE VIEW forbidden AS SELECT * FROM people;
		DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN; END IF; END $$;
		GRANT ALL ON people, towns TO app; REVOKE ALL ON forbidden FROM app`)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/1":
			_, _ = w.Write([]byte("<html>welcome</html>"))
		case "/2":
			w.WriteHeader(http.StatusForbidden)
		case "/3":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/4":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer origin.Close()
	config := `
[database]
url = "` + strings.Replace(pg.URL(), "postgres@", "app@", 1) + `&lock_timeout=30&statement_timeout=1000"
`
	add := func(name, keys string) {
		config += "[[resource]]\nname = \"" + name + "\"\npath = \"/" + name + "/{id:int}\"\nkey = \"" + name + ":{id}\"\nttl = { cold = \"100ms\", hot = \"100ms\" }\n" + keys + "\n"
	}
	add("person", `select = "SELECT id, name FROM people WHERE id = {id}"
upsert = "UPDATE people SET name = {body.name} WHERE id = {id}"`)
	add("town", `select = "SELECT id FROM towns WHERE id = {id}"
delete = "DELETE FROM towns WHERE id = {id}"`)
	add("forbidden", `select = "SELECT id FROM forbidden WHERE id = {id}"`)
	add("typo", `select = "SELEC id FROM people WHERE id = {id}"`)
	add("slow", `select = "SELECT pg_sleep(60)::text AS s FROM people WHERE id = {id}"
timeout = "20s"`)
	add("data", `select = "SELECT name::integer AS n FROM people WHERE id = {id}"`)
	add("far", `origin = "`+origin.URL+`/{id}"`)
	in := launch.Ready(t, config, "HEARTH_LOAD_LEASE=30s")
	f := func(method, path, body string, code int) {
		t.Helper()
		r := in.Ask(method, path, body)
		if after := r.Header.Get("Retry-After"); r.Code != code || (after != "") != (code == 503) {
			t.Errorf("%s %s: got %v, Retry-After %q, want %d", method, path, r, after, code)
		}
	}
	for range 20 { // more than the breaker takes of an outage
		f("GET", "/forbidden/1", "", 500)
		f("GET", "/typo/1", "", 500)
	}
	f("GET", "/data/1", "", 500)
	f("GET", "/slow/1", "", 504)
	f("DELETE", "/town/1", "", 409)
	f("GET", "/far/1", "", 502)
	f("GET", "/far/3", "", 503)
	f("GET", "/far/4", "", 404)
	for range 5 { // as many as there may be records that are closed
		f("GET", "/far/2", "", 500)
	}
	f("GET", "/person/1", "", 200)
	lock := holdLock(t, pg)
	for range 20 {
		f("PUT", "/person/2", `{"name":"x"}`, 503)
	}
	lock()
	f("PUT", "/person/2", `{"name":"x"}`, 200)
	await(t, "memory has a copy", func() bool { return strings.HasPrefix(in.Get("/person/3").Tiers, "Hearth-Memory; hit") })
	pg.Exec(`ALTER TABLE people RENAME TO gone`)
	f("PUT", "/person/1", `{"name":"x"}`, 500)
	f("GET", "/person/9", "", 500)
	await(t, "a copy that is not fresh is served in place of the fault", func() bool {
		r := in.Get("/person/3")
		if r.Code != 200 {
			t.Fatalf("GET /person/3, of which memory has a copy: got %v", r)
		}
		return strings.Contains(r.Tiers, "detail=stale")
	})
	ready := in.AskAdmin(http.MethodGet, "/readyz", "")
	for _, want := range []string{`"source":"ok"`, `"forbidden.select"`, `"typo.select"`, `"person.`, `"far.origin"`} {
		if ready.Code != 200 || !strings.Contains(ready.Body, want) {
			t.Errorf("/readyz: got %v, want 200 with %s", ready, want)
		}
	}
	metrics := in.AskAdmin(http.MethodGet, "/metrics", "").Body
	for _, want := range []string{`hearth_source_up 1`, `hearth_breaker_open\{source="database"\} 0`, `hearth_statement_faults\{resource="typo"\} 1`, `hearth_statement_faults\{resource="town"\} 0`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(metrics) {
			t.Errorf("/metrics has no line %s", want)
		}
	}
	pg.Exec(`ALTER TABLE gone RENAME TO people`)
	f("GET", "/person/3", "", 200)
	f("PUT", "/person/1", `{"name":"x"}`, 200)
}

// holdLock keeps a lock on the table people until it is told to let go.
func holdLock(t *testing.T, pg *testkit.Database) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE people IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
			t.Error(err)
		}
	}
}
