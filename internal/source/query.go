package source

import (
	"hearth/internal/param"
	"hearth/internal/source/sqltext"
)

// Param is a path parameter of a resource.
type Param = param.Param

// query is a statement ready for the database.
type query struct {
	sql       string
	args      []any
	from      []int           // the slot of each argument; the first of those that share one
	one       bool            // one row is expected: a second is read to know of it, no third
	keyed     bool            // a column json is the record itself although a key stands before it
	varies    bool            // the text depends on the request: do not keep it prepared
	uncounted bool            // the number of rows it changes tells nothing
	remedy    remedy          // for the fault that the attempt before met
	documents map[string]bool // columns that are JSON although the driver calls them text
}

// queryOf puts values into a statement: args for path parameters, fields for
// the body's.
func queryOf(s *sqltext.Statement, args Args, fields []any) query {
	b := s.Bind(args, fields)
	return query{sql: b.SQL, args: b.Args, from: b.From, uncounted: !s.CountsRows}
}

// manyQuery puts the values of the one path parameter into a select_many.
func manyQuery(s *sqltext.Statement, values []any) query {
	b := s.BindMany(values)
	return query{sql: b.SQL, args: b.Args, from: b.From, varies: s.Many == sqltext.ManyList}
}
