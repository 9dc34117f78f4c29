package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// overdue is a context whose deadline has passed, and whose timer is late.
type overdue struct {
	context.Context
	done chan struct{}
}

func (c overdue) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }
func (c overdue) Done() <-chan struct{}       { return c.done }

func (c overdue) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestMarkDownWaitsForTheTimer(t *testing.T) {
	ctx := overdue{t.Context(), make(chan struct{})}
	marked := make(chan error)
	go func() { marked <- MarkDown(ctx, io.EOF, true) }()
	select {
	case err := <-marked:
		t.Fatalf("got %v before it was known whose deadline had passed", err)
	default:
	}
	close(ctx.done)
	if err := <-marked; errors.Is(err, ErrDown) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want both the error and the caller's", err)
	}
}

func TestMarkDown(t *testing.T) {
	ended, cancel := WithTimeout(t.Context(), -1)
	defer cancel()
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	f := func(ctx context.Context, err error, lost, down bool) {
		t.Helper()
		got := MarkDown(ctx, err, lost)
		if errors.Is(got, ErrDown) != down || !errors.Is(got, err) {
			t.Errorf("%v, lost %t: got %v, want ErrDown %t", err, lost, got, down)
		}
	}
	f(t.Context(), io.EOF, true, true)
	f(t.Context(), io.EOF, false, false)
	f(t.Context(), context.DeadlineExceeded, false, false) // of a context that is not this call's
	f(ended, io.EOF, true, true)
	f(ended, io.EOF, false, false)
	f(ended, context.DeadlineExceeded, false, true)
	f(ended, ErrUnknownOutcome, false, false)
	f(given, io.EOF, true, false)
	f(given, io.EOF, false, false)
	f(given, context.Canceled, false, false)
	f(given, fmt.Errorf("before: %w", ErrDown), true, true)
	if err := MarkDown(given, io.EOF, true); !errors.Is(err, context.Canceled) {
		t.Errorf("a connection lost by a caller who gave up: got %v, want the caller's error in it", err)
	}
}
