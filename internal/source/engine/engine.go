// Package engine is what the databases have in common: the interface that each of
// them implements, what goes through it, and how values become JSON and JSON
// values. It knows no driver. What a client sees of a value is decided here, once,
// so that a record has the same bytes whatever it comes from.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"hearth/internal/source/sqltext"
)

// Engine is one kind of database. Everything that differs between them but
// does not show in a statement's text is behind it.
type Engine interface {
	// Dialect is known before the database is open: statements are parsed at once.
	Dialect() sqltext.Dialect
	// Open starts the pools of connections. They connect when they are used. It is
	// called once, before all that asks the database.
	Open() error
	// WantsWrites tells that resources write, before Open or any time after. It fails if
	// the URL asks for a server that takes no writes.
	WantsWrites() error
	// Ping asks the database for a sign of life, and whether its server takes writes.
	Ping(ctx context.Context) (takesWrites bool, err error)
	// Lost has the connections of the pool dialled anew, at most once a second: the
	// caller has found one lost, and so may the others be.
	Lost()
	// Seek looks whether the database's name leads to a server that takes writes by
	// now, and has the connections of the pool dialled anew if so. It looks once a
	// second at most, for all who ask.
	Seek(ctx context.Context) bool
	// Renewed tells, once each time, that calls have found another database in the place
	// of the one before, which needs a set-up of its own.
	Renewed() bool
	// SetUp runs the statements of [database] init and, if asked to, creates
	// the demo's table.
	SetUp(ctx context.Context, init []string, demo bool) error
	// Run runs statements that define something, one after the other: in one
	// transaction, where the database takes such statements in one.
	Run(ctx context.Context, statements []string) error
	// Way tells how the database is reached where that is not the ordinary way, as
	// far as it is known; "" otherwise. It asks nobody.
	Way() string
	// Query reads rows outside of any transaction.
	Query(ctx context.Context, q Query) (*Result, error)
	// Columns names what q would return, without reading a record.
	Columns(ctx context.Context, q Query) ([]string, error)
	// Relations names the tables that q reads, also behind views and in selects within
	// it, each once and with its schema where the database has schemas. It runs nothing,
	// and leaves nothing behind in the session. What functions read is not seen. A
	// table that the plan for q has no use for may be among them.
	Relations(ctx context.Context, q Query) ([]string, error)
	// Begin takes the remedy for the fault that the attempt before met.
	Begin(ctx context.Context, r Remedy) (Transaction, error)
	// Prober with a rehearsal has tried the set-up.
	Prober(ctx context.Context, r *Rehearsal) (Prober, error)
	// Documents names the columns of a select that are JSON although the driver
	// calls them text, in lower case.
	Documents(ctx context.Context, s *sqltext.Statement) (map[string]bool, error)
	// Catalog reads the declarations of the columns that an upsert assigns; shown
	// is a result of the select. It is nil where a write finds them itself.
	Catalog(ctx context.Context, s *sqltext.Statement, shown *Result) (*Catalog, error)
	// Offending tells what an upsert was refused for, as far as the database says.
	Offending(ctx context.Context, s *sqltext.Statement, q Query, err error) Offending
	// Fits tells whether the database takes the arguments of a query that
	// failed with FaultData: if it does not, no record can have that key.
	Fits(ctx context.Context, q Query) bool
	// Fault says whose fault an error of this engine is. Errors that no engine has
	// returned are taken for a lost connection.
	Fault(err error) Fault
	// Close ends all connections, if there are any. Transactions have to be over.
	Close() error
}

// Transaction is for one goroutine at a time. commit and rollback end it and
// give its connection back, whatever their outcome.
type Transaction interface {
	// Query sees what the transaction has changed.
	Query(ctx context.Context, q Query) (*Result, error)
	// Look is a query that comes before anything else in the transaction. What it
	// has found, also that it found nothing, no other transaction changes until
	// this one has changed it or is over: one that tries waits, or one of the two
	// fails with FaultBusy.
	Look(ctx context.Context, q Query) (*Result, error)
	// Bind sets the arguments of q, an upsert, to the members of a body. Its
	// errors are *BodyError, or the database's.
	Bind(ctx context.Context, b *Binding, q *Query) error
	// Catalog is Engine.Catalog, as the transaction sees the columns.
	Catalog(ctx context.Context, s *sqltext.Statement, shown *Result) (*Catalog, error)
	// Exec returns how many rows were changed.
	Exec(ctx context.Context, q Query) (int64, error)
	// Again rolls back and begins anew, so that all can be tried once more. It
	// works also after a commit that was refused. With RemedyPrimary it fails with
	// ErrNoPrimary if there is no other server.
	Again(ctx context.Context, r Remedy) error
	// Commit returns ErrUnknownOutcome, wrapped, when its answer was lost.
	Commit(ctx context.Context) error
	// Over is Change.Over after such a commit. It asks on another connection.
	Over(ctx context.Context) (bool, error)
	// Rollback takes no context: a transaction that is given up has no caller left to
	// wait for it, and the connection goes back to the pool in any case.
	Rollback()
}

// RollbackTimeout bounds the end of a transaction that no caller waits for.
const RollbackTimeout = 2 * time.Second

// ValueError is about a value that the database returned and that cannot be
// written as JSON. The database itself is well.
type ValueError struct {
	Column string
	Err    error
}

// Error names the column, and never quotes the value.
func (e *ValueError) Error() string { return fmt.Sprintf("column %q: %v", e.Column, e.Err) }

// Unwrap returns what is wrong with the value.
func (e *ValueError) Unwrap() error { return e.Err }

// Prober asks over one connection what a database makes of statements, without
// running them.
type Prober interface {
	// Probe returns the names of the columns that a query would return. They are
	// nil for a write, and where the database does not tell.
	Probe(ctx context.Context, q Query, reads bool) ([]string, error)
	// End gives the connection back, and undoes what a rehearsal has done.
	End()
}

// Rehearsal has a prober run the set-up first and undo it in the end: statements
// may need what the set-up creates.
type Rehearsal struct {
	Init   []string
	Demo   bool
	Writes bool                        // some statement writes
	Report func(key string, err error) // key: init[0], demo, url
}

// InitError is a failure of what [database] has the server run at its start.
type InitError struct {
	Key string // init[0], demo
	Err error
}

// Error names the key of the configuration, by which an operator finds the statement.
func (e *InitError) Error() string {
	if e.Key == "demo" {
		return fmt.Sprintf("creating the demo's table: %v", e.Err)
	}
	return fmt.Sprintf("running database.%s: %v", e.Key, e.Err)
}

// Unwrap returns the database's error.
func (e *InitError) Unwrap() error { return e.Err }

// StatementError is the database's refusal of one of several statements.
type StatementError struct {
	Text string
	Err  error
}

// Error shows the beginning of the statement, by which an operator finds it.
func (e *StatementError) Error() string {
	first, _, _ := strings.Cut(strings.TrimSpace(e.Text), "\n")
	return fmt.Sprintf("running %.80q: %v", first, e.Err)
}

// Unwrap returns the database's error.
func (e *StatementError) Unwrap() error { return e.Err }

// SetUpWait is how long a set-up waits for another one to be over. Then the server goes
// on without, and tries again: what holds the lock may never let it go.
const SetUpWait = 15 * time.Second

// WaitOf is how long the set-up waits for another one.
func (c Config) WaitOf() time.Duration {
	if c.Wait > 0 {
		return c.Wait
	}
	return SetUpWait
}

// HeldError says that somebody else holds what the set-up needs for itself. It is a
// FaultRefused: an operator has to look, and what needs nothing of the set-up works.
type HeldError struct {
	By string // who, and how to end that
}

// Error names the holder.
func (e *HeldError) Error() string {
	return "waiting for the set-up of another session in vain: " + e.By
}

// InitKey is the key of the i-th statement of database.init.
func InitKey(i int) string { return fmt.Sprintf("init[%d]", i) }

// Offending is what an upsert was refused for: columns of its tables, or
// arguments of its query.
type Offending struct {
	Columns []string
	Args    []int
	Order   map[sqltext.Table][]string // columns of tables, for values without names
}

// Config says which database to open.
type Config struct {
	URL string // sqlite:PATH, postgres://…, postgresql://… or mysql://…
	// Renew returns the URL as it is now, of the same database: each connection logs in
	// by it. nil: the URL stays as it is. It is called from any goroutine.
	Renew    func() (string, error)
	Init     []string      // statements run once the database is reachable; idempotent
	Demo     bool          // create and fill the table users if there is none
	MaxConns int           // SQLite writes over one more
	Timeout  time.Duration // of one call
	// MarkWriter has each transaction note the token of source.WriterOf, where triggers of
	// the outbox look for it. SQLite has no place for it.
	MarkWriter bool
	Wait       time.Duration // of a set-up for another one; 0: SetUpWait
	Look       bool          // a file of SQLite is not made, and keeps its mode
	Log        *slog.Logger  // for what a driver has to say besides its errors; nil: nothing
}
