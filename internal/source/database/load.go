package database

import (
	"context"
	"errors"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// Load implements Records. Errors are marked as package source describes;
// ErrNoRecord comes bare.
func (t *table) Load(ctx context.Context, args source.Args) ([]byte, error) {
	ctx, cancel := t.deadline(ctx)
	defer cancel()
	if err := t.ready(ctx, args); err != nil {
		return nil, t.failed("loading", err)
	}
	find := t.inLoad(ctx)
	res, err := find(args)
	if err != nil {
		return nil, err
	}
	record, err := t.record(res, args, find)
	if err != nil && !errors.Is(err, source.ErrNoRecord) {
		return nil, t.failed("loading", err)
	}
	// The select has run, whether it found a row or not, so what was refused of
	// it before is mended.
	t.refusals.Cleared(source.KeySelect)
	return record, err
}

// read runs a query, and again when it meets what may be gone at once: reading twice
// does no harm. A query with a remedy asks the engine for another plan or another
// connection; the first attempt asks for nothing.
func (t *table) read(ctx context.Context, q engine.Query) (res *engine.Result, err error) {
	if err := t.learnDocuments(ctx); err != nil {
		return nil, err
	}
	q.Documents = *t.learned.Load()
	err = t.db.tryAgain(ctx, func(r engine.Remedy) (err error) {
		q.Remedy = r
		res, err = t.db.engine.Query(ctx, q)
		return err
	})
	t.db.observe(err)
	return res, err
}

// learnDocuments finds out, once, which columns of the select are JSON although
// the driver calls them text. It is kept for good: a column that becomes JSON
// later is shown as text until the server starts anew. Two calls that ask at once
// store the same answer.
func (t *table) learnDocuments(ctx context.Context) error {
	if t.learned.Load() != nil {
		return nil
	}
	return t.db.tryAgain(ctx, func(r engine.Remedy) error {
		if r == engine.RemedyConnection {
			t.db.engine.Lost()
		}
		documents, err := t.db.engine.Documents(ctx, t.selects)
		if err == nil {
			t.learned.Store(&documents)
		}
		return err
	})
}

// lookup reads the rows that parameters find. To judge a row may take a second
// look, by the name that the row shows; it has to see the same data as the first,
// and so goes the way of the first: on any connection for a load, within its
// transaction for a write.
type lookup func(source.Args) (*engine.Result, error)

// inLoad looks rows up for a load. A key whose value does not fit the column's
// type finds nothing; it is no fault.
func (t *table) inLoad(ctx context.Context) lookup {
	return func(args source.Args) (*engine.Result, error) {
		q := t.selectQuery(args)
		res, err := t.read(ctx, q)
		if err != nil && t.db.engine.Fault(err).Class == engine.FaultData && !t.db.engine.Fits(ctx, q) {
			return nil, source.ErrNoRecord
		}
		if err != nil {
			return nil, t.failed("loading", t.mark(ctx, source.KeySelect, err))
		}
		return res, nil
	}
}

// inWrite looks rows up inside a transaction, which sees its own changes. It
// repeats nothing by itself: PostgreSQL refuses every further statement of a
// transaction that has failed, and change.repeat does it all once more.
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

// lookupBy makes a lookup of a way to ask, and marks its errors as those of the select.
func (t *table) lookupBy(ctx context.Context, doing string, ask func(context.Context, engine.Query) (*engine.Result, error)) lookup {
	return func(args source.Args) (*engine.Result, error) {
		res, err := ask(ctx, t.selectQuery(args))
		t.db.observe(err)
		if err != nil {
			return nil, t.failed(doing, t.mark(ctx, source.KeySelect, err))
		}
		return res, nil
	}
}
