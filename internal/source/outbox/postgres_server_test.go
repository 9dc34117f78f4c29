package outbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestPostgresReferences: foreign keys change rows by themselves.
func TestPostgresReferences(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE);
		CREATE TABLE notes (id int PRIMARY KEY, user_id int DEFAULT 0 REFERENCES users ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED);
		INSERT INTO users VALUES (0), (1), (2), (3); INSERT INTO orders VALUES (11, 1), (12, 1), (21, 2); INSERT INTO notes VALUES (111, 1), (121, 2)`)
	set := func(table string) outbox.Set { return outbox.Set{Table: table, Captured: []string{"user_id"}} }
	install(t, o, outbox.Options{}, set("orders"), set("notes"))
	changes := func(sql string, want ...string) {
		t.Helper()
		db.Exec(sql)
		got := drain(t, o)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
	changes(`DELETE FROM users WHERE id = 1`, `{"user_id":1}`, `{"user_id":1} {"user_id":null}`)
	changes(`UPDATE users SET id = 5 WHERE id = 2`, `{"user_id":0} {"user_id":2}`, `{"user_id":2} {"user_id":5}`)
	changes(`DELETE FROM users WHERE id = 3`)
	changes(`TRUNCATE users CASCADE`, "all", "all")
}

// TestPostgresWriter: the token of Hearth's own writes goes with what they change, and no
// further.
func TestPostgresWriter(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE p0 PARTITION OF parts DEFAULT`)
	install(t, o, outbox.Options{}, userSet("id"), outbox.Set{Table: "parts", Captured: []string{"id"}})
	db.Exec(`INSERT INTO users VALUES (0); BEGIN; SELECT set_config('hearth.writer', 'token', true); INSERT INTO users VALUES (1); INSERT INTO users VALUES (2), (3);
		UPDATE users SET id = id; INSERT INTO parts VALUES (1); TRUNCATE users; COMMIT; INSERT INTO users VALUES (4)`)
	rows, err := o.Read(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Writer)
	}
	if want := []string{"", "token", "token", "token", "token", "token", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPostgresOrder: a row of a transaction that commits late stands behind others that are
// gone already, and a look from the beginning finds it.
func TestPostgresOrder(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY)`)
	install(t, o, outbox.Options{}, userSet("id"))
	late := session(t, db.URL())
	late(`BEGIN`)
	late(`INSERT INTO users VALUES (1)`)
	check(t, db, o, `INSERT INTO users VALUES (2)`, `{"id":2}`)
	late(`COMMIT`)
	rows, err := o.Read(t.Context(), 1<<40, 10)
	if err != nil || len(rows) != 0 {
		t.Errorf("behind all: got %+v, %v", rows, err)
	}
	check(t, db, o, ``, `{"id":1}`)
}

// TestPostgresInstallUnderLoad: sessions that were there before, and their prepared
// statements, are told; what waits for a table that somebody holds gives up and changes
// nothing.
func TestPostgresInstallUnderLoad(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TABLE other (id int)`)
	old := session(t, db.URL()) // which prepares what it runs
	insert := func(id int) { old(`INSERT INTO users (id) VALUES ($1)`, id) }
	for i := range 7 {
		insert(i)
	}
	install(t, o, outbox.Options{}, outbox.Set{Table: "other", Captured: []string{"id"}})
	old(`BEGIN`)
	insert(7)
	script, err := o.Plan(t.Context(), []outbox.Set{userSet("id")}, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Apply(t.Context(), script); err == nil || !strings.Contains(err.Error(), "55P03") {
		t.Errorf("while the table is held: got %v, want a refusal of its lock", err)
	}
	if sets, err := o.Sets(t.Context()); err != nil || len(sets) != 1 {
		t.Errorf("of an installation that gave up %+v is left, %v", sets, err)
	}
	old(`COMMIT`)
	install(t, o, outbox.Options{}, userSet("id"))
	insert(8)
	if got := drain(t, o); !slices.Equal(got, []string{`{"id":8}`}) {
		t.Errorf("got %q", got)
	}
	// Installing again locks no table that has its triggers.
	old(`BEGIN`)
	insert(9)
	install(t, o, outbox.Options{FlushRows: 5}, userSet("id"))
	insert(10)
	old(`COMMIT`)
	if got := drain(t, o); !slices.Equal(got, []string{`{"id":9}`, `{"id":10}`}) {
		t.Errorf("while it was installed again: got %q", got)
	}
	old(`UPDATE users SET name = 'x' WHERE id < 6`)
	if got := drain(t, o); !slices.Equal(got, []string{"all"}) {
		t.Errorf("with the new number of rows: got %q", got)
	}
	// A script that was printed before another configuration was installed takes nothing
	// of that away.
	install(t, o, outbox.Options{}, userSet("id", "name"))
	if err := o.Apply(t.Context(), script); err == nil || !strings.Contains(err.Error(), "print it anew") {
		t.Errorf("an older script: got %v", err)
	}
	checkFaults(t, o, userSet("id", "name"), "an older script")
}

// TestPostgresReplication: prepared transactions, what a subscription applies, and a copy
// of the database.
func TestPostgresReplication(t *testing.T) {
	if !testkit.Long() {
		return // it takes servers of its own
	}
	t.Parallel()
	db := testkit.Postgres(t, testkit.OwnServer("max_prepared_transactions = 2", "wal_level = logical"))
	o := open(t, db.URL())
	const tables = `CREATE TABLE users (id int PRIMARY KEY, name text)`
	db.Exec(tables)
	install(t, o, outbox.Options{}, userSet("id"))
	check(t, db, o, `BEGIN; INSERT INTO users VALUES (1); PREPARE TRANSACTION 'one'`)
	check(t, db, o, `COMMIT PREPARED 'one'`, `{"id":1}`)
	check(t, db, o, `BEGIN; INSERT INTO users VALUES (2); PREPARE TRANSACTION 'two'`)
	check(t, db, o, `ROLLBACK PREPARED 'two'`)

	// The copy of a dump has triggers, and an outbox that another server has drained.
	if _, err := o.Beat(t.Context(), outbox.Beat{Fleet: "f", Patience: time.Hour}); err != nil {
		t.Fatal(err)
	}
	db.Exec(`INSERT INTO users VALUES (3); CREATE DATABASE copy; UPDATE hearth.drain SET server = 'of the original'`)
	dump := exec.Command(testkit.NeedPostgres(t, "pg_dump"), "--dbname="+db.URL())
	dump.Stderr = os.Stderr
	text, err := dump.Output()
	if err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(db.URL(), "/"+db.Text(`SELECT current_database()`), "/copy", 1)
	restore := exec.Command(testkit.NeedPostgres(t, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname="+address)
	restore.Stdin = strings.NewReader(string(text))
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("restoring: %v\n%s", err, out)
	}
	restored := open(t, address)
	checkFaults(t, restored, userSet("id"), "a dump was restored")
	there := session(t, address)
	there(`INSERT INTO users VALUES (4)`)
	if got := drain(t, restored); !slices.Equal(got, []string{`{"id":3}`, `{"id":4}`}) {
		t.Errorf("the restored copy: got %q", got)
	}
	p, err := restored.Beat(t.Context(), outbox.Beat{Fleet: "f", Patience: time.Hour})
	if err != nil || !p.Held || p.Number != 2 || p.Before != "of the original" || p.Server == p.Before {
		t.Errorf("the restored copy: a beat: got %+v, %v", p, err)
	}
	drain(t, o)

	// Of what a subscription applies, triggers for statements are told nothing.
	there(`TRUNCATE users; CREATE PUBLICATION p FOR TABLE users`)
	there(`SELECT pg_create_logical_replication_slot('s', 'pgoutput')`)
	db.Exec(fmt.Sprintf(`CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p WITH (create_slot = false, slot_name = s, copy_data = false)`, address))
	checkFaults(t, o, userSet("id"), "a subscription", "!has partitions, children or a subscription by now")
	install(t, o, outbox.Options{}, userSet("id"))
	checkFaults(t, o, userSet("id"), "installing for a subscription")
	there(`INSERT INTO users VALUES (7)`)
	there(`UPDATE users SET id = 8`)
	var got []string
	testkit.Eventually(t, 30*time.Second, "what was applied is told", func() bool {
		got = append(got, drain(t, o)...)
		return len(got) >= 2
	})
	if want := []string{`{"id":7}`, `{"id":7} {"id":8}`}; !slices.Equal(got, want) {
		t.Errorf("applied: got %q, want %q", got, want)
	}
	db.Exec(`ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s`)
}
