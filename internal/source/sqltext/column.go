package sqltext

import (
	"slices"
	"strings"
)

// columnRef is a column as an expression names it, with the functions around
// it.
type columnRef struct {
	table, name string
	functions   string // "lower(" …, outermost first
}

// same tells whether two references mean one column, within the same functions.
// Where one of them is not qualified the name is unambiguous to the database, or
// it would refuse the statement. Capitals count for nothing: a table with two
// columns that differ in them alone would have to quote both.
func (c columnRef) same(d columnRef) bool {
	return strings.EqualFold(c.name, d.name) && c.functions == d.functions &&
		(c.table == "" || d.table == "" || strings.EqualFold(c.table, d.table))
}

// operand is one side of a comparison, or an item of a select list: a column or a
// placeholder, perhaps cast, collated or within functions of one argument.
type operand struct {
	columnRef      // of a column; of a placeholder only the functions
	plain     int  // how many lexemes table.name has
	opaque    bool // a cast has made another value of it, see isTransparent
	isParam   bool
	slot      int // of a placeholder
}

// operand reads the operand that begins at i, and where it ends. end is 0 for
// anything else:
//
//	operand = ([table "."] name | {name} | function "(" operand ")" | "CAST" "(" operand "AS" type ")"
//	          | "BINARY" operand | "(" operand ")") ("::" type | "COLLATE" name)…
//
// A column whose own name is BINARY is one where an operator follows. NOT is no
// name, so that a NOT LIKE {name} is no comparison of a column.
func (p phrase) operand(i int) (o operand, end int) {
	switch l, next := p.at(i), p.at(i+1); {
	case l.is("BINARY") && (next.mayBeName() && !next.isOperator() || next.kind == placeholder || next.pair > 0):
		o, end = p.operand(i + 1)
	case l.pair > 0:
		if o, end = p.operand(i + 1); end != i+l.pair {
			return operand{}, 0
		}
		end++
	case l.isFunction() && next.pair > 0:
		closing := i + 1 + next.pair
		o, end = p.operand(i + 2)
		switch {
		case end > 0 && l.is("CAST") && p.at(end).is("AS"):
			o.opaque = o.opaque || !p.at(end+1).isTransparent()
		case end != closing:
			return operand{}, 0
		default:
			o.functions = strings.ToLower(l.text) + "(" + o.functions
		}
		end = closing + 1
	case l.kind == placeholder:
		o.isParam, o.slot, end = true, l.slot, i+1
	case l.mayBeName() && !l.is("NOT"):
		for end = i + 1; p.at(end).is(".") && p.at(end+1).mayBeName(); end += 2 {
		}
		if p[end-1].isNumber() {
			return operand{}, 0
		}
		o.name, o.plain = p[end-1].text, end-i
		if o.plain > 1 {
			o.table = p[end-3].text
		}
	default:
		return operand{}, 0
	}
	end = p.suffix(&o, end)
	return o, end
}

// suffix steps over COLLATE x and ::text at the end of an operand. A collation
// says how texts are compared and leaves the value as it is.
func (p phrase) suffix(o *operand, end int) int {
	for {
		switch l := p.at(end); {
		case end == 0 || end+1 >= len(p):
			return end
		case l.is("COLLATE"):
			if end += 2; p.at(end).is(".") { // a collation's schema
				end += 2
			}
		case l.is("::"):
			o.opaque = o.opaque || !p[end+1].isTransparent()
			if end += 2; p.at(end).pair > 0 { // ::varchar(20)
				end += p[end].pair + 1
			}
		default:
			return end
		}
	}
}

// isFunction tells whether a bracket behind the lexeme is that of a function, and
// not that of a condition or a list.
func (l lexeme) isFunction() bool {
	return l.kind == word && !l.isOperator() && !l.oneOf("WHERE", "ON", "HAVING", "WHEN", "FROM")
}

// isOperator tells words that stand between operands.
func (l lexeme) isOperator() bool {
	return l.oneOf("IN", "AND", "OR", "NOT", "LIKE", "ILIKE", "BETWEEN", "IS", "COLLATE")
}

// isTransparent tells types to which a column may be cast and still tells its
// row from all others. Types of numbers with a fraction and of times are none:
// they round.
func (l lexeme) isTransparent() bool {
	return l.text != "" && slices.Contains([]string{
		"text", "citext", "varchar", "nvarchar", "char", "nchar", "character", "bpchar", "name", "uuid", "int", "integer", "bigint",
		"int4", "int8", "signed", "unsigned",
	}, strings.ToLower(l.text))
}
