package draft

import (
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// quoter writes names for a database.
type quoter struct {
	dialect sqltext.Dialect
	all     bool // a plain name would not do
}

// currentName are plain names that mean something else where they stand alone.
var currentNames = []string{"current_date", "current_time", "current_timestamp", "current_user", "current_role", "session_user", "user",
	"localtime", "localtimestamp", "utc_date", "utc_time", "utc_timestamp", "rowid", "oid", "_rowid_"}

func (q quoter) name(name string) string {
	if !q.all && plainName.MatchString(name) && !slices.Contains(currentNames, name) {
		return name
	}
	mark := `"`
	if q.dialect == sqltext.MySQL {
		mark = "`"
	}
	return mark + strings.ReplaceAll(name, mark, mark+mark) + mark
}

func (q quoter) table(t *table) string {
	if t.visible || t.schema == "" {
		return q.name(t.name)
	}
	return q.name(t.schema) + "." + q.name(t.name)
}

// statements are those of one table.
type statements struct {
	params                           []string // by column of the key
	sel, selectMany, upsert, deletes string   // "": there is none
	note                             string   // why there is no upsert, or what it does not do
}

// statementsOf writes the statements of a table.
func statementsOf(q quoter, t *table) statements {
	var keyNames []string
	for _, i := range t.key {
		keyNames = append(keyNames, t.columns[i].name)
	}
	s := statements{params: parameterNames(keyNames)}
	var list, where []string
	// The key first, as a select_many needs it.
	for _, i := range t.key {
		list = append(list, q.name(t.columns[i].name))
	}
	for i, c := range t.columns {
		if t.shown(i) && !slices.Contains(t.key, i) {
			list = append(list, q.name(c.name))
		}
	}
	for at, i := range t.key {
		where = append(where, fmt.Sprintf("%s = {%s}", q.name(t.columns[i].name), s.params[at]))
	}
	from := "SELECT " + strings.Join(list, ", ") + "\nFROM " + q.table(t)
	s.sel = from + "\nWHERE " + strings.Join(where, " AND ")
	if len(t.key) == 1 {
		s.selectMany = fmt.Sprintf("%s\nWHERE %s IN ({%s})", from, q.name(keyNames[0]), s.params[0])
	}
	if t.view {
		s.note = "It is a view, so it is read only."
		return s
	}
	s.deletes = "DELETE FROM " + q.table(t) + " WHERE " + strings.Join(where, " AND ")
	s.upsert, s.note = upsertOf(q, t, s.params, where)
	if kept := t.unnameable(); len(kept) > 0 && s.upsert != "" {
		s.note = strings.TrimSpace(fmt.Sprintf("%s A PUT does not set %s, which no placeholder can name.", s.note, line(strings.Join(kept, ", "))))
	}
	return s
}

// upsertOf writes the statement of a PUT. It makes a row that is not there, if a row can be made
// of what clients see and no other unique index could lead it to another row; else it changes
// one that is there, and a PUT of a missing one is answered with 404.
func upsertOf(q quoter, t *table, params, where []string) (text, note string) {
	var columns, values, sets, updates []string
	makes := true
	for at, i := range t.key {
		if t.columns[i].computed {
			makes, note = false, fmt.Sprintf("The database numbers the rows (%s), so a PUT changes a row that is there and makes none.", line(t.columns[i].name))
		}
		columns, values = append(columns, q.name(t.columns[i].name)), append(values, "{"+params[at]+"}")
	}
	for i, c := range t.columns {
		if slices.Contains(t.key, i) {
			continue
		}
		if !t.writable(i) {
			if c.notNull && !c.defaults && !c.computed {
				makes, note = false, fmt.Sprintf("A row needs %s, which is left out here, so a PUT changes a row that is there and makes none.", line(c.name))
			}
			continue
		}
		name, value := q.name(c.name), "{body."+c.name+"?}"
		if c.notNull {
			value = "{body." + c.name + "}"
		}
		columns, values = append(columns, name), append(values, value)
		updates = append(updates, name+" = "+value)
		if q.dialect == sqltext.MySQL {
			sets = append(sets, name+" = VALUES("+name+")")
		} else {
			sets = append(sets, name+" = excluded."+name)
		}
	}
	switch {
	case len(updates) == 0:
		return "", "There is nothing that a PUT could set."
	case makes && t.late:
		makes, note = false, "No upsert can go by a key that is DEFERRABLE, so a PUT changes a row that is there and makes none."
	case makes && q.dialect == sqltext.MySQL && t.otherUnique:
		makes, note = false, "Another unique index could lead an upsert to another row, so a PUT changes a row that is there and makes none."
	}
	if !makes {
		return "UPDATE " + q.table(t) + "\nSET " + strings.Join(updates, ", ") + "\nWHERE " + strings.Join(where, " AND "), note
	}
	conflict := "ON DUPLICATE KEY UPDATE "
	if q.dialect != sqltext.MySQL {
		conflict = "ON CONFLICT (" + strings.Join(columns[:len(t.key)], ", ") + ") DO UPDATE SET "
	}
	return "INSERT INTO " + q.table(t) + " (" + strings.Join(columns, ", ") + ")\nVALUES (" + strings.Join(values, ", ") + ")\n" + conflict + strings.Join(sets, ", "), ""
}

// sql is a statement as a string of TOML, on lines of its own if it is long. Lines that are too
// long for a reader are broken at their commas.
func sql(text string) string {
	if one := strings.ReplaceAll(text, "\n", " "); len(one) <= 110 && !strings.ContainsAny(one, `"\`) {
		return basic(one)
	}
	quote := `"""`
	if strings.ContainsAny(text, `"\`) {
		quote = "'''"
	}
	if strings.Contains(text, quote) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
		return basic(strings.ReplaceAll(text, "\n", " "))
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, l := range strings.Split(text, "\n") {
		b.WriteString("\n  ")
		width := 2
		for i, part := range strings.SplitAfter(l, ", ") {
			if i > 0 && width+len(part) > 100 {
				b.WriteString("\n    ")
				width = 4
			}
			b.WriteString(part)
			width += len(part)
		}
	}
	// Blanks at the ends of lines would be lost in editors.
	return strings.ReplaceAll(b.String(), " \n", "\n") + quote
}
