package outbox_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// as is the URL of a database for another role, with parameters.
func as(tb testing.TB, address, role string, parameters ...string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	u.User = url.User(role)
	u.RawQuery = strings.Join(append([]string{u.RawQuery}, parameters...), "&")
	return u.String()
}

// roles creates roles of a test's own, with a prefix that is nobody else's, and drops them.
func roles(tb testing.TB, db *testkit.Database, names ...string) (full []any) {
	tb.Helper()
	prefix := db.Text(`SELECT current_database()`) + "_"
	for _, n := range names {
		role := prefix + n
		db.Exec(`CREATE ROLE "` + role + `" LOGIN`)
		tb.Cleanup(func() { db.Exec(fmt.Sprintf(`DROP OWNED BY "%[1]s" CASCADE; DROP ROLE "%[1]s"`, role)) })
		full = append(full, role)
	}
	return full
}

// TestPostgresRoles: who installs owns no table, who drains has not installed, and who
// writes has no right on the outbox.
func TestPostgresRoles(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	who := roles(t, db, "owner", "Install er", "drain", "app")
	db.Exec(fmt.Sprintf(`CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TABLE own (id int);
		ALTER TABLE users OWNER TO "%[1]s"; ALTER TABLE own OWNER TO "%[2]s"; GRANT TRIGGER ON users TO "%[2]s"; GRANT ALL ON users, own TO "%[4]s";
		GRANT SELECT ON users TO "%[3]s"; DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %%I TO %%I', current_database(), '%[2]s'); END $$`, who...))
	installer := open(t, as(t, db.URL(), who[1].(string)))
	drainer := open(t, as(t, db.URL(), who[2].(string)))
	users, own := userSet("id"), outbox.Set{Table: "own", Captured: []string{"id"}, Meanings: userSet("id").Meanings}

	checkFaults(t, drainer, users, "nothing", "!no triggers of the feed are installed")
	// The one who drains prints the script, and the other one runs it.
	script, err := drainer.Plan(t.Context(), []outbox.Set{users, own}, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"belongs to another role", "if it fails, that write fails", "not as a superuser"} {
		if !slices.ContainsFunc(script.Notes, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("no note says %q: %q", want, script.Notes)
		}
	}
	if err := drainer.Apply(t.Context(), script); err == nil || !drainer.Denied(err) {
		t.Fatalf("without rights: got %v", err)
	}
	for range 2 { // again, by the owner of what is there
		if err := installer.Apply(t.Context(), script); err != nil {
			t.Fatal(err)
		}
	}
	app := session(t, as(t, db.URL(), who[3].(string)))
	app(`INSERT INTO users VALUES (1); UPDATE users SET id = 2; DELETE FROM users; INSERT INTO own VALUES (3)`)
	if got, want := drain(t, drainer), []string{`{"id":1}`, `{"id":1} {"id":2}`, `{"id":2}`, `{"id":3}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	const notAlways = "does not fire for what replication writes; run as the owner of the table: ALTER TABLE public.users ENABLE ALWAYS TRIGGER"
	checkFaults(t, drainer, own, "the installation")
	checkFaults(t, drainer, users, "the installation", notAlways, notAlways, notAlways, notAlways)
	drainAll(t, drainer)

	// Another owner of a table changes nothing, a right that is taken away does.
	db.Exec(fmt.Sprintf(`ALTER TABLE own OWNER TO "%[1]s"; REVOKE ALL ON own FROM "%[2]s"`, who...))
	app(`INSERT INTO own VALUES (4)`)
	if got := drain(t, drainer); !slices.Equal(got, []string{`{"id":4}`}) {
		t.Errorf("of another owner's table: got %q", got)
	}
	db.Exec(fmt.Sprintf(`REVOKE DELETE ON hearth.feed FROM "%[3]s"`, who...))
	checkFaults(t, drainer, own, "a right taken away", "!the role that drains the outbox lacks SELECT, INSERT and DELETE on hearth.feed")
	db.Exec(fmt.Sprintf(`ALTER FUNCTION hearth.hearth_%d() OWNER TO "%s"`, outbox.IDOf("public.own", nil), who[2]))
	checkFaults(t, installer, own, "another owner of the function") // who may insert
	db.Exec(fmt.Sprintf(`ALTER FUNCTION hearth.hearth_%d() OWNER TO "%s"`, outbox.IDOf("public.own", nil), who[3]))
	checkFaults(t, installer, own, "a powerless owner of the function", "!so that writes to table public.own fail; grant it")
	db.Exec(fmt.Sprintf(`REVOKE USAGE ON SCHEMA hearth FROM "%[3]s"`, who...))
	checkFaults(t, drainer, own, "the schema closed", "!the account that drains the outbox may not read it: ")

	// Removing it needs no right on the tables.
	db.Exec(fmt.Sprintf(`ALTER FUNCTION hearth.hearth_%d() OWNER TO "%s"`, outbox.IDOf("public.own", nil), who[1]))
	removal, err := installer.Removal(t.Context())
	if err == nil {
		err = installer.Apply(t.Context(), removal)
	}
	if err != nil {
		t.Fatal(err)
	}
	app(`INSERT INTO own VALUES (5); TRUNCATE users`)
	if got := db.Text(`SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) || ' ' || (to_regnamespace('hearth') IS NULL)`); got != "0 true" {
		t.Errorf("triggers are left, or the schema: %s", got)
	}
	if err := installer.Apply(t.Context(), removal); err != nil {
		t.Errorf("removing again: %v", err)
	}
}

// drainAll has each statement of the drain run once.
func drainAll(tb testing.TB, o *outbox.Outbox) {
	tb.Helper()
	ctx := tb.Context()
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"canary", func() error { return o.Canary(ctx) }},
		{"flush", func() error { return o.Flush(ctx, []string{"user", "o'rder"}) }},
		{"size", func() error {
			s, err := o.Size(ctx)
			if err == nil && (s.Rows != 2 || s.Oldest <= 0) {
				err = fmt.Errorf("got %+v, want two rows", s)
			}
			return err
		}},
		{"read", func() error {
			rows, err := o.Read(ctx, 0, 10)
			if err == nil && (len(rows) != 2 || rows[0].Set != outbox.Canary || rows[0].Data != nil || rows[1].Set != outbox.Flush ||
				string(rows[1].Data) != `["user","o'rder"]`) {
				err = fmt.Errorf("got %+v", rows)
			}
			if err != nil {
				return err
			}
			if some, err := o.Read(ctx, rows[0].ID, 10); err != nil || len(some) != 1 || some[0].ID != rows[1].ID {
				return fmt.Errorf("behind the first: got %+v, %w", some, err)
			}
			if some, err := o.Read(ctx, 0, 1); err != nil || len(some) != 1 || some[0].ID != rows[0].ID {
				return fmt.Errorf("the first alone: got %+v, %w", some, err)
			}
			if err := o.Keep(ctx, []int64{rows[0].ID}); err != nil {
				return err
			}
			if kept, err := o.Kept(ctx, 0, 10); err != nil || len(kept) != 1 || kept[0].ID != rows[0].ID {
				return fmt.Errorf("kept: got %+v, %w", kept, err)
			}
			return o.Done(ctx, []int64{rows[0].ID, rows[1].ID})
		}},
		{"expire", func() error { return o.Expire(ctx, 0) }},
		{"empty", func() error {
			kept, err := o.Kept(ctx, 0, 10)
			s, err2 := o.Size(ctx)
			if err != nil || err2 != nil || len(kept) != 0 || s.Rows != 0 || s.Oldest != 0 {
				return fmt.Errorf("got %+v and %+v, %w, %w", kept, s, err, err2)
			}
			return nil
		}},
		{"beat", func() error {
			p, err := o.Beat(ctx, outbox.Beat{Fleet: "f", Instance: "i", Patience: 1e9})
			if err == nil && (!p.Held || p.Server == "" || p.Number == 0) {
				err = fmt.Errorf("got %+v", p)
			}
			return err
		}},
	} {
		if err := step.run(); err != nil {
			tb.Fatalf("%s: %v", step.name, err)
		}
	}
}

// TestPostgresThroughPgBouncer runs all of it where sessions are handed on, and in each way
// in which statements can be executed.
func TestPostgresThroughPgBouncer(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text)`)
	pooler := testkit.PgBouncer(t, db, "transaction", "default_pool_size = 2")
	for _, direct := range []string{db.URL(), pooler.URL()} {
		for _, mode := range []string{"", "cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			address := direct
			if mode != "" {
				if mode == "cache_statement" && direct == pooler.URL() {
					continue // which needs a pooler that knows of prepared statements
				}
				address = as(t, direct, "postgres", "default_query_exec_mode="+mode)
			}
			o := open(t, address)
			install(t, o, outbox.Options{}, userSet("id"))
			for range 2 {
				drainAll(t, o)
			}
			checkFaults(t, o, userSet("id"), mode)
			check(t, db, o, `INSERT INTO users VALUES (1); DELETE FROM users`, `{"id":1}`, `{"id":1}`)
			o.Close()
		}
	}
}

// TestPostgresBeat: one fleet at a time drains an outbox.
func TestPostgresBeat(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	install(t, o, outbox.Options{})
	beat := func(fleet string, patience time.Duration) outbox.Pulse {
		t.Helper()
		p, err := o.Beat(t.Context(), outbox.Beat{Fleet: fleet, Instance: "of " + fleet, Patience: patience})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := beat("a", time.Hour), beat("a", time.Hour)
	if !first.Held || first.Number != 1 || first.Before != "" || second.Number != 2 || second.Before != first.Server || !strings.HasSuffix(first.Server, "/00000001") {
		t.Errorf("got %+v and %+v", first, second)
	}
	if p := beat("b", time.Hour); p.Held || p.Fleet != "a" {
		t.Errorf("another fleet: got %+v", p)
	}
	d, err := o.Drainer(t.Context())
	if err != nil || d.Fleet != "a" || d.Instance != "of a" || d.Number != 2 {
		t.Errorf("Drainer: got %+v, %v", d, err)
	}
	if p := beat("b", 0); !p.Held || p.Fleet != "b" || p.Number != 3 {
		t.Errorf("another fleet after a while: got %+v", p)
	}
}
