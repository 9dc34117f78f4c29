package sqltext

// This file reads SQL that holds no placeholders: statements of the set-up, and
// what a database tells of its own tables.

import "slices"

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
