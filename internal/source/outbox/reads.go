package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Reads is a query that finds keys, as the database reads it.
type Reads struct {
	Relations []string // the tables that it reads, as engine.Engine.Relations names them
	Columns   int      // how many columns it returns; 0 where that is not known
}

// Reads asks what the query of a meaning reads. It runs nothing.
func (o *Outbox) Reads(ctx context.Context, keys string) (r Reads, err error) {
	s, err := sqltext.ParseRow(o.engine.Dialect(), keys)
	if err != nil {
		return r, err
	}
	q := engine.QueryOf(s, nil, make([]any, len(s.Fields)))
	if r.Relations, err = o.engine.Relations(ctx, q); err != nil {
		return r, err
	}
	names, err := o.engine.Columns(ctx, q)
	if o.engine.Fault(err).Class == engine.FaultLost {
		return r, err
	}
	r.Columns = len(names)
	return r, nil
}

// Table is a table that is watched, as the database has it.
type Table struct {
	Name     string // as Set.Table
	Relation string // as engine.Engine.Relations names it
	Columns  []TableColumn
}

// TableColumn is a column, by what its values are to a path.
type TableColumn struct {
	Name string
	Type string // as the database writes it, in small letters
	// Folds says that values compare equal although they differ in capitals or accents,
	// Pads that blanks at the end count for nothing.
	Folds, Pads bool
}

// Column finds a column by its name: in PostgreSQL to the letter.
func (t Table) Column(name string, d sqltext.Dialect) (TableColumn, bool) {
	i := slices.IndexFunc(t.Columns, func(c TableColumn) bool {
		return c.Name == name || d != sqltext.PostgreSQL && strings.EqualFold(c.Name, name)
	})
	if i < 0 {
		return TableColumn{}, false
	}
	return t.Columns[i], true
}

// TableError says why a table cannot be watched, and what to watch instead.
type TableError struct{ Err error }

// Error is the text of what it wraps.
func (e *TableError) Error() string { return e.Err.Error() }

// Unwrap returns what it wraps.
func (e *TableError) Unwrap() error { return e.Err }

// Table looks a table up. Its errors are *TableError, or the engine's.
func (o *Outbox) Table(ctx context.Context, name string) (t Table, err error) {
	if t.Name, err = o.dialect.Canonical(ctx, o.engine, name); err != nil {
		// No engine tells this error from a connection that was lost, and a ping does.
		if _, lost := o.engine.Ping(ctx); lost != nil {
			return t, err
		}
		return t, &TableError{err}
	}
	quoted, text := t.Name, columnTexts[o.engine.Dialect()]
	switch o.engine.Dialect() {
	case sqltext.MySQL:
		schema, table, found := strings.Cut(t.Name, ".")
		if !found {
			schema, table = "", t.Name
		}
		quoted = mysqlNames(schema, table)
	case sqltext.SQLite:
		quoted = `"` + strings.ReplaceAll(t.Name, `"`, `""`) + `"`
	}
	relations, err := o.engine.Relations(ctx, engine.Query{SQL: "SELECT * FROM " + quoted})
	if err != nil {
		return t, err
	}
	if len(relations) != 1 {
		return t, &TableError{fmt.Errorf("%q is no plain table, for a select of it reads %q", name, relations)}
	}
	t.Relation = relations[0]
	args := []any{t.Name}
	if schema, table, _ := strings.Cut(t.Relation, "."); o.engine.Dialect() == sqltext.MySQL {
		args = []any{schema, table} // apart, or the server looks at all tables that there are
	}
	res, err := o.engine.Query(ctx, engine.Query{SQL: text, Args: args})
	if err != nil {
		return t, err
	}
	for _, cells := range res.Rows {
		t.Columns = append(t.Columns, columnOf(o.engine.Dialect(), cells))
	}
	return t, nil
}

// columnTexts ask for the columns of a table: name, type, collation, and for SQLite the
// text that has made the table.
var columnTexts = map[sqltext.Dialect]string{
	sqltext.PostgreSQL: `WITH RECURSIVE base AS (
		SELECT a.attnum, a.attname, a.atttypid AS type, a.attcollation AS coll FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = pg_catalog.to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT b.attnum, b.attname, t.typbasetype, b.coll FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd')
		SELECT b.attname::text, t.typname::text, CASE WHEN c.collisdeterministic THEN '' ELSE coalesce(c.collname::text, '') END, ''
		FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd' LEFT JOIN pg_catalog.pg_collation c ON c.oid = b.coll
		ORDER BY b.attnum`,
	sqltext.MySQL: "SELECT column_name, column_type, COALESCE(collation_name, ''), '' FROM information_schema.columns" +
		" WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
	sqltext.SQLite: "SELECT name, type, '', (SELECT sql FROM sqlite_master WHERE type = 'table' AND name = arg) FROM pragma_table_xinfo(?)",
}

// columnOf reads a row of columnTexts.
func columnOf(d sqltext.Dialect, cells [][]byte) TableColumn {
	c := TableColumn{Name: textOf(cells[0]), Type: strings.ToLower(textOf(cells[1]))}
	collation := textOf(cells[2])
	switch d {
	case sqltext.PostgreSQL:
		c.Folds, c.Pads = c.Type == "citext" || collation != "", c.Type == "bpchar"
	case sqltext.MySQL:
		c.Folds = collation != "" && !strings.HasSuffix(collation, "_bin") && !strings.Contains(collation, "_as_cs") && collation != "binary"
		c.Pads = collation != "" && !strings.Contains(collation, "_0900_") && !strings.Contains(collation, "nopad")
	case sqltext.SQLite:
		collation = sqltext.Collation(textOf(cells[3]), c.Name)
		c.Folds, c.Pads = strings.EqualFold(collation, "NOCASE"), strings.EqualFold(collation, "RTRIM")
	}
	return c
}

// Functions are those of the texts' calls whose own text is in the database, and may read
// any table. SQLite has none.
func (o *Outbox) Functions(ctx context.Context, texts ...string) (names []string, err error) {
	var calls []string
	for _, text := range texts {
		calls = append(calls, sqltext.Calls(o.engine.Dialect(), text)...)
	}
	q := engine.Query{Varies: true}
	switch {
	case len(calls) == 0 || o.engine.Dialect() == sqltext.SQLite:
		return nil, nil
	case o.engine.Dialect() == sqltext.PostgreSQL:
		q.SQL, q.Args = `SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, p.proname) FROM pg_catalog.pg_proc p
			JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
			WHERE p.proname = ANY ($1::text[]) AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('internal', 'c') ORDER BY 1`, []any{calls}
	default:
		q.SQL = "SELECT CONCAT(routine_schema, '.', routine_name) FROM information_schema.routines WHERE routine_type = 'FUNCTION'" +
			" AND routine_schema = DATABASE() AND routine_name IN (?" + strings.Repeat(", ?", len(calls)-1) + ") ORDER BY 1"
		for _, name := range calls {
			q.Args = append(q.Args, name)
		}
	}
	res, err := o.engine.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, cells := range res.Rows {
		names = append(names, textOf(cells[0]))
	}
	return names, nil
}
