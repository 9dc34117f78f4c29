package sqltext

import (
	"slices"
	"strings"
)

// Table is a table as a statement names it.
type Table struct{ Schema, Name string }

// Destination is where the value of a slot goes: the column that a write
// assigns it to, or that it is compared with. It serves to bind a value as its
// column takes it, and to name the member that a database refuses. A value without
// one is bound by what it is. A wrong one costs no data: the value is checked as
// another column takes it, and the database still judges it.
type Destination struct {
	Table   Table  // the zero value: any table of the statement
	Column  string // "" when the statement names no columns
	Ordinal int    // of the column, when Column is ""
	Form    Form
	Cast    string // the type of a Cast, in capitals
	equal   bool   // it is compared by =, and not assigned
}

// A Form says what stands between a slot and its column, and so whether the
// column tells what type of value the slot takes.
type Form int

// The forms, in the order of how much the column tells.
const (
	Unknown    Form = iota // there is no column
	Expression             // only the statement knows what it takes
	Cast                   // CAST({body.x} AS type), or SQLite's json({body.x})
	Direct                 // nothing, or what hands a value on, as COALESCE does
)

// IsKnown tells whether a column was found.
func (d Destination) IsKnown() bool { return d.Form != Unknown }

// Name is the column's name. order are the columns of tables, for one that is
// known by its place alone.
func (d Destination) Name(order map[Table][]string) string {
	if columns := order[d.Table]; d.Column == "" && d.Ordinal < len(columns) {
		return columns[d.Ordinal]
	}
	return d.Column
}

// writes is what a statement writes: the destination of each slot, and the tables
// that values go to.
type writes struct {
	lexemes      phrase
	destinations []Destination
	tables       []Table
}

// writes finds what a statement with so many slots writes. This is what it reads
// of a write:
//
//	write  = ("INSERT" | "REPLACE" | "UPDATE") modifier… ["INTO"] table ["AS" alias] ["(" column, … ")"] part…
//	part   = ("VALUES" | "VALUE") ["ROW"] "(" expression, … ")", …
//	       | "SELECT" expression, …
//	       | ("SET" | "KEY UPDATE") assignment, …
//	       | anything else
//	assignment = column "=" expression | "(" column, … ")" "=" ["ROW"] "(" expression, … ")"
//
// A write begins a statement, follows WITH (…), or stands in brackets; so more
// than one may be found. MERGE and procedures are not read: what they take has
// no destination.
func (p phrase) writes(slots int) writes {
	w := writes{lexemes: p, destinations: make([]Destination, slots)}
	w.findCompared()
	for i, l := range w.lexemes {
		begins := i == 0 || w.lexemes[i-1].oneOf(";", "(", ")")
		function := w.lexemes.at(i+1).kind == none || w.lexemes.at(i+1).is("(") // REPLACE(…)
		if begins && (l.oneOf("INSERT", "UPDATE") || l.is("REPLACE") && !function) {
			w.readWrite(i + 1)
		}
	}
	return w
}

// findCompared finds the columns that stand before an operator and a slot, as in
// version = {body.version}. A qualifier before the column is not read: of two
// tables that have such a column the one that is written counts.
func (w *writes) findCompared() {
	for i, l := range w.lexemes {
		at := i - 1
		for w.lexemes.at(at).kind == sign && strings.Trim(w.lexemes[at].text, "=<>!") == "" {
			at--
		}
		if column := w.lexemes.at(at); l.kind == placeholder && at < i-1 && column.isName() && !column.isNumber() {
			equal := at == i-2 && w.lexemes[i-1].is("=")
			w.destinations[l.slot] = Destination{Column: column.text, Form: Direct, equal: equal}
		}
	}
}

// modifiers are words between the first word of a write and its table.
var modifiers = []string{"OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ONLY"}

// readWrite reads what follows the first word of a write.
func (w *writes) readWrite(i int) {
	p := w.lexemes
	for p.at(i).oneOf(modifiers...) {
		i++
	}
	if p.at(i).is("INTO") {
		i++
	}
	table, i := w.writtenTable(i)
	if table.Name == "" {
		return
	}
	if p.at(i).is("AS") {
		i += 2
	}
	var columns []string
	if p.at(i).is("(") && !p.at(i+1).oneOf("SELECT", "WITH") {
		columns, i = p.columns(i)
	}
	for ; i < len(p) && !p[i].oneOf(";", ")"); i++ {
		switch l := p[i]; {
		case l.pair > 0:
			i += l.pair
		case l.oneOf("VALUES", "VALUE"):
			i = w.readValues(table, columns, i+1) - 1
		case l.is("SELECT"):
			items, end := p.list(i+1, "FROM", "WHERE", "ON", "UNION", "ORDER", "LIMIT", "GROUP", "HAVING", "RETURNING")
			w.assignAll(table, columns, items)
			i = end - 1
		case l.is("SET"), l.is("UPDATE") && p[i-1].is("KEY"):
			i = w.readAssignments(table, i+1) - 1
		}
	}
}

// writtenTable reads the name of a table, and notes that it is written to.
func (w *writes) writtenTable(i int) (Table, int) {
	table, i := w.lexemes.table(i)
	if table.Name != "" && !slices.Contains(w.tables, table) {
		w.tables = append(w.tables, table)
	}
	return table, i
}

// table reads the name of a table at i, and where it ends. The name is as the
// statement writes it: whether capitals count is for the database to say. A
// database's name before the schema is left out.
func (p phrase) table(i int) (t Table, end int) {
	for p.at(i).isName() {
		t = Table{Schema: t.Name, Name: p[i].text}
		if i++; !p.at(i).is(".") {
			break
		}
		i++
	}
	return t, i
}

// columns reads the list that opens at i, and returns the place behind it. Of
// table.name the name counts.
func (p phrase) columns(i int) (names []string, after int) {
	items, end := p.list(i + 1)
	for _, item := range items {
		names = append(names, item.at(len(item)-1).text)
	}
	return names, end + 1
}

// readValues reads (…), (…) and returns where it ended. Every row has the same
// columns, so a slot of any of them has a destination.
func (w *writes) readValues(table Table, columns []string, i int) int {
	for {
		if w.lexemes.at(i).is("ROW") {
			i++
		}
		if !w.lexemes.at(i).is("(") {
			return i
		}
		items, end := w.lexemes.list(i + 1)
		w.assignAll(table, columns, items)
		if i = end + 1; !w.lexemes.at(i).is(",") {
			return i
		}
		i++
	}
}

// assignAll gives each expression its column, by its place. Expressions beyond
// the last column are the database's to refuse.
func (w *writes) assignAll(table Table, columns []string, items []phrase) {
	for k, item := range items {
		d := Destination{Table: table, Ordinal: k}
		if k < len(columns) {
			d.Column = columns[k]
		} else if columns != nil {
			return
		}
		w.assign(d, item)
	}
}

// readAssignments reads a = …, b = … and PostgreSQL's (a, b) = (…, …).
func (w *writes) readAssignments(table Table, i int) int {
	items, end := w.lexemes.list(i, "WHERE", "FROM", "RETURNING", "ON", "ORDER", "LIMIT", "AS")
	for _, item := range items {
		at := slices.IndexFunc(item, func(l lexeme) bool { return l.is("=") })
		switch before := item.at(at - 1); {
		case before.isName():
			w.assign(Destination{Table: table, Column: before.text}, item[at+1:])
		case item.at(0).is("(") && before.is(")"):
			columns, _ := item.columns(0)
			open := at + 1
			if item.at(open).is("ROW") {
				open++
			}
			if item.at(open).is("(") {
				values, _ := item.list(open + 1)
				w.assignAll(table, columns, values)
			}
		}
	}
	return end
}

// assign notes d for the slots of an expression. What is assigned counts more
// than what is compared: in SET a = CASE WHEN b = {body.b} … the slot is part of
// what goes into a.
func (w *writes) assign(d Destination, e phrase) {
	d.Form = Expression
	for _, l := range e {
		if l.kind == placeholder && w.destinations[l.slot].Table == (Table{}) {
			w.destinations[l.slot] = d
		}
	}
	w.refine(d, e)
}

// handingOn are functions whose value is one of their arguments, by the number
// of the first such argument.
var handingOn = map[string]int{"COALESCE": 0, "IFNULL": 0, "NULLIF": 0, "IF": 1, "IIF": 1, "NVL": 0}

// refine finds the slots of an assigned expression whose value reaches the
// column unchanged, or as the type that it is cast to:
//
//	expression = {name} | "(" expression ")" | cast
//	           | "CASE" … ("THEN" | "ELSE") expression … "END"
//	           | ("COALESCE" | "IFNULL" | …) "(" expression, … ")"
//
// In any other expression, {name} + 1 for one, only the database knows which
// type a slot has.
func (w *writes) refine(d Destination, e phrase) {
	switch first := e.at(0); {
	case len(e) == 1 && first.kind == placeholder:
		d.Form = Direct
		w.destinations[first.slot] = d
	case first.is("CASE") && e[len(e)-1].is("END"):
		for _, item := range e[1 : len(e)-1].outcomes() {
			w.refine(d, item)
		}
	case e.encloses(0):
		if items, _ := e.list(1); len(items) == 1 {
			w.refine(d, items[0])
		}
	case e.encloses(1):
		items, _ := e.list(2)
		function := strings.ToUpper(first.text)
		if from, ok := handingOn[function]; ok {
			for _, item := range items[min(from, len(items)):] {
				w.refine(d, item)
			}
			return
		}
		w.cast(d, function, items)
	}
}

// outcomes are what stands behind THEN and ELSE between CASE and END, and not
// what stands there of a CASE within. An ELSE at the end closes the last one.
func (p phrase) outcomes() (all []phrase) {
	depth, start := 0, -1
	for i, l := range append(slices.Clone(p), lexeme{kind: word, text: "ELSE"}) {
		switch {
		case l.is("("), l.is("CASE"):
			depth++
		case l.is(")"), l.is("END"):
			depth--
		case depth == 0 && l.oneOf("THEN", "WHEN", "ELSE"):
			if start >= 0 {
				all = append(all, p[start:i])
			}
			if start = i + 1; l.is("WHEN") {
				start = -1
			}
		}
	}
	return all
}

// cast reads CAST({name} AS type), CONVERT({name}, type) and json({name}). The
// value is of that type first, whatever the column makes of it then.
func (w *writes) cast(d Destination, function string, items []phrase) {
	first := items[0]
	if first.at(0).kind != placeholder {
		return
	}
	d.Form = Cast
	switch {
	case (function == "JSON" || function == "JSONB") && len(items) == 1 && len(first) == 1:
		d.Cast = "JSON"
	case function == "CAST" && len(items) == 1 && first.at(1).is("AS") && len(first) > 2:
		d.Cast = strings.ToUpper(first[2].text)
	case function == "CONVERT" && len(items) == 2 && len(first) == 1 && len(items[1]) > 0:
		d.Cast = strings.ToUpper(items[1][0].text)
	default:
		return
	}
	w.destinations[first[0].slot] = d
}
