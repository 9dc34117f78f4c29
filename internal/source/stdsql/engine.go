// Package stdsql is an engine for a database that has a driver of database/sql. MySQL
// and SQLite share pools, prepared statements, transactions and probes in it, and
// differ by a Variant: mostly texts, and functions where a text does not do.
// PostgreSQL stands apart, because pgx alone tells the types of parameters.
package stdsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// flavour is what differs between databases that are reached through
// database/sql.
type Variant struct {
	Dialect sqltext.Dialect
	Begin   string // the statement that begins a transaction
	// Isolate are the statements that turn a transaction that has done nothing yet
	// into one which keeps others from changing what it reads.
	Isolate []string
	Alive   string // a query that needs the database's files or its server
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
	Fault     func(error) engine.Fault
	// Commit sends COMMIT, and tells a lost answer from a refusal. It returns
	// an outcome if the answer was lost.
	Commit func(ctx context.Context, conn *sql.Conn) (Outcome, error)
	SetUp  func(ctx context.Context, conn *sql.Conn, init []string, demo bool) error
	// Unprepared tells that a statement is of a kind that is never prepared.
	Unprepared func(error) bool
	// RehearsalPool opens a pool for one rehearsal, and tells how to close it.
	RehearsalPool func(e *Engine) (*sql.DB, func(), error)
	Rehearse      func(ctx context.Context, p *Prober, r *engine.Rehearsal) error
}

// Outcome asks, over db, whether a transaction is over whose COMMIT had no
// answer; see Change.Over.
type Outcome func(ctx context.Context, db *sql.DB) (bool, error)

// Engine is a database behind database/sql. Reading and writing may have
// pools of their own.
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

// Open implements engine.Engine.
func (e *Engine) Open() (err error) {
	e.Reads, e.Writes, err = e.connect()
	return err
}

// Dialect implements engine.Engine.
func (e *Engine) Dialect() sqltext.Dialect { return e.Variant.Dialect }

// Fault tells values that cannot be written from errors of the database, and leaves
// those to the Variant.
func (e *Engine) Fault(err error) engine.Fault {
	var value *engine.ValueError
	switch {
	case err == nil:
		return engine.Fault{}
	case errors.As(err, &value):
		return engine.Fault{Class: engine.FaultRecord}
	}
	return e.Variant.Fault(err)
}

// Fits has nothing to ask: neither database refuses a value in a comparison.
func (e *Engine) Fits(context.Context, engine.Query) bool { return true }

// Ping needs an answer of the database, where PingContext is content with a connection.
func (e *Engine) Ping(ctx context.Context) error {
	var sign any
	return e.Reads.QueryRowContext(ctx, e.Alive).Scan(&sign)
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

// RunInit runs the statements of [database] init.
func RunInit(ctx context.Context, conn *sql.Conn, init []string) error {
	for i, text := range init {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return &engine.InitError{Key: engine.InitKey(i), Err: err}
		}
	}
	return nil
}

// Close closes prepared statements first: a pool waits for none of them.
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

// Query keeps statements prepared, but for those whose text depends on the request:
// there would be one for each number of values.
func (e *Engine) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	if q.Varies {
		rows, err := e.Reads.QueryContext(ctx, q.SQL, q.Args...)
		if err != nil {
			return nil, err
		}
		return e.collect(rows, q)
	}
	if q.Remedy == engine.RemedyPlan {
		e.forget(q.SQL)
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

// forget drops the prepared form of text, on all connections.
func (e *Engine) forget(text string) {
	e.mu.Lock()
	stmt := e.prepared[text]
	delete(e.prepared, text)
	e.mu.Unlock()
	if stmt != nil {
		_ = stmt.Close() // after the queries that run on it
	}
}

// Columns asks for no row of the query: neither driver describes a statement
// that it has not run.
func (e *Engine) Columns(ctx context.Context, q engine.Query) ([]string, error) {
	return describe(ctx, e.Reads, q)
}

func describe(ctx context.Context, on interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, q engine.Query) ([]string, error) {
	rows, err := on.QueryContext(ctx, "SELECT * FROM (\n"+q.SQL+"\n) AS described LIMIT 0", q.Args...)
	if err != nil {
		return nil, err
	}
	names, err := rows.Columns()
	return names, errors.Join(err, rows.Close())
}

// stmt returns the prepared form of text. There are as many as the
// configuration has statements.
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

// Catalog reads on the transaction's own connection, so that no ALTER TABLE comes
// between it and the write.
func (t *Transaction) Catalog(ctx context.Context, s *sqltext.Statement, shown *engine.Result) (*engine.Catalog, error) {
	if t.engine.Variant.Catalog == nil {
		return nil, nil
	}
	return t.engine.Variant.Catalog(ctx, t.Conn, s, shown)
}

// Offending asks outside of the transaction, which is over by then.
func (e *Engine) Offending(ctx context.Context, s *sqltext.Statement, _ engine.Query, err error) engine.Offending {
	return e.Variant.Offending(ctx, e.Reads, s, err)
}

// collect reads rows to their end, or the first of them, and closes them.
func (e *Engine) collect(rows *sql.Rows, q engine.Query) (res *engine.Result, err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	res = &engine.Result{}
	values, targets := make([]any, len(types)), make([]any, len(types))
	for i, typ := range types {
		res.Names = append(res.Names, typ.Name())
		res.Types = append(res.Types, typ.DatabaseTypeName())
		if q.Documents[strings.ToLower(typ.Name())] {
			res.Types[i] = "JSON"
		}
		targets[i] = &values[i]
	}
	document := engine.DocumentColumn(res.Names, q.Keyed)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		cells := make([][]byte, len(types))
		for i, typ := range types {
			write := e.Append
			if i == document || q.Documents[strings.ToLower(typ.Name())] {
				write = e.Document
			}
			if cells[i], err = write(nil, typ.DatabaseTypeName(), values[i]); err != nil {
				return nil, &engine.ValueError{Column: typ.Name(), Err: err}
			}
		}
		res.Rows = append(res.Rows, cells)
		if q.One && len(res.Rows) == 2 {
			return res, nil
		}
	}
	return res, rows.Err()
}

// Begin takes a connection out of the pool and keeps it: BEGIN and COMMIT are
// sent as statements, each under the context of its own call, where a sql.Tx
// would roll back on its own when the context it was begun with ends.
func (e *Engine) Begin(ctx context.Context, _ engine.Remedy) (engine.Transaction, error) {
	tx := &Transaction{engine: e}
	if err := tx.begin(ctx); err != nil {
		return nil, err
	}
	return tx, nil
}

// Transaction is one connection between its BEGIN and its COMMIT.
type Transaction struct {
	engine  *Engine
	Conn    *sql.Conn // nil once it was given back
	outcome Outcome   // of a lost COMMIT
}

func (t *Transaction) begin(ctx context.Context) (err error) {
	if t.Conn, err = t.engine.Writes.Conn(ctx); err != nil {
		t.Conn = nil
		return err
	}
	if _, err = t.Conn.ExecContext(ctx, t.engine.Variant.Begin); err != nil {
		t.Rollback()
	}
	return err
}

// Again takes a connection that is alive: the pool of database/sql looks at each.
// Writes have no plans that outlive them.
func (t *Transaction) Again(ctx context.Context, r engine.Remedy) error {
	if r == engine.RemedyConnection && t.Conn != nil {
		_ = t.Conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	t.Rollback()
	return t.begin(ctx)
}

// Query does not prepare: the statement would be kept for this connection alone.
func (t *Transaction) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	rows, err := t.Conn.QueryContext(ctx, q.SQL, q.Args...)
	if err != nil {
		return nil, err
	}
	return t.engine.collect(rows, q)
}

// Look turns the transaction into one that isolates what it reads, if the database
// needs to be told.
func (t *Transaction) Look(ctx context.Context, q engine.Query) (*engine.Result, error) {
	for _, text := range t.engine.Variant.Isolate {
		if _, err := t.Conn.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return t.Query(ctx, q)
}

// Bind implements engine.Transaction.
func (t *Transaction) Bind(ctx context.Context, b *engine.Binding, q *engine.Query) error {
	return t.engine.Variant.Bind(ctx, t, b, q)
}

// Exec implements engine.Transaction.
func (t *Transaction) Exec(ctx context.Context, q engine.Query) (int64, error) {
	res, err := t.Conn.ExecContext(ctx, q.SQL, q.Args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Commit keeps, of a COMMIT whose answer was lost, the means to ask what became of it.
func (t *Transaction) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // nothing was sent: a refusal
		t.Rollback()
		return err
	}
	var err error
	if t.outcome, err = t.engine.Commit(ctx, t.Conn); err != nil {
		t.Rollback()
		return err
	}
	err, t.Conn = t.Conn.Close(), nil
	return err
}

// Over has nobody to ask where COMMIT always has an answer: what did not
// commit was rolled back, or ended with its connection.
func (t *Transaction) Over(ctx context.Context) (bool, error) {
	if t.outcome == nil {
		return true, nil
	}
	return t.outcome(ctx, t.engine.Writes)
}

// Rollback ends the transaction, or the connection when that fails: one with
// an open transaction must not go back to the pool.
func (t *Transaction) Rollback() {
	if t.Conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
	defer cancel()
	if _, err := t.Conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		_ = t.Conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.Conn.Close()
	t.Conn = nil
}

// Asker asks a database, on one connection or on any.
type Asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// EachRow calls f for each row of a query, which Scan reads.
func EachRow(ctx context.Context, db Asker, f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return rows.Err()
}

// Texts reads the first column of a query. What it cannot read it leaves out:
// it serves to tell a fault better, which is told in any case.
func Texts(ctx context.Context, db Asker, query string, args ...any) (all []string) {
	err := EachRow(ctx, db, func(rows *sql.Rows) error {
		var text string
		if rows.Scan(&text) == nil {
			all = append(all, text)
		}
		return nil
	}, query, args...)
	if err != nil {
		return nil
	}
	return all
}
