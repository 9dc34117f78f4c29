package sqltext

import (
	"slices"
	"strings"
)

// Which column of a select tells the name of its row? The one that the
// statement compares with the parameter. It is looked for in the text: the
// comparison first, then the place in the select list that returns the same
// column. This is what counts as a comparison:
//
//	comparison = column operator parameter | parameter ("=" | "==" | "<=>") column
//	operator   = "=" | "==" | "<=>" | "IS" | "IN" | "LIKE" | "ILIKE" | "IS NOT DISTINCT FROM"
//	column     = [table "."] name | function "(" column ")" | "CAST" "(" column "AS" type ")"
//	           | column "::" type | column "COLLATE" name | "BINARY" column | "(" column ")"
//	parameter  = {name}, with the same around it
//
// What is not plain is not guessed at: a column that is taken for the key and is
// none would make every record answer as another's. A key that is not found only
// means that the operator is told to name it. So nothing may stand beside a
// comparison but keywords, brackets and commas; a select within the statement
// and a UNION tell nothing; and the type of a cast has to keep rows apart, as a
// text of a number does and the date of a time does not.

// KeyOutputs returns, for each path parameter, the names under which the
// select's result may show the key of its row: none if nothing is found. Of
// several comparisons of one parameter the first counts that the list returns.
func (s *Statement) KeyOutputs(params int, many bool) [][]string {
	outputs := make([][]string, params)
	items, ok := s.onlySelect()
	if !ok {
		return outputs
	}
	for _, c := range s.comparisons() {
		if outputs[c.param] != nil || many && c.like { // a list of what is like a pattern has many keys
			continue
		}
		for _, item := range items {
			switch {
			case item.Column == "*":
				if c.returns(columnRef{table: item.Table, name: c.column.name}) {
					outputs[c.param] = append(outputs[c.param], c.column.name)
				}
			case item.output != "" && item.value.name != "" && c.returns(item.value):
				outputs[c.param] = append(outputs[c.param], item.output)
			}
		}
	}
	return outputs
}

// comparison is column = {param}, or any other of the comparisons above.
type comparison struct {
	column columnRef
	param  int
	within string // functions around the parameter
	like   bool   // which a pattern may meet that names many rows
}

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

// folds are functions of a text that give back what they are given, up to case,
// accents and blanks. What they make of a value they leave as it is.
var folds = []string{"lower(", "upper(", "lcase(", "ucase(", "trim(", "ltrim(", "rtrim(", "btrim(", "unaccent(", "normalize("}

// onlyFolds tells whether all functions around a parameter are folds.
func onlyFolds(functions string) bool {
	for f := range strings.SplitAfterSeq(functions, "(") {
		if f != "" && !slices.Contains(folds, f) {
			return false
		}
	}
	return true
}

// onlySelect returns the items of the statement's own select, also behind a
// WITH. ok is false where there is none, or more than one as in a UNION, where
// each has comparisons of its own.
func (s *Statement) onlySelect() (items []SelectItem, ok bool) {
	at := -1
	for i := 0; i < len(s.lexemes); i++ {
		switch l := s.lexemes[i]; {
		case l.pair > 0:
			i += l.pair
		case l.is("SELECT") && at >= 0:
			return nil, false
		case l.is("SELECT"):
			at = i
		}
	}
	if at < 0 {
		return nil, false
	}
	return s.lexemes.selectAt(at).Items, true
}

// comparisons finds columns that are compared with a path parameter where the
// statement's own rows are chosen, and not those of a select within it.
func (s *Statement) comparisons() (found []comparison) {
	for i, l := range s.lexemes {
		if l.kind != placeholder || l.inner || s.Slots[l.slot].Param < 0 {
			continue
		}
		c := comparison{param: s.Slots[l.slot].Param}
		from, to, functions := s.lexemes.around(i)
		operand, like := s.lexemes.operandBefore(from, to)
		if operand == nil {
			operand = s.lexemes.operandAfter(from, to)
		}
		c.within, c.like = functions, like
		if c.column = operand.columnRef(); c.column.name != "" {
			found = append(found, c)
		}
	}
	return found
}

// around returns where the casts, the collation and the functions of one
// argument around a placeholder begin and end: from {p} it widens to the whole
// of lower(CAST({p} AS text)) COLLATE nocase. A bracket behind a word such as IN
// belongs to no function.
func (p phrase) around(at int) (from, to int, functions string) {
	from, to = at, at+1
	for {
		before, after := p.at(from-1), p.at(to)
		switch {
		case after.oneOf("::", "COLLATE") && to+1 < len(p):
			to += 2
			if n := p.at(to).pair; n > 0 {
				to += n + 1
			}
		case before.is("BINARY"):
			from--
		case before.pair > 0 && after.is("AS") && p.at(from-2).is("CAST"):
			from, to = from-2, from+before.pair
		case before.is("(") && after.is(")"):
			from, to = from-1, to+1
			if p.at(from - 1).isFunction() {
				from--
				functions = strings.ToLower(p[from].text) + "(" + functions
			}
		default:
			return from, to, functions
		}
	}
}

// isFunction tells whether a bracket behind the lexeme is that of a function, and
// not that of a condition or a list.
func (l lexeme) isFunction() bool {
	return l.kind == word && !l.oneOf("IN", "AND", "OR", "NOT", "WHERE", "ON", "LIKE", "ILIKE", "HAVING", "WHEN", "BETWEEN", "IS", "FROM")
}

// endsExpression tells whether nothing can go on with an expression at the
// lexeme: a keyword, a bracket or a comma is there, and no operator.
func (l lexeme) endsExpression() bool {
	return l.kind == none || l.kind == word || l.oneOf("(", ")", ",", ";")
}

// operandBefore returns what the parameter at p[from:to] is compared with in
// column = {param}. On both sides the expression has to end: in n = 1 + {param}
// and in 1 + n = {param} another value than the column's is compared.
func (p phrase) operandBefore(from, to int) (operand phrase, like bool) {
	if !p.at(to).endsExpression() {
		return nil, false
	}
	at := from - 1
	switch operator := p.at(at); {
	case operator.oneOf("=", "==", "<=>", "IS", "IN"):
	case operator.is("FROM") && p.at(at-1).is("DISTINCT") && p.at(at-2).is("NOT") && p.at(at-3).is("IS"):
		at -= 3
	case operator.oneOf("LIKE", "ILIKE"):
		like = true
	default:
		return nil, false
	}
	// Backwards over the operand: its suffixes, then a name or a bracket with
	// the function before it.
	start := at - 1
	for p.at(start-1).oneOf("COLLATE", "::") {
		start -= 2
	}
	switch last := p.at(start); {
	case last.is("NOT"), last.is(")") && last.pair == 0:
		return nil, false
	case last.is(")"):
		if start += last.pair; p.at(start - 1).isFunction() {
			start--
		}
	default:
		for p.at(start - 1).is(".") {
			start -= 2
		}
	}
	if start < 0 || !p.at(start-1).endsExpression() {
		return nil, false
	}
	return p[start:at], like
}

// operandAfter returns what the parameter at p[from:to] is compared with in
// {param} = column, by the same rules.
func (p phrase) operandAfter(from, to int) phrase {
	if to+1 >= len(p) || !p.at(from-1).endsExpression() || !p[to].oneOf("=", "==", "<=>") {
		return nil
	}
	start, end := to+1, to+2
	open := start
	if !p[start].is("(") {
		open = end
	}
	if bracket := p.at(open); bracket.is("(") {
		if bracket.pair == 0 {
			return nil
		}
		end = open + bracket.pair + 1
	}
	for end+1 < len(p) && p[end].oneOf(".", "COLLATE", "::") {
		end += 2
	}
	if !p.at(end).endsExpression() {
		return nil
	}
	return p[start:end]
}
