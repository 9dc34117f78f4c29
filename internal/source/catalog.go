package source

import (
	"regexp"
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// catalog is what is known of the columns of a statement's tables.
type catalog struct {
	tables map[sqltext.Table][]catalogColumn
	names  []string // of the select's columns
	types  []string // of the same, when the catalog was read
	view   bool     // one of the tables is a view (SQLite)
}

// catalogColumn is a column by its declaration, in capitals.
type catalogColumn struct {
	name  string
	base  string   // BIGINT, as of bigint(20) unsigned
	words []string // of an ENUM or a SET, as declared
}

// column returns the declaration of a destination. Where the statement does not tell
// the table, the first one that has such a column counts.
func (c *catalog) column(tables []sqltext.Table, d sqltext.Destination) (catalogColumn, bool) {
	if c == nil || !d.IsKnown() {
		return catalogColumn{}, false
	}
	if d.Table != (sqltext.Table{}) {
		tables = []sqltext.Table{d.Table}
	}
	for _, table := range tables {
		columns := c.tables[table]
		if d.Column == "" {
			if d.Ordinal < len(columns) {
				return columns[d.Ordinal], true
			}
			continue
		}
		if i := slices.IndexFunc(columns, func(c catalogColumn) bool { return strings.EqualFold(c.name, d.Column) }); i >= 0 {
			return columns[i], true
		}
	}
	return catalogColumn{}, false
}

// same tells whether another catalog has the columns that an upsert assigns as
// this one has them.
func (c *catalog) same(other *catalog, s *sqltext.Statement) bool {
	for i, sl := range s.Slots {
		a, ok1 := c.column(s.Tables, s.Destinations[i])
		b, ok2 := other.column(s.Tables, s.Destinations[i])
		if ok1 != ok2 || a.name != b.name || a.base != b.base || !slices.Equal(a.words, b.words) {
			return false
		}
		if sl.Param >= 0 || len(s.Fields[sl.Field].Path) == 0 {
			continue
		}
		if f := s.Fields[sl.Field]; c.shown(f).base != other.shown(f).base {
			return false
		}
	}
	return true
}

// declaredColumn reads a declared type such as "int(11) unsigned", "enum('a','b')"
// and "TIMESTAMP WITH TIME ZONE".
func declaredColumn(name, declared string) catalogColumn {
	base, rest, _ := strings.Cut(declared, "(")
	c := catalogColumn{name: name, base: strings.ToUpper(strings.TrimSpace(base))}
	if c.base == "ENUM" || c.base == "SET" {
		c.words = quotedWords(rest)
		return c
	}
	c.base, _, _ = strings.Cut(c.base, " ")
	return c
}

// quotedWord is one of 'a','it”s'.
var quotedWord = regexp.MustCompile(`'((?:[^']|'')*)'`)

func quotedWords(text string) (words []string) {
	for _, found := range quotedWord.FindAllStringSubmatch(text, -1) {
		words = append(words, strings.ReplaceAll(found[1], "''", "'"))
	}
	return words
}
