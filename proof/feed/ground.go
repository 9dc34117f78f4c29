package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"hearth/internal/testkit"
)

// ground is a database with the rows that others change, and how it is spoken to.
type ground struct {
	name    string
	url     string                               // database.url
	shell   func() (*testkit.Session, error)     // a program of others that is connected
	upsert  string                               // what an INSERT does with a row that is there
	batch   func(first, n int64, v int64) string // one statement that sets so many rows from a number on to a version
	outbox  string                               // the table of what waits to be drained
	pending string                               // a query that counts what waits there, of changes
}

// schema makes n rows of version 0, in groups of ten.
const schema = `CREATE TABLE numbers (id BIGINT PRIMARY KEY, grp BIGINT NOT NULL, v BIGINT NOT NULL);
CREATE INDEX numbers_grp ON numbers (grp);
`

// groupSize is how many rows a group has at first.
const groupSize = 10

// insert makes the rows of version 0 whose numbers are below n.
func insert(n int) string {
	var b strings.Builder
	for id := range n {
		if id%1000 == 0 {
			b.WriteString(map[bool]string{true: "", false: ";\n"}[id == 0] + "INSERT INTO numbers (id, grp, v) VALUES ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d, %d, 0)", id, id/groupSize)
	}
	return b.String() + ";\n"
}

// between is a statement that sets a version, which all databases understand.
func between(first, n, v int64) string {
	return fmt.Sprintf("UPDATE numbers SET v = %d WHERE id BETWEEN %d AND %d;", v, first, first+n-1)
}

// onPostgres is the ground of a PostgreSQL.
func onPostgres(t *trial, db *testkit.Database, rows int) *ground {
	db.Exec(schema + insert(rows))
	return &ground{
		name: "PostgreSQL", url: db.URL(), shell: db.Session, batch: between,
		upsert: "ON CONFLICT (id) DO UPDATE SET v = GREATEST(numbers.v, excluded.v)",
		outbox: "hearth.feed", pending: "SELECT count(*) FROM hearth.feed WHERE watch > 0;",
	}
}

// onMariaDB is the ground of a MariaDB.
func onMariaDB(t *trial, db *testkit.Database, rows int) *ground {
	db.Exec(schema + insert(rows))
	return &ground{
		name: "MariaDB", url: db.URL(), shell: db.Session, batch: between,
		upsert: "ON DUPLICATE KEY UPDATE v = GREATEST(v, VALUES(v))",
		outbox: "hearth_feed", pending: "SELECT count(*) FROM hearth_feed WHERE watch > 0;",
	}
}

// onSQLite is the ground of a file.
func onSQLite(t *trial, rows int) *ground {
	t.Helper()
	path := filepath.Join(testkit.TempDir(t, "rows"), "rows.db")
	g := &ground{
		name: "SQLite", url: "sqlite:" + path, shell: func() (*testkit.Session, error) { return testkit.SQLite(path) }, batch: between,
		upsert: "ON CONFLICT (id) DO UPDATE SET v = MAX(numbers.v, excluded.v)",
		outbox: "hearth_feed", pending: "SELECT count(*) FROM hearth_feed WHERE watch > 0;",
	}
	g.exec(t, "PRAGMA journal_mode = WAL; "+schema+insert(rows))
	return g
}

// exec runs statements by a session of its own, whose failure ends the trial.
func (g *ground) exec(t *trial, sql string) [][]string {
	t.Helper()
	rows, err := g.ask(sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// ask runs statements by a session of its own, and returns what they print: numbers and
// words without blanks.
func (g *ground) ask(sql string) ([][]string, error) {
	s, err := g.shell()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	text, err := s.Do(sql)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool { return r == '\x1f' || r == '\t' || r == '|' }))
	}
	return rows, nil
}

// count is the number that a query returns.
func (g *ground) count(t *trial, sql string) int64 {
	t.Helper()
	rows := g.exec(t, sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("asking %s %q: %q is no number", g.name, sql, rows)
	}
	n, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		t.Fatalf("asking %s %q: %v", g.name, sql, err)
	}
	return n
}
