package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// sqliteTable is a table as the catalog has it.
type sqliteTable struct {
	name    string
	kind    string // table, view, virtual, shadow; "": there is none
	columns []string
	number  string      // the column that is the row's number, and so always an integer or NULL; "": none is
	keys    []sqliteKey // what makes rows unique
}

// sqliteKey is a primary key or a unique index.
type sqliteKey struct {
	columns []string
	exact   bool // equal values are the same bytes
	partly  bool // an expression is part of it, so that its values cannot be told from columns
}

// rowsOf asks the catalog, and returns texts.
func rowsOf(ctx context.Context, e engine.Engine, text string, args ...any) ([][]string, error) {
	res, err := e.Query(ctx, engine.Query{SQL: text, Args: args, Varies: true})
	if err != nil {
		return nil, err
	}
	return textsOf(res), nil
}

// tableOf reads a table. A name is found in any capitals, as SQLite finds it.
func (*sqlite) tableOf(ctx context.Context, e engine.Engine, name string) (t sqliteTable, err error) {
	if len(name) > 5 && strings.EqualFold(name[:5], "main.") {
		name = name[5:]
	}
	rows, err := rowsOf(ctx, e, "SELECT name, type, wr FROM pragma_table_list(?) WHERE schema = 'main'", name)
	if err != nil || len(rows) == 0 {
		return t, err
	}
	t.name, t.kind = rows[0][0], rows[0][1]
	withoutRowid := rows[0][2] == "1"
	if rows, err = rowsOf(ctx, e, "SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1", t.name); err != nil {
		return t, err
	}
	var primary []string
	for _, row := range rows {
		t.columns = append(t.columns, row[0])
		if row[1] != "0" {
			primary = append(primary, row[0])
		}
	}
	indices, err := rowsOf(ctx, e, `SELECT name, origin FROM pragma_index_list(?) WHERE "unique" = 1`, t.name)
	if err != nil {
		return t, err
	}
	rowid := len(primary) == 1 && !withoutRowid // the key is the row's number, and has no index
	for _, index := range indices {
		rowid = rowid && index[1] != "pk"
		k, err := keyOf(ctx, e, index[0])
		if err != nil {
			return t, err
		}
		t.keys = append(t.keys, k)
	}
	if rowid {
		t.number = primary[0]
		t.keys = append(t.keys, sqliteKey{columns: primary, exact: true})
	}
	return t, nil
}

// keyOf reads the columns of a unique index.
func keyOf(ctx context.Context, e engine.Engine, index string) (sqliteKey, error) {
	k := sqliteKey{exact: true}
	parts, err := rowsOf(ctx, e, "SELECT name, coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno", index)
	for _, part := range parts {
		k.partly = k.partly || part[0] == "" // an expression has no name
		k.exact = k.exact && strings.EqualFold(part[1], "BINARY")
		k.columns = append(k.columns, part[0])
	}
	return k, err
}

// Canonical implements dialect.
func (d *sqlite) Canonical(ctx context.Context, e engine.Engine, table string) (string, error) {
	t, err := d.tableOf(ctx, e, table)
	if err != nil {
		return table, fmt.Errorf("looking for table %q: %w", table, err)
	}
	lower := strings.ToLower(t.name)
	switch {
	case t.kind == "":
		return table, notWatched("there is no table %q in the database's file; correct resource.watch", table)
	case t.kind == "view":
		return table, notWatched("%q is a view, and nothing tells of its changes; watch the tables that it reads", table)
	case strings.HasPrefix(lower, "hearth_"):
		return table, notWatched("table %q is the outbox's own", table)
	case t.kind != "table" || strings.HasPrefix(lower, "sqlite_"):
		return table, notWatched("table %q is %s, which takes no triggers; watch the table that it is filled from", table, map[string]string{"virtual": "a virtual one", "shadow": "part of a virtual one"}[t.kind]+map[bool]string{true: "SQLite's own"}[t.kind == "table"])
	}
	return t.name, nil
}

// Columns implements columnLister.
func (d *sqlite) Columns(ctx context.Context, e engine.Engine, table string) ([]string, error) {
	t, err := d.tableOf(ctx, e, table)
	if t.kind != "table" {
		return nil, err
	}
	return t.columns, err
}

// sqliteTrigger is a trigger of the outbox, as it stands or as it is to be.
type sqliteTrigger struct{ name, table, text string }

func (t sqliteTrigger) drop() string { return "DROP TRIGGER IF EXISTS " + sqliteName(t.name) }

// triggersOf are the triggers that stand: those of a set, or with 0 of all.
func triggersOf(ctx context.Context, e engine.Engine, id int32) (all []sqliteTrigger, err error) {
	rows, err := rowsOf(ctx, e, "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'hearth_[0-9]*' ORDER BY name")
	for _, row := range rows {
		if id == 0 || strings.HasPrefix(row[0], triggerPrefix(id)) {
			all = append(all, sqliteTrigger{row[0], row[1], row[2]})
		}
	}
	return all, err
}

// triggerPrefix begins the names of a set's triggers. An error of the application's names
// the trigger, and so whose it is.
func triggerPrefix(id int32) string { return fmt.Sprintf("hearth_%d_", id) }

// drops implements catalogued.
func (*sqlite) drops(ctx context.Context, e engine.Engine, id int32) ([]string, error) {
	there, err := triggersOf(ctx, e, id)
	if err != nil {
		return nil, err
	}
	var statements []string
	for _, t := range there {
		statements = append(statements, t.drop())
	}
	return statements, nil
}

// lookedUp are the keys by which a statement with OR REPLACE may remove another row that
// no trigger would tell of: one whose captured values may be others than the new row's.
func (t sqliteTable) lookedUp(captured []string) (keys []sqliteKey, untold bool) {
	for _, k := range t.keys {
		told := k.exact && !slices.ContainsFunc(captured, func(c string) bool { return !slices.Contains(k.columns, c) })
		switch {
		case k.partly:
			untold = true
		case !told:
			keys = append(keys, k)
		}
	}
	return keys, untold
}
