package sqltext

import (
	"fmt"
	"slices"
	"strings"
)

// Which changes of which table can change a record? It is told by the text where the
// select has the plainest shape only:
//
//	select    = "SELECT" … "FROM" table [["AS"] alias] ["WHERE" condition] [tail]
//	condition = conjunct "AND" conjunct …, perhaps in brackets
//	conjunct  = [qualifier "."] column "=" parameter | parameter "=" … column | anything else
//	tail      = what begins with GROUP, HAVING, WINDOW, ORDER, LIMIT, OFFSET, FETCH, FOR or LOCK
//
// with a conjunct column = {p} for each parameter, and no other select, join or table
// anywhere. Why that is enough: all that is returned is made of rows of this one table in
// which each such column equals its parameter, for the conjuncts are joined by AND. Other
// conjuncts let fewer of these rows in, the tail groups, orders and cuts what is left. So a
// row that changes concerns the record named by its columns as they were, and the one named
// by its columns as they are, and no other, whatever else of it has changed: every UPDATE of
// the table counts. What the text does not tell are functions that read other tables, and
// conditions that time alone changes.
//
// A comparison within an expression, by another operator, or of a cast or collated column
// is anything else: it may find rows whose column has another value than the parameter.

// Watched is what a select reads: one table, whose rows have the parameters in columns.
type Watched struct {
	Table   string   // in PostgreSQL in quotes where it needs some
	Columns []string // as the table has them, by parameter
	All     bool     // there are no parameters: every row concerns the one record
}

// Watched tells what the select reads. why says what keeps that from being told, "" for
// nothing.
func (s *Statement) Watched(params int) (w Watched, why string) {
	table, rest, why := s.onlyTable()
	if why != "" {
		return w, why
	}
	w.Table = table
	if params == 0 {
		w.All = true
		return w, ""
	}
	condition, why := s.onlyAnd(rest)
	if why != "" {
		return w, why
	}
	w.Columns = make([]string, params)
	s.equals(condition, w.Columns)
	if i := slices.Index(w.Columns, ""); i >= 0 {
		return Watched{}, "not every parameter is compared with a column by = alone"
	}
	return w, ""
}

// ReadsOnly tells whether the select reads one table, this one.
func (s *Statement) ReadsOnly(table string) bool {
	other, _, why := s.onlyTable()
	return why == "" && other == table
}

// readers are words that stand for further tables, or for rows of none.
var readers = []string{
	"SELECT", "WITH", "UNION", "EXCEPT", "INTERSECT", "MINUS", "JOIN", "STRAIGHT_JOIN", "TABLE", "VALUES", "LATERAL", "INTO", "APPLY",
}

// onlyTable returns the one table of a select, and what follows it.
func (s *Statement) onlyTable() (table string, rest phrase, why string) {
	p := s.lexemes
	if n := len(p); n > 0 && p[n-1].is(";") {
		p = p[:n-1]
	}
	if !p.at(0).is("SELECT") {
		return "", nil, "it does not begin with SELECT"
	}
	if s.executable {
		return "", nil, "it has a comment that MySQL executes"
	}
	if i := slices.IndexFunc(p[1:], func(l lexeme) bool { return l.is(";") || l.oneOf(readers...) }); i >= 0 {
		return "", nil, fmt.Sprintf("it has %s", p[i+1].text)
	}
	from := p.first(1, func(i int) bool { return p[i].is("FROM") && !p[i-1].is("DISTINCT") })
	if from == len(p) {
		return "", nil, "it has no FROM"
	}
	var parts []string
	i := from + 1
	if p.at(i).is("ONLY") { // PostgreSQL: without the tables that inherit from it
		return "", nil, "it has FROM ONLY"
	}
	for p.at(i).isName() && !p.at(i).isNumber() {
		parts = append(parts, s.Dialect.written(p[i]))
		if i++; !p.at(i).is(".") {
			break
		}
		i++
	}
	if s.Dialect == SQLite && len(parts) == 2 && strings.EqualFold(parts[0], "main") { // the file itself
		parts = parts[1:]
	}
	if p.at(i).is("AS") {
		i++
	}
	if alias := p.at(i); alias.isName() && !alias.is("WHERE") && !alias.oneOf(tailWords...) || alias.kind == doubleQuoted {
		i++
	}
	if next := p.at(i); len(parts) == 0 || len(parts) > 2 || next.kind != none && !next.is("WHERE") && !next.oneOf(tailWords...) {
		return "", nil, "more than the name of one table follows FROM"
	}
	return strings.Join(parts, "."), p[i:], ""
}

// tailWords begin what follows a condition.
var tailWords = []string{"GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "LOCK"}

// first returns the first place from i on, and outside brackets that open there, that
// meets what is asked for, or the end.
func (p phrase) first(i int, meets func(i int) bool) int {
	for ; i < len(p); i++ {
		if meets(i) {
			return i
		}
		if p[i].pair > 0 {
			i += p[i].pair
		}
	}
	return len(p)
}

// onlyAnd returns the condition of a select, of which all parts have to hold.
func (s *Statement) onlyAnd(rest phrase) (condition phrase, why string) {
	if !rest.at(0).is("WHERE") {
		return nil, "it has no WHERE"
	}
	rest = rest[1:]
	// Also in the tail: a column may have the name of a word that begins one.
	if i := rest.first(0, s.alternative(rest)); i < len(rest) {
		return nil, fmt.Sprintf("its condition has %s outside brackets", rest[i].text)
	}
	end := rest.first(0, func(i int) bool { return rest[i].oneOf(tailWords...) })
	return rest[:end], ""
}

// alternative tells of what binds weaker than AND, or hides one.
func (s *Statement) alternative(p phrase) func(i int) bool {
	return func(i int) bool {
		either := p[i].is("|") && p.at(i+1).is("|") && s.Dialect == MySQL // which is OR there
		return either || p[i].oneOf("OR", "XOR", ":=")
	}
}

// equals notes the columns that parts of a condition compare with parameters.
func (s *Statement) equals(condition phrase, columns []string) {
	start, between := 0, false
	for i := 0; i <= len(condition); i++ {
		l := condition.at(i)
		switch {
		case l.pair > 0:
			i += l.pair
		case l.oneOf("CASE"): // the AND up to its END are its own
			return
		case l.is("BETWEEN"):
			between = true
		case l.is("AND") && between: // which is BETWEEN's
			between = false
		case l.is("AND"), l.kind == none:
			s.equal(condition[start:i], columns)
			start = i + 1
		}
	}
}

// equal notes the column of column = {p}.
func (s *Statement) equal(p phrase, columns []string) {
	if p.encloses(0) {
		inner := p[1 : len(p)-1]
		if inner.first(0, s.alternative(inner)) == len(inner) {
			s.equals(inner, columns)
		}
		return
	}
	if n := len(p); p.at(0).kind == placeholder && p.at(1).oneOf("=", "==") {
		p = slices.Concat(p[2:], phrase{p[1], p[0]})
	} else if p.at(n-1).kind != placeholder || !p.at(n-2).oneOf("=", "==") {
		return
	}
	n := len(p) - 3 // the column's own name, behind qualifiers
	for i := range n {
		if dot := i%2 == 1; dot && !p[i].is(".") || !dot && !p[i].isName() {
			return
		}
	}
	slot := s.Slots[p[len(p)-1].slot]
	if l := p.at(n); n >= 0 && n%2 == 0 && l.isName() && !l.isNumber() && !l.oneOf(constants...) && slot.Param >= 0 && columns[slot.Param] == "" {
		columns[slot.Param] = s.Dialect.folded(l)
	}
}

// constants are words that stand where a column might, and are none.
var constants = []string{
	"NULL", "TRUE", "FALSE", "DEFAULT", "USER", "CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "CURRENT_ROLE", "CURRENT_CATALOG", "CURRENT_SCHEMA",
	"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "NOT", "BINARY", "AND",
}

// folded is a name as the database has it: PostgreSQL makes small letters of those that
// are not in quotes.
func (d Dialect) folded(l lexeme) string {
	if d == PostgreSQL && l.kind == word {
		return strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, l.text)
	}
	return l.text
}

// written is a part of a table's name: as PostgreSQL reads it, quoted where it needs to
// be, and as the catalog of the others has it.
func (d Dialect) written(l lexeme) string {
	name := d.folded(l)
	plain := name != "" && !isDigit(name[0]) && strings.IndexFunc(name, func(r rune) bool {
		return r >= 0x80 || !isNameByte(byte(r)) || r >= 'A' && r <= 'Z'
	}) < 0
	if d != PostgreSQL || plain {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
