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

// TestPostgresTakesNoWrites: answers of a server that is no primary, and others like them.
func TestPostgresTakesNoWrites(t *testing.T) {
	e := &server{}
	f := func(code, message string, want bool) {
		t.Helper()
		got := e.Fault(&pgconn.PgError{Code: code, Message: message})
		if got.ReadOnly != want || want && (got.Remedy != engine.RemedyPrimary || got.Class != engine.FaultOther) {
			t.Errorf("%s %q: got %+v, read-only %t", code, message, got, want)
		}
	}
	f("25006", "cannot execute UPDATE in a read-only transaction", true)
	f("25006", "cannot execute nextval() during recovery", true)
	f("0A000", "cannot use serializable mode in a hot standby", true)
	f("0A000", "cannot set transaction read-write mode during recovery", true)
	f("55000", "recovery is in progress", true)
	f("55000", "cannot acquire lock mode ShareLock on database objects while recovery is in progress", true)
	f("XX000", "cannot assign TransactionIds during recovery", true)
	f("0A000", "cached plan must not change result type", false)
	f("55000", `materialized view "m" has not been populated`, false)
	f("57P03", "the database system is starting up", false)
}

// TestPostgresTargets: which servers a URL leads to has to fit what resources need.
func TestPostgresTargets(t *testing.T) {
	f := func(settings string, hosts int, fits bool) {
		t.Helper()
		made, err := New(engine.Config{URL: "postgres://u@" + settings, MaxConns: 1, Timeout: time.Second})
		if err != nil {
			t.Fatalf("%s: %v", settings, err)
		}
		e := made.(*server)
		if len(e.target.hosts) != hosts || (e.WantsWrites() == nil) != fits {
			t.Errorf("%s: %d hosts, and with writes %v; want %d, and %t", settings, len(e.target.hosts), e.WantsWrites(), hosts, fits)
		}
		if got, want := e.strict(), fits && hosts > 1 && e.target.chosen == ""; got != want {
			t.Errorf("%s: strict %t, want %t", settings, got, want)
		}
	}
	f("a/db", 1, true)
	f("a:1,b/db?sslmode=prefer", 2, true)
	f("a,b,c/db?target_session_attrs=any", 3, true)
	f("a,b/db?target_session_attrs=read-write", 2, true)
	f("a/db?target_session_attrs=standby", 1, false)
	f("a,b/db?target_session_attrs=read-only", 2, false)
}
