package database

import (
	"context"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// reasonNoEffect is a ConditionError's: the condition is the statement's own.
const reasonNoEffect = "the record was not changed: it is not in the state that this change asks for; read it again"

// effective refuses a write whose statement has changed no row, such as one that
// asks for a version (UPDATE … WHERE id = {id} AND version = {body.version}), or
// leaves alone what is there (ON CONFLICT DO NOTHING). To answer it with the
// record that stands would tell its client that it was stored.
func effective(w write) write {
	return func(ctx context.Context, tx engine.Transaction) ([]byte, error) {
		counted := &counted{Transaction: tx}
		record, err := w(ctx, counted)
		switch {
		case err != nil || !counted.nothing:
			return record, err
		// Nothing was changed and nothing stands there, such as an UPDATE of a
		// missing row.
		case record == nil:
			return nil, source.ErrNoRecord
		}
		return nil, &source.ConditionError{Reason: reasonNoEffect}
	}
}

// counted is a transaction that looks at what its statement has changed.
type counted struct {
	engine.Transaction
	nothing bool // a statement that tells how many rows it changes has changed none
}

// Exec implements engine.Transaction. Embedding the transaction and counting here
// spares each write a result of its own. Statements whose count means nothing,
// such as CALL, never fail on it.
func (c *counted) Exec(ctx context.Context, q engine.Query) (int64, error) {
	n, err := c.Transaction.Exec(ctx, q)
	c.nothing = err == nil && n == 0 && !q.Uncounted
	return n, err
}
