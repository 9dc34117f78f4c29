package source

import (
	"slices"
	"strings"
)

// target is where the value of a slot goes: the column of a table that a write
// assigns it to, or that a condition compares it with. It is found by reading
// the statement, which knows no more SQL than that of assignments: what it
// does not recognise has no target, and is bound by what it is.
type target struct {
	table   tableName // the zero value: any table of the statement
	column  string    // "" when the statement names no columns
	ordinal int       // of the column, when column is ""
	form    targetForm
	cast    string // the type of a castTarget, in capitals
}

// tableName is a table as a statement names it.
type tableName struct{ schema, name string }

// A targetForm says what stands between a slot and its column.
type targetForm int

const (
	noTarget     targetForm = iota
	insideTarget            // an expression: only the statement knows what it takes
	castTarget              // CAST({body.x} AS type), or SQLite's json({body.x})
	bareTarget              // nothing, or what hands a value on, as COALESCE does
)

func (t target) known() bool { return t.form != noTarget }

// A sqlTokenKind says what a sqlToken is.
type sqlTokenKind int

const (
	wordSQL    sqlTokenKind = iota // a name or keyword without quotes, or a number
	nameSQL                        // a quoted identifier
	literalSQL                     // a string
	holeSQL                        // a placeholder
	signSQL                        // a character, or "::"
)

type sqlToken struct {
	kind sqlTokenKind
	text string // without the quotes of a name
	slot int    // of a hole
}

func (t sqlToken) is(word string) bool { return t.kind == wordSQL && strings.EqualFold(t.text, word) }
func (t sqlToken) sign(c string) bool  { return t.kind == signSQL && t.text == c }
func (t sqlToken) name() bool          { return t.kind == nameSQL || t.kind == wordSQL }

// tokens cuts a statement's pieces up. Holes have the numbers of the slots.
func sqlTokens(d dialect, pieces []piece) []sqlToken {
	var all []sqlToken
	holes := 0
	for _, p := range pieces {
		switch p.kind {
		case holePiece:
			all = append(all, sqlToken{kind: holeSQL, text: p.text, slot: holes})
			holes++
		case quotedPiece:
			all = append(all, quotedSQLToken(d, p.text))
		case plainPiece:
			all = plainSQLTokens(all, p.text)
		}
	}
	return all
}

// quotedToken takes MySQL's double quotes for a string, as MySQL does unless
// its mode is ANSI_QUOTES.
func quotedSQLToken(d dialect, text string) sqlToken {
	open := text[0]
	if open == '\'' || open == '$' || open == '"' && d == mysqlDialect || len(text) < 2 {
		return sqlToken{kind: literalSQL, text: text}
	}
	closer := string(d.closer(open))
	return sqlToken{kind: nameSQL, text: strings.ReplaceAll(text[1:len(text)-1], closer+closer, closer)}
}

func plainSQLTokens(all []sqlToken, text string) []sqlToken {
	for i := 0; i < len(text); {
		switch {
		case isSpace(text[i]):
			i++
		case isNameByte(text[i]):
			end := i
			for end < len(text) && isNameByte(text[end]) {
				end++
			}
			all = append(all, sqlToken{kind: wordSQL, text: text[i:end]})
			i = end
		case strings.HasPrefix(text[i:], "::"):
			all = append(all, sqlToken{kind: signSQL, text: "::"})
			i += 2
		default:
			all = append(all, sqlToken{kind: signSQL, text: text[i : i+1]})
			i++
		}
	}
	return all
}

// targetReader finds the targets of a statement's slots.
type targetReader struct {
	tokens  []sqlToken
	targets []target
	tables  []tableName // that are written to
}

// findTargets returns the target of each slot, and the tables that the
// statement writes to.
func findTargets(all []sqlToken, slots int) ([]target, []tableName) {
	r := targetReader{tokens: all, targets: make([]target, slots)}
	r.compared()
	for i, t := range all {
		if i > 0 && !all[i-1].sign(";") && !all[i-1].sign("(") && !all[i-1].sign(")") {
			continue // a write begins a statement, or follows WITH, or stands in it
		}
		switch {
		case t.is("INSERT"), t.is("REPLACE") && i+1 < len(all) && !all[i+1].sign("("):
			r.insert(i + 1)
		case t.is("UPDATE"):
			r.update(i + 1)
		}
	}
	return r.targets, r.tables
}

// compared finds the columns that stand before an operator and a slot.
func (r *targetReader) compared() {
	for i, t := range r.tokens {
		at := i - 1
		for at >= 0 && r.tokens[at].kind == signSQL && strings.Contains("=<>!", r.tokens[at].text) {
			at--
		}
		if t.kind == holeSQL && at >= 0 && at < i-1 && r.tokens[at].name() {
			r.targets[t.slot] = target{column: r.tokens[at].text, form: bareTarget}
		}
	}
}

// set notes a target. What is assigned counts more than what is compared.
func (r *targetReader) set(slot int, t target) {
	if old := r.targets[slot]; !old.known() || old.table == (tableName{}) {
		r.targets[slot] = t
	}
}

// insert reads what follows INSERT or REPLACE.
func (r *targetReader) insert(i int) {
	for i < len(r.tokens) && !r.tokens[i].is("INTO") && r.modifier(i) {
		i++
	}
	if i < len(r.tokens) && r.tokens[i].is("INTO") {
		i++
	}
	table, i := r.table(i)
	if table.name == "" {
		return
	}
	if i+1 < len(r.tokens) && r.tokens[i].is("AS") {
		i += 2
	}
	var columns []string
	if i+1 < len(r.tokens) && r.tokens[i].sign("(") && !r.tokens[i+1].is("SELECT") && !r.tokens[i+1].is("WITH") {
		columns, i = r.columns(i)
	}
	for depth := 0; i < len(r.tokens) && depth >= 0; i++ {
		t := r.tokens[i]
		switch {
		case t.sign("("):
			depth++
		case t.sign(")"):
			depth--
		case depth > 0:
		case t.sign(";"):
			return
		case t.is("VALUES") || t.is("VALUE"):
			i = r.values(table, columns, i+1) - 1
		case t.is("SELECT"):
			i = r.selected(table, columns, i+1) - 1
		case t.is("SET") || t.is("UPDATE") && r.tokens[i-1].is("KEY"):
			i = r.assignments(table, i+1) - 1
		}
	}
}

// modifier tells whether the sqlToken is a word between INSERT and the table.
func (r *targetReader) modifier(i int) bool {
	return slices.ContainsFunc([]string{"OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ONLY"},
		r.tokens[i].is)
}

// update reads what follows UPDATE.
func (r *targetReader) update(i int) {
	for i < len(r.tokens) && r.modifier(i) {
		i++
	}
	table, i := r.table(i)
	for ; i < len(r.tokens) && table.name != "" && !r.tokens[i].sign(";"); i++ {
		if r.tokens[i].is("SET") {
			r.assignments(table, i+1)
			return
		}
	}
}

// table reads the name of the table that is written to.
func (r *targetReader) table(i int) (tableName, int) {
	var names []string
	for i < len(r.tokens) && r.tokens[i].name() {
		names = append(names, r.tokens[i].text)
		i++
		if i >= len(r.tokens) || !r.tokens[i].sign(".") {
			break
		}
		i++
	}
	if len(names) == 0 {
		return tableName{}, i
	}
	t := tableName{name: names[len(names)-1]}
	if len(names) > 1 {
		t.schema = names[len(names)-2]
	}
	if !slices.Contains(r.tables, t) {
		r.tables = append(r.tables, t)
	}
	return t, i
}

// columns reads the list that opens at i.
func (r *targetReader) columns(i int) (names []string, after int) {
	items, after := r.list(i+1, nil)
	for _, item := range items {
		name := ""
		if len(item) > 0 {
			name = item[len(item)-1].text
		}
		names = append(names, name)
	}
	return names, after + 1
}

// list reads items with commas between them up to a closing bracket, one of
// the words, a semicolon or the end, which it does not step over.
func (r *targetReader) list(i int, ends []string) (items [][]sqlToken, end int) {
	start, depth := i, 0
	for ; i < len(r.tokens); i++ {
		t := r.tokens[i]
		switch {
		case t.sign("("):
			depth++
		case t.sign(")") && depth > 0:
			depth--
		case depth > 0:
		case t.sign(","):
			items = append(items, r.tokens[start:i])
			start = i + 1
		case t.sign(")"), t.sign(";"), slices.ContainsFunc(ends, t.is):
			return append(items, r.tokens[start:i]), i
		}
	}
	return append(items, r.tokens[start:i]), i
}

// values reads (…), (…) and returns where it ended.
func (r *targetReader) values(table tableName, columns []string, i int) int {
	for i < len(r.tokens) {
		if r.tokens[i].is("ROW") {
			i++
		}
		if i >= len(r.tokens) || !r.tokens[i].sign("(") {
			return i
		}
		items, end := r.list(i+1, nil)
		r.assignAll(table, columns, items)
		if i = end + 1; i >= len(r.tokens) || !r.tokens[i].sign(",") {
			return i
		}
		i++
	}
	return i
}

// selected reads the list of INSERT … SELECT.
func (r *targetReader) selected(table tableName, columns []string, i int) int {
	items, end := r.list(i, []string{"FROM", "WHERE", "ON", "UNION", "ORDER", "LIMIT", "GROUP", "HAVING", "RETURNING"})
	r.assignAll(table, columns, items)
	return end
}

func (r *targetReader) assignAll(table tableName, columns []string, items [][]sqlToken) {
	for k, item := range items {
		t := target{table: table, ordinal: k}
		if k < len(columns) {
			t.column = columns[k]
		} else if columns != nil {
			return
		}
		r.assign(t, item)
	}
}

// assignments reads a = …, b = … and PostgreSQL's (a, b) = (…, …).
func (r *targetReader) assignments(table tableName, i int) int {
	items, end := r.list(i, []string{"WHERE", "FROM", "RETURNING", "ON", "ORDER", "LIMIT", "AS"})
	for _, item := range items {
		at := slices.IndexFunc(item, func(t sqlToken) bool { return t.sign("=") })
		switch {
		case at <= 0:
		case item[at-1].name():
			r.assign(target{table: table, column: item[at-1].text}, item[at+1:])
		case item[0].sign("(") && item[at-1].sign(")"):
			names := (&targetReader{tokens: item[1:]})
			columns, _ := names.columns(-1)
			open := at + 1
			if open < len(item) && item[open].is("ROW") {
				open++
			}
			if open < len(item) && item[open].sign("(") {
				values, _ := (&targetReader{tokens: item}).list(open+1, nil)
				r.assignAll(table, columns, values)
			}
		}
	}
	return end
}

// handsOn are functions whose value is one of their arguments, by the number
// of the first such argument.
var handsOn = map[string]int{"COALESCE": 0, "IFNULL": 0, "NULLIF": 0, "IF": 1, "IIF": 1, "NVL": 0}

// assign notes t for the slots of an expression.
func (r *targetReader) assign(t target, expr []sqlToken) {
	t.form = insideTarget
	for _, e := range expr {
		if e.kind == holeSQL {
			r.set(e.slot, t)
		}
	}
	r.refine(t, expr)
}

// refine finds the slots of an assigned expression whose value reaches the
// column unchanged, or as the type that it is cast to.
func (r *targetReader) refine(t target, expr []sqlToken) {
	inner := targetReader{tokens: expr}
	switch {
	case len(expr) == 1 && expr[0].kind == holeSQL:
		t.form = bareTarget
		r.targets[expr[0].slot] = t
	case len(expr) > 1 && expr[0].is("CASE") && expr[len(expr)-1].is("END"):
		for _, item := range outcomes(expr[1 : len(expr)-1]) {
			r.refine(t, item)
		}
	case len(expr) < 3 || !expr[len(expr)-1].sign(")"):
	case expr[0].sign("("):
		if items, end := inner.list(1, nil); len(items) == 1 && end == len(expr)-1 {
			r.refine(t, items[0])
		}
	case expr[1].sign("("):
		items, end := inner.list(2, nil)
		if end != len(expr)-1 {
			return
		}
		name := strings.ToUpper(expr[0].text)
		if first, ok := handsOn[name]; ok {
			for _, item := range items[min(first, len(items)):] {
				r.refine(t, item)
			}
			return
		}
		r.cast(t, name, items)
	}
}

// outcomes are what stands behind THEN and ELSE between CASE and END.
func outcomes(expr []sqlToken) (all [][]sqlToken) {
	depth, start := 0, -1
	for i, t := range expr {
		switch {
		case t.sign("("), t.is("CASE"):
			depth++
		case t.sign(")"), t.is("END"):
			depth--
		case depth > 0:
		case t.is("THEN"), t.is("WHEN"), t.is("ELSE"):
			if start >= 0 {
				all = append(all, expr[start:i])
			}
			if start = i + 1; t.is("WHEN") {
				start = -1
			}
		}
	}
	if start >= 0 {
		all = append(all, expr[start:])
	}
	return all
}

// cast reads CAST(hole AS type), CONVERT(hole, type) and json(hole).
func (r *targetReader) cast(t target, name string, items [][]sqlToken) {
	first := items[0]
	if len(first) == 0 || first[0].kind != holeSQL {
		return
	}
	switch {
	case (name == "JSON" || name == "JSONB") && len(items) == 1 && len(first) == 1:
		t.cast = "JSON"
	case name == "CAST" && len(items) == 1 && len(first) > 2 && first[1].is("AS"):
		t.cast = strings.ToUpper(first[2].text)
	case name == "CONVERT" && len(items) == 2 && len(first) == 1 && len(items[1]) > 0:
		t.cast = strings.ToUpper(items[1][0].text)
	default:
		return
	}
	t.form = castTarget
	r.targets[first[0].slot] = t
}
