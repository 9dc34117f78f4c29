package origin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"hearth/internal/source"
)

// whose tells whom an error blames: the source, the caller, or the call.
func whose(err error) string {
	gaveUp := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		return "nobody"
	case errors.Is(err, source.ErrDown):
		return "source"
	case gaveUp:
		return "caller"
	}
	return "call"
}

// waits are calls that the source's own timeout ends, and calls that their
// caller ends. Of two deadlines the earlier counts.
var waits = []struct {
	own, callers time.Duration // 0: none
	want         string
}{
	{50 * time.Millisecond, 0, "source"},
	{50 * time.Millisecond, time.Hour, "source"},
	{time.Hour, 50 * time.Millisecond, "caller"},
	{time.Hour, -1, "caller"},
}

var errOther = errors.New("the caller's own cause")

// within returns a context that ends after d: never for 0, for a negative one
// by then already.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	if d < 0 {
		cancel(errOther)
	}
	if d <= 0 {
		return ctx
	}
	ctx, stop := context.WithTimeoutCause(ctx, d, errOther)
	t.Cleanup(stop)
	return ctx
}
