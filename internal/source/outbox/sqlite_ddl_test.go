package outbox_test

import (
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/outbox"
)

// heal mends what Faults finds, as the leader does.
func (l *lite) heal(sets ...outbox.Set) []string {
	l.tb.Helper()
	faults, err := l.Faults(l.tb.Context(), sets)
	if err != nil {
		l.tb.Fatal(err)
	}
	done, err := l.Heal(l.tb.Context(), faults)
	if err != nil {
		l.tb.Fatal(err)
	}
	return done
}

func wantOne(t *testing.T, texts []string, part string) {
	t.Helper()
	if len(texts) != 1 || !strings.Contains(texts[0], part) {
		t.Errorf("got %q, want one that says %q", texts, part)
	}
}

const usersTable = `CREATE TABLE users (id INTEGER PRIMARY KEY, city TEXT, age INT, email TEXT UNIQUE)`

// TestSQLiteColumnsChange: whichever column is renamed or dropped, the application's writes
// go on, and are told.
func TestSQLiteColumnsChange(t *testing.T) {
	t.Parallel()
	s := setOf("users", []string{"city"}, "id")
	l := newLite(t, usersTable, s)
	l.check(`ALTER TABLE users ADD COLUMN more; INSERT INTO users (id, city) VALUES (1, 'x');`, `{"id":1}`)
	l.check(`ALTER TABLE users DROP COLUMN age; UPDATE users SET city = 'y';`, `{"id":1}`)
	if faults := l.faults(s); faults != nil {
		t.Errorf("something is wrong: %q", faults)
	}

	if out, err := l.try(`ALTER TABLE users DROP COLUMN city;`); err == nil || !strings.Contains(out, "hearth_") {
		t.Errorf("dropping a column that a trigger names: %v, %q", err, out)
	}
	install(t, l.Outbox, outbox.Options{Prune: true}, setOf("users", nil, "id"))
	drain(t, l.Outbox)
	l.check(`ALTER TABLE users DROP COLUMN city; UPDATE users SET more = 1;`, `{"id":1}`)

	l.check(`ALTER TABLE users RENAME COLUMN id TO number; UPDATE users SET number = 2;`, `{"id":1} {"id":2}`)
	wantOne(t, l.faults(setOf("users", nil, "id")), `has no column "id" any more`)
	if done := l.heal(setOf("users", nil, "id")); done != nil {
		t.Errorf("nothing was to be done: %q", done)
	}
	install(t, l.Outbox, outbox.Options{Prune: true}, setOf("users", nil, "number"))
	drain(t, l.Outbox)
	l.check(`UPDATE users SET number = 3;`, `{"number":2} {"number":3}`)
}

// TestSQLiteTableIsBuiltAnew, as migrations do that SQLite has no statement for. The
// triggers go with the old table.
func TestSQLiteTableIsBuiltAnew(t *testing.T) {
	t.Parallel()
	s := setOf("users", []string{"city"}, "id")
	l := newLite(t, usersTable+`; INSERT INTO users VALUES (1, 'x', 1, 'a'), (2, 'x', 1, 'b');`, s)
	l.shell(`BEGIN; CREATE TABLE new_users (id INTEGER PRIMARY KEY, city TEXT); INSERT INTO new_users SELECT id, city FROM users;
		DROP TABLE users; ALTER TABLE new_users RENAME TO users; COMMIT; UPDATE users SET city = 'unseen';`)
	wantOne(t, l.faults(s), "lost: a trigger on table")
	wantOne(t, l.heal(s), `table "users" was built anew`)
	if faults := l.faults(s); faults != nil {
		t.Errorf("something is wrong still: %q", faults)
	}
	l.check(`UPDATE users SET city = 'y' WHERE id = 1;`, "all", `{"id":1}`)

	// A unique index that comes later is looked up for what it lets REPLACE remove.
	l.shell(`CREATE UNIQUE INDEX cities ON users (city);`)
	wantOne(t, l.faults(s), "is not as it would be installed")
	wantOne(t, l.heal(s), "set up again")
	l.check(`REPLACE INTO users VALUES (3, 'y');`, "all", `{"id":1}`, `{"id":3}`)

	l.shell(`ALTER TABLE users RENAME TO people;`)
	wantOne(t, l.faults(s), `there is no table "users"`)
	l.check(`DELETE FROM people WHERE id = 3;`, `{"id":3}`)
	if done := l.heal(s); done != nil {
		t.Errorf("nothing was to be done: %q", done)
	}
	l.shell(usersTable + `;`) // the name is taken by another one
	wantOne(t, l.heal(s), `table "users" was built anew`)
	if faults := l.faults(s); faults != nil {
		t.Errorf("something is wrong still: %q", faults)
	}
	l.check(`DELETE FROM people; INSERT INTO users (id) VALUES (5);`, "all", `{"id":5}`)
}

// TestSQLiteWhatIsNotInstalled is a fault, and so is what was installed for others.
func TestSQLiteWhatIsNotInstalled(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable)
	if _, err := l.Sets(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.shell(`DROP TABLE hearth_watch; DROP TABLE hearth_drain;`)
	_, err := l.Sets(t.Context())
	if err == nil || !l.Missing(err) {
		t.Errorf("an outbox that is not installed: %v", err)
	}
	if _, err := l.Beat(t.Context(), outbox.Beat{Fleet: "a"}); err == nil || !l.Missing(err) {
		t.Errorf("a beat into an outbox that is not installed: %v", err)
	}
	wantOne(t, l.faults(setOf("users", nil, "id")), "lost: no triggers")
	install(t, l.Outbox, outbox.Options{}, setOf("users", nil, "id"))
	more := setOf("users", nil, "id", "city")
	wantOne(t, l.faults(more), "installed for another configuration")
	notes := install(t, l.Outbox, outbox.Options{}, more)
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "JSON") }) {
		t.Errorf("an operator is told %q", notes)
	}
	drain(t, l.Outbox)
	l.check(`INSERT INTO users (id, city) VALUES (1, 'x');`, `{"id":1,"city":"x"}`)
	l.shell(`DROP TRIGGER hearth_` + strings.TrimSpace(l.shell(`SELECT id FROM hearth_watch;`)) + `_u;`)
	wantOne(t, l.faults(more), "lost: a trigger")
}
