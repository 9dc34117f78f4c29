package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/stdsql"
)

// serverName names the server that answers: behind one address there may be
// several, and after a fail-over there is another one. Two containers may have one
// host name and port; servers that replicate never have one id.
const serverName = "CONCAT_WS(':', @@hostname, @@port, @@server_id)"

// thread is the server's end of a connection, which runs a transaction.
// Whether a lost transaction is over is told by what its thread does. The
// table information_schema.innodb_trx would name transactions themselves, but
// needs the privilege PROCESS and lags: it is a copy that is not renewed as
// long as anybody reads it more often than every 0.1 s.
type thread struct {
	id     uint64
	server string
	takes  bool      // the server takes writes, by its settings
	idle   time.Time // not before its last rest ahead of COMMIT began
}

// threadOf asks for the thread behind conn. It asks anew for each transaction,
// since a proxy may have put another one behind the connection, and not by the
// bare function, which a proxy would answer itself. It costs a round trip per
// write. That is the price of being able to tell what became of a COMMIT whose
// answer was lost.
func threadOf(ctx context.Context, conn *sql.Conn) (*thread, error) {
	t := &thread{takes: true}
	var readOnly string
	err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), "+serverName+", @@global.read_only").Scan(&t.id, &t.server, &readOnly)
	t.idle, t.takes = time.Now(), off(readOnly)
	return t, err
}

// commit knows the outcome only from an answer of the server, and not from one
// that says that the server was interrupted. An Outcome comes back only with
// ErrUnknownOutcome; any other error means that nothing was stored.
func commit(ctx context.Context, conn *sql.Conn) (stdsql.Outcome, error) {
	thread, err := threadOf(ctx, conn)
	// The connection broke or the statement was killed, so the transaction ends
	// without a commit.
	if cutShort(err) {
		return nil, err // COMMIT was not sent
	}
	// The server was demoted since it was dialled, and would let this account write.
	if err == nil && !thread.takes {
		return nil, errTakesNoWrites
	}
	// An account that may not ask for its thread commits all the same; only a lost answer
	// stays unknown.
	tells := thread.over
	if err != nil {
		silent := fmt.Errorf("%w: %w", source.ErrNoOutcome, err)
		tells = func(context.Context, *sql.DB) (bool, error) { return false, silent }
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	var answer *mysql.MySQLError
	if err != nil && (cutShort(err) || !errors.As(err, &answer)) {
		return tells, fmt.Errorf("%w: %w", source.ErrUnknownOutcome, err)
	}
	return nil, err
}

// cutShort tells whether err ended a statement before its time. Interruption
// counts too: the server may have been stopped in the middle of the commit.
func cutShort(err error) bool {
	var e *mysql.MySQLError
	return faultOf(err).Class == engine.FaultLost || errors.As(err, &e) && e.Number == interrupted
}

// threadView is what a server shows of its threads. Without the privilege
// PROCESS it shows those of the account that asks.
type threadView struct {
	server string
	self   bool          // the thread that asks is shown
	shown  bool          // the thread that is asked for is shown
	rests  bool          // it waits for a command
	since  time.Duration // how long it has done so, give or take a second
}

// over looks for the thread from another connection. It returns false while the
// thread may still be at COMMIT; the caller asks again.
func (t *thread) over(ctx context.Context, db *sql.DB) (bool, error) {
	const look = `SELECT ` + serverName + `, COALESCE(SUM(id = CONNECTION_ID()), 0), COALESCE(SUM(id = ?), 0),
		COALESCE(SUM(id = ? AND command = 'Sleep'), 0), COALESCE(MAX(CASE WHEN id = ? THEN time END), 0) FROM information_schema.processlist`
	var s threadView
	var seconds int64
	ago := time.Since(t.idle) // before the look, so that a slow answer does not make it longer
	err := db.QueryRowContext(ctx, look, t.id, t.id, t.id).Scan(&s.server, &s.self, &s.shown, &s.rests, &seconds)
	s.since = time.Duration(seconds) * time.Second
	switch {
	case cutShort(err):
		return false, err
	case err != nil:
		return false, fmt.Errorf("%w: %w", source.ErrNoOutcome, err)
	}
	return t.isOver(s, ago)
}

// slack is how much later a rest has to begin to count as later: seconds
// are rounded, and clocks are set.
const slack = 2 * time.Second

// isOver tells whether the thread has done with COMMIT, by what is seen of it and
// the time since it had rested before. A server ends a thread whose connection
// broke, after what it is doing. One that stays may be kept by a proxy, or have
// got the id after a restart: a rest that began later tells that COMMIT lies
// before it.
func (t *thread) isOver(s threadView, ago time.Duration) (bool, error) {
	switch {
	case s.server != t.server:
		return false, fmt.Errorf("%w: the transaction ran on the server %q, and now %q answers", source.ErrNoOutcome, t.server, s.server)
	case !s.self:
		return false, fmt.Errorf("%w: the account does not see its own threads", source.ErrNoOutcome)
	}
	// Either the thread is gone, or it waits for a command since a time that lies
	// clearly after the look ahead of COMMIT.
	return !s.shown || s.rests && s.since+slack < ago, nil
}
