package sqltext

import (
	"slices"
	"strings"
)

// Table is a table as a statement names it.
type Table struct{ Schema, Name string }

// Destination is where the value of a slot goes: the column that a write
// assigns it to, or that it is compared with.
type Destination struct {
	Table   Table  // the zero value: any table of the statement
	Column  string // "" when the statement names no columns
	Ordinal int    // of the column, when Column is ""
	Form    Form
	Cast    string // the type of a Cast, in capitals
	equal   bool   // it is compared, by =
}

// A Form says what stands between a slot and its column.
type Form int

// The forms.
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

// Compared returns the columns that are compared by = with a path parameter,
// which stands to the right, and the indexes of the parameters.
func (s *Statement) Compared() map[string]int {
	columns := map[string]int{}
	for i, d := range s.Destinations {
		if d.equal && s.Slots[i].Param >= 0 {
			columns[d.Column] = s.Slots[i].Param
		}
	}
	return columns
}

// findDestinations finds the destination of each slot, and the tables that the
// statement writes to.
func (s *Statement) findDestinations() {
	s.Destinations = make([]Destination, len(s.Slots))
	s.findCompared()
	for i, l := range s.lexemes {
		if i > 0 && !s.lexemes[i-1].oneOf(";", "(", ")") {
			continue // a write begins a statement, or follows WITH, or stands in it
		}
		switch {
		case l.is("INSERT"), l.is("REPLACE") && i+1 < len(s.lexemes) && !s.lexemes[i+1].is("("):
			s.readInsert(i + 1)
		case l.is("UPDATE"):
			s.readUpdate(i + 1)
		}
	}
}

// findCompared finds the columns that stand before an operator and a slot.
func (s *Statement) findCompared() {
	for i, l := range s.lexemes {
		at := i - 1
		for s.lexemes.at(at).kind == sign && strings.Trim(s.lexemes[at].text, "=<>!") == "" {
			at--
		}
		if column := s.lexemes.at(at); l.kind == placeholder && at < i-1 && column.isName() && !column.isNumber() {
			equal := at == i-2 && s.lexemes[i-1].is("=")
			s.Destinations[l.slot] = Destination{Column: column.text, Form: Direct, equal: equal}
		}
	}
}

// modifiers are words between INSERT or UPDATE and the table.
var modifiers = []string{"OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ONLY"}

// readInsert reads what follows INSERT or REPLACE.
func (s *Statement) readInsert(i int) {
	p := s.lexemes
	for p.at(i).oneOf(modifiers...) {
		i++
	}
	if p.at(i).is("INTO") {
		i++
	}
	table, i := s.writtenTable(i)
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
			i = s.readValues(table, columns, i+1) - 1
		case l.is("SELECT"):
			items, end := p.list(i+1, "FROM", "WHERE", "ON", "UNION", "ORDER", "LIMIT", "GROUP", "HAVING", "RETURNING")
			s.assignAll(table, columns, items)
			i = end - 1
		case l.is("SET"), l.is("UPDATE") && p[i-1].is("KEY"):
			i = s.readAssignments(table, i+1) - 1
		}
	}
}

// readUpdate reads what follows UPDATE.
func (s *Statement) readUpdate(i int) {
	for s.lexemes.at(i).oneOf(modifiers...) {
		i++
	}
	table, i := s.writtenTable(i)
	for ; i < len(s.lexemes) && table.Name != "" && !s.lexemes[i].is(";"); i++ {
		if s.lexemes[i].is("SET") {
			s.readAssignments(table, i+1)
			return
		}
	}
}

// writtenTable reads the name of a table, and notes that it is written to.
func (s *Statement) writtenTable(i int) (Table, int) {
	table, i := s.lexemes.table(i)
	if table.Name != "" && !slices.Contains(s.Tables, table) {
		s.Tables = append(s.Tables, table)
	}
	return table, i
}

// table reads the name of a table at i, and where it ends. A database's name
// before the schema is left out.
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

// columns reads the list that opens at i.
func (p phrase) columns(i int) (names []string, after int) {
	items, end := p.list(i + 1)
	for _, item := range items {
		names = append(names, item.at(len(item)-1).text)
	}
	return names, end + 1
}

// readValues reads (…), (…) and returns where it ended.
func (s *Statement) readValues(table Table, columns []string, i int) int {
	for {
		if s.lexemes.at(i).is("ROW") {
			i++
		}
		if !s.lexemes.at(i).is("(") {
			return i
		}
		items, end := s.lexemes.list(i + 1)
		s.assignAll(table, columns, items)
		if i = end + 1; !s.lexemes.at(i).is(",") {
			return i
		}
		i++
	}
}

func (s *Statement) assignAll(table Table, columns []string, items []phrase) {
	for k, item := range items {
		d := Destination{Table: table, Ordinal: k}
		if k < len(columns) {
			d.Column = columns[k]
		} else if columns != nil {
			return
		}
		s.assign(d, item)
	}
}

// readAssignments reads a = …, b = … and PostgreSQL's (a, b) = (…, …).
func (s *Statement) readAssignments(table Table, i int) int {
	items, end := s.lexemes.list(i, "WHERE", "FROM", "RETURNING", "ON", "ORDER", "LIMIT", "AS")
	for _, item := range items {
		at := slices.IndexFunc(item, func(l lexeme) bool { return l.is("=") })
		switch before := item.at(at - 1); {
		case before.isName():
			s.assign(Destination{Table: table, Column: before.text}, item[at+1:])
		case item.at(0).is("(") && before.is(")"):
			columns, _ := item.columns(0)
			open := at + 1
			if item.at(open).is("ROW") {
				open++
			}
			if item.at(open).is("(") {
				values, _ := item.list(open + 1)
				s.assignAll(table, columns, values)
			}
		}
	}
	return end
}

// assign notes d for the slots of an expression. What is assigned counts more
// than what is compared.
func (s *Statement) assign(d Destination, e phrase) {
	d.Form = Expression
	for _, l := range e {
		if l.kind == placeholder && s.Destinations[l.slot].Table == (Table{}) {
			s.Destinations[l.slot] = d
		}
	}
	s.refine(d, e)
}

// handingOn are functions whose value is one of their arguments, by the number
// of the first such argument.
var handingOn = map[string]int{"COALESCE": 0, "IFNULL": 0, "NULLIF": 0, "IF": 1, "IIF": 1, "NVL": 0}

// refine finds the slots of an assigned expression whose value reaches the
// column unchanged, or as the type that it is cast to.
func (s *Statement) refine(d Destination, e phrase) {
	switch first := e.at(0); {
	case len(e) == 1 && first.kind == placeholder:
		d.Form = Direct
		s.Destinations[first.slot] = d
	case first.is("CASE") && e[len(e)-1].is("END"):
		for _, item := range e[1 : len(e)-1].outcomes() {
			s.refine(d, item)
		}
	case e.encloses(0):
		if items, _ := e.list(1); len(items) == 1 {
			s.refine(d, items[0])
		}
	case e.encloses(1):
		items, _ := e.list(2)
		function := strings.ToUpper(first.text)
		if from, ok := handingOn[function]; ok {
			for _, item := range items[min(from, len(items)):] {
				s.refine(d, item)
			}
			return
		}
		s.cast(d, function, items)
	}
}

// outcomes are what stands behind THEN and ELSE between CASE and END.
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

// cast reads CAST({name} AS type), CONVERT({name}, type) and json({name}).
func (s *Statement) cast(d Destination, function string, items []phrase) {
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
	s.Destinations[first[0].slot] = d
}
