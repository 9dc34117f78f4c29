package stdsql

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Outcome asks, over db, whether a transaction is over whose COMMIT had no
// answer; see Change.Over.
type Outcome func(ctx context.Context, db *sql.DB) (bool, error)

// Catalog reads on the transaction's own connection, so that no ALTER TABLE comes
// between it and the write.
func (t *Transaction) Catalog(ctx context.Context, s *sqltext.Statement, shown *engine.Result) (*engine.Catalog, error) {
	if t.engine.Variant.Catalog == nil {
		return nil, nil
	}
	return t.engine.Variant.Catalog(ctx, t.Conn, s, shown)
}

// Begin takes a connection out of the pool and keeps it: BEGIN and COMMIT are
// sent as statements, each under the context of its own call, where a sql.Tx
// would roll back on its own when the context it was begun with ends.
func (e *Engine) Begin(ctx context.Context, r engine.Remedy) (engine.Transaction, error) {
	tx := &Transaction{engine: e}
	if err := tx.begin(ctx, r); err != nil {
		return nil, err
	}
	return tx, nil
}

// Transaction is one connection between its BEGIN and its COMMIT. It is for one
// goroutine at a time. Conn is for the Variant's functions, which run statements
// of their own on it.
type Transaction struct {
	engine  *Engine
	Conn    *sql.Conn // nil once it was given back
	number  uint64    // of the latest connection, see Variant.Number
	outcome Outcome   // of a lost COMMIT
	noted   bool      // the connection has the token of a writer
}

// begin takes a connection and opens a transaction on it. After an error nothing
// is held.
func (t *Transaction) begin(ctx context.Context, r engine.Remedy) (err error) {
	if t.Conn, err = t.engine.conn(ctx, t.engine.Writes, r); err != nil {
		t.Conn = nil
		return err
	}
	if number := t.engine.Number; number != nil {
		_ = t.Conn.Raw(func(conn any) error {
			t.number = number(conn)
			return nil
		})
	}
	if _, err = t.Conn.ExecContext(ctx, t.engine.Variant.Begin); err == nil {
		err = t.note(ctx)
	}
	if err != nil {
		t.Rollback()
	}
	return err
}

// note has the connection note who writes.
func (t *Transaction) note(ctx context.Context) (err error) {
	if t.engine.Note != nil {
		t.noted, err = t.engine.Note(ctx, t.Conn)
	}
	return err
}

// Again does not keep the connection. Writes have no plans that outlive them.
func (t *Transaction) Again(ctx context.Context, r engine.Remedy) error {
	found := r == engine.RemedyPrimary && t.engine.Moves != nil && t.engine.Moves.Seek(ctx, t.number)
	if (found || r == engine.RemedyConnection) && t.Conn != nil {
		_ = t.Conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	t.Rollback()
	switch {
	case found:
		r = engine.RemedyNone
	case r == engine.RemedyPrimary:
		return engine.ErrNoPrimary
	}
	return t.begin(ctx, r)
}

// Query does not prepare: the statement would be kept for this connection alone.
func (t *Transaction) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	rows, err := t.Conn.QueryContext(ctx, q.SQL, q.Args...)
	if err != nil {
		return nil, err
	}
	return t.engine.collect(rows, q)
}

// Look turns the transaction into one that isolates what it reads, if the
// database needs to be told. Isolate begins a new transaction on the same
// connection: nothing was done in the first one, so nothing is lost.
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

// Commit keeps, of a COMMIT whose answer was lost, the means to ask what became
// of it. The connection goes back to the pool only after a COMMIT that succeeded;
// after any other outcome Rollback decides what becomes of it.
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
	if t.noted && t.engine.Unnote(ctx, t.Conn) != nil {
		t.discard() // it is committed all the same
		return nil
	}
	err, t.Conn, t.noted = t.Conn.Close(), nil, false
	return err
}

// discard ends the connection: it must not go back to the pool.
func (t *Transaction) discard() {
	_ = t.Conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = t.Conn.Close()
	t.Conn, t.noted = nil, false
}

// Over has nothing to ask where COMMIT always has an answer: what did not commit
// was rolled back, or ended with its connection.
func (t *Transaction) Over(ctx context.Context) (bool, error) {
	if t.outcome == nil {
		return true, nil
	}
	return t.outcome(ctx, t.engine.Writes)
}

// Rollback ends the transaction, or the connection when that fails: one with an
// open transaction must not go back to the pool. It has a time limit of its own,
// as its caller may have none left. A second call does nothing.
func (t *Transaction) Rollback() {
	if t.Conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
	defer cancel()
	_, err := t.Conn.ExecContext(ctx, "ROLLBACK")
	if err == nil && t.noted { // the next transaction on the connection is another's
		err = t.engine.Unnote(ctx, t.Conn)
	}
	if err != nil {
		t.discard()
		return
	}
	_ = t.Conn.Close()
	t.Conn, t.noted = nil, false
}
