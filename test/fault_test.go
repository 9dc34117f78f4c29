package test

import (
	"context"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestFaultsAreNamedRightly meets, over HTTP, what only an operator can mend and
// what passes: the one is 500 and takes nothing else away, the other is tried
// again and then 503.
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
	if err != nil {
		t.Fatal(err)
	}
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
