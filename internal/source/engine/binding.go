package engine

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source"
	"hearth/internal/source/sqltext"
)

// Binding is a write whose arguments are to be found.
type Binding struct {
	Statement *sqltext.Statement // the upsert
	Values    []jsontext.Value   // of its fields; nil for one that is missing
	Shown     Query              // the select, which tells how a client sees a column
	One       bool               // shown finds one row, whose columns are the record's members
	Catalog   *Catalog           // of an earlier binding, or nil; bind sets it
}

// Arguments calls bind for each argument of q that is a member of the body. Path
// parameters and missing members are left as they are. A Misfit becomes a
// *source.BodyError with the member's name, any other error is returned as it is;
// q is of no use after either.
func (b *Binding) Arguments(q *Query, bind func(i int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error)) error {
	for i, from := range q.From {
		sl := b.Statement.Slots[from]
		if sl.Param >= 0 {
			continue
		}
		f, v := b.Statement.Fields[sl.Field], b.Values[sl.Field]
		if v == nil {
			continue // NULL
		}
		arg, err := bind(i, f, b.Statement.Destinations[from], v)
		if err != nil {
			var fault Misfit
			if errors.As(err, &fault) {
				return &source.BodyError{Member: f.String(), Reason: string(fault)}
			}
			return err
		}
		q.Args[i] = arg
	}
	return nil
}
