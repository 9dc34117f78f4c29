package sqltext

// This file reads SQL that holds no placeholders: statements of the set-up, and
// what a database tells of its own tables.

import (
	"slices"
	"strings"
)

// MayEndTransaction tells whether text begins or ends transactions, or cannot
// run within one, so that nothing of it could be undone. It may say so of a text
// that does no such thing: then nobody tries it out.
func MayEndTransaction(d Dialect, text string) bool {
	all, err := read(d, text)
	if err != nil {
		return true
	}
	for i, l := range all {
		first := i == 0 || all[i-1].is(";")
		if first && l.oneOf("BEGIN", "START", "COMMIT", "ROLLBACK", "ABORT", "VACUUM", "ATTACH", "DETACH") || l.is("CONCURRENTLY") {
			return true
		}
	}
	return false
}

// Names returns the names and keywords of an expression, each once.
func Names(d Dialect, expression string) (names []string) {
	all, err := read(d, expression)
	if err != nil {
		return nil
	}
	for _, l := range all {
		if l.isName() && !slices.Contains(names, l.text) {
			names = append(names, l.text)
		}
	}
	return names
}

// Check returns the expression of the CHECK that has the name in a table's
// declaration.
func Check(d Dialect, declaration, name string) (expression string, ok bool) {
	all, err := read(d, declaration)
	if err != nil {
		return "", false
	}
	at := slices.IndexFunc(all, func(l lexeme) bool { return l.isName() && l.text == name })
	if open := all.at(at + 2); all.at(at-1).is("CONSTRAINT") && all.at(at+1).is("CHECK") && open.pair > 0 {
		return declaration[open.to:all[at+2+open.pair].from], true
	}
	return "", false
}

// Collation is the collation of a column in the text that has made a table of SQLite, ""
// for the usual one.
func Collation(create, column string) string {
	p, err := read(SQLite, create)
	if err != nil {
		return ""
	}
	open := slices.IndexFunc(p, func(l lexeme) bool { return l.pair > 0 })
	if open < 0 {
		return ""
	}
	definitions, _ := p.list(open + 1)
	for _, d := range definitions {
		if !d.at(0).isName() || !strings.EqualFold(d[0].text, column) {
			continue
		}
		if i := d.first(0, func(i int) bool { return d[i].is("COLLATE") }); i < len(d) {
			return d.at(i + 1).text
		}
	}
	return ""
}

// Calls are the names before brackets in a text, in small letters: of functions, and of
// whatever else has brackets.
func Calls(d Dialect, text string) (names []string) {
	p, err := read(d, text)
	if err != nil {
		return nil
	}
	for i, l := range p {
		if name := strings.ToLower(l.text); l.isName() && p.at(i+1).pair > 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
