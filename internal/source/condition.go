package source

import (
	"context"
	"errors"
)

// Condition judges a record before a write to it, as the write's own
// transaction finds it, so that no other write comes between judgement and
// write. record is nil if there is none. A reason ends the write.
type Condition func(record []byte) (reason string)

// ConditionError says that a condition did not hold. Its reason is what the
// condition gave.
type ConditionError struct{ Reason string }

func (e *ConditionError) Error() string { return e.Reason }

// Conditional is implemented by Records whose writes obey the condition in
// their context.
type Conditional interface {
	Records
	TakesConditions()
}

type conditionKey struct{}

// In returns ctx with the condition in it. Like a Caller it is no parameter:
// most writes have none, and most sources are never written to.
func (c Condition) In(ctx context.Context) context.Context {
	return context.WithValue(ctx, conditionKey{}, c)
}

// ConditionOf returns the condition that In has put into ctx, or nil.
func ConditionOf(ctx context.Context) Condition {
	c, _ := ctx.Value(conditionKey{}).(Condition)
	return c
}

// TakesConditions implements Conditional.
func (t *table) TakesConditions() {}

// conditional puts the judgement of ctx's condition, if it has one, before a
// write.
//
// Of two writers who have both read first, one must fail, whatever the order
// of their steps. If the second reads the record after the first has committed,
// the condition fails it. If it reads before, both hold that the condition is
// met, and the database has to refuse one: see transaction.look. What it refuses is done
// once more (see repeat), and then the condition fails it.
func (t *table) conditional(ctx context.Context, args Args, w write) write {
	judge := ConditionOf(ctx)
	if judge == nil {
		return w
	}
	return func(ctx context.Context, tx transaction) ([]byte, error) {
		record, err := t.present(ctx, tx, args)
		unfit := err != nil && t.db.engine.fault(err).kind == faultData && !t.db.engine.fits(ctx, t.selectQuery(args))
		if err != nil && !unfit { // no record can have a key that is unfit
			return nil, err
		}
		if reason := judge(record); reason != "" {
			return nil, &ConditionError{reason}
		}
		if unfit {
			return nil, &BodyError{Reason: reasonType}
		}
		return w(ctx, tx)
	}
}

// present is the record as the transaction tx finds it, nil if there is none.
func (t *table) present(ctx context.Context, tx transaction, args Args) ([]byte, error) {
	res, err := t.inLook(ctx, tx)(args)
	if err != nil {
		return nil, err
	}
	record, err := t.record(res, args, t.inWrite(ctx, tx))
	if errors.Is(err, ErrNoRecord) {
		return nil, nil
	}
	if err != nil {
		return nil, t.failed("looking at", err)
	}
	return record, nil
}
