package engine

import (
	"regexp"
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// Catalog is what is known of the columns of a statement's tables. It never
// changes once it is read, so writes share it.
type Catalog struct {
	Tables map[sqltext.Table][]Column
	Names  []string // of the select's columns
	Types  []string // of the same, when the catalog was read
	View   bool     // one of the tables is a view (SQLite)
}

// Column is a column by its declaration, in capitals.
type Column struct {
	Name  string
	Base  string   // BIGINT, as of bigint(20) unsigned
	Words []string // of an ENUM or a SET, as declared
}

// Column returns the declaration of a destination. Where the statement does not tell
// the table, the first one that has such a column counts.
func (c *Catalog) Column(tables []sqltext.Table, d sqltext.Destination) (Column, bool) {
	if c == nil || !d.IsKnown() {
		return Column{}, false
	}
	if d.Table != (sqltext.Table{}) {
		tables = []sqltext.Table{d.Table}
	}
	for _, table := range tables {
		columns := c.Tables[table]
		if d.Column == "" {
			if d.Ordinal < len(columns) {
				return columns[d.Ordinal], true
			}
			continue
		}
		if i := slices.IndexFunc(columns, func(c Column) bool { return strings.EqualFold(c.Name, d.Column) }); i >= 0 {
			return columns[i], true
		}
	}
	return Column{}, false
}

// Same tells whether another catalog has the columns that an upsert assigns as
// this one has them.
func (c *Catalog) Same(other *Catalog, s *sqltext.Statement) bool {
	for i, sl := range s.Slots {
		a, ok1 := c.Column(s.Tables, s.Destinations[i])
		b, ok2 := other.Column(s.Tables, s.Destinations[i])
		if ok1 != ok2 || a.Name != b.Name || a.Base != b.Base || !slices.Equal(a.Words, b.Words) {
			return false
		}
		if sl.Param >= 0 || len(s.Fields[sl.Field].Path) == 0 {
			continue
		}
		if f := s.Fields[sl.Field]; c.Shown(f).Base != other.Shown(f).Base {
			return false
		}
	}
	return true
}

// DeclaredColumn reads a declared type such as "int(11) unsigned", "enum('a','b')"
// and "TIMESTAMP WITH TIME ZONE".
func DeclaredColumn(name, declared string) Column {
	base, rest, _ := strings.Cut(declared, "(")
	c := Column{Name: name, Base: strings.ToUpper(strings.TrimSpace(base))}
	if c.Base == "ENUM" || c.Base == "SET" {
		c.Words = quotedWords(rest)
		return c
	}
	c.Base, _, _ = strings.Cut(c.Base, " ")
	return c
}

// quotedWord is one of 'a','it”s'.
var quotedWord = regexp.MustCompile(`'((?:[^']|'')*)'`)

// quotedWords returns the words of a declaration without their quotes, doubled
// ones undone.
func quotedWords(text string) (words []string) {
	for _, found := range quotedWord.FindAllStringSubmatch(text, -1) {
		words = append(words, strings.ReplaceAll(found[1], "''", "'"))
	}
	return words
}

// Shown is the select's column that a member has the name of.
func (c *Catalog) Shown(f sqltext.Field) Column {
	if i := slices.Index(c.Names, f.Path[0]); i >= 0 && len(f.Path) == 1 {
		return DeclaredColumn("", strings.TrimPrefix(c.Types[i], "UNSIGNED "))
	}
	return Column{}
}
