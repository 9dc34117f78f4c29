package sqltext

import "strings"

// Select is what a select says about its own columns:
//
//	select = "SELECT" ["DISTINCT" ["ON" "(" … ")"] | "ALL"] item, … ["FROM" from, …] …
//	item   = expression [["AS"] name] | [table "."] "*"
//	from   = table [["AS"] alias] | "(" … ")" …, with a comma or a JOIN between
//
// Of a UNION it is the first select, which names the columns of all.
type Select struct {
	Items []SelectItem
	From  []SelectFrom
}

// SelectItem is a column of the result.
type SelectItem struct {
	Table, Column string // of a plain column; Column is "" for an expression, and "*" for all columns
	Name          string // "" where the database makes one up

	value  columnRef // the column that it is made of
	output string    // by which the result shows it; "" where that is not known
}

// SelectFrom is a table that a select reads.
type SelectFrom struct {
	Table Table
	Alias string
}

// Names returns the names of the select's columns, or false where the statement
// does not tell them all: an asterisk stands there, or an expression whose name
// the database makes up.
func (s Select) Names() (names []string, ok bool) {
	for _, item := range s.Items {
		if item.Name == "" || item.Name == "*" {
			return nil, false
		}
		names = append(names, strings.TrimSpace(item.Name))
	}
	return names, len(names) > 0
}

// selectEnds are the words that end a list of tables. They end a list of items
// only where no FROM does: some databases have columns of these names.
var selectEnds = []string{"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "WINDOW", "FOR", "OFFSET", "FETCH", "EXCEPT", "INTERSECT"}

// selectAt reads what follows the word SELECT at i.
func (p phrase) selectAt(i int) (s Select) {
	for i++; p.at(i).oneOf("DISTINCT", "ALL", "SQL_NO_CACHE"); i++ {
	}
	if p.at(i).is("ON") && p.at(i+1).is("(") { // PostgreSQL's DISTINCT ON (…)
		i += 2 + p[i+1].pair
	}
	items, end := p.list(i, "FROM")
	if !p.at(end).is("FROM") {
		items, end = p.list(i, selectEnds...)
	}
	for _, item := range items {
		s.Items = append(s.Items, item.selectItem())
	}
	if p.at(end).is("FROM") {
		s.From = p[end+1:].tables()
	}
	return s
}

// selectItem reads one place of a select list. A name that stands last is another
// name for what is before it, unless that is an operator: a.b ends with a column.
func (p phrase) selectItem() (i SelectItem) {
	n := len(p)
	switch last, before := p.at(n-1), p.at(n-2); {
	case n > 2 && before.is("AS") && last.mayBeName():
		i.Name, p = last.text, p[:n-2]
	case last.mayBeName() && !last.is("END") && (before.is(")") || before.mayBeName() && !before.is("COLLATE")):
		i.Name, p = last.text, p[:n-1]
	}
	i.output = i.Name
	n = len(p)
	if p.at(n-1).is("*") && (n == 1 || p.at(n-2).is(".")) {
		i.Table, i.Column, i.Name = p.at(n-3).text, "*", "*"
		return i
	}
	o, end := p.operand(0)
	if end == 0 || end != n || o.isParam {
		return i
	}
	if o.plain == n && p[n-1].kind != doubleQuoted { // which is a string, most likely
		i.Table, i.Column = o.table, o.name
	}
	if i.Name == "" {
		i.Name = i.Column
	}
	if i.output == "" && o.functions == "" {
		i.output = o.name
	}
	if !o.opaque {
		i.value = o.columnRef
	}
	return i
}

// tables reads what follows FROM: its tables, and not those of selects within.
func (p phrase) tables() (all []SelectFrom) {
	expects := true
	for i := 0; i < len(p); i++ {
		switch l := p[i]; {
		case l.pair > 0:
			i += l.pair
			expects = false
		case l.oneOf(selectEnds...), l.oneOf(";", ")"):
			return all
		case l.is(","), l.is("JOIN"):
			expects = true
		case expects && l.isName():
			expects = false
			table, end := p.table(i)
			from := SelectFrom{table, table.Name}
			if p.at(end).is("AS") {
				end++
			}
			if alias := p.at(end); alias.isName() && !alias.oneOf(joinWords...) && !alias.oneOf(selectEnds...) {
				from.Alias = alias.text
				end++
			}
			all = append(all, from)
			i = end - 1
		}
	}
	return all
}

// joinWords stand behind a table and are no other name of it.
var joinWords = []string{
	"JOIN", "LEFT", "RIGHT", "INNER", "CROSS", "NATURAL", "FULL", "STRAIGHT_JOIN", "ON", "USING", "USE", "FORCE", "IGNORE", "PARTITION",
}
