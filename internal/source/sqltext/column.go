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

// columnRef reads a whole expression that is a column, perhaps cast, collated or
// within functions of one argument. The name is "" for any other.
func (p phrase) columnRef() (c columnRef) {
	for {
		p = p.withoutSuffix()
		switch first := p.at(0); {
		case first.is("BINARY") && len(p) > 1:
			p = p[1:]
		case p.encloses(0):
			p = p[1 : len(p)-1]
		case first.is("CAST") && p.encloses(1):
			at := slices.IndexFunc(p, func(l lexeme) bool { return l.is("AS") })
			if at < 0 || !p.at(at+1).isTransparent() {
				return columnRef{}
			}
			p = p[2:at]
		case first.kind == word && p.encloses(1):
			c.functions += strings.ToLower(first.text) + "("
			p = p[2 : len(p)-1]
		default:
			c.table, c.name = p.column()
			return c
		}
	}
}

// withoutSuffix takes COLLATE x and ::text away from the end. A collation says how
// texts are compared and leaves the value as it is.
func (p phrase) withoutSuffix() phrase {
	for {
		n := len(p)
		switch {
		case n > 4 && p[n-4].is("COLLATE") && p[n-2].is("."): // a collation's schema
			p = p[:n-4]
		case n > 2 && p[n-2].is("COLLATE"), n > 2 && p[n-2].is("::") && p[n-1].isTransparent():
			p = p[:n-2]
		case n > 5 && p[n-1].is(")") && p[n-3].is("(") && p[n-5].is("::") && p[n-4].isTransparent(): // ::varchar(20)
			p = p[:n-5]
		default:
			return p
		}
	}
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

// column reads a phrase that is a column and nothing else, such as table.name.
// Both are "" for any other.
func (p phrase) column() (table, column string) {
	for i, l := range p {
		if i%2 == 1 && !l.is(".") || i%2 == 0 && !l.mayBeName() {
			return "", ""
		}
	}
	if n := len(p); n%2 == 1 && !p[n-1].isNumber() {
		return p.at(n - 3).text, p[n-1].text
	}
	return "", ""
}
