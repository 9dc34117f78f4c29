package source

import "context"

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
