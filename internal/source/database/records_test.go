package database_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

func TestRecordsOnSQLite(t *testing.T) {
	t.Parallel()
	testRecords(t, func(tb testing.TB) string {
		return "sqlite:" + filepath.Join(tb.TempDir(), "a #b%20 name.db")
	})
}

func TestRecordsOnSQLiteInMemory(t *testing.T) {
	t.Parallel()
	testRecords(t, func(testing.TB) string { return "sqlite::memory:" })
}

func TestRecordsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	testRecords(t, func(tb testing.TB) string { return testkit.Postgres(tb).URL() })
}

// testRecords is what every kind of database has to fulfil. newURL returns
// the URL of a new, empty database.
func testRecords(t *testing.T, newURL func(testing.TB) string) {
	for name, f := range recordTests {
		t.Run(name, func(t *testing.T) { f(t, newURL) })
	}
}

var recordTests = map[string]func(*testing.T, func(testing.TB) string){
	"demo":          testDemo,
	"read":          testRead,
	"unfit keys":    testUnfitKeys,
	"rows":          testRows,
	"document":      testDocument,
	"columns":       testDuplicateColumns,
	"many":          testMany,
	"put":           testPut,
	"numbers":       testNumbers,
	"bodies":        testBodies,
	"constraints":   testConstraints,
	"delete":        testDelete,
	"read-only":     testReadOnly,
	"isolation":     testIsolation,
	"release":       testRelease,
	"deadline":      testDeadline,
	"over":          testOver,
	"down":          testDown,
	"not down":      testNotDown,
	"no connection": testNoConnection,
	"failing init":  testFailingInit,
	"racing set-up": testRacingSetUp,
	"closed":        testClosed,
}

// schema is created by every database of the contract suite.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS towns (id integer PRIMARY KEY, name text NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS people (id bigint PRIMARY KEY, name text NOT NULL UNIQUE, city text,
		age integer CHECK (age >= 0), town integer REFERENCES towns (id), amount numeric(30,4))`,
	`CREATE TABLE IF NOT EXISTS notes (slug text NOT NULL, line integer NOT NULL, text text, PRIMARY KEY (slug, line))`,
}

const (
	selectPerson = `SELECT id, name, city, age FROM people WHERE id = {id}`
	upsertPerson = `INSERT INTO people (id, name, city, age, town) VALUES ({id}, {body.name}, {body.city?}, {body.age?}, {body.home.town?})
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, age = excluded.age, town = excluded.town`
	deletePerson = `DELETE FROM people WHERE id = {id}`
)

func person() database.Spec {
	return database.Spec{
		Name: "person", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: selectPerson, Upsert: upsertPerson, Delete: deletePerson,
	}
}

func open(t *testing.T, cfg engine.Config) *database.DB {
	t.Helper()
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 16
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	db, err := database.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func records(t *testing.T, db *database.DB, spec database.Spec) source.Records {
	t.Helper()
	r, err := db.Records(spec)
	if err != nil {
		t.Fatalf("Records: %v", err)
	}
	return r
}

func load(t *testing.T, r source.Records, args ...any) string {
	t.Helper()
	got, err := r.Load(t.Context(), args)
	if errors.Is(err, source.ErrNoRecord) {
		return "none"
	}
	if err != nil {
		t.Fatalf("Load(%v): %v", args, err)
	}
	return string(got)
}

func put(t *testing.T, r source.Records, body string, args ...any) string {
	t.Helper()
	c, err := r.Put(t.Context(), args, bodyOf(body))
	if err != nil {
		t.Fatalf("Put(%v, %s): %v", args, body, err)
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return string(c.Record())
}

func testDemo(t *testing.T, newURL func(testing.TB) string) {
	cfg := engine.Config{URL: newURL(t), Demo: true}
	spec := database.Spec{
		Name: "user", Params: []param.Param{{Name: "user_id", Type: "int"}},
		Select: `SELECT id, name, city FROM users WHERE id = {user_id}`,
		Delete: `DELETE FROM users WHERE id = {user_id}`,
	}
	db := open(t, cfg)
	r := records(t, db, spec)
	if got, want := load(t, r, int64(1)), `{"id":1,"name":"张三","city":"北京"}`; got != want {
		t.Errorf("record 1: got %s, want %s", got, want)
	}
	if got := load(t, r, int64(1000)); !strings.HasPrefix(got, `{"id":1000,"name":"`) {
		t.Errorf("record 1000: got %s", got)
	}
	if got := load(t, r, int64(1001)); got != "none" {
		t.Errorf("record 1001: got %s, want none", got)
	}
	if strings.Contains(cfg.URL, ":memory:") {
		return // another DB would be another database
	}
	c, err := r.Delete(t.Context(), source.Args{int64(7)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := load(t, records(t, open(t, cfg), spec), int64(7)); got != "none" {
		t.Errorf("record 7, deleted before the second start: got %s, want none", got)
	}
}

func testRead(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema,
		`INSERT INTO people (id, name, city) VALUES (1, '<a&b> "q" \ 李', NULL), (-5, 'minus', 'x')`,
		`INSERT INTO notes VALUES ('o''brien; --', 1, 'it''s')`)})
	people := records(t, db, person())
	notes := records(t, db, database.Spec{
		Name: "note", Params: []param.Param{{Name: "slug", Type: "string"}, {Name: "line", Type: "int"}},
		Select: `SELECT text, line AS "a ""name" FROM notes /* {slug} */ WHERE line={line} AND slug={slug}--{line}`,
	})
	f := func(r source.Records, want string, args ...any) {
		t.Helper()
		if got := load(t, r, args...); got != want {
			t.Errorf("Load(%q): got %s, want %s", args, got, want)
		}
	}
	f(people, `{"id":1,"name":"<a&b> \"q\" \\ 李","city":null,"age":null}`, int64(1))
	f(people, `{"id":-5,"name":"minus","city":"x","age":null}`, int64(-5))
	f(people, "none", int64(2))
	f(notes, `{"text":"it's","a \"name":1}`, "o'brien; --", int64(1))
	f(notes, "none", "o'brien; --", int64(2))
	f(notes, "none", "x' OR 'x'='x", int64(1))
	if !db.Up() {
		t.Error("Up() is false after loads")
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func testUnfitKeys(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema, `INSERT INTO towns VALUES (1, 'one')`)})
	town := records(t, db, database.Spec{
		Name: "town", Params: []param.Param{{Name: "id", Type: "int"}},
		Select:     `SELECT id, name FROM towns WHERE id = {id}`,
		SelectMany: `SELECT id, name FROM towns WHERE id IN ({id})`,
		Delete:     `DELETE FROM towns WHERE id = {id}`,
	})
	byText := records(t, db, database.Spec{
		Name: "town", Params: []param.Param{{Name: "id", Type: "string"}},
		Select: `SELECT name FROM towns WHERE id = {id}`,
	})
	const huge = int64(1) << 60 // beyond PostgreSQL's integer
	if got := load(t, town, huge); got != "none" {
		t.Errorf("a key beyond the column's range: got %s, want none", got)
	}
	if got := load(t, byText, "one"); got != "none" {
		t.Errorf("a key of another type: got %s, want none", got)
	}
	if _, err := town.Delete(t.Context(), source.Args{huge}); !errors.Is(err, source.ErrNoRecord) {
		t.Errorf("deleting a key beyond the column's range: got %v, want ErrNoRecord", err)
	}
	got, err := town.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{huge}, {int64(1)}})
	if err != nil || got[0] != nil || string(got[1]) != `{"id":1,"name":"one"}` {
		t.Errorf("many with a key beyond the column's range: got %q, %v", got, err)
	}
	failing := records(t, db, database.Spec{
		Name: "town", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT nowhere FROM towns WHERE id = {id}`,
	})
	if _, err := failing.Load(t.Context(), source.Args{int64(1)}); err == nil || errors.Is(err, source.ErrNoRecord) {
		t.Errorf("a statement at fault: got %v, want another error than ErrNoRecord", err)
	}
	if !db.Up() {
		t.Error("Up() is false after a statement at fault")
	}
}

func testRows(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema, `INSERT INTO notes VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'z')`)})
	spec := database.Spec{
		Name: "notes", Params: []param.Param{{Name: "slug", Type: "string"}}, Many: true,
		Select:     `SELECT line, text FROM notes WHERE slug = {slug} ORDER BY line`,
		SelectMany: `SELECT slug, line, text FROM notes WHERE slug IN ( {slug} ) ORDER BY line`,
	}
	r := records(t, db, spec)
	if got, want := load(t, r, "a"), `[{"line":1,"text":"x"},{"line":2,"text":"y"}]`; got != want {
		t.Errorf("rows: got %s, want %s", got, want)
	}
	if got, want := load(t, r, "c"), `[]`; got != want {
		t.Errorf("no rows: got %s, want %s", got, want)
	}
	got, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{"b"}, {"c"}, {"a"}})
	want := `["[{\"line\":1,\"text\":\"z\"}]" "[]" "[{\"line\":1,\"text\":\"x\"},{\"line\":2,\"text\":\"y\"}]"]`
	if text := fmt.Sprintf("%q", got); err != nil || text != want {
		t.Errorf("many: got %s, %v, want %s", text, err, want)
	}
	spec.Many, spec.SelectMany = false, ""
	if got, want := load(t, records(t, db, spec), "b"), `{"line":1,"text":"z"}`; got != want {
		t.Errorf("rows = one: got %s, want %s", got, want)
	}
	// Which of two rows is the record is nobody's to choose.
	if got, err := records(t, db, spec).Load(t.Context(), source.Args{"a"}); !errors.Is(err, source.ErrFault) || errors.Is(err, source.ErrDown) {
		t.Errorf("rows = one, and two rows: got %s, %v, want a fault of the configuration", got, err)
	}
}

func testDocument(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema,
		`INSERT INTO notes VALUES ('good', 1, '{ "b": [1.50, 12345678901234567890],
			"a": "<" }'), ('bad', 1, 'no json'), ('null', 1, 'null'), ('NULL', 1, NULL)`)})
	spec := database.Spec{
		Name: "doc", Params: []param.Param{{Name: "slug", Type: "string"}},
		Select:     `SELECT text AS json FROM notes WHERE slug = {slug}`,
		SelectMany: `SELECT slug, text AS json FROM notes WHERE slug IN ({slug})`,
		Upsert:     `INSERT INTO notes (slug, line, text) VALUES ({slug}, 1, {body})`,
	}
	r := records(t, db, spec)
	const want = `{"b":[1.50,12345678901234567890],"a":"<"}`
	if got := load(t, r, "good"); got != want {
		t.Errorf("document: got %s, want %s", got, want)
	}
	for _, slug := range []string{"null", "NULL"} {
		if got := load(t, r, slug); got != "none" {
			t.Errorf("document %q: got %s, want none", slug, got)
		}
	}
	if got, err := r.Load(t.Context(), source.Args{"bad"}); !errors.Is(err, source.ErrNotJSON) {
		t.Errorf("document that is no JSON: got %s, %v, want ErrNotJSON", got, err)
	}
	got, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{"null"}, {"good"}})
	if err != nil || got[0] != nil || string(got[1]) != want {
		t.Errorf("many documents: got %q, %v", got, err)
	}
	if got, want := put(t, r, ` {"n": 1e400, "s": "\u00e9"} `, "new"), `{"n":1e400,"s":"\u00e9"}`; got != want {
		t.Errorf("a document put: got %s, want %s", got, want)
	}
	spec.Select = `SELECT slug, text AS json FROM notes WHERE slug = {slug}`
	spec.SelectMany += ` AND line = 1`
	both := records(t, db, spec)
	if got, want := load(t, both, "null"), `{"slug":"null","json":"null"}`; got != want {
		t.Errorf("a column json beside another: got %s, want %s", got, want)
	}
	got, err = both.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{"null"}})
	if err != nil || string(got[0]) != `{"slug":"null","json":"null"}` {
		t.Errorf("many of a column json beside another: got %q, %v", got, err)
	}
}

func testDuplicateColumns(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	r := records(t, db, database.Spec{
		Name: "twice", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT id, name, name FROM people WHERE id = {id}`,
	})
	_, err := r.Load(t.Context(), source.Args{int64(1)})
	if err == nil || !strings.Contains(err.Error(), `resource "twice": select: the column "name" is selected twice`) {
		t.Errorf("got %v", err)
	}
}

func testMany(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Demo: true})
	spec := database.Spec{
		Name: "user", Params: []param.Param{{Name: "user_id", Type: "int"}},
		Select:     `SELECT id, name, city FROM users WHERE id = {user_id}`,
		SelectMany: `SELECT id, name, city FROM users WHERE id IN ({user_id})`,
	}
	r := records(t, db, spec)
	check := func(r source.Records, ids ...int64) {
		t.Helper()
		var args []source.Args
		var want []string
		for _, id := range ids {
			args = append(args, source.Args{id})
		}
		records, err := r.(source.ManyRecords).LoadMany(t.Context(), args) // before any load
		if err != nil {
			t.Fatalf("LoadMany: %v", err)
		}
		var got []string
		for i, record := range records {
			got = append(got, string(record))
			want = append(want, strings.Replace(load(t, r, ids[i]), "none", "", 1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadMany(%v), -want +got:\n%s", ids, diff)
		}
	}
	check(r)
	check(r, 5, 1, 5, 99999, 3)
	var all []int64
	for id := range int64(1100) {
		all = append(all, id)
	}
	check(r, all...)
	spec.Select = `SELECT name FROM users WHERE id = {user_id}`
	spec.SelectMany = `SELECT id, name FROM users WHERE id IN ({user_id})`
	check(records(t, db, spec), 2, 1)

	got, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(1)}, {int64(1)}})
	if err != nil {
		t.Fatal(err)
	}
	got[0][0] = 'x'
	if got[1][0] != '{' {
		t.Error("two results share memory")
	}
	spec.SelectMany = `SELECT name, id FROM users WHERE id IN ({user_id})`
	_, err = records(t, db, spec).(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(1)}})
	if err == nil || !strings.Contains(err.Error(), "select_many: it selects") {
		t.Errorf("columns of another order: got %v", err)
	}
	spec.SelectMany = ""
	if _, ok := records(t, db, spec).(source.ManyRecords); ok {
		t.Error("a resource without select_many implements ManyRecords")
	}
}

// bodyOf parses the body of a PUT, as handlers do.
func bodyOf(body string) jsonvalue.Node {
	root, err := jsonvalue.ParseObject([]byte(body), 64)
	if err != nil {
		panic(fmt.Sprintf("parsing %s: %v", body, err))
	}
	return root
}
