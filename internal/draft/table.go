package draft

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/sqltext"
)

// table is a table as the database's catalogue has it.
type table struct {
	schema, name string
	visible      bool // it is found without its schema
	view         bool
	comment      string
	columns      []column
	key          []int // the columns that name a row; none if nothing does
	otherUnique  bool  // another unique index may refuse a row, too
}

// column is one of its columns.
type column struct {
	name     string
	declared string // type, without what a domain adds
	array    bool
	comment  string
	notNull  bool
	defaults bool // has a value where none is given
	computed bool // the database alone sets it
}

// full is the table's name for people, and for -tables.
func (t *table) full() string {
	if t.visible || t.schema == "" {
		return t.name
	}
	return t.schema + "." + t.name
}

// secretName are names of columns that are hardly ever meant to be served.
var secretName = regexp.MustCompile(`(?i)(^|_)(pass|passwd|password|passphrase|pwd|secret|salt|otp|totp|mfa|cvv|cvc|ssn|(api|private|secret)_?key|(access|refresh|reset|auth|session)_?token|token)(_?(hash|digest|enc|encrypted|salt))?($|_)`)

// memberName is what a placeholder {body.name} can name.
var memberName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// shown tells whether a column is served.
func (t *table) shown(i int) bool {
	return slices.Contains(t.key, i) || !secretName.MatchString(t.columns[i].name)
}

// writable tells whether a column can be set by a PUT.
func (t *table) writable(i int) bool {
	c := &t.columns[i]
	return t.shown(i) && !slices.Contains(t.key, i) && !c.computed && memberName.MatchString(c.name)
}

// unnameable are the columns that clients see and a PUT could set, if {body.name} could name them.
func (t *table) unnameable() (kept []string) {
	for i, c := range t.columns {
		if t.shown(i) && !slices.Contains(t.key, i) && !c.computed && !memberName.MatchString(c.name) {
			kept = append(kept, c.name)
		}
	}
	return kept
}

// refused says why a table cannot be served; "" if it can.
func (t *table) refused(d sqltext.Dialect) string {
	if len(t.key) == 0 {
		if t.view {
			return "is a view: no key tells its rows apart that could be found out; write its resource by hand"
		}
		return "has no primary key, and no unique one without NULL, so no path names a row"
	}
	for _, i := range t.key {
		if secretName.MatchString(t.columns[i].name) {
			return fmt.Sprintf("has the column %q in its key, whose name says that no client should see it; paths end up in logs", t.columns[i].name)
		}
		if kind := kindOf(d, t.columns[i]); kind == "" {
			return fmt.Sprintf("has the column %q of type %s in its key, which no parameter of a path can be", t.columns[i].name, t.columns[i].declared)
		}
	}
	return ""
}

// base is the type of a column without its size and such, in lower case.
func (c *column) base() string {
	name, _, _ := strings.Cut(strings.ToLower(c.declared), "(")
	return strings.TrimSpace(name)
}

// kindOf is the kind of parameter that names a column's values, "" if none does.
func kindOf(d sqltext.Dialect, c column) param.Kind {
	base := c.base()
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(base, w) })
	}
	switch {
	case c.array:
		return ""
	case d == sqltext.SQLite:
		// By the rules of affinity (https://www.sqlite.org/datatype3.html, 3.1).
		switch {
		case has("int"):
			return param.Int
		case has("char", "clob", "text"):
			return param.String
		}
		return ""
	case base == "uuid":
		return param.UUID
	case has("interval", "point"):
		return ""
	case has("int"), base == "year":
		return param.Int
	case has("char", "text", "enum"), base == "citext", base == "name":
		return param.String
	}
	return ""
}

// looks says how a column's values look in a record, in a few words (docs/types.md).
func looks(d sqltext.Dialect, c column) string {
	base := c.base()
	is := func(words ...string) bool { return slices.Contains(words, base) }
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(base, w) })
	}
	switch {
	case c.array:
		return "array"
	case is("json", "jsonb"):
		return "JSON"
	case is("boolean", "bool") && d == sqltext.PostgreSQL:
		return "true or false"
	case is("boolean", "bool"), d == sqltext.MySQL && strings.HasPrefix(strings.ToLower(c.declared), "tinyint(1)"):
		return "0 or 1"
	case has("blob", "binary"), is("bytea", "bit") && d != sqltext.PostgreSQL, is("bytea"):
		return "string of base64"
	case has("interval", "point"):
		return "string, as the database writes it"
	case has("int", "serial"), is("year", "oid"):
		return "integer"
	case is("numeric", "decimal") && d != sqltext.SQLite:
		return "number, all its digits"
	case has("real", "double", "float", "numeric", "decimal"):
		return "number"
	case is("date"):
		return `string, "2024-02-29"`
	case has("timestamp"), is("datetime"):
		return `string, "2024-02-29T01:02:03Z"`
	case has("char", "text", "clob", "enum"), is("uuid", "citext", "name"):
		return "string"
	case d == sqltext.SQLite:
		return "as it is stored"
	}
	return "string, as the database writes it"
}

// stamp marks the columns that tell when a row came or changed: the database sets them, and a PUT
// that sends them back, as a read has shown them, does no harm.
func (t *table) stamp(d sqltext.Dialect) {
	for i := range t.columns {
		if c := &t.columns[i]; c.defaults && strings.HasPrefix(looks(d, *c), `string, "2024`) {
			c.computed = true
		}
	}
}

// columnTable writes the columns as lines of comment.
func (t *table) columnTable(b *strings.Builder, d sqltext.Dialect) {
	wide, wider := 0, 0
	for i := range t.columns {
		if t.shown(i) {
			wide, wider = max(wide, len(line(t.columns[i].name))), max(wider, len(line(t.columns[i].declared)))
		}
	}
	wide, wider = min(wide, 24), min(wider, 28)
	for i, c := range t.columns {
		if !t.shown(i) {
			continue
		}
		declared := c.declared
		if c.array && !strings.HasSuffix(declared, "[]") {
			declared += "[]"
		}
		text := fmt.Sprintf("#   %-*s  %-*s  %s", wide, line(c.name), wider, line(cut(declared, 40)), looks(d, c))
		switch {
		case slices.Contains(t.key, i):
			text += ", the key"
		case c.computed:
			text += ", set by the database"
		case !c.notNull:
			text += " or null"
		}
		if c.comment != "" {
			text += ": " + line(cut(c.comment, 60))
		}
		b.WriteString(text + "\n")
	}
}

// line is text on one line.
func line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 }), " ")
}

// cut is the beginning of a text.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// byName sorts tables.
func byName(a, b *table) int {
	return cmp.Or(cmp.Compare(a.schema, b.schema), cmp.Compare(a.name, b.name))
}
