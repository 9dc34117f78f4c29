package draft

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// table is a table as the database's catalogue has it.
type table struct {
	schema, name string
	visible      bool // it is found without its schema
	view         bool
	heirs        bool // other tables inherit from it, whose rows a read of it shows
	comment      string
	columns      []column
	key          []int // the columns that name a row; none if nothing does
	late         bool  // a row of the same key is refused at the end of a transaction only
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
	hidden   bool // the account may not read it
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
	return slices.Contains(t.key, i) || !t.columns[i].hidden && !secretName.MatchString(t.columns[i].name)
}

// open has columns be seen if none can be: what the database says then is for whom asks to read.
func (t *table) open() {
	if !slices.ContainsFunc(t.columns, func(c column) bool { return !c.hidden }) {
		for i := range t.columns {
			t.columns[i].hidden = false
		}
	}
}

// unsigned are the columns of the key that hold more numbers than a path can name.
func (t *table) unsigned(d sqltext.Dialect) (names []string) {
	for _, i := range t.key {
		if c := &t.columns[i]; d == sqltext.MySQL && c.base() == "bigint" && strings.Contains(strings.ToLower(c.declared), "unsigned") {
			names = append(names, c.name)
		}
	}
	return names
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
	if t.heirs {
		return "has tables that inherit from it, and no key is unique among the rows of all of them; write its resource by hand, FROM ONLY this one"
	}
	for _, i := range t.key {
		if t.columns[i].hidden {
			return fmt.Sprintf("has the column %q in its key, which this account may not read", t.columns[i].name)
		}
		if secretName.MatchString(t.columns[i].name) {
			return fmt.Sprintf("has the column %q in its key, whose name says that no client should see it; paths end up in logs", t.columns[i].name)
		}
		if kind := kindOf(d, t.columns[i]); kind == "" {
			return fmt.Sprintf("has the column %q %s in its key, which no parameter of a path can be", t.columns[i].name, t.columns[i].ofType())
		}
	}
	return ""
}

// base is the type of a column without its size and such, in lower case.
func (c *column) base() string {
	name, _, _ := strings.Cut(strings.ToLower(c.declared), "(")
	return strings.TrimSpace(name)
}

// ofType tells the type of a column in a sentence.
func (c *column) ofType() string {
	if c.declared == "" {
		return "without a type"
	}
	return "of type " + c.declared
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
