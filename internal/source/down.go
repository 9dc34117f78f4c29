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
