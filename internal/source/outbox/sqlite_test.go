package outbox_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// lite is a file with an outbox, and SQLite's own shell as the program that writes to it.
type lite struct {
	tb   testing.TB
	path string
	*outbox.Outbox
}

func newLite(tb testing.TB, schema string, sets ...outbox.Set) *lite {
	tb.Helper()
	l := &lite{tb: tb, path: filepath.Join(tb.TempDir(), "app's data.db")}
	l.shell(schema)
	l.Outbox = open(tb, "sqlite:"+l.path)
	install(tb, l.Outbox, outbox.Options{}, sets...)
	if told := drain(tb, l.Outbox); len(sets) > 0 && !slices.Contains(told, "all") { // nobody knows of the time before
		tb.Errorf("an installation tells %q", told)
	}
	return l
}

// try runs statements in a shell of their own.
func (l *lite) try(statements string) (string, error) {
	program, err := testkit.Find("sqlite3", []string{"sqlite3"})
	if err != nil {
		l.tb.Fatal(err)
	}
	cmd := exec.Command(program, "-batch", "-bail", "-cmd", ".timeout 10000", l.path)
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (l *lite) shell(statements string) string {
	l.tb.Helper()
	out, err := l.try(statements)
	if err != nil {
		l.tb.Fatalf("%s: %v\n%s", statements, err, out)
	}
	return out
}

// check has the shell change something, and compares what the outbox has then.
func (l *lite) check(statements string, want ...string) {
	l.tb.Helper()
	l.shell(statements)
	if got := drain(l.tb, l.Outbox); !slices.Equal(got, want) {
		l.tb.Errorf("%s:\ngot  %q\nwant %q", statements, got, want)
	}
}

// faults are the texts of what is wrong with sets; those that lose changes have a mark.
func (l *lite) faults(sets ...outbox.Set) (all []string) {
	l.tb.Helper()
	faults, err := l.Faults(l.tb.Context(), sets)
	if err != nil {
		l.tb.Fatal(err)
	}
	for _, f := range faults {
		text := f.Text
		if f.Lost {
			text = "lost: " + text
		}
		all = append(all, text)
	}
	return all
}

// setOf watches columns of a table.
func setOf(table string, filter []string, captured ...string) outbox.Set {
	s := outbox.Set{Table: table, Captured: captured, Filter: filter}
	for _, c := range captured {
		s.Meanings = append(s.Meanings, outbox.Meaning{Resource: table, Key: table + ":{id}", Params: []outbox.Param{{Name: "id", Type: "int", Column: c}}})
	}
	return s
}

// TestSQLiteChanges has each kind of statement change rows of an ordinary table.
func TestSQLiteChanges(t *testing.T) {
	t.Parallel()
	users := setOf("users", nil, "id")
	users.Table = "Users" // as somebody may write it
	l := newLite(t, `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, city TEXT); CREATE TABLE other (id)`, users)
	install(t, l.Outbox, outbox.Options{}, setOf("users", nil, "id")) // once more changes nothing
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{`INSERT INTO users VALUES (1, 'a', 'x')`, []string{`{"id":1}`}},
		{`INSERT INTO users VALUES (2, 'b', 'x'), (3, 'c', 'x')`, []string{`{"id":2}`, `{"id":3}`}},
		{`INSERT INTO users SELECT 9, 0, 0 WHERE false`, nil},
		{`UPDATE users SET name = 'd' WHERE id = 1`, []string{`{"id":1}`}},
		{`UPDATE users SET id = 7 WHERE id = 1`, []string{`{"id":1} {"id":7}`}},
		{`UPDATE users SET name = 'n' WHERE id = 99`, nil},
		{`INSERT INTO users VALUES (7, 'e', 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name`, []string{`{"id":7}`}},
		{`INSERT INTO users VALUES (7, 'e', 'y') ON CONFLICT DO NOTHING`, nil},
		{`REPLACE INTO users VALUES (7, 'f', 'y')`, []string{`{"id":7}`}},
		{`BEGIN; INSERT INTO users VALUES (20, 'g', 'y'); ROLLBACK`, nil},
		{`BEGIN; INSERT INTO users VALUES (21, 'g', 'y'); SAVEPOINT s; DELETE FROM users WHERE id = 2; ROLLBACK TO s; COMMIT`, []string{`{"id":21}`}},
		{`DELETE FROM users WHERE id = 21`, []string{`{"id":21}`}},
		{`DELETE FROM users`, []string{`{"id":2}`, `{"id":3}`, `{"id":7}`}},
		{`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) INSERT INTO users (id) SELECT i FROM n`, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}},
		{`UPDATE users SET name = o.id FROM (SELECT 2 AS id) AS o WHERE o.id = users.id`, []string{`{"id":2}`}},
		{`CREATE TABLE more AS SELECT * FROM users; INSERT INTO other VALUES (1)`, nil},
		{`INSERT INTO users (name) VALUES ('numbered'); SELECT 1/(last_insert_rowid() = 4), 1/(changes() = 1)`, []string{`{"id":4}`}},
		{`ATTACH ':memory:' AS hearth; CREATE TABLE hearth.hearth_feed (watch, data); DELETE FROM main.users WHERE id = 4`, []string{`{"id":4}`}},
	} {
		l.check(c.sql+";", c.want...)
	}
	if faults := l.faults(setOf("users", nil, "id")); faults != nil {
		t.Errorf("something is wrong: %q", faults)
	}
}

// TestSQLiteTriggersHaveAVersion: instances of two releases that write other texts under
// one version would set up each other's triggers anew, and remove all records each time.
func TestSQLiteTriggersHaveAVersion(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b);`, setOf("t", []string{"b"}, "id", "a"))
	sum := sha256.Sum256([]byte(l.shell(`SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name;`)))
	if got, want := fmt.Sprintf("%d %x", outbox.Version, sum[:4]), "1 bddb6fb3"; got != want {
		t.Errorf("the triggers have changed: raise outbox.Version, and write %q here instead of %q", got, want)
	}
}

// TestSQLiteFilters: an UPDATE counts if a column of the filter or a captured one has
// other bytes.
func TestSQLiteFilters(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, price REAL, stock INT);
		INSERT INTO products VALUES (1, 'a', 1, 1);`, setOf("products", []string{"name", "price"}, "id"))
	l.check(`UPDATE products SET stock = 2;`)
	l.check(`UPDATE products SET stock = 3, name = 'a', price = 1.0;`)
	l.check(`UPDATE products SET name = 'A';`, `{"id":1}`)
	l.check(`UPDATE products SET name = NULL;`, `{"id":1}`)
	l.check(`UPDATE products SET name = NULL;`)
	l.check(`UPDATE products SET price = NULL;`, `{"id":1}`)
	l.check(`UPDATE products SET id = 2;`, `{"id":1} {"id":2}`)
	l.check(`DELETE FROM products;`, `{"id":2}`)
}

// TestSQLiteValues: values are told as a path names them, and none makes a write fail.
func TestSQLiteValues(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE t ("select" ANY, n INTEGER PRIMARY KEY) STRICT; CREATE TABLE loose (v);`, setOf("t", nil, "select"), setOf("loose", nil, "v"))
	for _, c := range [][2]string{
		{`9223372036854775807`, `9223372036854775807`}, {`-9223372036854775808`, `-9223372036854775808`},
		{`NULL`, `null`}, {`0.1`, `"0.1"`}, {`0.1 + 0.2`, `"0.30000000000000004"`}, {`1.0`, `1`}, {`1e15`, `1000000000000000`}, {`-1e300`, `"-1.0e+300"`},
		{`9e999`, `"Inf"`}, {`''`, `""`}, {`'it''s "quoted" \ 日本'`, `"it's\"quoted\"\\日本"`}, {`'a' || char(0, 1, 10) || 'b'`, `"a\u0000\u0001\nb"`},
		{`CAST(x'ff41' AS TEXT)`, `"�A"`}, {`x''`, `{"bytes":""}`}, {`x'00FF'`, `{"bytes":"00FF"}`},
		{`'007'`, `"007"`}, {`'null'`, `"null"`}, {`'{"gone":true}'`, `"{\"gone\":true}"`},
	} {
		l.check(`INSERT INTO t ("select") VALUES (`+c[0]+`);`, `{"select":`+c[1]+`}`)
		l.check(`INSERT INTO loose VALUES (`+c[0]+`);`, `{"v":`+c[1]+`}`)
	}
	for told, want := range map[string]string{
		`{"bytes":""}`: "", `{"bytes":"00FF"}`: "00ff", `{"bytes":"417A"}`: "Az", `{"bytes":"00112233445566778899AABBCCDDEEFF"}`: "00112233-4455-6677-8899-aabbccddeeff",
		`{"bytes":"0"}`: "no", `{"bytes":1}`: "no", `{"gone":true}`: "no", `"00FF"`: "no", `1`: "no", ``: "no",
	} {
		if text, ok := outbox.BytesText(json.RawMessage(told)); ok != (want != "no") || ok && text != want {
			t.Errorf("%s is %q, %v, want %q", told, text, ok, want)
		}
	}
}

// TestSQLiteKeysOfBytes: a query is asked with the very value that the row had.
func TestSQLiteKeysOfBytes(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE products (id BLOB PRIMARY KEY, name); CREATE TABLE orders (user_id INT, product_id BLOB, price REAL);
		INSERT INTO orders VALUES (5, x'00FF', 0.1), (6, 'text', 2);`, setOf("products", nil, "id"), setOf("orders", nil, "price"))
	m := outbox.Meaning{Resource: "orders", Params: []outbox.Param{{Name: "user_id", Type: "int"}}}
	for sql, want := range map[string][2]string{
		`INSERT INTO products VALUES (x'00FF', 'a');`:            {`SELECT user_id FROM orders WHERE product_id = {row.id}`, "[[5]]"},
		`INSERT INTO products VALUES ('text', 'a');`:             {`SELECT user_id FROM orders WHERE product_id = {row.id}`, "[[6]]"},
		`UPDATE orders SET user_id = user_id WHERE user_id = 5;`: {`SELECT user_id FROM orders WHERE price = {row.price}`, "[[5]]"},
	} {
		l.shell(sql)
		rows, err := l.Read(t.Context(), 0, 10)
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		var told []map[string]json.RawMessage
		if err := json.Unmarshal(rows[0].Data, &told); err != nil {
			t.Fatal(err)
		}
		m.Keys = want[0]
		keys, err := l.Keys(t.Context(), m, told[0])
		if got := fmt.Sprint(keys); err != nil || got != want[1] {
			t.Errorf("%s: %s, %v, want %s", sql, got, err, want[1])
		}
		drain(t, l.Outbox)
	}
}

// TestSQLiteTables: names of all kinds, and all kinds of tables.
func TestSQLiteTables(t *testing.T) {
	t.Parallel()
	odd := `a "b" 'c' [d] e;` + "`"
	quoted := `"` + strings.ReplaceAll(odd, `"`, `""`) + `"`
	made, plain := setOf("made", nil, "b", "c"), setOf("plain", nil, "a")
	made.Table, plain.Table = "main.Made", "PLAIN"
	l := newLite(t, `CREATE TABLE `+quoted+` (`+quoted+` TEXT PRIMARY KEY, v) WITHOUT ROWID;
		CREATE TABLE made (a INT, b INT AS (a + 1), c INT AS (a * 2) STORED);
		CREATE TABLE plain (a INT);`, setOf(odd, []string{"v"}, odd), made, plain)
	key, _ := json.Marshal(odd)
	told := func(value string) string { return strings.ReplaceAll(fmt.Sprintf(`{%s:%q}`, key, value), " ", "") }
	l.check(`INSERT INTO `+quoted+` VALUES ('k', 1);`, told("k"))
	l.check(`UPDATE `+quoted+` SET v = 2;`, told("k"))
	l.check(`UPDATE `+quoted+` SET `+quoted+` = 'm';`, told("k")+" "+told("m"))
	l.check(`INSERT INTO made VALUES (1); UPDATE made SET a = 2;`, `{"b":2,"c":2}`, `{"b":2,"c":2} {"b":3,"c":4}`)
	l.check(`INSERT INTO plain VALUES (1), (1); DELETE FROM plain;`, `{"a":1}`, `{"a":1}`, `{"a":1}`, `{"a":1}`)
	if faults := l.faults(setOf(odd, []string{"v"}, odd), made, plain); faults != nil {
		t.Errorf("something is wrong: %q", faults)
	}
}

// TestSQLiteWhatCannotBeWatched is refused with a word on what to do.
func TestSQLiteWhatCannotBeWatched(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE t (id); CREATE VIEW v AS SELECT * FROM t; CREATE VIRTUAL TABLE words USING fts5(text); CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT);`)
	for table, want := range map[string]string{
		"v": `"v" is a view`, "words": `"words" is a virtual one`, "words_data": `"words_data" is part of a virtual one`, "nosuch": `no table "nosuch"`,
		"hearth_feed": "the outbox's own", "sqlite_sequence": "SQLite's own", "t": `has no column "gone"`,
	} {
		_, err := l.Plan(t.Context(), []outbox.Set{setOf(table, nil, "gone")}, outbox.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("table %q: %v, want %q", table, err, want)
		}
	}
	if _, err := outbox.New(engine.Config{URL: "sqlite::memory:"}); err == nil || !strings.Contains(err.Error(), "in memory") {
		t.Errorf("a database in memory: %v", err)
	}
}

// TestSQLiteReplaceTellsWhatItRemoves: SQLite fires no trigger for such rows.
func TestSQLiteReplaceTellsWhatItRemoves(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INT, code TEXT UNIQUE COLLATE NOCASE, UNIQUE (user_id, code));
		CREATE TABLE slots (day TEXT UNIQUE ON CONFLICT REPLACE, user_id INT);`, setOf("orders", nil, "user_id"), setOf("slots", nil, "user_id"))
	l.check(`INSERT INTO orders VALUES (1, 5, 'a'), (2, 6, 'b');`, `{"user_id":5}`, `{"user_id":6}`)
	f := func(sql string, removed ...string) {
		t.Helper()
		l.shell(sql)
		told := strings.Join(drain(t, l.Outbox), " ")
		for _, user := range removed {
			if !strings.Contains(told, `{"user_id":`+user+`}`) {
				t.Errorf("%s: nobody hears of %s, only of %s", sql, user, told)
			}
		}
	}
	f(`REPLACE INTO orders VALUES (1, 7, 'c');`, "5", "7")
	f(`INSERT OR REPLACE INTO orders (user_id, code) VALUES (8, 'B');`, "6", "8")
	f(`INSERT INTO orders VALUES (10, 10, 'x');`, "10")
	f(`UPDATE OR REPLACE orders SET code = 'X' WHERE user_id = 7;`, "7", "10")
	f(`PRAGMA recursive_triggers = ON; REPLACE INTO orders VALUES (1, 11, 'd');`, "7", "11")
	f(`INSERT INTO slots VALUES ('mon', 1);`, "1")
	f(`INSERT INTO slots VALUES ('mon', 2);`, "1", "2")
	l.check(`UPDATE orders SET user_id = 12 WHERE id = 1;`, `{"user_id":11} {"user_id":12}`)
}

// TestSQLiteCascades: what foreign keys do is told of the table that it is done to.
func TestSQLiteCascades(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE users (id INTEGER PRIMARY KEY);
		CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INT REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE);
		CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INT REFERENCES users (id) ON DELETE SET NULL);`, setOf("orders", nil, "user_id"), setOf("notes", nil, "user_id"))
	l.check(`INSERT INTO users VALUES (1); INSERT INTO orders VALUES (1, 1); INSERT INTO notes VALUES (1, 1);`, `{"user_id":1}`, `{"user_id":1}`)
	const on = `PRAGMA foreign_keys = ON; `
	l.check(on+`DELETE FROM notes; UPDATE users SET id = 2;`, `{"user_id":1}`, `{"user_id":1} {"user_id":2}`)
	l.check(on+`INSERT INTO notes VALUES (2, 2); DELETE FROM users;`, `{"user_id":2}`, `{"user_id":2} {"user_id":null}`, `{"user_id":2}`)
	l.check(on+`INSERT INTO users VALUES (3); INSERT INTO orders VALUES (3, 3); REPLACE INTO users VALUES (3);`, `{"user_id":3}`, `{"user_id":3}`)
}

// TestSQLiteLeavesNothingBehind, also of triggers that are of no set any more.
func TestSQLiteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	l := newLite(t, `CREATE TABLE users (id INTEGER PRIMARY KEY, city TEXT)`, setOf("users", nil, "id"), setOf("users", []string{"city"}, "id"))
	const count = `SELECT count(*) FROM sqlite_master WHERE name LIKE 'hearth%';`
	install(t, l.Outbox, outbox.Options{Prune: true}, setOf("users", []string{"city"}, "id"))
	drain(t, l.Outbox)
	l.check(`INSERT INTO users VALUES (1, 'x');`, `{"id":1}`) // of one set by now
	l.shell(`DELETE FROM hearth_watch;`)
	script, err := l.Removal(t.Context())
	if err == nil {
		err = l.Apply(t.Context(), script)
	}
	if left := strings.TrimSpace(l.shell(count)); err != nil || left != "0" {
		t.Errorf("%s things are left, %v", left, err)
	}
	l.shell(`INSERT INTO users VALUES (2, 'x');`)
	// The script does in the shell what Apply does.
	if script, err = l.Plan(t.Context(), []outbox.Set{setOf("users", nil, "id")}, outbox.Options{}); err != nil {
		t.Fatal(err)
	}
	l.shell(l.Text(script))
	l.shell(l.Text(script))
	drain(t, l.Outbox)
	l.check(`DELETE FROM users WHERE id = 2;`, `{"id":2}`)
}
