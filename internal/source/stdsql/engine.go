// Package stdsql is an engine for a database that has a driver of database/sql. MySQL
// and SQLite share pools, prepared statements, transactions and probes in it, and
// differ by a Variant: mostly texts, and functions where a text does not do.
// PostgreSQL stands apart, because pgx alone tells the types of parameters.
package stdsql

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Variant is what differs between databases that are reached through
// database/sql. All functions are needed but for those that say so. They are
// called from any goroutine and keep no state of a call.
type Variant struct {
	Dialect sqltext.Dialect
	Begin   string // the statement that begins a transaction
	// Isolate are the statements that turn a transaction that has done nothing yet
	// into one which keeps others from changing what it reads.
	Isolate []string
	Alive   string // a query that needs the database's files or its server
	// Wanted is told that resources write; nil: nobody needs to know.
	Wanted func()
	// TakesWrites asks the server, instead of Alive, whether it takes writes; nil: it
	// always does.
	TakesWrites func(ctx context.Context, db Asker) (bool, error)
	// Moves is what there is for a server that may move; nil: there is no server.
	Moves *engine.Moves
	// Number tells which number of Moves a connection of the driver belongs to; it is
	// needed with Moves.
	Number func(conn any) uint64
	// Append writes a value that the driver returned for a column of the
	// declared type.
	Append func(dst []byte, declared string, value any) ([]byte, error)
	// Document writes a value that is JSON itself.
	Document func(dst []byte, declared string, value any) ([]byte, error)
	// Bind is Transaction.Bind.
	Bind func(ctx context.Context, t *Transaction, b *engine.Binding, q *engine.Query) error
	// Offending is Engine.Offending.
	Offending func(ctx context.Context, db Asker, s *sqltext.Statement, err error) engine.Offending
	// Catalog is Engine.Catalog; nil: there is none.
	Catalog func(ctx context.Context, db Asker, s *sqltext.Statement, shown *engine.Result) (*engine.Catalog, error)
	// Documents finds the columns of a select that are JSON although the driver
	// calls them text, in lower case; nil: there are none.
	Documents func(ctx context.Context, db Asker, s *sqltext.Statement) (map[string]bool, error)
	// Relations is Engine.Relations, on one connection.
	Relations func(ctx context.Context, conn *sql.Conn, q engine.Query) ([]string, error)
	Fault     func(error) engine.Fault
	// Fits is Engine.Fits without asking; nil: every argument does.
	Fits func(q engine.Query) bool
	// Commit sends COMMIT, and tells a lost answer from a refusal. It returns
	// an outcome if the answer was lost.
	Commit func(ctx context.Context, conn *sql.Conn) (Outcome, error)
	SetUp  func(ctx context.Context, conn *sql.Conn, init []string, demo bool) error
	// Note notes on the connection of a transaction who writes, as ctx tells, and whether
	// it has. Unnote takes that back. nil: nobody wants to know.
	Note   func(ctx context.Context, conn *sql.Conn) (noted bool, err error)
	Unnote func(ctx context.Context, conn *sql.Conn) error
	// Renewed is Engine.Renewed; nil: the database stays the same.
	Renewed func() bool
	// Unprepared tells that a statement is of a kind that is never prepared.
	Unprepared func(error) bool
	// RehearsalPool opens a pool for one rehearsal, and tells how to close it.
	RehearsalPool func(e *Engine) (*sql.DB, func(), error)
	Rehearse      func(ctx context.Context, p *Prober, r *engine.Rehearsal) error
}

// Engine is a database behind database/sql. Reading and writing may have pools of
// their own. It implements engine.Engine and is safe for concurrent use from Open
// on. Reads and Writes are nil until then.
type Engine struct {
	Variant
	connect       func() (reads, writes *sql.DB, err error)
	Reads, Writes *sql.DB

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // on reads, by their text
}

// New makes an engine. connect is called by Open, and returns one pool twice where
// readers and writers share their connections.
func New(f Variant, connect func() (reads, writes *sql.DB, err error)) *Engine {
	return &Engine{Variant: f, connect: connect, prepared: map[string]*sql.Stmt{}}
}

// Open implements engine.Engine. No connection is made: database/sql makes one
// when a call needs it.
func (e *Engine) Open() (err error) {
	e.Reads, e.Writes, err = e.connect()
	return err
}

// Way has nothing to tell.
func (e *Engine) Way() string { return "" }

// Renewed implements engine.Engine.
func (e *Engine) Renewed() bool { return e.Variant.Renewed != nil && e.Variant.Renewed() }

// Dialect implements engine.Engine.
func (e *Engine) Dialect() sqltext.Dialect { return e.Variant.Dialect }

// Fault tells values that cannot be written from errors of the database, and leaves
// those to the Variant.
func (e *Engine) Fault(err error) engine.Fault {
	var value *engine.ValueError
	var held *engine.HeldError
	switch {
	case err == nil:
		return engine.Fault{}
	case errors.As(err, &held):
		return engine.Fault{Class: engine.FaultRefused}
	case errors.As(err, &value):
		return engine.Fault{Class: engine.FaultRecord}
	}
	return e.Variant.Fault(err)
}

// Fits has nothing to ask: neither database refuses a value in a comparison, but a text that
// cannot be written in the characters of a column.
func (e *Engine) Fits(_ context.Context, q engine.Query) bool {
	return e.Variant.Fits == nil || e.Variant.Fits(q)
}

// Ping needs an answer of the database, where PingContext is content with a
// connection. The driver's own ping may be answered by the connection alone,
// while the database behind it is gone.
func (e *Engine) Ping(ctx context.Context) (takesWrites bool, err error) {
	if e.TakesWrites != nil {
		return e.TakesWrites(ctx, e.Reads)
	}
	var sign any
	err = e.Reads.QueryRowContext(ctx, e.Alive).Scan(&sign)
	return err == nil, err
}

// SetUp runs on one connection: locks that it takes belong to it.
func (e *Engine) SetUp(ctx context.Context, init []string, demo bool) error {
	conn, err := e.Writes.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return e.Variant.SetUp(ctx, conn, init, demo)
}

// Run implements engine.Engine. The Variant's BEGIN may be undone by a statement that
// commits by itself, as all definitions do in MySQL.
func (e *Engine) Run(ctx context.Context, statements []string) error {
	tx := &Transaction{engine: e}
	if err := tx.begin(ctx, engine.RemedyNone); err != nil {
		return err
	}
	defer tx.Rollback()
	for _, text := range statements {
		if _, err := tx.Conn.ExecContext(ctx, text); err != nil {
			return &engine.StatementError{Text: text, Err: err}
		}
	}
	return tx.Commit(ctx)
}

// RunInit runs the statements of [database] init. It stops at the first that
// fails; an *engine.InitError names it by its key.
func RunInit(ctx context.Context, conn *sql.Conn, init []string) error {
	for i, text := range init {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return &engine.InitError{Key: engine.InitKey(i), Err: err}
		}
	}
	return nil
}

// Close closes prepared statements first: a pool waits for none of them. It may
// be called without Open. All errors are joined, and none keeps the rest from
// being closed.
func (e *Engine) Close() error {
	if e.Reads == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var faults []error
	for _, stmt := range e.prepared {
		faults = append(faults, stmt.Close())
	}
	clear(e.prepared)
	faults = append(faults, e.Reads.Close())
	if e.Writes != e.Reads {
		faults = append(faults, e.Writes.Close())
	}
	return errors.Join(faults...)
}

// Query keeps statements prepared, but for those whose text depends on the
// request: there would be one for each number of values. A statement of
// database/sql prepares itself anew on each connection that it meets, so one per
// text serves the whole pool.
func (e *Engine) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	if q.Varies {
		rows, err := e.Reads.QueryContext(ctx, q.SQL, q.Args...)
		if err != nil {
			return nil, err
		}
		return e.collect(rows, q)
	}
	switch q.Remedy {
	case engine.RemedyPlan:
		e.forget(q.SQL)
	case engine.RemedyConnection, engine.RemedyPrimary:
		conn, err := e.conn(ctx, e.Reads, q.Remedy)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		rows, err := conn.QueryContext(ctx, q.SQL, q.Args...) // the driver prepares it for this one time
		if err != nil {
			return nil, err
		}
		return e.collect(rows, q)
	}
	stmt, err := e.stmt(ctx, q.SQL)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, q.Args...)
	if err != nil {
		return nil, err
	}
	return e.collect(rows, q)
}

// forget drops the prepared form of text, on all connections. The next query
// prepares it anew, by the tables as they are now.
func (e *Engine) forget(text string) {
	e.mu.Lock()
	stmt := e.prepared[text]
	delete(e.prepared, text)
	e.mu.Unlock()
	if stmt != nil {
		_ = stmt.Close() // after the queries that run on it
	}
}

// Columns asks for no row of the query: neither driver describes a statement that
// it has not run. An error may mean no more than that the query cannot stand
// within another one.
func (e *Engine) Columns(ctx context.Context, q engine.Query) ([]string, error) {
	return describe(ctx, e.Reads, q)
}

// stmt returns the prepared form of text. There are as many as the configuration
// has statements. ctx bounds the preparing alone: the statement outlives the call
// that made it.
func (e *Engine) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	e.mu.Lock()
	stmt := e.prepared[text]
	e.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	// Not under the lock: the database may take its time. Of two that prepare
	// at once one is thrown away.
	stmt, err := e.Reads.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.prepared[text]; other != nil {
		return other, stmt.Close()
	}
	e.prepared[text] = stmt
	return stmt, nil
}

// Documents implements engine.Engine.
func (e *Engine) Documents(ctx context.Context, s *sqltext.Statement) (map[string]bool, error) {
	if e.Variant.Documents == nil {
		return nil, nil
	}
	return e.Variant.Documents(ctx, e.Reads, s)
}

// Catalog implements engine.Engine.
func (e *Engine) Catalog(ctx context.Context, s *sqltext.Statement, shown *engine.Result) (*engine.Catalog, error) {
	if e.Variant.Catalog == nil {
		return nil, nil
	}
	return e.Variant.Catalog(ctx, e.Reads, s, shown)
}

// Relations implements engine.Engine.
func (e *Engine) Relations(ctx context.Context, q engine.Query) ([]string, error) {
	conn, err := e.conn(ctx, e.Reads, q.Remedy)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	names, err := e.Variant.Relations(ctx, conn, q)
	slices.Sort(names)
	return slices.Compact(names), err
}

// Offending asks outside of the transaction, which is over by then. It reads on
// the pool of the readers; what it cannot find out is left out.
func (e *Engine) Offending(ctx context.Context, s *sqltext.Statement, _ engine.Query, err error) engine.Offending {
	return e.Variant.Offending(ctx, e.Reads, s, err)
}
