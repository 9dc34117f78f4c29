package outbox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// session is a connection that was there before a definition changed, with its plans.
func session(tb testing.TB, url string) func(sql string, args ...any) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(tb.Context()) })
	return func(sql string, args ...any) {
		tb.Helper()
		if _, err := conn.Exec(tb.Context(), sql, args...); err != nil {
			tb.Errorf("%s: %v", sql, err)
		}
	}
}

// TestPostgresDefinitions changes a watched table under sessions that write to it: no write
// fails, and each is told.
func TestPostgresDefinitions(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	for _, form := range []string{"", " PARTITION BY RANGE (part)"} {
		db.Exec(`DROP TABLE IF EXISTS users; CREATE TABLE users (id int, name text, extra text, part int DEFAULT 1 PRIMARY KEY)` + form)
		if form != "" {
			db.Exec(`CREATE TABLE p (part int NOT NULL DEFAULT 1, name text, id int, extra text); ALTER TABLE users ATTACH PARTITION p FOR VALUES FROM (0) TO (10)`)
		}
		set := outbox.Set{Table: "users", Captured: []string{"id"}, Filter: []string{"name"}, Meanings: userSet("id").Meanings}
		install(t, o, outbox.Options{Prune: true}, set)
		old := session(t, db.URL())
		write := func(what string, want ...string) {
			t.Helper()
			db.Exec("DELETE FROM users")
			drain(t, o)
			for range 7 { // more often than PostgreSQL plans for the values of one call
				old(`INSERT INTO users (part) VALUES (1)`)
				old(`UPDATE users SET extra = 'x', part = part`)
				old(`DELETE FROM users`)
			}
			all := drain(t, o)
			slices.Sort(all)
			if got := slices.Compact(all); !slices.Equal(got, want) {
				t.Errorf("%s%s: got %q, want %q", what, form, got, want)
			}
			n := 14
			if strings.Contains(what, "filter") {
				n = 21
			}
			if len(all) != n {
				t.Errorf("%s%s: %d changes are told, want %d", what, form, len(all), n)
			}
		}
		isNull, isGone, isText, isSeven := `{"id":null}`, `{"id":{"gone":true}}`, `{"id":"7"}`, `{"id":7}`
		write("at first", isNull)
		db.Exec(`ALTER TABLE users ALTER id SET DEFAULT 7`)
		if form != "" {
			db.Exec(`ALTER TABLE p ALTER id SET DEFAULT 7`)
		}
		write("with another default", isSeven)
		db.Exec(`ALTER TABLE users RENAME id TO uid`)
		db.Exec(`UPDATE users SET extra = 'y'`)
		checkFaults(t, o, set, "renaming a column", `has no column "id" any more, so each change of it flushes`)
		func() {
			db.Exec("DELETE FROM users")
			drain(t, o)
			old(`INSERT INTO users (part) VALUES (1)`)
			old(`UPDATE users SET uid = 8`)
			old(`UPDATE users SET extra = 'x'`)
			old(`DELETE FROM users`)
			if got := drain(t, o); !slices.Equal(got, []string{isGone, isGone, isGone, isGone}) {
				t.Errorf("renamed%s: got %q", form, got)
			}
		}()
		db.Exec(`ALTER TABLE users RENAME uid TO id`)
		write("back again", isSeven)
		db.Exec(`ALTER TABLE users ALTER id TYPE bigint`)
		write("with another type", isSeven)
		db.Exec(`ALTER TABLE users ALTER id DROP DEFAULT, ALTER id TYPE text, ALTER id SET DEFAULT '7'`)
		if form != "" {
			db.Exec(`ALTER TABLE p ALTER id SET DEFAULT '7'`)
		}
		write("as a text", isText)
		db.Exec(`ALTER TABLE users DROP id`)
		old(`INSERT INTO users (part) VALUES (2)`)
		if got := drain(t, o); !slices.Equal(got, []string{isGone}) {
			t.Errorf("dropped%s: got %q", form, got)
		}
		db.Exec(`ALTER TABLE users ADD id int DEFAULT 7`)
		write("added anew", isSeven)
		db.Exec(`ALTER TABLE users RENAME name TO title`)
		checkFaults(t, o, set, "renaming a column of the filter", `has no column "name" any more, so every UPDATE counts`)
		write("without the filter's column", isSeven)

		// A new configuration watches what the column is called now; what rested on the old
		// name goes with it.
		db.Exec(`ALTER TABLE users RENAME id TO uid; ALTER TABLE users RENAME title TO name; DELETE FROM users`)
		fresh := outbox.Set{Table: "users", Captured: []string{"uid"}, Filter: []string{"name"}, Meanings: userSet("uid").Meanings}
		install(t, o, outbox.Options{}, fresh)
		checkFaults(t, o, fresh, "installing for the new name")
		drain(t, o)
		old(`INSERT INTO users (part) VALUES (3)`)
		if got := drain(t, o); !slices.Equal(got, []string{`{"uid":7}`}) {
			t.Errorf("installed for the new name%s: got %q", form, got)
		}
	}
}

// TestPostgresRenamedTable: the triggers go along with a table, and it is noticed.
func TestPostgresRenamedTable(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id int)`)
	install(t, o, outbox.Options{}, userSet("id"))
	db.Exec(`ALTER TABLE users RENAME TO people`)
	check(t, db, o, `INSERT INTO people VALUES (1)`, `{"id":1}`)
	checkFaults(t, o, userSet("id"), "renaming the table", `!there is no table "users", and the triggers of the feed that were installed on it are on public.people now`)
	// Another one in its place, as tools for online changes do it.
	db.Exec(`CREATE TABLE users (id int)`)
	checkFaults(t, o, userSet("id"), "a table in its place", "!_delete on", "!_insert on", "!_truncate on", "!_update on",
		"on public.people is not one of public.users", "on public.people is not one", "on public.people is not one", "on public.people is not one")
	install(t, o, outbox.Options{}, userSet("id"))
	checkFaults(t, o, userSet("id"), "installing")
	check(t, db, o, `INSERT INTO users VALUES (2); INSERT INTO people VALUES (3)`, `{"id":2}`)
	// A set whose table is gone keeps nobody from installing.
	db.Exec(`DROP TABLE users`)
	people := outbox.Set{Table: "people", Captured: []string{"id"}}
	install(t, o, outbox.Options{}, people)
	checkFaults(t, o, people, "installing")
	if sets, err := o.Sets(t.Context()); err != nil || len(sets) != 1 || sets[0].Table != "public.people" {
		t.Errorf("Sets: got %+v, %v", sets, err)
	}
}
