package database

import (
	"context"
	"errors"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// Load implements Records.
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
	t.refusals.Cleared(source.KeySelect)
	return record, err
}

// selectQuery is the select bound to args.
func (t *table) selectQuery(args source.Args) engine.Query {
	q := engine.QueryOf(t.selects, args, nil)
	q.One = !t.many
	return q
}

// read runs a query, and a second time when the first met what may be gone at
// once: reading twice does no harm.
func (t *table) read(ctx context.Context, q engine.Query) (*engine.Result, error) {
	if err := t.learnDocuments(ctx); err != nil {
		return nil, err
	}
	q.Documents = *t.learned.Load()
	res, err := t.db.engine.Query(ctx, q)
	if err != nil && ctx.Err() == nil {
		if q.Remedy = t.db.engine.Fault(err).Remedy; q.Remedy != engine.RemedyNone {
			first := err
			res, err = t.db.engine.Query(ctx, q)
			err = preferred(ctx, first, err)
		}
	}
	t.db.observe(err)
	return res, err
}

// learnDocuments finds out, once, which columns of the select are JSON although
// the driver calls them text.
func (t *table) learnDocuments(ctx context.Context) error {
	if t.learned.Load() != nil {
		return nil
	}
	documents, err := t.db.engine.Documents(ctx, t.selects)
	if err == nil {
		t.learned.Store(&documents)
	}
	return err
}
