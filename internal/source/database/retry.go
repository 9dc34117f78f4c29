package database

import (
	"context"
	"errors"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// A call that fails on something which passes at once is made once more, by what the
// engine says of the error (its remedy): a deadlock, a plan that an ALTER TABLE has
// made void, a connection that was cut while it lay idle. Once, because what fails
// twice is no accident, and the caller's time goes on. Never after a COMMIT whose
// answer was lost: it may have counted.

// engineError is an error that an engine has returned, and what the engine makes
// of it. Only of these may be asked whether the same call may succeed at once.
type engineError struct {
	error
	fault engine.Fault
}

// Unwrap returns the engine's error.
func (e engineError) Unwrap() error { return e.error }

// remedyOf tells what may let the call that failed with err succeed at once. A
// context that has ended leaves no time for it. An unknown outcome has none: to
// do it again could count twice.
func remedyOf(ctx context.Context, err error) engine.Remedy {
	var e engineError
	if err == nil || ctx.Err() != nil || errors.Is(err, source.ErrUnknownOutcome) || !errors.As(err, &e) {
		return engine.RemedyNone
	}
	return e.fault.Remedy
}

// preferred is the error to report of a call and its repetition. One that ran out
// of time says less than what it repeats. An unknown outcome of the second
// attempt is reported in any case, for the caller has to act on it.
func preferred(ctx context.Context, first, second error) error {
	if second != nil && ctx.Err() != nil && !errors.Is(second, source.ErrUnknownOutcome) {
		return first
	}
	return second
}
