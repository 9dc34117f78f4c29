package database

import (
	"context"
	"errors"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// TakesConditions implements Conditional.
func (t *table) TakesConditions() {}

// conditional puts the judgement of ctx's condition, if it has one, before a
// write.
//
// Of two writers who have both read first, one must fail, whatever the order
// of their steps. If the second reads the record after the first has committed,
// the condition fails it. If it reads before, both hold that the condition is
// met, and the database has to refuse one: see Transaction.Look. What it refuses is done
// once more (see repeat), and then the condition fails it.
func (t *table) conditional(ctx context.Context, args source.Args, w write) write {
	judge := source.ConditionOf(ctx)
	if judge == nil {
		return w
	}
	return func(ctx context.Context, tx engine.Transaction) ([]byte, error) {
		record, err := t.present(ctx, tx, args)
		// A key that fits no column (abc for an integer) has no record. The
		// condition is judged on that first: If-Match fails as it does on any
		// missing record, and only a condition that holds lets the client hear of
		// the key.
		unfit := err != nil && t.db.engine.Fault(err).Class == engine.FaultData && !t.db.engine.Fits(ctx, t.selectQuery(args))
		if err != nil && !unfit { // no record can have a key that is unfit
			return nil, err
		}
		if reason := judge(record); reason != "" {
			return nil, &source.ConditionError{Reason: reason}
		}
		if unfit {
			return nil, &source.BodyError{Reason: engine.ReasonType}
		}
		return w(ctx, tx)
	}
}

// present is the record as the transaction tx finds it, nil if there is none. It
// reads with Look, so nothing changes between this judgement and the write. A row
// that goes by another name is a SpellingError here as it is in a load.
func (t *table) present(ctx context.Context, tx engine.Transaction, args source.Args) ([]byte, error) {
	res, err := t.inLook(ctx, tx)(args)
	if err != nil {
		return nil, err
	}
	record, err := t.record(res, args, t.inWrite(ctx, tx))
	if errors.Is(err, source.ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, t.failed("looking at", err)
	}
	return record, nil
}
