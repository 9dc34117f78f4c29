package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// transaction knows its id once it has changed something, so that another
// connection can ask what became of it (PostgreSQL 10 and later). It is for one
// goroutine at a time.
type transaction struct {
	engine *server
	conn   *pgxpool.Conn // nil once it was given back
	number uint64        // of the latest connection, see numberOf
	tx     pgx.Tx
	id     *int64 // nil: none was given yet
}

// Begin implements engine.Engine.
func (e *server) Begin(ctx context.Context, r engine.Remedy) (engine.Transaction, error) {
	t := &transaction{engine: e}
	if err := t.begin(ctx, r); err != nil {
		return nil, err
	}
	return t, nil
}

// begin takes a connection unless again has kept the one it had. On an error the
// connection is given back and t.conn is nil, so Rollback after it does nothing.
func (t *transaction) begin(ctx context.Context, r engine.Remedy) (err error) {
	if t.conn == nil {
		if t.conn, err = t.engine.acquire(ctx, r); err != nil {
			t.conn = nil
			return err
		}
		t.number = numberOf(t.conn.Conn())
	}
	// The id is that of one transaction: a repetition gets another.
	t.id = nil
	if t.tx, err = t.conn.Conn().BeginTx(ctx, t.engine.options(ctx)); err != nil {
		t.release()
	}
	return err
}

// options have the transaction note the token of its writer, in the round trips of BEGIN and
// COMMIT. Any name with a dot is a setting that anybody may have; that of a transaction is
// nobody else's, also behind a pooler.
//
// The record is read back before COMMIT. What deferred triggers change only then is not in
// it, so the token is taken back before: to the feed that is a change of others.
func (e *server) options(ctx context.Context) (o pgx.TxOptions) {
	if token := source.WriterOf(ctx); e.marks && token != "" { // letters and digits
		o.BeginQuery = "begin; set local hearth.writer = '" + token + "'"
		o.CommitQuery = "set local hearth.writer = ''; commit"
	}
	return o
}

// Again stays on the connection if it can: there it is known which plans are to
// be forgotten.
func (t *transaction) Again(ctx context.Context, r engine.Remedy) error {
	if r == engine.RemedyPrimary {
		found := t.engine.moves.Seek(ctx, t.number)
		if found && t.conn != nil {
			_ = t.conn.Conn().Close(ctx) // it leads to another server
		}
		t.Rollback()
		if !found {
			return engine.ErrNoPrimary
		}
		r = engine.RemedyNone
	}
	if t.conn == nil {
		return t.begin(ctx, r)
	}
	// The caller's context may have ended; the transaction has to end in any case.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.RollbackTimeout)
	defer cancel()
	_ = t.tx.Rollback(ending)
	switch {
	// Closed first, so that the pool throws it away and acquire looks for one
	// that answers.
	case r == engine.RemedyConnection, t.engine.unfit(t.conn.Conn()):
		_ = t.conn.Conn().Close(ending)
		t.release()
	case t.conn.Conn().IsClosed():
		t.release()
	case r == engine.RemedyPlan:
		if err := forget(ctx, t.conn.Conn()); err != nil {
			t.release()
			return err
		}
	}
	return t.begin(ctx, r)
}

// release gives the connection back. The pool keeps none that is closed, or
// within a transaction still. A second call does nothing.
func (t *transaction) release() {
	if t.conn != nil {
		t.conn.Release()
		t.conn = nil
	}
}

// Look locks the rows it reads. REPEATABLE READ adds that a lock fails (40001) on
// a row that was changed or deleted since the transaction began, and an INSERT …
// ON CONFLICT on a row that the transaction has not seen.
//
// Not every query's rows can be locked: those of an aggregate, for one, or of a
// table that the account may only read. Then it is SERIALIZABLE, which watches
// the other conditional writes only, and may take two for one another whose
// records are in one page of an index. The texts of statements that cannot be
// locked are remembered, so the refusal and the second BEGIN are paid for once.
func (t *transaction) Look(ctx context.Context, q engine.Query) (*engine.Result, error) {
	_, unlockable := t.engine.unlockable.Load(q.SQL)
	if !unlockable {
		if _, err := t.tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return nil, err
		}
		locking := q
		// The line end keeps a comment at the end of the statement from hiding what is added.
		locking.SQL += "\nFOR UPDATE"
		res, err := t.Query(ctx, locking)
		if f := t.engine.Fault(err); f.Class != engine.FaultRefused || f.Remedy != engine.RemedyNone {
			return res, err
		}
		t.engine.unlockable.Store(q.SQL, nil) // as many as the configuration has statements
		// The refusal has ended the transaction, and its level can be set only
		// before its first query.
		if err := t.Again(ctx, engine.RemedyNone); err != nil {
			return nil, err
		}
	}
	if _, err := t.tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"); err != nil {
		return nil, err
	}
	return t.Query(ctx, q)
}

// The outcome of a lost COMMIT is found out by the transaction's id:
//
//	in progress ──► not over: it may still take effect
//	committed, aborted, too old to tell ──► over
//	never given ──► over, but for a standby, which may only be late
//
// The id is asked for together with the first change (see Exec), since nothing can be
// asked once the connection is gone.

// currentID returns the id of the transaction it runs in, or NULL while
// nothing was changed.
const currentID = "SELECT txid_current_if_assigned()::bigint"

// learnOutcomes finds out whether the server tells what became of a transaction: its
// relatives may not, and an account may lack the right. It runs outside of a
// transaction, which a refusal would end.
func (e *server) learnOutcomes(ctx context.Context) error {
	const anything = "SELECT txid_current_if_assigned()::bigint, txid_status(1)::text" // there always was a transaction 1
	err := e.pool.QueryRow(ctx, anything).Scan(nil, nil)
	e.tellsOutcomes.Store(err == nil)
	if e.Fault(err).Class == engine.FaultLost {
		return err
	}
	return nil
}

// Query implements engine.Transaction. Its rows are read to the end before it
// returns, so the connection is free for the next statement.
func (t *transaction) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	return t.engine.queryOn(ctx, t.tx.Conn(), q)
}

// Exec asks for the transaction's id in the same round trip. A statement
// without arguments goes as simple text, where two may stand in one.
func (t *transaction) Exec(ctx context.Context, q engine.Query) (_ int64, err error) {
	defer func() { t.engine.learn(err) }()
	if !t.engine.tellsOutcomes.Load() || modeOf(t.tx.Conn()) == pgx.QueryExecModeSimpleProtocol || len(q.Args) == 0 {
		tag, err := t.tx.Exec(ctx, q.SQL, q.Args...)
		return tag.RowsAffected(), err
	}
	// One round trip for both; if the change fails, PostgreSQL skips what follows.
	batch := &pgx.Batch{}
	batch.Queue(q.SQL, q.Args...)
	batch.Queue(currentID)
	answers := t.tx.SendBatch(ctx, batch)
	tag, err := answers.Exec()
	if err == nil {
		err = answers.QueryRow().Scan(&t.id)
	}
	if closing := answers.Close(); err == nil {
		err = closing
	}
	return tag.RowsAffected(), err
}

// errDead is the refusal of a commit whose connection is known to be dead.
var errDead = errors.New("the connection was lost before the commit")

// Commit knows the outcome from an answer of the server, or if nothing was sent.
// A server that is being shut down may answer although it committed.
// pgconn.SafeToRetry is of no use here: it also holds for the "conn closed" that
// pgx reports when the connection breaks after COMMIT was sent. The connection is
// given back whatever the outcome. An error without ErrUnknownOutcome means that
// nothing was stored.
func (t *transaction) Commit(ctx context.Context) error {
	defer t.Rollback()
	if err := ctx.Err(); err != nil {
		return err
	}
	// A connection that is known to be dead before COMMIT is sent gives a clear
	// outcome, and the change may be done once more.
	if t.tx.Conn().IsClosed() || sessionEnded(t.tx.Conn().PgConn().Conn()) {
		return errDead
	}
	if t.engine.tellsOutcomes.Load() && t.id == nil {
		// Only rarely: a write that changed nothing, unless the select did.
		if err := t.tx.QueryRow(ctx, currentID).Scan(&t.id); err != nil {
			return err
		}
	}
	err := t.tx.Commit(ctx)
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	var answer *pgconn.PgError
	// 57P is a shutdown, 40003 says that the statement's completion is unknown,
	// and 08007 that the transaction's resolution is.
	if errors.As(err, &answer) && !strings.HasPrefix(answer.Code, "57P") && answer.Code != "40003" && answer.Code != "08007" {
		return err
	}
	return fmt.Errorf("%w: %w", source.ErrUnknownOutcome, err)
}

// Over asks for the transaction by its id. NULL is the status of one that ended
// so long ago that the server has forgotten how. It never waits for the
// transaction: false means that it may still commit, and the caller asks again.
func (t *transaction) Over(ctx context.Context) (bool, error) {
	if !t.engine.tellsOutcomes.Load() {
		return false, source.ErrNoOutcome
	}
	if t.id == nil {
		return true, nil // it changed nothing
	}
	var status *string
	err := t.engine.pool.QueryRow(ctx, "SELECT txid_status($1)", *t.id).Scan(&status)
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return status == nil || *status != "in progress", nil
	case errors.As(err, &answer) && answer.Code == "22023":
		return t.forgotten(ctx)
	case errors.As(err, &answer) && strings.HasPrefix(answer.Code, "42"): // the right was taken away
		return false, fmt.Errorf("%w: %w", source.ErrNoOutcome, err)
	}
	return false, err
}

// forgotten settles a status refused because the id was never given. A server
// that crashed, or took over from one that did, knows nothing of transactions
// that had left no trace on disk: they are gone, and their ids are given
// again. A standby may only be late.
func (t *transaction) forgotten(ctx context.Context) (bool, error) {
	var standby bool
	err := t.engine.pool.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby)
	return err == nil && !standby, err
}

// Rollback gives the connection back; pgx closes one that does not answer. After
// a commit it does nothing. It has a time limit of its own, as its caller may
// have none left.
func (t *transaction) Rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
	defer cancel()
	if t.conn != nil {
		_ = t.tx.Rollback(ctx)
		t.release()
	}
}
