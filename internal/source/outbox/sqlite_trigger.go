package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// The triggers of a set, each named hearth_<id>_<kind>:
//
//	i   AFTER INSERT    the row as it is
//	u   AFTER UPDATE    the row as it was and as it is, if that counts
//	d   AFTER DELETE    the row as it was
//	ri  BEFORE INSERT   rows that OR REPLACE would remove: SQLite tells no trigger of them,
//	ru  BEFORE UPDATE   unless recursive_triggers is set. One that stays is told in vain
//
// A row tells one row of the table. Foreign keys that cascade, statements without WHERE
// and upserts are told like any other.

// Triggers implements dialect.
func (d *sqlite) Triggers(ctx context.Context, e engine.Engine, s Set, _ Options) (statements, notes []string, err error) {
	want, t, err := d.triggersFor(ctx, e, s)
	if err != nil {
		return nil, nil, err
	}
	there, err := triggersOf(ctx, e, s.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, old := range there {
		statements = append(statements, old.drop())
	}
	for _, new := range want {
		if !slices.ContainsFunc(there, func(o sqliteTrigger) bool { return o.name == new.name }) {
			statements = append(statements, new.drop()) // the script may run elsewhere
		}
		statements = append(statements, new.text)
	}
	if !slices.EqualFunc(there, want, func(a, b sqliteTrigger) bool { return a.table == b.table && same(a.text, b.text) }) {
		// Nobody has told of what was changed until now.
		statements = append(statements, fmt.Sprintf("INSERT INTO hearth_feed (watch, data) VALUES (%d, NULL)", s.ID))
	}
	notes = append(notes, "Programs that write to the watched tables need the JSON functions of SQLite, which are part of it from version 3.38 on, and before where it was built with JSON1. "+
		"Without them their writes fail, with an error that names a trigger hearth_…: SELECT json_object() shows whether they are there.",
		"ALTER TABLE … DROP COLUMN is refused while a trigger names the column: change the watch and install with -prune first. RENAME COLUMN and RENAME TO change the triggers, too. "+
			"A migration that builds a table anew and drops the old one drops the triggers; Hearth sets them up again within a second, and removes all records of the table's resources once.")
	if _, untold := t.lookedUp(s.Captured); untold {
		notes = append(notes, fmt.Sprintf("Table %q has a unique index over an expression. A row that INSERT OR REPLACE removes because of it is not told, unless the program that does so sets PRAGMA recursive_triggers = ON.", s.Table))
	}
	return statements, notes, nil
}

// triggersFor are the triggers that a set is to have, by its table as it is now, in the
// order of their names.
func (d *sqlite) triggersFor(ctx context.Context, e engine.Engine, s Set) ([]sqliteTrigger, sqliteTable, error) {
	t, err := d.tableOf(ctx, e, s.Table)
	if err != nil {
		return nil, t, err
	}
	if t.kind != "table" {
		return nil, t, notWatched("there is no table %q any more", s.Table)
	}
	for _, c := range slices.Concat(s.Captured, s.Filter) {
		if !slices.Contains(t.columns, c) {
			return nil, t, fmt.Errorf("table %q has no column %q; correct resource.watch", s.Table, c)
		}
	}
	w := sqliteWriter{set: s, table: t}
	all := []sqliteTrigger{
		w.trigger("d", "AFTER DELETE", "", w.tell(w.list("OLD"))),
		w.trigger("i", "AFTER INSERT", "", w.tell(w.list("NEW"))),
	}
	if keys, _ := t.lookedUp(s.Captured); len(keys) > 0 {
		var before, beforeUpdate, columns []string
		for _, k := range keys {
			look := w.tellOthers(k)
			before = append(before, look)
			beforeUpdate = append(beforeUpdate, look+" AND ("+differ(k.columns)+")")
			columns = append(columns, k.columns...)
		}
		all = append(all,
			w.trigger("ri", "BEFORE INSERT", "", before...),
			w.trigger("ru", "BEFORE UPDATE", differ(columns), beforeUpdate...))
	}
	return append(all, w.trigger("u", "AFTER UPDATE", w.changed(s.Filter), w.tell(w.both()))), t, nil
}

// sqliteWriter writes the texts of one set's triggers.
type sqliteWriter struct {
	set   Set
	table sqliteTable
}

// trigger writes one. Names of tables within it stand bare: they are of the trigger's own
// file, under whatever name a program has attached it.
func (w sqliteWriter) trigger(kind, event, when string, body ...string) sqliteTrigger {
	name := triggerPrefix(w.set.ID) + kind
	if when != "" {
		when = " WHEN " + when
	}
	text := fmt.Sprintf("CREATE TRIGGER %s %s ON %s%s BEGIN\n\t%s;\nEND", sqliteName(name), event, sqliteName(w.table.name), when, strings.Join(body, ";\n\t"))
	return sqliteTrigger{name, w.table.name, text}
}

// tell writes a row of the outbox.
func (w sqliteWriter) tell(data string) string {
	return fmt.Sprintf("INSERT INTO hearth_feed (watch, data) VALUES (%d, %s)", w.set.ID, data)
}

// tellOthers tells of the rows that have the new row's values in a key.
func (w sqliteWriter) tellOthers(k sqliteKey) string {
	var same []string
	for _, c := range k.columns {
		same = append(same, fmt.Sprintf("o.%s = NEW.%s", sqliteName(c), sqliteName(c)))
	}
	return fmt.Sprintf("INSERT INTO hearth_feed (watch, data) SELECT %d, %s FROM %s AS o WHERE %s",
		w.set.ID, w.list("o"), sqliteName(w.table.name), strings.Join(same, " AND "))
}

func (w sqliteWriter) list(row string) string { return "json_array(" + w.object(row) + ")" }

// both tells the row once where its captured values have not changed.
func (w sqliteWriter) both() string {
	if len(w.set.Captured) == 0 {
		return w.list("NEW")
	}
	return fmt.Sprintf("CASE WHEN %s THEN json_array(%s, %s) ELSE %s END", differ(w.set.Captured), w.object("OLD"), w.object("NEW"), w.list("NEW"))
}

// changed is when an UPDATE counts.
func (w sqliteWriter) changed(filter []string) string {
	if len(filter) == 0 {
		return ""
	}
	return differ(slices.Concat(filter, w.set.Captured))
}

// differ tells whether one of the columns has another value, byte for byte: by a column's
// own collation two spellings may be equal.
func differ(columns []string) string {
	var all []string
	for _, c := range columns {
		one := fmt.Sprintf("OLD.%s COLLATE BINARY IS NOT NEW.%s", sqliteName(c), sqliteName(c))
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return strings.Join(all, " OR ")
}

// object is a row as JSON, by its captured columns.
func (w sqliteWriter) object(row string) string {
	var members []string
	for _, c := range w.set.Captured {
		value := row + "." + sqliteName(c)
		if c != w.table.number {
			value = valueOf(value)
		}
		members = append(members, sqliteText(c)+", "+value)
	}
	return "json_object(" + strings.Join(members, ", ") + ")"
}

// valueOf is a value as JSON. JSON has no bytes: they are an object that says so, see
// BytesText. JSON's own way to write a REAL loses digits.
func valueOf(column string) string {
	return strings.ReplaceAll(`CASE typeof(?) WHEN 'blob' THEN json_object('bytes', hex(?))`+
		` WHEN 'real' THEN CASE WHEN abs(?) < 9e18 AND ? = CAST(? AS INTEGER) THEN CAST(? AS INTEGER)`+
		` WHEN CAST(printf('%!.15g', ?) AS REAL) = ? THEN printf('%!.15g', ?) ELSE printf('%!.17g', ?) END`+
		` ELSE ? END`, "?", column)
}
