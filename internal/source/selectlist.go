package source

import (
	"slices"
	"strings"
)

// shownList is what a select says about its own columns.
type shownList struct {
	items []selectItem
	from  []selectFrom
}

// selectItem is a column of the result. column is "" for an expression, and "*"
// for all columns; name is "" where the database makes one up.
type selectItem struct {
	qualifier, column, name string
}

type selectFrom struct {
	table tableName
	alias string
}

// selectEnds are the words that end a list of tables.
var selectEnds = []string{"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "WINDOW", "FOR", "OFFSET", "FETCH", "EXCEPT", "INTERSECT"}

// shownListOf reads the outermost select. It is empty for what does not begin
// with one.
func shownListOf(all []sqlToken) (l shownList) {
	if len(all) == 0 || !all[0].is("SELECT") {
		return l
	}
	r := targetReader{tokens: all}
	start := 1
	for start < len(all) && (all[start].is("DISTINCT") || all[start].is("ALL") || all[start].is("SQL_NO_CACHE")) {
		start++
	}
	items, end := r.list(start, append([]string{"FROM"}, selectEnds...))
	for _, item := range items {
		l.items = append(l.items, selectItemOf(item))
	}
	if end < len(all) && all[end].is("FROM") {
		l.readFrom(all[end+1:])
	}
	return l
}

func selectItemOf(item []sqlToken) (i selectItem) {
	n := len(item)
	switch {
	case n > 2 && item[n-2].is("AS") && item[n-1].name():
		i.name, item = item[n-1].text, item[:n-2]
	case n > 1 && item[n-1].name() && !item[n-2].sign(".") && !item[n-1].is("END") && (item[n-2].name() || item[n-2].sign(")")):
		i.name, item = item[n-1].text, item[:n-1]
	}
	plain := len(item)%2 == 1
	for k, t := range item {
		star := t.sign("*") && k == len(item)-1
		plain = plain && (k%2 == 1 && t.sign(".") || k%2 == 0 && (star || t.name() && !isDigit(t.text[0])))
	}
	if !plain {
		return i
	}
	i.column = item[len(item)-1].text
	if len(item) > 1 {
		i.qualifier = item[len(item)-3].text
	}
	if i.name == "" {
		i.name = i.column
	}
	return i
}

// readFrom finds the tables that a select names, not those of queries within.
func (l *shownList) readFrom(all []sqlToken) {
	expects, depth := true, 0
	for i := 0; i < len(all); i++ {
		t := all[i]
		switch {
		case t.sign("("):
			depth++
			expects = false
		case t.sign(")"):
			depth--
		case depth > 0:
		case slices.ContainsFunc(selectEnds, t.is), t.sign(";"):
			return
		case t.sign(","), t.is("JOIN"):
			expects = true
		case expects && t.name():
			expects = false
			r := targetReader{tokens: all}
			table, end := r.table(i)
			from := selectFrom{table, table.name}
			if end < len(all) && all[end].is("AS") {
				end++
			}
			if end < len(all) && all[end].name() && !isJoinWord(all[end]) {
				from.alias = all[end].text
				end++
			}
			l.from = append(l.from, from)
			i = end - 1
		}
	}
}

func isJoinWord(t sqlToken) bool {
	words := append([]string{"JOIN", "LEFT", "RIGHT", "INNER", "CROSS", "NATURAL", "FULL", "STRAIGHT_JOIN", "ON", "USING", "USE", "FORCE", "IGNORE", "PARTITION"}, selectEnds...)
	return slices.ContainsFunc(words, t.is)
}

// names returns the names of the select's columns, or false where the statement
// does not tell them all.
func (l shownList) names() (names []string, ok bool) {
	for _, item := range l.items {
		if item.name == "" || item.name == "*" {
			return nil, false
		}
		names = append(names, strings.TrimSpace(item.name))
	}
	return names, len(names) > 0
}
