package sqltext

import "slices"

// Reads returns the tables and views that the selects of a text name, at all depths, each
// once. It is for texts of the plain form in which a database shows a query that it has
// read; of others it may miss some, as where a FROM stands in no select.
func Reads(d Dialect, text string) ([]Table, error) {
	p, err := read(d, text)
	if err != nil {
		return nil, err
	}
	r := reads{lexemes: p, levels: []readLevel{{}}}
	for i := 0; i < len(p); i++ {
		i = r.step(i)
	}
	return slices.DeleteFunc(r.tables, func(t Table) bool { return t.Schema == "" && slices.Contains(r.common, t.Name) }), nil
}

// reads walks over a text. A level is what stands in one pair of brackets.
type reads struct {
	lexemes phrase
	levels  []readLevel // the innermost last
	tables  []Table
	common  []string // names that a WITH has made
}

// readLevel is where in a select the walk is.
type readLevel struct {
	selects bool // a SELECT stood on this level, or it is a part of a FROM
	from    bool // the walk is behind its FROM
	expects bool // a table may stand here
}

// fromEnds are the words behind the tables of a FROM.
var fromEnds = append([]string{"PROCEDURE", "INTO", "LOCK", "MINUS", "RETURNING", "SELECT", "VALUES", "CONNECT", "START"}, selectEnds...)

// step reads what stands at i, and returns the last place that it has read.
func (r *reads) step(i int) int {
	p, l := r.lexemes, &r.levels[len(r.levels)-1]
	switch at := p[i]; {
	case at.is("("):
		next := readLevel{selects: l.from && l.expects, from: l.from && l.expects, expects: l.expects}
		l.expects = false
		r.levels = append(r.levels, next)
	case at.is(")"):
		if len(r.levels) > 1 {
			r.levels = r.levels[:len(r.levels)-1]
		}
	case at.is("SELECT"):
		*l = readLevel{selects: true}
	case at.is("FROM") && l.selects && !p.at(i-1).is("DISTINCT"):
		l.from, l.expects = true, true
	case at.oneOf(fromEnds...) && l.from && !p.at(i-1).is("."):
		l.from, l.expects = false, false
	case at.isName() && p.at(i+1).is("AS") && p.at(i+2).pair > 0 && !l.from: // WITH name AS (…)
		r.common = append(r.common, at.text)
	case at.isName() && p.at(i+1).pair > 0 && p.at(i+2+p[i+1].pair).is("AS") && p.at(i+3+p[i+1].pair).pair > 0 && !l.from: // name (columns) AS (…)
		r.common = append(r.common, at.text)
	case !l.from:
	case at.is(","), at.oneOf("JOIN", "STRAIGHT_JOIN"):
		l.expects = true
	case at.oneOf("ONLY", "LATERAL") && p.at(i+1).isName():
	case l.expects && at.isName():
		l.expects = false
		table, end := p.table(i)
		if p.at(end).pair <= 0 && !slices.Contains(r.tables, table) { // else it is a function
			r.tables = append(r.tables, table)
		}
		return end - 1
	}
	return i
}
