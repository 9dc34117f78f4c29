package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/testkit"
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

func TestBlameWaitsForTheTimer(t *testing.T) {
	ctx := overdue{t.Context(), make(chan struct{})}
	verdict := make(chan error)
	go func() { verdict <- MarkDown(ctx, io.EOF, true) }()
	select {
	case err := <-verdict:
		t.Fatalf("got %v before it was known whose deadline had passed", err)
	default:
	}
	close(ctx.done)
	if err := <-verdict; errors.Is(err, ErrDown) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want both the error and the caller's", err)
	}
}

func TestBlame(t *testing.T) {
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

func TestPostgresFaults(t *testing.T) {
	e := &postgresEngine{}
	f := func(err error, want faultKind) {
		t.Helper()
		if got := e.fault(fmt.Errorf("wrapped: %w", err)).kind; got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	for _, code := range []string{"08006", "53300", "28000", "57P01", "57P03"} {
		f(&pgconn.PgError{Code: code}, faultLost)
	}
	for _, code := range []string{"40003", "XX000", "25006", "53100", "53200", "53400", ""} {
		f(&pgconn.PgError{Code: code}, faultOther)
	}
	for _, code := range []string{"42P01", "42703", "42601", "42501", "3F000", "0A000", "26000", "55000"} {
		f(&pgconn.PgError{Code: code}, faultRefused)
	}
	for _, code := range []string{"40001", "40P01", "55P03"} {
		f(&pgconn.PgError{Code: code}, faultBusy)
	}
	f(&pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"}, faultBusy)
	f(&pgconn.PgError{Code: "57014"}, faultSlow)
	f(&pgconn.PgError{Code: "25P03", SeverityUnlocalized: "FATAL"}, faultLost)
	f(&pgconn.PgError{Code: "44000"}, faultRule)
	f(&pgconn.PgError{Code: "21000"}, faultRecord)
	f(&pgconn.PgError{Code: "22003"}, faultData)
	f(&pgconn.PgError{Code: "23505"}, faultRule)
	f(io.ErrUnexpectedEOF, faultLost)
	f(&valueError{"a", io.ErrUnexpectedEOF}, faultRecord)
}

// TestPostgresForgets asks for an id that the server has not given yet, as
// after a crash that lost the transaction.
func TestPostgresForgets(t *testing.T) {
	e, err := newPostgres(Config{URL: testkit.Postgres(t).URL(), MaxConns: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.open(); err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if err := e.setUp(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	id := int64(1) << 31
	tx := &postgresTransaction{engine: e.(*postgresEngine), id: &id}
	if over, err := tx.over(t.Context()); !over || err != nil {
		t.Errorf("over: got %t, %v", over, err)
	}
}
