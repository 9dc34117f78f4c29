package source

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hearth/internal/source/sqltext"
)

// rollbackTimeout bounds the end of a transaction that nobody waits for.
const rollbackTimeout = 2 * time.Second

// flavour is what differs between databases that are reached through
// database/sql.
type flavour struct {
	dialect sqltext.Dialect
	begin   string // the statement that begins a transaction
	// isolate are the statements that turn a transaction that has done nothing yet
	// into one which keeps others from changing what it reads.
	isolate []string
	alive   string // a query that needs the database's files or its server
	// append writes a value that the driver returned for a column of the
	// declared type.
	append func(dst []byte, declared string, value any) ([]byte, error)
	// document writes a value that is JSON itself.
	document func(dst []byte, declared string, value any) ([]byte, error)
	// bind is transaction.bind.
	bind func(ctx context.Context, t *stdTransaction, b *binding, q *query) error
	// culprits is engine.culprits.
	culprits func(ctx context.Context, db sqlAsker, s *sqltext.Statement, err error) culprits
	// catalog is engine.catalog; nil: there is none.
	catalog func(ctx context.Context, db sqlAsker, s *sqltext.Statement, shown *result) (*catalog, error)
	// documents finds the columns of a select that are JSON although the driver
	// calls them text, in lower case; nil: there are none.
	documents func(ctx context.Context, db sqlAsker, s *sqltext.Statement) (map[string]bool, error)
	fault     func(error) fault
	// commit sends COMMIT, and tells a lost answer from a refusal. It returns
	// an outcome if the answer was lost.
	commit func(ctx context.Context, conn *sql.Conn) (outcome, error)
	setUp  func(ctx context.Context, conn *sql.Conn, init []string, demo bool) error
	// unprepared tells that a statement is of a kind that is never prepared.
	unprepared func(error) bool
	// rehearsalPool opens a pool for one rehearsal, and tells how to close it.
	rehearsalPool func(e *stdEngine) (*sql.DB, func(), error)
	rehearse      func(ctx context.Context, p *stdProber, r *rehearsal) error
}

// outcome asks, over db, whether a transaction is over whose COMMIT had no
// answer; see Change.Over.
type outcome func(ctx context.Context, db *sql.DB) (bool, error)

// stdEngine is a database behind database/sql. Reading and writing may have
// pools of their own.
type stdEngine struct {
	flavour
	connect       func() (reads, writes *sql.DB, err error)
	reads, writes *sql.DB

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // on reads, by their text
}

func newStdEngine(f flavour, connect func() (reads, writes *sql.DB, err error)) *stdEngine {
	return &stdEngine{flavour: f, connect: connect, prepared: map[string]*sql.Stmt{}}
}

func (e *stdEngine) open() (err error) {
	e.reads, e.writes, err = e.connect()
	return err
}

func (e *stdEngine) dialect() sqltext.Dialect { return e.flavour.dialect }

func (e *stdEngine) fault(err error) fault {
	var value *valueError
	switch {
	case err == nil:
		return fault{}
	case errors.As(err, &value):
		return fault{kind: faultRecord}
	}
	return e.flavour.fault(err)
}

// fits has nothing to ask: neither database refuses a value in a comparison.
func (e *stdEngine) fits(context.Context, query) bool { return true }

func (e *stdEngine) ping(ctx context.Context) error {
	var sign any
	return e.reads.QueryRowContext(ctx, e.alive).Scan(&sign)
}

func (e *stdEngine) setUp(ctx context.Context, init []string, demo bool) error {
	conn, err := e.writes.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return e.flavour.setUp(ctx, conn, init, demo)
}

// runInit runs the statements of [database] init.
func runInit(ctx context.Context, conn *sql.Conn, init []string) error {
	for i, text := range init {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return &initError{initKey(i), err}
		}
	}
	return nil
}

func (e *stdEngine) close() error {
	if e.reads == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var faults []error
	for _, stmt := range e.prepared {
		faults = append(faults, stmt.Close())
	}
	clear(e.prepared)
	faults = append(faults, e.reads.Close())
	if e.writes != e.reads {
		faults = append(faults, e.writes.Close())
	}
	return errors.Join(faults...)
}

func (e *stdEngine) query(ctx context.Context, q query) (*result, error) {
	if q.varies {
		rows, err := e.reads.QueryContext(ctx, q.sql, q.args...)
		if err != nil {
			return nil, err
		}
		return e.collect(rows, q)
	}
	if q.remedy == remedyPlan {
		e.forget(q.sql)
	}
	stmt, err := e.stmt(ctx, q.sql)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, q.args...)
	if err != nil {
		return nil, err
	}
	return e.collect(rows, q)
}

// forget drops the prepared form of text, on all connections.
func (e *stdEngine) forget(text string) {
	e.mu.Lock()
	stmt := e.prepared[text]
	delete(e.prepared, text)
	e.mu.Unlock()
	if stmt != nil {
		_ = stmt.Close() // after the queries that run on it
	}
}

// columns asks for no row of the query: neither driver describes a statement
// that it has not run.
func (e *stdEngine) columns(ctx context.Context, q query) ([]string, error) {
	return describe(ctx, e.reads, q)
}

func describe(ctx context.Context, on interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, q query) ([]string, error) {
	rows, err := on.QueryContext(ctx, "SELECT * FROM (\n"+q.sql+"\n) AS described LIMIT 0", q.args...)
	if err != nil {
		return nil, err
	}
	names, err := rows.Columns()
	return names, errors.Join(err, rows.Close())
}

// stmt returns the prepared form of text. There are as many as the
// configuration has statements.
func (e *stdEngine) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	e.mu.Lock()
	stmt := e.prepared[text]
	e.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	// Not under the lock: the database may take its time. Of two that prepare
	// at once one is thrown away.
	stmt, err := e.reads.PrepareContext(ctx, text)
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

func (e *stdEngine) documents(ctx context.Context, s *sqltext.Statement) (map[string]bool, error) {
	if e.flavour.documents == nil {
		return nil, nil
	}
	return e.flavour.documents(ctx, e.reads, s)
}

func (e *stdEngine) catalog(ctx context.Context, s *sqltext.Statement, shown *result) (*catalog, error) {
	if e.flavour.catalog == nil {
		return nil, nil
	}
	return e.flavour.catalog(ctx, e.reads, s, shown)
}

func (t *stdTransaction) catalog(ctx context.Context, s *sqltext.Statement, shown *result) (*catalog, error) {
	if t.engine.flavour.catalog == nil {
		return nil, nil
	}
	return t.engine.flavour.catalog(ctx, t.conn, s, shown)
}

func (e *stdEngine) culprits(ctx context.Context, s *sqltext.Statement, _ query, err error) culprits {
	return e.flavour.culprits(ctx, e.reads, s, err)
}

// collect reads rows to their end, or the first of them, and closes them.
func (e *stdEngine) collect(rows *sql.Rows, q query) (res *result, err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	res = &result{}
	values, targets := make([]any, len(types)), make([]any, len(types))
	for i, typ := range types {
		res.names = append(res.names, typ.Name())
		res.types = append(res.types, typ.DatabaseTypeName())
		if q.documents[strings.ToLower(typ.Name())] {
			res.types[i] = "JSON"
		}
		targets[i] = &values[i]
	}
	document := documentColumn(res.names, q.keyed)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		cells := make([][]byte, len(types))
		for i, typ := range types {
			write := e.append
			if i == document || q.documents[strings.ToLower(typ.Name())] {
				write = e.document
			}
			if cells[i], err = write(nil, typ.DatabaseTypeName(), values[i]); err != nil {
				return nil, &valueError{typ.Name(), err}
			}
		}
		res.rows = append(res.rows, cells)
		if q.one && len(res.rows) == 2 {
			return res, nil
		}
	}
	return res, rows.Err()
}

// valueError is about a value that the database returned and that cannot be
// written as JSON. The database itself is well.
type valueError struct {
	column string
	err    error
}

func (e *valueError) Error() string { return fmt.Sprintf("column %q: %v", e.column, e.err) }
func (e *valueError) Unwrap() error { return e.err }

// begin takes a connection out of the pool and keeps it: BEGIN and COMMIT are
// sent as statements, each under the context of its own call, where a sql.Tx
// would roll back on its own when the context it was begun with ends.
func (e *stdEngine) begin(ctx context.Context, _ remedy) (transaction, error) {
	tx := &stdTransaction{engine: e}
	if err := tx.begin(ctx); err != nil {
		return nil, err
	}
	return tx, nil
}

type stdTransaction struct {
	engine  *stdEngine
	conn    *sql.Conn // nil once it was given back
	outcome outcome   // of a lost COMMIT
}

func (t *stdTransaction) begin(ctx context.Context) (err error) {
	if t.conn, err = t.engine.writes.Conn(ctx); err != nil {
		t.conn = nil
		return err
	}
	if _, err = t.conn.ExecContext(ctx, t.engine.flavour.begin); err != nil {
		t.rollback()
	}
	return err
}

// again takes a connection that is alive: the pool of database/sql looks at each.
// Writes have no plans that outlive them.
func (t *stdTransaction) again(ctx context.Context, r remedy) error {
	if r == remedyConnection && t.conn != nil {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	t.rollback()
	return t.begin(ctx)
}

func (t *stdTransaction) query(ctx context.Context, q query) (*result, error) {
	rows, err := t.conn.QueryContext(ctx, q.sql, q.args...)
	if err != nil {
		return nil, err
	}
	return t.engine.collect(rows, q)
}

func (t *stdTransaction) look(ctx context.Context, q query) (*result, error) {
	for _, text := range t.engine.flavour.isolate {
		if _, err := t.conn.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return t.query(ctx, q)
}

func (t *stdTransaction) bind(ctx context.Context, b *binding, q *query) error {
	return t.engine.flavour.bind(ctx, t, b, q)
}

func (t *stdTransaction) exec(ctx context.Context, q query) (int64, error) {
	res, err := t.conn.ExecContext(ctx, q.sql, q.args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *stdTransaction) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // nothing was sent: a refusal
		t.rollback()
		return err
	}
	var err error
	if t.outcome, err = t.engine.commit(ctx, t.conn); err != nil {
		t.rollback()
		return err
	}
	err, t.conn = t.conn.Close(), nil
	return err
}

// over has nobody to ask where COMMIT always has an answer: what did not
// commit was rolled back, or ended with its connection.
func (t *stdTransaction) over(ctx context.Context) (bool, error) {
	if t.outcome == nil {
		return true, nil
	}
	return t.outcome(ctx, t.engine.writes)
}

// rollback ends the transaction, or the connection when that fails: one with
// an open transaction must not go back to the pool.
func (t *stdTransaction) rollback() {
	if t.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	if _, err := t.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.conn.Close()
	t.conn = nil
}
