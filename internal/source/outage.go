package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// marked is an error and a sentinel at once. Its text is the error's alone.
type marked struct{ err, sentinel error }

func (m marked) Error() string   { return m.err.Error() }
func (m marked) Unwrap() []error { return []error{m.err, m.sentinel} }

// Mark makes err match sentinel, too, and leaves its text as it is.
func Mark(err, sentinel error) error { return marked{err, sentinel} }

// errTimeout is the cause of a context whose deadline WithTimeout has set. It
// tells a source that is slow from a caller that gave up.
var errTimeout = errors.New("no answer within the timeout (database.timeout, or the resource's own)")

// WithTimeout bounds one call of a source by the source's own timeout.
func WithTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errTimeout)
}

// MarkDown marks err with ErrDown if the source as a whole is at fault. ctx is
// the call's, from WithTimeout; lost says that errors like err come from a source
// which is away or has no time. If a deadline ended the call, the result wraps
// that deadline's error, too.
func MarkDown(ctx context.Context, err error, lost bool) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		// err came before the timer that is due. Only the timer's context knows
		// whose deadline it was.
		<-ctx.Done()
	}
	ended := ctx.Err()
	switch {
	case errors.Is(err, ErrDown):
		return err
	case !lost && (ended == nil || !errors.Is(err, ended)):
		return err // an answer, whatever became of the time since
	case ended == nil:
		return Mark(err, ErrDown)
	case context.Cause(ctx) == errTimeout:
		return Mark(fmt.Errorf("%w: %w", errTimeout, err), ErrDown)
	case errors.Is(err, ended):
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}
