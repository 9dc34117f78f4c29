package source

import "context"

// lookup reads the rows of other parameters, in the same view of the data.
type lookup func(Args) (*result, error)

// inLoad looks other names up for a load.
func (t *table) inLoad(ctx context.Context) lookup {
	return func(args Args) (*result, error) {
		q := t.selectQuery(args)
		res, err := t.read(ctx, q)
		if err != nil && t.db.engine.fault(err).kind == faultData && !t.db.engine.fits(ctx, q) {
			return nil, ErrNoRecord
		}
		if err != nil {
			return nil, t.failed("loading", t.blame(ctx, KeySelect, err))
		}
		return res, nil
	}
}

// inWrite looks rows up inside a transaction.
func (t *table) inWrite(ctx context.Context, tx transaction) lookup {
	return t.lookupBy(ctx, "looking up", tx.query)
}

// inLook is inWrite for the first query of a transaction, whose answer stands
// until the transaction's own change.
func (t *table) inLook(ctx context.Context, tx transaction) lookup {
	next, then := t.lookupBy(ctx, "looking at", tx.look), t.inWrite(ctx, tx)
	return func(args Args) (*result, error) {
		ask := next
		next = then
		return ask(args)
	}
}

func (t *table) lookupBy(ctx context.Context, doing string, ask func(context.Context, query) (*result, error)) lookup {
	return func(args Args) (*result, error) {
		res, err := ask(ctx, t.selectQuery(args))
		t.db.observe(err)
		if err != nil {
			return nil, t.failed(doing, t.blame(ctx, KeySelect, err))
		}
		return res, nil
	}
}
