package database_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// wrongs are statements that a database refuses when it prepares them, by the key
// that they stand under.
var wrongs = []struct{ key, text string }{
	{"select", `SELEKT id FROM people WHERE id = {id}`},
	{"select", `SELECT id FROM nowhere WHERE id = {id}`},
	{"select", `SELECT nothing FROM people WHERE id = {id}`},
	{"select", `SELECT no_function(id) AS f FROM people WHERE id = {id}`},
	{"select_many", `SELECT id FROM nowhere WHERE id IN ({id})`},
	{"select_many", `SELECT name FROM people WHERE id IN ({id})`},
	{"upsert", `INSERT INTO people (id, nothing) VALUES ({id}, {body.name})`},
	{"upsert", `INSERT INTO people (id, name) VALUES ({id})`},
	{"delete", `DELETE FROM nowhere WHERE id = {id}`},
}

// right is a resource whose statements all databases take.
func right() database.Spec {
	s := person()
	s.Select, s.SelectMany = `SELECT id, name FROM people WHERE id = {id}`, `SELECT id, name FROM people WHERE id IN ({id})`
	s.Upsert = `UPDATE people SET name = {body.name} WHERE id = {id}`
	return s
}

func wrong(i int) database.Spec {
	s := right()
	s.Name = fmt.Sprint("r", i)
	*map[string]*string{"select": &s.Select, "select_many": &s.SelectMany, "upsert": &s.Upsert, "delete": &s.Delete}[wrongs[i].key] = wrongs[i].text
	return s
}

// testProbe finds faults before anybody asks, and that they are gone.
func testProbe(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema[:2]})
	all := []source.Records{records(t, db, right())}
	for i := range wrongs {
		all = append(all, records(t, db, wrong(i)))
	}
	if err := db.Probe(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	if got := source.RefusalsOf(all[0]); got != nil {
		t.Errorf("good statements: got %v", got)
	}
	for i, w := range wrongs {
		if got := source.RefusalsOf(all[i+1]); len(got) != 1 || got[0].Key != w.key || got[0].Resource != fmt.Sprint("r", i) {
			t.Errorf("%s %q: got %v, want one refusal", w.key, w.text, got)
		}
	}
	if !db.Up() {
		t.Error("Up() is false after a probe")
	}
	one := source.Args{int64(1)}
	spec := right()
	spec.Select = `SELECT a FROM later WHERE a = {id}`
	late := records(t, db, spec)
	if _, err := late.Load(t.Context(), one); !errors.Is(err, source.ErrFault) || len(source.RefusalsOf(late)) != 1 {
		t.Errorf("a call that is refused: got %v, %v", err, source.RefusalsOf(late))
	}
	if err := db.Probe(t.Context(), late); err != nil || len(source.RefusalsOf(late)) != 1 {
		t.Errorf("a probe beside it: got %v, %v", err, source.RefusalsOf(late))
	}
}

// testRehearse asks a database that has nothing in it about statements that need
// what init makes, and leaves it as it was.
func testRehearse(t *testing.T, newURL func(testing.TB) string) {
	url := newURL(t)
	var got []string
	rehearse := func(cfg engine.Config, specs ...database.Spec) {
		t.Helper()
		got = nil
		db := open(t, cfg)
		var all []source.Records
		for _, s := range specs {
			all = append(all, records(t, db, s))
		}
		if err := db.Rehearse(t.Context(), all, func(r source.Refusal) { got = append(got, r.Resource+"."+r.Key) }); err != nil {
			t.Fatal(err)
		}
	}
	specs, want := []database.Spec{right()}, []string{}
	for i, w := range wrongs {
		specs, want = append(specs, wrong(i)), append(want, fmt.Sprintf("r%d.%s", i, w.key))
	}
	rehearse(engine.Config{URL: url, Init: append([]string{`nonsense`, `INSERT INTO nowhere VALUES (1)`}, schema...), Demo: true}, specs...)
	want = append([]string{".init[0]", ".init[1]"}, want...)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Rehearse: got %v, want %v", got, want)
	}
	rehearse(engine.Config{URL: url}, right())
	if !strings.Contains(fmt.Sprint(got), "person.select") {
		t.Errorf("Rehearse left something behind: got %v, want that there is no table", got)
	}
}

func TestPostgresProbes(t *testing.T) {
	newURL := func(tb testing.TB) string { return testkit.Postgres(tb).URL() }
	t.Run("probe", func(t *testing.T) { testProbe(t, newURL) })
	t.Run("rehearse", func(t *testing.T) { testRehearse(t, newURL) })
}

func TestSQLiteProbes(t *testing.T) {
	newURL := func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "x.db") }
	t.Run("probe", func(t *testing.T) { testProbe(t, newURL) })
	t.Run("rehearse", func(t *testing.T) { testRehearse(t, newURL) })
}

func TestMariaDBProbes(t *testing.T) {
	newURL := func(tb testing.TB) string { return testkit.MariaDB(tb).URL() }
	t.Run("probe", func(t *testing.T) { testProbe(t, newURL) })
	// What init makes is not made, so nothing can be said of it.
	maria := testkit.MariaDB(t)
	db := open(t, engine.Config{URL: maria.URL(), Init: append([]string{`nonsense`}, schema...)})
	spec := right()
	spec.Delete = `DELETE FROM nowhere WHERE id = {id}`
	var got []string
	if err := db.Rehearse(t.Context(), []source.Records{records(t, db, spec)}, func(r source.Refusal) { got = append(got, r.Resource+"."+r.Key) }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[.init[0] person.delete]" {
		t.Errorf("Rehearse: got %v", got)
	}
	if n := maria.Int(`SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()`); n != 0 {
		t.Errorf("after a rehearsal there are %d tables", n)
	}
}

// TestRehearsalMakesNoFile: a check may run as another user than the server.
func TestRehearsalMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.db")
	db := open(t, engine.Config{URL: "sqlite:" + file, Init: schema})
	if err := db.Rehearse(t.Context(), []source.Records{records(t, db, right())}, func(r source.Refusal) { t.Errorf("got %v", r) }); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("after a rehearsal there are %v, %v", all, err)
	}
}

// TestPostgresProbeSeesRights prepares what only running would refuse.
func TestPostgresProbeSeesRights(t *testing.T) {
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE TABLE people (id integer PRIMARY KEY, name text);
		DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'reader') THEN CREATE ROLE reader LOGIN; END IF; END $$;
		GRANT SELECT ON people TO reader`)
	db := open(t, engine.Config{URL: strings.Replace(pg.URL(), "postgres@", "reader@", 1)})
	spec := byID(`SELECT id, name FROM people WHERE id = {id}`)
	spec.Upsert = `INSERT INTO people VALUES ({id}, {body.name}) ON CONFLICT (id) DO UPDATE SET name = excluded.name`
	r := records(t, db, spec)
	if err := db.Probe(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := source.RefusalsOf(r); len(got) != 1 || got[0].Key != "upsert" {
		t.Errorf("Refusals: got %v, want the upsert", got)
	}
	pg.Exec(`GRANT INSERT, UPDATE ON people TO reader`)
	if err := db.Probe(t.Context(), r); err != nil || source.RefusalsOf(r) != nil {
		t.Errorf("after the right was given: got %v, %v", err, source.RefusalsOf(r))
	}
	pg.Exec(`REVOKE ALL ON people FROM reader`) // the role is the server's
}
