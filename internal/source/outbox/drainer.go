package outbox

import (
	"context"
	"time"

	"hearth/internal/source/engine"
)

// Drainer is who drains the outbox, as the database has it.
type Drainer struct {
	Fleet    string // "": nobody has drained it yet
	Instance string
	Number   int64         // of its latest beat
	Since    time.Duration // that beat
}

// Drainer looks who drains the outbox. It locks nothing.
func (o *Outbox) Drainer(ctx context.Context) (d Drainer, err error) {
	res, err := o.engine.Query(ctx, engine.Query{SQL: o.dialect.Texts().Drainer})
	if err == nil && len(res.Rows) != 1 {
		err = errNotInstalled
	}
	if err != nil {
		return d, err
	}
	cells := res.Rows[0]
	d.Fleet, d.Instance = textOf(cells[0]), textOf(cells[1])
	if d.Number, err = intOf(cells[2]); err != nil {
		return d, err
	}
	d.Since, err = secondsOf(cells[3])
	return d, err
}

// Named returns sets with the names and ids that they have, or are going to have, in the
// database. One whose table cannot be found keeps the name that it was given.
func (o *Outbox) Named(ctx context.Context, sets []Set) []Set {
	named := make([]Set, len(sets))
	for i, s := range sets {
		if table, err := o.dialect.Canonical(ctx, o.engine, s.Table); err == nil {
			s.Table = table
		}
		s.ID = IDOf(s.Table, s.Filter)
		named[i] = s
	}
	return named
}
