package engine

import (
	"hearth/internal/source"
	"hearth/internal/source/sqltext"
)

// Query is a statement ready for the database. It is passed by value, so each
// caller sets Remedy and Documents in a copy of its own.
type Query struct {
	SQL       string
	Args      []any
	From      []int           // the slot of each argument; the first of those that share one
	One       bool            // one row is expected: a second is read to know of it, no third
	Most      int             // how many rows are read at most; 0: all
	Keyed     bool            // a column json is the record itself although a key stands before it
	Varies    bool            // the text depends on the request: do not keep it prepared
	Uncounted bool            // the number of rows it changes tells nothing
	Remedy    Remedy          // for the fault that the attempt before met
	Documents map[string]bool // columns that are JSON although the driver calls them text
}

// QueryOf puts values into a statement: args for path parameters, fields for
// the body's.
func QueryOf(s *sqltext.Statement, args source.Args, fields []any) Query {
	b := s.Bind(args, fields)
	return Query{SQL: b.SQL, Args: b.Args, From: b.From, Uncounted: !s.CountsRows}
}

// ManyQuery puts the values of the one path parameter into a select_many.
func ManyQuery(s *sqltext.Statement, values []any) Query {
	b := s.BindMany(values)
	return Query{SQL: b.SQL, Args: b.Args, From: b.From, Varies: s.Many == sqltext.ManyList}
}

// documentName is the column whose value is the record itself when it stands
// alone.
const documentName = "json"

// Result is what a query returned. Cells are JSON already, so that nothing
// above an engine knows a driver's types.
type Result struct {
	Names []string
	Types []string // as the driver names them; none from PostgreSQL
	Rows  [][][]byte
}

// DocumentColumn returns the index of the column that is the record itself,
// or -1. The key of a select_many does not count.
func DocumentColumn(names []string, keyed bool) int {
	at := 0
	if keyed {
		at = 1
	}
	if len(names) == at+1 && names[at] == documentName {
		return at
	}
	return -1
}
