package postgres

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

func TestPostgresFaults(t *testing.T) {
	e := &server{}
	f := func(err error, want engine.FaultClass) {
		t.Helper()
		if got := e.Fault(fmt.Errorf("wrapped: %w", err)).Class; got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	for _, code := range []string{"08006", "53300", "28000", "57P01", "57P03"} {
		f(&pgconn.PgError{Code: code}, engine.FaultLost)
	}
	for _, code := range []string{"40003", "XX000", "25006", "53100", "53200", "53400", ""} {
		f(&pgconn.PgError{Code: code}, engine.FaultOther)
	}
	for _, code := range []string{"42P01", "42703", "42601", "42501", "3F000", "0A000", "26000", "55000"} {
		f(&pgconn.PgError{Code: code}, engine.FaultRefused)
	}
	for _, code := range []string{"40001", "40P01", "55P03"} {
		f(&pgconn.PgError{Code: code}, engine.FaultBusy)
	}
	f(&pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"}, engine.FaultBusy)
	f(&pgconn.PgError{Code: "57014"}, engine.FaultSlow)
	f(&pgconn.PgError{Code: "25P03", SeverityUnlocalized: "FATAL"}, engine.FaultLost)
	f(&pgconn.PgError{Code: "44000"}, engine.FaultRule)
	f(&pgconn.PgError{Code: "21000"}, engine.FaultRecord)
	f(&pgconn.PgError{Code: "22003"}, engine.FaultData)
	f(&pgconn.PgError{Code: "23505"}, engine.FaultRule)
	f(io.ErrUnexpectedEOF, engine.FaultLost)
	f(&engine.ValueError{Column: "a", Err: io.ErrUnexpectedEOF}, engine.FaultRecord)
}

// TestPostgresForgets asks for an id that the server has not given yet, as
// after a crash that lost the transaction.
func TestPostgresForgets(t *testing.T) {
	e, err := New(engine.Config{URL: testkit.Postgres(t).URL(), MaxConns: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.SetUp(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	id := int64(1) << 31
	tx := &transaction{engine: e.(*server), id: &id}
	if over, err := tx.Over(t.Context()); !over || err != nil {
		t.Errorf("over: got %t, %v", over, err)
	}
}
