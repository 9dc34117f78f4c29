package database_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
)

func TestSQLiteValues(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite::memory:", Init: []string{`CREATE TABLE t (yes BOOLEAN, no BOOL, two BOOLEAN,
		at DATETIME, zoned TIMESTAMP, odd TIMESTAMP, wide TIMESTAMP WITH TIME ZONE, day DATE, price DECIMAL(10,2), big NUMERIC,
		real REAL, text TEXT, blob BLOB, doc JSON, num JSON, any, halves JSON)`,
		`INSERT INTO t VALUES (1, 0, 2, '2024-02-29 01:02:03', '2024-02-29T01:02:03.5+02:00', 'soon', '2024-02-29T01:02:03+01:00', '2024-02-29', 12.50,
		9007199254740993, 1.0, '<&>', x'00ff10', '{"a":  1}', 5, x'',
		'{"a": "\ud800", "b": "' || CAST(x'ff' AS TEXT) || '"}')`}})
	f := func(column, want string) {
		t.Helper()
		r := records(t, db, byID(`SELECT `+column+` AS v FROM t WHERE {id} = 1`))
		if got, want := load(t, r, int64(1)), `{"v":`+want+`}`; got != want {
			t.Errorf("%s: got %s, want %s", column, got, want)
		}
	}
	f("yes", "true")
	f("no", "false")
	f("two", "2")
	f("at", `"2024-02-29T01:02:03Z"`)
	f("zoned", `"2024-02-28T23:02:03.5Z"`)
	f("odd", `"soon"`)
	f("wide", `"2024-02-29T00:02:03Z"`)
	f("day", `"2024-02-29"`)
	f("price", "12.5")
	f("big", "9007199254740993")
	f("real", "1")
	f("text", `"<&>"`)
	f("blob", `"AP8Q"`)
	f("doc", `{"a":1}`)
	f("num", "5")
	f("any", `""`)
	f("CAST(9223372036854775807 AS INTEGER)", "9223372036854775807")
	f("0.1 + 0.2", "0.30000000000000004")
	f("1e300", "1e+300")
	f("1e-7", "1e-07")
	f("9e999", "null")
	f("CAST(x'61ff62' AS TEXT)", "\"a\uFFFDb\"")
	f("halves", "{\"a\":\"\uFFFD\",\"b\":\"\uFFFD\"}")
	f("'{x}' || \"text\" || [text] || `text`", `"{x}<&><&><&>"`)
}

func TestSQLiteHealsByItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	db := open(t, engine.Config{URL: "sqlite://" + filepath.Join(dir, "x.db"), Demo: true})
	r := records(t, db, byID(`SELECT id FROM users WHERE id = {id}`))
	if err := db.Ping(t.Context()); err == nil || db.Up() {
		t.Errorf("Ping without a directory: got %v, up %t", err, db.Up())
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := load(t, r, int64(1000)); got != `{"id":1000}` || !db.Up() {
		t.Errorf("Load once the directory exists: got %s, up %t", got, db.Up())
	}
}

func TestSQLiteSelectCannotWrite(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Demo: true})
	r := records(t, db, byID(`DELETE FROM users WHERE id = {id} RETURNING id`))
	if got, err := r.Load(t.Context(), source.Args{int64(1)}); err == nil {
		t.Errorf("a select that deletes: got %s, want an error", got)
	}
}

func TestSQLiteNumbersOutOfRange(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite::memory:", Init: []string{`CREATE TABLE t (id INTEGER PRIMARY KEY, n REAL)`}})
	spec := byID(`SELECT n FROM t WHERE id = {id}`)
	spec.Upsert = `REPLACE INTO t VALUES ({id}, {body.n})`
	r := records(t, db, spec)
	var fault *source.BodyError
	if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"n":1e999}`)); !errors.As(err, &fault) || fault.Member != "n" {
		t.Errorf("Put of 1e999: got %v, want a BodyError about n", err)
	}
	if got, want := put(t, r, `{"n":1.25e2}`, int64(1)), `{"n":125}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                     "unknown kind of database",
		"oracle://x":           "unknown kind of database",
		"sqlite:":              "the path is missing",
		"sqlite:x.db?mode=ro":  "without a ?",
		"mysql://u:hush@h:p/x": "does not parse",
		"mysql://u:hush@h/x?multiStatements=true": `"multiStatements"`,
		"mysql://u:hush@h/x?readTimeout=soon":     "MySQL's driver",
	} {
		_, err := database.New(engine.Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("Open(%q): got %v, want %q", url, err, want)
		}
	}
}
