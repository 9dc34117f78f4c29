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
//
// Column and parameter are operands, see phrase.operand.
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
//
// On both sides the comparison has to end: in n = 1 + {param} and in
// 1 + n = {param} another value than the column's is compared.
func (s *Statement) comparisons() (found []comparison) {
	p := s.lexemes
	for i := range p {
		if p[i].inner || !p.at(i-1).endsExpression() || p.at(i-1).is("COLLATE") {
			continue
		}
		if p[i].is("(") && p.at(i-1).isFunction() { // its arguments are not what is compared
			continue
		}
		left, at := p.operand(i)
		after, swaps, like := p.comparison(at)
		if after == 0 {
			continue
		}
		right, end := p.operand(after)
		if left.isParam && swaps {
			left, right = right, left
		}
		if end == 0 || !p.at(end).endsExpression() || left.name == "" || left.opaque || !right.isParam {
			continue
		}
		if param := s.Slots[right.slot].Param; param >= 0 {
			found = append(found, comparison{column: left.columnRef, param: param, within: right.functions, like: like})
		}
	}
	return found
}

// comparison reads the operator of a comparison at i. after is where the second
// operand begins, or 0 if there is none; swaps says that the column may be the
// second one.
func (p phrase) comparison(i int) (after int, swaps, like bool) {
	switch l := p.at(i); {
	case i == 0:
	case l.oneOf("=", "==", "<=>"):
		return i + 1, true, false
	case l.is("IS") && p.at(i+1).is("NOT") && p.at(i+2).is("DISTINCT") && p.at(i+3).is("FROM"):
		return i + 4, false, false
	case l.oneOf("IS", "IN"):
		return i + 1, false, false
	case l.oneOf("LIKE", "ILIKE"):
		return i + 1, false, true
	}
	return 0, false, false
}

// endsExpression tells whether nothing can go on with an expression at the
// lexeme: a keyword, a bracket or a comma is there, and no operator.
func (l lexeme) endsExpression() bool {
	return l.kind == none || l.kind == word || l.oneOf("(", ")", ",", ";")
}
