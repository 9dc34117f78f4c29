package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// setUpLock is the advisory lock that instances hold while they set a
// database up: "hearth" in ASCII.
const setUpLock = 0x686561727468

const (
	// setUpAgain is the pause between two tries at the lock. Nothing waits in the
	// server meanwhile: a pooler may have few sessions, and whoever holds the lock
	// needs one to get on.
	setUpAgain = 100 * time.Millisecond
	// secondWithin is how long the set-up waits for a second session.
	secondWithin = time.Second
)

// Renewed implements engine.Engine. A server that takes the place of another has its data.
func (e *server) Renewed() bool { return false }

// SetUp also finds out what the server tells of transactions, before the first
// write needs to know. Without statements and demo it takes no lock, so instances
// start beside each other.
func (e *server) SetUp(ctx context.Context, init []string, demo bool) error {
	if err := e.learnOutcomes(ctx); err != nil || len(init) == 0 && !demo {
		return err
	}
	return e.create(ctx, init, demo)
}

// create holds a lock: CREATE … IF NOT EXISTS fails when two run it at once. The
// second then meets a unique index of the catalogs, for IF NOT EXISTS takes no
// lock before it looks.
//
// The lock belongs to a transaction that does nothing else. One of a session would
// stay behind in a pooler, which keeps the session when its client goes. The
// statements run beside it, each by itself: some may not stand in a transaction, as
// CREATE INDEX CONCURRENTLY, which does not wait for one that has no snapshot. Where
// a pooler has no second session they run within; see keeper.within.
func (e *server) create(ctx context.Context, init []string, demo bool) error {
	first := engine.InitKey(0)
	if len(init) == 0 {
		first = "demo"
	}
	k, err := e.lock(ctx)
	var held *engine.HeldError
	switch {
	case errors.As(err, &held), err != nil && e.Fault(err).Class == engine.FaultRefused:
		return &engine.InitError{Key: first, Err: err}
	case err != nil:
		return err
	}
	defer k.end()
	if len(init) > 0 {
		if err := e.runInit(ctx, k, init); err != nil {
			return err
		}
	}
	if demo {
		if err := k.fillDemo(ctx); err != nil {
			return err
		}
	}
	return k.commit(ctx)
}

// keeper is a connection outside of the pool, within the transaction that holds the
// lock.
type keeper struct {
	conn *pgx.Conn
	wait time.Duration // for the lock
}

// run sends statements as simple text: several may stand in one.
func (k *keeper) run(ctx context.Context, text string) error {
	return k.conn.PgConn().Exec(ctx, text).Close()
}

// commit ends the transaction, and gives the lock back. Without one it does nothing.
func (k *keeper) commit(ctx context.Context) error {
	if k.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	return k.run(ctx, "COMMIT")
}

// end gives the lock back. A connection that is closed within a transaction takes the
// session with it, also behind a pooler.
func (k *keeper) end() {
	ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
	defer cancel()
	if !k.conn.IsClosed() && k.conn.PgConn().TxStatus() != 'I' {
		_ = k.run(ctx, "ROLLBACK")
	}
	_ = k.conn.Close(ctx)
}

// lock returns the keeper of the lock.
func (e *server) lock(ctx context.Context) (*keeper, error) {
	c := e.config.ConnConfig.Copy()
	e.renew(c)
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	k := &keeper{conn, e.setUpWait}
	if err := k.await(ctx); err != nil {
		k.end()
		return nil, err
	}
	return k, nil
}

// await takes the lock. After k.wait it gives up, with a *engine.HeldError.
func (k *keeper) await(ctx context.Context) error {
	again := time.NewTicker(setUpAgain)
	defer again.Stop()
	for end := time.Now().Add(k.wait); ; {
		got, err := k.try(ctx)
		switch {
		case got || err != nil:
			return err
		case time.Now().After(end):
			return &engine.HeldError{By: k.holder(ctx)}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try begins the transaction and asks for the lock. Without it the transaction is
// over again.
func (k *keeper) try(ctx context.Context) (got bool, err error) {
	// READ COMMITTED keeps no snapshot between statements of simple text, whatever the
	// database's default is, and CREATE INDEX CONCURRENTLY waits for all that have one.
	// The transaction must outlast the statements beside it.
	if err := k.run(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return false, err
	}
	res, err := k.conn.PgConn().Exec(ctx, fmt.Sprintf("SELECT pg_try_advisory_xact_lock(%d)", int64(setUpLock))).ReadAll()
	if err != nil {
		return false, err
	}
	if len(res) == 1 && len(res[0].Rows) == 1 && string(res[0].Rows[0][0]) == "t" {
		return true, nil
	}
	return false, k.run(ctx, "ROLLBACK")
}

// holder tells who holds the lock, and how to end that. Of other accounts' sessions
// PostgreSQL tells the process alone.
func (k *keeper) holder(ctx context.Context) string {
	const lookUp = `SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'its own machine'),
			coalesce(a.state, 'in an unknown state'), coalesce(a.state_change::text, 'an unknown time')
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.classid::bigint = $1 AND l.objid::bigint = $2 LIMIT 1`
	var pid int32
	var application, address, state, since string
	err := k.conn.QueryRow(ctx, lookUp, int64(setUpLock>>32), int64(setUpLock&0xffffffff)).Scan(&pid, &application, &address, &state, &since)
	if err != nil {
		return fmt.Sprintf("a session that cannot be seen holds the advisory lock %d", int64(setUpLock))
	}
	return fmt.Sprintf("the session of process %d (application %q, from %s, %s since %s) holds the advisory lock %d; "+
		"if that is no instance that starts, end it by SELECT pg_terminate_backend(%d)", pid, application, address, state, since, int64(setUpLock), pid)
}

// runInit runs the statements of init beside the keeper, or within its transaction.
// Each is committed by itself where it can be; none that fails undoes those before it.
func (e *server) runInit(ctx context.Context, k *keeper, init []string) error {
	second, err := e.second(ctx)
	if err != nil {
		return err
	}
	if second != nil {
		defer func() {
			// What init has set for the session must not be there for some of the calls.
			_ = second.Conn().Close(ctx)
			second.Release()
		}()
	}
	for i, text := range init {
		if second != nil {
			// The simple protocol, so that one text may hold several statements.
			err = second.Conn().PgConn().Exec(ctx, text).Close()
		} else {
			err = k.within(ctx, text)
		}
		if err == nil {
			continue
		}
		err = &engine.InitError{Key: engine.InitKey(i), Err: err}
		if k.conn.IsClosed() {
			return err
		}
		return errors.Join(err, k.commit(ctx)) // those before it
	}
	return nil
}

// second takes a connection out of the pool and sees that there is a session behind it:
// a pooler may have none but the keeper's. It is nil then, and at once for a minute
// more: everybody else waits meanwhile, too.
func (e *server) second(ctx context.Context) (*pgxpool.Conn, error) {
	if at := e.alone.Load(); at != nil && time.Since(*at) < time.Minute {
		return nil, nil
	}
	within, cancel := context.WithTimeout(ctx, secondWithin)
	defer cancel()
	conn, err := e.pool.Acquire(within)
	if err == nil {
		if err = conn.Ping(within); err == nil {
			return conn, nil
		}
		conn.Release()
	}
	if ctx.Err() == nil && within.Err() != nil {
		now := time.Now()
		e.alone.Store(&now)
		return nil, nil
	}
	return nil, err
}

// within runs a text in the keeper's transaction, which stands whatever becomes of
// the text. What may not stand in a transaction, or ends it, runs between two of
// them, without the lock: where there is one session, nobody else has one.
func (k *keeper) within(ctx context.Context, text string) error {
	if sqltext.MayEndTransaction(sqltext.PostgreSQL, text) {
		return k.between(ctx, text)
	}
	if err := k.run(ctx, "SAVEPOINT hearth"); err != nil {
		return err
	}
	err := k.run(ctx, text)
	if err == nil {
		return k.run(ctx, "RELEASE hearth")
	}
	back := k.run(ctx, "ROLLBACK TO hearth; RELEASE hearth")
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "25001" && back == nil {
		return k.between(ctx, text)
	}
	return errors.Join(err, back)
}

// between runs a text after the transaction, and begins another one.
func (k *keeper) between(ctx context.Context, text string) error {
	if err := k.commit(ctx); err != nil {
		return err
	}
	if err := k.run(ctx, text); err != nil {
		return err
	}
	return k.await(ctx)
}

// fillDemo makes the demo's table within the transaction: PostgreSQL can undo the
// making of a table, so no half of it is ever seen.
func (k *keeper) fillDemo(ctx context.Context) error {
	var exists bool
	if err := k.conn.QueryRow(ctx, "SELECT to_regclass('"+engine.DemoTable+"') IS NOT NULL").Scan(&exists); err != nil || exists {
		return err
	}
	for _, text := range engine.DemoStatements(engine.DemoTable) {
		if err := k.run(ctx, text); err != nil {
			return &engine.InitError{Key: "demo", Err: err}
		}
	}
	return nil
}
