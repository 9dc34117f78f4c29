package database_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// spelt says in a word what came of asking for a record by some name: its
// bytes, "none", "→ …" for the name that it goes by, "→" where no path spells
// that, "fault".
func spelt(t *testing.T, record []byte, err error) string {
	t.Helper()
	var other *source.SpellingError
	switch {
	case errors.As(err, &other) && other.Args == nil:
		return "→"
	case errors.As(err, &other):
		return "→ " + fmt.Sprint(other.Args...)
	case errors.Is(err, source.ErrNoRecord):
		return "none"
	case errors.Is(err, source.ErrFault):
		return "fault"
	case err != nil:
		return "error: " + err.Error()
	case record == nil:
		return "nothing"
	}
	return string(record)
}

// naming is a resource whose database finds a row by more than one spelling.
type naming struct {
	*testing.T
	r source.Records
}

func (n naming) read(want string, args ...any) {
	n.Helper()
	record, err := n.r.Load(n.Context(), args)
	if got := spelt(n.T, record, err); got != want {
		n.Errorf("Load(%q): got %s, want %s", args, got, want)
	}
	many, ok := n.r.(source.ManyRecords)
	if !ok || strings.HasPrefix(want, "fault") {
		return
	}
	records, err := many.LoadMany(n.Context(), []source.Args{args, {"no such key"}, args})
	var others source.SpellingErrors
	if errors.As(err, &others) {
		err = nil
	}
	for _, i := range []int{0, 2} {
		failed := err
		if others[i] != nil {
			failed = others[i]
		} else if err == nil && records[i] == nil {
			failed = source.ErrNoRecord
		}
		var record []byte
		if err == nil {
			record = records[i]
		}
		if got := spelt(n.T, record, failed); got != want {
			n.Errorf("LoadMany(%q): got %s, want %s", args, got, want)
		}
	}
}

func (n naming) put(want, body string, args ...any) {
	n.Helper()
	n.change(want, func() (source.Change, error) { return n.r.Put(n.Context(), args, bodyOf(body)) }, "Put", args)
}

func (n naming) remove(want string, args ...any) {
	n.Helper()
	n.change(want, func() (source.Change, error) { return n.r.Delete(n.Context(), args) }, "Delete", args)
}

func (n naming) change(want string, begin func() (source.Change, error), what string, args []any) {
	n.Helper()
	c, err := begin()
	var record []byte
	if err == nil {
		record = c.Record()
		if err := c.Commit(n.Context()); err != nil {
			n.Fatal(err)
		}
	}
	if got := spelt(n.T, record, err); got != want {
		n.Errorf("%s(%q): got %s, want %s", what, args, got, want)
	}
}

// people is a resource by e-mail address; conflict is the end of its upsert.
func people(kind, conflict string) database.Spec {
	return database.Spec{
		Name: "person", Params: []param.Param{{Name: "email", Type: "string"}},
		Select:     `SELECT email, name FROM folk WHERE email = {email}`,
		SelectMany: `SELECT email, name FROM folk WHERE email IN ({email})`,
		Upsert:     `INSERT INTO folk (email, name) VALUES ({email}, {body.name}) ` + conflict,
		Delete:     `DELETE FROM folk WHERE email = {email}`,
	}
}

const (
	renames      = `ON CONFLICT (email) DO UPDATE SET email = excluded.email, name = excluded.name`
	renamesMySQL = `ON DUPLICATE KEY UPDATE email = VALUES(email), name = VALUES(name)`
)

// named opens the resource over tables made by init.
func named(t *testing.T, url string, spec database.Spec, init ...string) naming {
	t.Helper()
	return naming{t, records(t, open(t, engine.Config{URL: url, Init: init}), spec)}
}

// folded is what every database has to do whose texts are compared without
// regard to case: the table folk has the row Ann@x.
func folded(n naming) {
	n.Helper()
	n.read(`{"email":"Ann@x","name":"Ann"}`, "Ann@x")
	n.read("→ Ann@x", "ann@x")
	n.read("none", "bob@x")
	n.put("→ Ann@x", `{"name":"renamed"}`, "ANN@x")
	n.remove("→ Ann@x", "aNN@x")
	n.put(`{"email":"Ann@x","name":"Anna"}`, `{"name":"Anna"}`, "Ann@x")
	n.put(`{"email":"Bob@x","name":"Bob"}`, `{"name":"Bob"}`, "Bob@x")
	n.read("→ Bob@x", "bob@x")
	n.remove("nothing", "Bob@x")
	n.read("none", "bob@x")
	n.read(`{"email":"Ann@x","name":"Anna"}`, "Ann@x")
}

func sqliteURL(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "names.db") }

func TestOneNameOnSQLite(t *testing.T) {
	folded(named(t, sqliteURL(t), people("", renames),
		`CREATE TABLE folk (email TEXT COLLATE NOCASE PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann')`))

	n := named(t, sqliteURL(t), people("", renames),
		`CREATE TABLE folk (email TEXT COLLATE RTRIM PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('ann  ', 'Ann')`)
	n.read(`{"email":"ann  ","name":"Ann"}`, "ann")
	n.read("→ ann", "ann ")
	n.read("→ ann", "ann  ")

	// Where blanks count, they belong to the name.
	n = named(t, sqliteURL(t), people("", renames),
		`CREATE TABLE folk (email TEXT PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('ann ', 'blank'), ('ann', 'bare'), ('bob ', 'Bob')`)
	n.read(`{"email":"ann ","name":"blank"}`, "ann ")
	n.read(`{"email":"ann","name":"bare"}`, "ann")
	n.read(`{"email":"bob ","name":"Bob"}`, "bob ")
	n.read("none", "bob")

	// A number that is compared with text.
	number := people("", renames)
	n = named(t, sqliteURL(t), number, `CREATE TABLE folk (email INTEGER PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES (1, 'one')`)
	n.read(`{"email":1,"name":"one"}`, "1")
	for _, other := range []string{"01", "1.0", " 1", "1e0"} {
		n.read("→ 1", other)
		n.put("→ 1", `{"name":"x"}`, other)
		n.remove("→ 1", other)
	}

	// The name may be within functions, or made by a trigger.
	lower := people("", `ON CONFLICT DO NOTHING`)
	lower.Select, lower.SelectMany = `SELECT email, name FROM folk WHERE lower(email) = lower({email})`, ""
	n = named(t, sqliteURL(t), lower, `CREATE TABLE folk (email TEXT PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann')`)
	n.read("→ Ann@x", "ann@x")
	n.put("→ Ann@x", `{"name":"x"}`, "ann@x")
	n = named(t, sqliteURL(t), lower, `CREATE TABLE folk (email TEXT PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann'), ('ann@x', 'other')`)
	n.read("fault", "Ann@x") // two rows: which one it is would be chance
	n.put("fault", `{"name":"x"}`, "ANN@x")
	n.remove("fault", "ann@x")

	trigger := people("", renames)
	trigger.Upsert = `INSERT INTO folk (email, name) VALUES (lower({email}), {body.name}) ` + renames
	n = named(t, sqliteURL(t), trigger, `CREATE TABLE folk (email TEXT PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('ann@x', 'Ann')`)
	n.put("→", `{"name":"x"}`, "Ann@x") // or the record of ann@x would be changed behind its copies
	n.read(`{"email":"ann@x","name":"Ann"}`, "ann@x")
}

// TestOneNameOfOtherTypes: columns whose values are shown in another way than
// they are compared with a text.
func TestOneNameOfOtherTypes(t *testing.T) {
	spec := database.Spec{Name: "day", Params: []param.Param{{Name: "at", Type: "string"}}, Select: `SELECT at FROM days WHERE at = {at}`}
	f := func(url, typ, value, name string, others ...string) {
		t.Helper()
		n := named(t, url, spec, `DROP TABLE IF EXISTS days`, `CREATE TABLE days (at `+typ+`)`, `INSERT INTO days VALUES ('`+value+`')`)
		if record, err := n.r.Load(t.Context(), source.Args{name}); err != nil {
			t.Errorf("%s %q: got %s, want the row", typ, name, spelt(t, record, err))
		}
		for _, other := range others {
			n.read("→ "+name, other)
		}
	}
	lite, post, maria := sqliteURL(t), testkit.Postgres(t).URL(), testkit.MariaDB(t).URL()
	f(lite, "DATETIME", "2024-05-01 10:00:00", "2024-05-01 10:00:00")
	f(lite, "DATETIME", "2024-05-01T10:00:00.25", "2024-05-01T10:00:00.25")
	f(lite, "DATE", "2024-05-01", "2024-05-01")
	f(lite, "BOOLEAN", "1", "1", "01", "1.0")
	f(maria, "datetime", "2024-05-01 10:00:00", "2024-05-01T10:00:00Z", "2024-05-01 10:00:00", "20240501100000")
	f(maria, "year", "2024", "2024", "24")
	f(maria, "enum('a','b')", "a", "a", "A")
	f(maria, "double", "0.5", "0.5", "0.50", "5e-1")
	f(maria, "varbinary(9)", "abc", "abc")
	f(post, "timestamptz", "2024-05-01 10:00:00+00", "2024-05-01T10:00:00Z", "2024-05-01 12:00:00+02")
	f(post, "date", "2024-05-01", "2024-05-01", "20240501", "May 1 2024")
	f(post, "boolean", "t", "true", "t", "yes")
	f(post, "bytea", "abc", "abc", `\x616263`)
	f(post, "uuid", "6ccd780c-baba-1026-9564-5b8c656024db", "6ccd780c-baba-1026-9564-5b8c656024db", "6CCD780C-BABA-1026-9564-5B8C656024DB")
	f(post, "inet", "10.0.0.1", "10.0.0.1", "10.0.0.1/32")
	f(post, "numeric(9,2)", "1", "1.00", "1", "01", "1.0")
}

// TestOneNameByConfiguration: the column has another name, is a member of a
// document, or is vouched for.
func TestOneNameByConfiguration(t *testing.T) {
	table := []string{`CREATE TABLE folk (email TEXT COLLATE NOCASE PRIMARY KEY, name TEXT)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann')`}
	spec := database.Spec{
		Name: "person", Params: []param.Param{{Name: "email", Type: "string"}},
		Select:     `SELECT upper(name) AS shout, coalesce(email, '') AS address FROM folk WHERE email = {email}`,
		KeyColumns: map[string]string{"email": "address"},
	}
	doubts := func(want int) {
		t.Helper()
		r := records(t, open(t, engine.Config{URL: sqliteURL(t)}), spec)
		if got := database.Doubts(r); len(got) != want || want > 0 && !strings.Contains(got[0], "key_columns") {
			t.Errorf("%s: doubts %q, want %d", spec.Select, got, want)
		}
	}
	n := named(t, sqliteURL(t), spec, table...)
	n.read(`{"shout":"ANN","address":"Ann@x"}`, "Ann@x")
	n.read("→ Ann@x", "ann@x")
	doubts(0)

	spec.Select = `SELECT json_object('at', json_object('mail', email)) AS json FROM folk WHERE email = {email}`
	spec.SelectMany = `SELECT email, json_object('at', json_object('mail', email)) AS json FROM folk WHERE email IN ({email})`
	spec.KeyColumns = map[string]string{"email": "at.mail"}
	n = named(t, sqliteURL(t), spec, table...)
	n.read(`{"at":{"mail":"Ann@x"}}`, "Ann@x")
	n.read("→ Ann@x", "ann@x")
	n.read("none", "bob@x")

	for _, wrong := range []string{"at.post", "at.mail.x", "mail"} {
		spec.KeyColumns = map[string]string{"email": wrong}
		spec.SelectMany = ""
		named(t, sqliteURL(t), spec, table...).read("fault", "Ann@x")
	}
	spec.Select, spec.KeyColumns = `SELECT name FROM folk WHERE email = {email}`, map[string]string{"email": "address"}
	named(t, sqliteURL(t), spec, table...).read("fault", "Ann@x")
	spec.KeyColumns = nil
	doubts(1)
	spec.KeyColumns = map[string]string{"email": ""}
	doubts(0)
	named(t, sqliteURL(t), spec, table...).read(`{"name":"Ann"}`, "ann@x")

	// What is compared is not what is returned under its name.
	spec.KeyColumns = map[string]string{"email": "n"}
	spec.Select = `SELECT name AS n FROM folk WHERE email = {email}`
	named(t, sqliteURL(t), spec, table...).read("fault", "Ann@x")
	spec.KeyColumns = map[string]string{"mail": "n"}
	if _, err := open(t, engine.Config{URL: sqliteURL(t)}).Records(spec); err == nil || !strings.Contains(err.Error(), `key_columns: the path has no parameter "mail"`) {
		t.Errorf("key_columns of no parameter: %v", err)
	}
	spec.KeyColumns, spec.Select = nil, `SELECT email FROM folk LIMIT 1`
	if _, err := open(t, engine.Config{URL: sqliteURL(t)}).Records(spec); err == nil || !strings.Contains(err.Error(), "select: the path parameter {email} is not bound") {
		t.Errorf("a select that ignores its parameter: %v", err)
	}
}

// TestOneNameOfSeveralRows covers rows = "many", and paths of two parameters.
func TestOneNameOfSeveralRows(t *testing.T) {
	spec := database.Spec{
		Name: "notes", Params: []param.Param{{Name: "slug", Type: "string"}, {Name: "day", Type: "int"}}, Many: true,
		Select: `SELECT slug, day, text FROM notes WHERE slug = {slug} AND day = {day} ORDER BY text`,
	}
	n := named(t, sqliteURL(t), spec, `CREATE TABLE notes (slug TEXT COLLATE NOCASE, day INTEGER, text TEXT)`,
		`INSERT INTO notes VALUES ('Ab', 1, 'x'), ('Ab', 1, 'y'), ('Cd', 1, 'x'), ('cd', 1, 'y')`)
	n.read(`[{"slug":"Ab","day":1,"text":"x"},{"slug":"Ab","day":1,"text":"y"}]`, "Ab", int64(1))
	n.read("→ Ab1", "aB", int64(1))
	n.read("fault", "Cd", int64(1))
	n.read("[]", "ef", int64(1))
	// A list of what is like a pattern is no record by key.
	spec.Params, spec.Select = spec.Params[:1], `SELECT slug, text FROM notes WHERE slug LIKE {slug} ORDER BY text`
	n = named(t, sqliteURL(t), spec, `CREATE TABLE notes (slug TEXT, text TEXT)`, `INSERT INTO notes VALUES ('ab', 'x'), ('ac', 'y')`)
	n.read(`[{"slug":"ab","text":"x"},{"slug":"ac","text":"y"}]`, "a%")
}

func TestOneNameOfNumbers(t *testing.T) {
	spec := database.Spec{
		Name: "thing", Params: []param.Param{{Name: "id", Type: "int"}},
		Select:     `SELECT id, name FROM things WHERE id = {id}`,
		SelectMany: `SELECT id, name FROM things WHERE id IN ({id})`,
		Delete:     `DELETE FROM things WHERE id = {id}`,
	}
	one := func(url, typ, value, want string) {
		t.Helper()
		r := named(t, url, spec, `DROP TABLE IF EXISTS things`, `CREATE TABLE things (id `+typ+`, name text)`, `INSERT INTO things VALUES (`+value+`, 'it')`).r
		record, err := r.Load(t.Context(), source.Args{int64(5)})
		if got := spelt(t, record, err); got != want {
			t.Errorf("%s %s: got %s, want %s", typ, value, got, want)
		}
		many, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(5)}, {int64(6)}})
		var others source.SpellingErrors
		if errors.As(err, &others) {
			err = others[0]
		}
		if many != nil {
			record = many[0]
		}
		if got := spelt(t, record, err); got != want {
			t.Errorf("%s %s, many: got %s, want %s", typ, value, got, want)
		}
	}
	lite, post, maria := sqliteURL(t), testkit.Postgres(t).URL(), testkit.MariaDB(t).URL()
	one(lite, "INTEGER", "5", `{"id":5,"name":"it"}`)
	one(lite, "REAL", "5.0", `{"id":5,"name":"it"}`)
	one(lite, "TEXT", "'5'", `{"id":"5","name":"it"}`)
	one(lite, "BOOLEAN", "5", `{"id":5,"name":"it"}`)
	one(post, "numeric(10,2)", "5", `{"id":5.00,"name":"it"}`)
	one(post, "text", "'5'", `{"id":"5","name":"it"}`)
	one(maria, "decimal(10,2)", "5", `{"id":5.00,"name":"it"}`)
	one(maria, "varchar(10)", "'05'", `{"id":"05","name":"it"}`)
	one(maria, "varchar(10)", "'5abc'", "→") // MySQL finds it by 5, and no integer is its name
}

func TestOneNameOnPostgreSQL(t *testing.T) {
	db := testkit.Postgres(t)
	for _, kind := range []string{"citext", "text COLLATE loose"} {
		folded(named(t, db.URL(), people("", renames), `CREATE EXTENSION IF NOT EXISTS citext`,
			`CREATE COLLATION IF NOT EXISTS loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`,
			`DROP TABLE IF EXISTS folk`, `CREATE TABLE folk (email `+kind+` PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann')`))
	}
	n := named(t, db.URL(), people("", renames), `UPDATE folk SET email = 'Änn@x'`)
	n.read(`{"email":"Änn@x","name":"Anna"}`, "Änn@x")
	n.read("→ Änn@x", "ann@x")
	n.read("→ Änn@x", "ãnn@x")

	n = named(t, db.URL(), people("", renames),
		`DROP TABLE folk`, `CREATE TABLE folk (email char(6) PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('ann', 'Ann')`)
	n.read(`{"email":"ann   ","name":"Ann"}`, "ann")
	for _, other := range []string{"ann ", "ann   "} {
		n.read("→ ann", other)
		n.put("→ ann", `{"name":"x"}`, other)
		n.remove("→ ann", other)
	}
	n.put(`{"email":"bob   ","name":"Bob"}`, `{"name":"Bob"}`, "bob")
	n.put("→ eve", `{"name":"Eve"}`, "eve ")
	n.remove("nothing", "bob")

	like := people("", renames)
	like.Select, like.SelectMany = `SELECT email, name FROM folk WHERE email ILIKE {email}`, ""
	n = named(t, db.URL(), like, `DROP TABLE folk`, `CREATE TABLE folk (email text PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('Ann', 'Ann'), ('Bob', 'Bob')`)
	n.read("→ Ann", "ann")
	n.read("→ Ann", "a%")
	n.read("fault", "%")

	number := people("", renames)
	n = named(t, db.URL(), number, `DROP TABLE folk`, `CREATE TABLE folk (email integer PRIMARY KEY, name text)`, `INSERT INTO folk VALUES (7, 'seven')`)
	n.read(`{"email":7,"name":"seven"}`, "7")
	n.read("→ 7", "007")
	n.read("none", "seven")
	n.put("→ 7", `{"name":"x"}`, "07")
	n.remove("none", "seven")

	// A trigger that writes another key than it was given.
	n = named(t, db.URL(), people("", renames), `DROP TABLE folk`, `CREATE TABLE folk (email citext PRIMARY KEY, name text)`,
		`CREATE OR REPLACE FUNCTION lowered() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := lower(NEW.email); RETURN NEW; END'`,
		`CREATE TRIGGER lowered BEFORE INSERT OR UPDATE ON folk FOR EACH ROW EXECUTE FUNCTION lowered()`)
	n.put("→ ann", `{"name":"Ann"}`, "Ann")
	n.read("none", "ann")
	n.put(`{"email":"ann","name":"Ann"}`, `{"name":"Ann"}`, "ann")
}

func TestOneNameOnMariaDB(t *testing.T) {
	db := testkit.MariaDB(t)
	folded(named(t, db.URL(), people("", renamesMySQL),
		`CREATE TABLE folk (email varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('Ann@x', 'Ann')`))
	n := named(t, db.URL(), people("", renamesMySQL), `INSERT INTO folk VALUES ('Zoë', 'Zoe'), ('pad ', 'Pad')`)
	n.read(`{"email":"Zoë","name":"Zoe"}`, "Zoë")
	n.read("→ Zoë", "zoe")
	n.read(`{"email":"pad ","name":"Pad"}`, "pad")
	n.read("→ pad", "pad ")

	n = named(t, db.URL(), people("", renamesMySQL), `DROP TABLE folk`,
		`CREATE TABLE folk (email varchar(40) CHARACTER SET latin1 PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('Grün', 'G')`)
	n.read(`{"email":"Grün","name":"G"}`, "Grün")
	n.read("none", "名") // which no row can have
	n.remove("none", "名")
	n.put("error: a value has the wrong type or is out of range", `{"name":"N"}`, "名") // the first one, which learns the columns
	n.put("error: a value has the wrong type or is out of range", `{"name":"N"}`, "名")

	n = named(t, db.URL(), people("", renamesMySQL),
		`DROP TABLE folk`, `CREATE TABLE folk (email int PRIMARY KEY, name text)`, `INSERT INTO folk VALUES (1, 'one')`)
	n.read(`{"email":1,"name":"one"}`, "1")
	for _, other := range []string{"1abc", "01", "1.0", " 1"} {
		n.read("→ 1", other)
		n.put("→ 1", `{"name":"x"}`, other)
		n.remove("→ 1", other)
	}
	n = named(t, db.URL()+"?sql_mode=%27%27", people("", renamesMySQL),
		`DROP TABLE folk`, `CREATE TABLE folk (email varchar(3) PRIMARY KEY, name text)`, `INSERT INTO folk VALUES ('abc', 'it')`)
	n.put("→", `{"name":"cut off"}`, "abcdef")
	n.read(`{"email":"abc","name":"it"}`, "abc")
}
