package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errTimeout is the cause of a context whose deadline this package has set, and
// so tells a source that is slow from a caller who gave up.
var errTimeout = errors.New("no answer within the timeout (database.timeout, or the resource's own)")

// withTimeout bounds one call of a source by the source's own timeout.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errTimeout)
}

// blame marks err with ErrDown if the fault lies with the source as a whole.
// ctx is the call's, from withTimeout; lost tells that err is of a kind that
// comes from a source which is away or has no time. Whoever's deadline ended
// the call, its error is wrapped in what is returned.
func blame(ctx context.Context, err error, lost bool) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		<-ctx.Done() // err is quicker than the timer which is due, and which knows whose deadline it was
	}
	ended := ctx.Err()
	switch {
	case errors.Is(err, ErrDown):
		return err
	case !lost && (ended == nil || !errors.Is(err, ended)):
		return err // an answer, whatever became of the time since
	case ended == nil:
		return markedError{err, ErrDown}
	case context.Cause(ctx) == errTimeout:
		return markedError{fmt.Errorf("%w: %w", errTimeout, err), ErrDown}
	case errors.Is(err, ended):
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}

// engineError is an error that an engine has returned, and what the engine makes
// of it. Only of these may be asked whether the same call may succeed at once.
type engineError struct {
	error
	fault fault
}

func (e engineError) Unwrap() error { return e.error }

// remedyOf tells what may let the call that failed with err succeed at once. A
// context that has ended leaves no time for it.
func remedyOf(ctx context.Context, err error) remedy {
	var e engineError
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnknownOutcome) || !errors.As(err, &e) {
		return remedyNone
	}
	return e.fault.remedy
}

// better is the error to report of a call and its repetition. One that ran out
// of time says less than what it repeats.
func better(ctx context.Context, first, second error) error {
	if second != nil && ctx.Err() != nil && !errors.Is(second, ErrUnknownOutcome) {
		return first
	}
	return second
}
