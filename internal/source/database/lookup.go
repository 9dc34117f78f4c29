package database

import (
	"context"
	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// lookup reads the rows of other parameters, in the same view of the data.
type lookup func(source.Args) (*engine.Result, error)

// inLoad looks other names up for a load.
func (t *table) inLoad(ctx context.Context) lookup {
	return func(args source.Args) (*engine.Result, error) {
		q := t.selectQuery(args)
		res, err := t.read(ctx, q)
		if err != nil && t.db.engine.Fault(err).Class == engine.FaultData && !t.db.engine.Fits(ctx, q) {
			return nil, source.ErrNoRecord
		}
		if err != nil {
			return nil, t.failed("loading", t.blame(ctx, source.KeySelect, err))
		}
		return res, nil
	}
}

// inWrite looks rows up inside a transaction.
func (t *table) inWrite(ctx context.Context, tx engine.Transaction) lookup {
	return t.lookupBy(ctx, "looking up", tx.Query)
}

// inLook is inWrite for the first query of a transaction, whose answer stands
// until the transaction's own change.
func (t *table) inLook(ctx context.Context, tx engine.Transaction) lookup {
	next, then := t.lookupBy(ctx, "looking at", tx.Look), t.inWrite(ctx, tx)
	return func(args source.Args) (*engine.Result, error) {
		ask := next
		next = then
		return ask(args)
	}
}

func (t *table) lookupBy(ctx context.Context, doing string, ask func(context.Context, engine.Query) (*engine.Result, error)) lookup {
	return func(args source.Args) (*engine.Result, error) {
		res, err := ask(ctx, t.selectQuery(args))
		t.db.observe(err)
		if err != nil {
			return nil, t.failed(doing, t.blame(ctx, source.KeySelect, err))
		}
		return res, nil
	}
}
