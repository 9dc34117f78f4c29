package source

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlServer names the server that answers: behind one address there may be
// several.
const mysqlServer = "CONCAT_WS(':', @@hostname, @@port)"

// mysqlThread is the server's end of a connection, which runs a transaction.
// Whether a lost transaction is over is told by what its thread does. The
// table information_schema.innodb_trx would name transactions themselves, but
// needs the privilege PROCESS and lags: it is a copy that is not renewed as
// long as anybody reads it more often than every 0.1 s.
type mysqlThread struct {
	id     uint64
	server string
	idle   time.Time // not before its last rest ahead of COMMIT began
}

// mysqlThreadOf asks for the thread behind conn. It asks anew for each
// transaction, since a proxy may have put another one behind the connection,
// and not by the bare function, which a proxy would answer itself.
func mysqlThreadOf(ctx context.Context, conn *sql.Conn) (*mysqlThread, error) {
	t := &mysqlThread{}
	err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), "+mysqlServer).Scan(&t.id, &t.server)
	t.idle = time.Now()
	return t, err
}

// commitMySQL knows the outcome only from an answer of the server, and not
// from one that says that the server was interrupted.
func commitMySQL(ctx context.Context, conn *sql.Conn) (outcome, error) {
	thread, err := mysqlThreadOf(ctx, conn)
	if mysqlCut(err) {
		return nil, err // COMMIT was not sent
	}
	tells := thread.over
	if err != nil {
		silent := fmt.Errorf("%w: %w", ErrNoOutcome, err)
		tells = func(context.Context, *sql.DB) (bool, error) { return false, silent }
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	var answer *mysql.MySQLError
	if err != nil && (mysqlCut(err) || !errors.As(err, &answer)) {
		return tells, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return nil, err
}

// mysqlCut tells whether err ended a statement before its time.
func mysqlCut(err error) bool {
	var e *mysql.MySQLError
	return mysqlFault(err).kind == faultLost || errors.As(err, &e) && e.Number == mysqlInterrupted
}

// mysqlSight is what a server shows of its threads. Without the privilege
// PROCESS it shows those of the account that asks.
type mysqlSight struct {
	server string
	self   bool          // the thread that asks is shown
	shown  bool          // the thread that is asked for is shown
	rests  bool          // it waits for a command
	since  time.Duration // how long it has done so, give or take a second
}

// over looks for the thread from another connection.
func (t *mysqlThread) over(ctx context.Context, db *sql.DB) (bool, error) {
	const look = `SELECT ` + mysqlServer + `, COALESCE(SUM(id = CONNECTION_ID()), 0), COALESCE(SUM(id = ?), 0),
		COALESCE(SUM(id = ? AND command = 'Sleep'), 0), COALESCE(MAX(CASE WHEN id = ? THEN time END), 0) FROM information_schema.processlist`
	var s mysqlSight
	var seconds int64
	ago := time.Since(t.idle) // before the look, lest a slow answer makes it longer
	err := db.QueryRowContext(ctx, look, t.id, t.id, t.id).Scan(&s.server, &s.self, &s.shown, &s.rests, &seconds)
	s.since = time.Duration(seconds) * time.Second
	switch {
	case mysqlCut(err):
		return false, err
	case err != nil:
		return false, fmt.Errorf("%w: %w", ErrNoOutcome, err)
	}
	return t.judge(s, ago)
}

// mysqlSlack is how much later a rest has to begin to count as later: seconds
// are rounded, and clocks are set.
const mysqlSlack = 2 * time.Second

// judge tells whether the thread has done with COMMIT, by what is seen of it
// and the time since it had rested before. A server ends a thread whose
// connection broke, after what it is doing. One that stays may be kept by a
// proxy, or have got the id after a restart: a rest that began later tells
// that COMMIT lies before it.
func (t *mysqlThread) judge(s mysqlSight, ago time.Duration) (bool, error) {
	switch {
	case s.server != t.server:
		return false, fmt.Errorf("%w: the transaction ran on the server %q, and now %q answers", ErrNoOutcome, t.server, s.server)
	case !s.self:
		return false, fmt.Errorf("%w: the account does not see its own threads", ErrNoOutcome)
	}
	return !s.shown || s.rests && s.since+mysqlSlack < ago, nil
}

// mysqlConnector marks failures to connect: they come with any number, such as
// that of a database that does not exist.
type mysqlConnector struct{ driver.Connector }

func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, &connectError{err}
	}
	return conn, nil
}

// connectError says that a connection could not be made.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }
