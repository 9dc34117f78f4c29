package source

import (
	"slices"
	"strings"
)

// Which column of a select tells the name of its row? The one that the
// statement compares with the parameter. It is looked for in the text: the
// comparison first, then the place in the select list that returns the same
// column. What is not plain is not guessed at: a column that is taken for the
// key and is none would make every record answer as another's.

// columnRef is a column as an expression names it, with the functions around
// it.
type columnRef struct {
	table, name string
	functions   string // "lower(" …, outermost first
}

// same tells whether two references mean one column. Where one of them is not
// qualified the name is unambiguous to the database, or it would refuse the
// statement.
func (c columnRef) same(d columnRef) bool {
	return strings.EqualFold(c.name, d.name) && c.functions == d.functions &&
		(c.table == "" || d.table == "" || strings.EqualFold(c.table, d.table))
}

// comparison is column = {param}.
type comparison struct {
	column columnRef
	param  int
	within string // functions around the parameter
	like   bool
}

// folds are functions of a text that give back what they are given, up to case,
// accents and blanks. What they make of a value they leave as it is.
var folds = []string{"lower(", "upper(", "lcase(", "ucase(", "trim(", "ltrim(", "rtrim(", "btrim(", "unaccent(", "normalize("}

// returns tells whether a select item that returns item shows by what name the
// row is found: the item's value, put in for the parameter, finds the row again.
func (c comparison) returns(item columnRef) bool {
	switch {
	case c.column.same(item): // what is compared is what is returned
		return c.within == c.column.functions || onlyFolds(c.within)
	case c.within == c.column.functions: // f(column) = f({param})
		c.column.functions = ""
		return c.column.same(item)
	}
	return false
}

func onlyFolds(functions string) bool {
	for f := range strings.SplitAfterSeq(functions, "(") {
		if f != "" && !slices.Contains(folds, f) {
			return false
		}
	}
	return true
}

// transparent are types to which a column may be cast and still tells its row
// from all others.
var transparent = []string{
	"text", "citext", "varchar", "nvarchar", "char", "nchar", "character", "bpchar", "name", "uuid", "int", "integer", "bigint",
	"int4", "int8", "signed", "unsigned",
}

// columnOf reads a whole expression that is a column, perhaps cast, collated or
// within functions of one argument.
func columnOf(e []token) (c columnRef, ok bool) {
	for {
		e = withoutSuffix(e)
		switch {
		case len(e) == 0:
			return c, false
		case e[0].is("BINARY") && len(e) > 1:
			e = e[1:]
		case e[0].is("(") && closing(e, 0) == len(e)-1:
			e = e[1 : len(e)-1]
		case len(e) > 2 && e[0].kind == wordToken && e[1].is("(") && closing(e, 1) == len(e)-1:
			inner := e[2 : len(e)-1]
			if e[0].is("CAST") {
				at := slices.IndexFunc(inner, func(t token) bool { return t.is("AS") })
				if at < 0 || at+1 >= len(inner) || !isTransparent(inner[at+1]) {
					return c, false
				}
				e = inner[:at]
				continue
			}
			c.functions += strings.ToLower(e[0].text) + "("
			e = inner
		default:
			return c, c.read(e)
		}
	}
}

// read takes table.name.
func (c *columnRef) read(e []token) bool {
	for i, t := range e {
		if i%2 == 1 && !t.is(".") || i%2 == 0 && !t.isName() {
			return false
		}
	}
	last := e[len(e)-1]
	if len(e)%2 == 0 || last.kind == wordToken && isDigit(last.text[0]) {
		return false
	}
	c.name = last.text
	if len(e) > 2 {
		c.table = e[len(e)-3].text
	}
	return true
}

// withoutSuffix takes COLLATE x and ::text away from the end.
func withoutSuffix(e []token) []token {
	for {
		n := len(e)
		switch {
		case n > 4 && e[n-4].is("COLLATE") && e[n-2].is("."): // a collation's schema
			e = e[:n-4]
		case n > 2 && e[n-2].is("COLLATE"), n > 2 && e[n-2].is("::") && isTransparent(e[n-1]):
			e = e[:n-2]
		case n > 5 && e[n-1].is(")") && e[n-3].is("(") && e[n-5].is("::") && isTransparent(e[n-4]): // ::varchar(20)
			e = e[:n-5]
		default:
			return e
		}
	}
}

func isTransparent(t token) bool { return slices.Contains(transparent, strings.ToLower(t.text)) }

// comparisons finds columns that are compared with a path parameter where the
// statement's own rows are chosen, and not those of a select within it.
func comparisons(all []token) (found []comparison) {
	for i, t := range all {
		if t.kind != holeToken || t.param < 0 || inSubselect(all, i) {
			continue
		}
		c := comparison{param: t.param}
		from, to, functions := around(all, i, i+1)
		c.within = functions
		operand, like := operandBefore(all, from, to)
		if operand == nil {
			operand = operandAfter(all, from, to)
		}
		var ok bool
		if c.column, ok = columnOf(operand); ok {
			c.like = like
			found = append(found, c)
		}
	}
	return found
}

// inSubselect tells whether a select stands in one of the brackets around at.
func inSubselect(all []token, at int) bool {
	depth := 0
	for i := at - 1; i >= 0; i-- {
		switch {
		case all[i].is(")"):
			depth++
		case all[i].is("("):
			depth = max(depth-1, 0)
		case depth == 0 && all[i].is("SELECT"):
			return enclosed(all[:i])
		}
	}
	return false
}

// enclosed tells whether a bracket is open at the end.
func enclosed(all []token) bool {
	depth := 0
	for _, t := range all {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		}
	}
	return depth > 0
}

// around widens all[from:to], a placeholder, by the casts, the collation and
// the functions of one argument around it.
func around(all []token, from, to int) (int, int, string) {
	functions := ""
	for {
		switch {
		case to+1 < len(all) && (all[to].is("::") || all[to].is("COLLATE")):
			to += 2
			if to < len(all) && all[to].is("(") && closing(all, to) > 0 {
				to = closing(all, to) + 1
			}
		case from > 0 && all[from-1].is("BINARY"):
			from--
		case from > 1 && to < len(all) && all[from-1].is("(") && all[from-2].is("CAST") && all[to].is("AS"):
			end := closing(all, from-1)
			if end < 0 {
				return from, to, functions
			}
			from, to = from-2, end+1
		case from > 0 && to < len(all) && all[from-1].is("(") && all[to].is(")"):
			from, to = from-1, to+1
			if from > 0 && all[from-1].kind == wordToken && !isOperatorWord(all[from-1]) {
				from--
				functions = strings.ToLower(all[from].text) + "(" + functions
			}
		default:
			return from, to, functions
		}
	}
}

// isOperatorWord tells words that stand before a bracket and are no function.
func isOperatorWord(t token) bool {
	return slices.ContainsFunc([]string{"IN", "AND", "OR", "NOT", "WHERE", "ON", "LIKE", "ILIKE", "HAVING", "WHEN", "BETWEEN", "IS", "FROM"}, t.is)
}

// ends tells whether nothing can go on with an expression at all[at]: a keyword,
// a bracket or a comma is there, and no operator.
func ends(all []token, at int) bool {
	return at < 0 || at >= len(all) || all[at].kind == wordToken || slices.ContainsFunc([]string{"(", ")", ",", ";"}, all[at].is)
}

// operandBefore returns what the parameter at all[from:to] is compared with in
// column = {param}.
func operandBefore(all []token, from, to int) (operand []token, like bool) {
	at := from - 1
	if at < 1 || !ends(all, to) {
		return nil, false
	}
	switch t := all[at]; {
	case t.is("="), t.is("=="), t.is("<=>"), t.is("IS"), t.is("IN"):
	case t.is("FROM") && at > 3 && all[at-1].is("DISTINCT") && all[at-2].is("NOT") && all[at-3].is("IS"):
		at -= 3
	case t.is("LIKE"), t.is("ILIKE"):
		like = true
	default:
		return nil, false
	}
	if all[at-1].is("NOT") {
		return nil, false
	}
	// Backwards over the operand: its suffixes, then a name or a bracket with
	// the function before it.
	start := at
	for start > 1 && (all[start-2].is("COLLATE") || all[start-2].is("::")) {
		start -= 2
	}
	if start == 0 {
		return nil, false
	}
	start--
	if all[start].is(")") {
		if start = opening(all, start); start < 0 {
			return nil, false
		}
		if start > 0 && all[start-1].kind == wordToken && !isOperatorWord(all[start-1]) {
			start--
		}
	} else {
		for start > 1 && all[start-1].is(".") {
			start -= 2
		}
	}
	if !ends(all, start-1) {
		return nil, false
	}
	return all[start:at], like
}

// operandAfter returns what the parameter at all[from:to] is compared with in
// {param} = column.
func operandAfter(all []token, from, to int) []token {
	if to+1 >= len(all) || !ends(all, from-1) || !all[to].is("=") && !all[to].is("==") && !all[to].is("<=>") {
		return nil
	}
	start, end := to+1, to+2
	if end < len(all) && all[end].is("(") || all[start].is("(") {
		open := start
		if !all[start].is("(") {
			open = end
		}
		if end = closing(all, open) + 1; end == 0 {
			return nil
		}
	}
	for end+1 < len(all) && (all[end].is(".") || all[end].is("COLLATE") || all[end].is("::")) {
		end += 2
	}
	if !ends(all, end) {
		return nil
	}
	return all[start:end]
}

// item is one place of a select list: a column and the name of its output, or
// all columns of a table.
type item struct {
	column columnRef
	output string
	star   bool
}

// selectList returns the items of the statement's own select. ok is false where
// there is none, or more than one as in a UNION.
func selectList(all []token) (items []item, ok bool) {
	depth, start, end := 0, -1, len(all)
	for i, t := range all {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth > 0:
		case t.is("SELECT") && start >= 0:
			return nil, false
		case t.is("SELECT"):
			start = i + 1
		case t.is("FROM") && start >= 0 && end == len(all):
			end = i
		}
	}
	if start < 0 {
		return nil, false
	}
	for start < end && (all[start].is("DISTINCT") || all[start].is("ALL")) {
		start++
	}
	if start+1 < end && all[start].is("ON") && all[start+1].is("(") {
		start = closing(all, start+1) + 1
	}
	from := start
	for i := start; i <= end; i++ {
		switch {
		case i == end || depth == 0 && all[i].is(","):
			items = append(items, itemOf(all[from:i])...)
			from = i + 1
		case all[i].is("("):
			depth++
		case all[i].is(")"):
			depth--
		}
	}
	return items, true
}

// itemOf reads one place of a select list; what is no column is left out.
func itemOf(e []token) []item {
	n := len(e)
	switch {
	case n == 0:
		return nil
	case e[n-1].is("*") && n == 1:
		return []item{{star: true}}
	case e[n-1].is("*") && n > 2 && e[n-2].is("."):
		return []item{{star: true, column: columnRef{table: e[n-3].text}}}
	}
	output := ""
	switch {
	case n > 2 && e[n-2].is("AS"):
		output, e = e[n-1].text, e[:n-2]
	case n > 1 && e[n-1].isName() && (e[n-2].isName() && !e[n-2].is("COLLATE") || e[n-2].is(")")):
		output, e = e[n-1].text, e[:n-1]
	}
	c, ok := columnOf(e)
	if !ok {
		return nil
	}
	if output == "" && c.functions == "" {
		output = c.name
	}
	if output == "" {
		return nil
	}
	return []item{{column: c, output: output}}
}

// keyOutputs returns, for each path parameter, the names under which the
// select's result may show the key of its row: none if nothing is found.
func (s *statement) keyOutputs(params int, many bool) [][]string {
	outputs := make([][]string, params)
	items, ok := selectList(s.tokens)
	if !ok {
		return outputs
	}
	for _, c := range comparisons(s.tokens) {
		if outputs[c.param] != nil || many && c.like { // a list of what is like a pattern has many keys
			continue
		}
		for _, it := range items {
			switch {
			case it.star:
				if c.returns(columnRef{table: it.column.table, name: c.column.name}) {
					outputs[c.param] = append(outputs[c.param], c.column.name)
				}
			case c.returns(it.column):
				outputs[c.param] = append(outputs[c.param], it.output)
			}
		}
	}
	return outputs
}
