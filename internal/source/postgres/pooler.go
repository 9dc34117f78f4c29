package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
)

// A pooler such as PgBouncer may hand each transaction of a connection to another
// session of the server. What belongs to a session is then somebody else's at the
// next transaction: statements that are kept prepared, advisory locks, settings.
//
// A pooler answers a new connection with a number of its own for the session, since
// it may stand for many; PostgreSQL itself says its process's. Which of its modes a
// pooler is in cannot be asked, so any pooler is taken for one that does hand
// sessions on: what works there works everywhere, and costs the server the parsing
// of each statement.
//
// A proxy that passes the number on is found out by the first statement that is not
// where it was prepared.

// modeKey is where a connection keeps how it executes statements.
const modeKey = "hearth: mode"

// modeOf is how the connection executes statements.
func modeOf(conn *pgx.Conn) pgx.QueryExecMode {
	mode, _ := conn.PgConn().CustomData()[modeKey].(pgx.QueryExecMode)
	return mode
}

// prepares tells whether the connection keeps statements prepared.
func prepares(conn *pgx.Conn) bool { return modeOf(conn) == pgx.QueryExecModeCacheStatement }

// beforeConnect has the connection log in by what is valid now, and chooses how it will
// execute statements, by what is known so far.
func (e *server) beforeConnect(_ context.Context, c *pgx.ConnConfig) error {
	e.order(c)
	e.renew(c)
	if e.pooled.Load() && !e.suits(c.DefaultQueryExecMode) {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return nil
}

// suits tells whether a mode may be used through a pooler. What an operator has chosen
// may, but for one: describe_exec prepares a statement without a name and executes it
// in a second step. By then the statement without a name may be another client's, and
// its rows would be answered for ours.
func (e *server) suits(mode pgx.QueryExecMode) bool {
	return mode != pgx.QueryExecModeDescribeExec && (e.chosen || mode != pgx.QueryExecModeCacheStatement)
}

// afterConnect looks for a pooler. A server that does not know the question is no
// pooler; one that is lost on the way is an error.
func (e *server) afterConnect(ctx context.Context, conn *pgx.Conn) error {
	session := conn.PgConn()
	session.CustomData()[modeKey] = conn.Config().DefaultQueryExecMode
	res, err := session.Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		if e.Fault(err).Class == engine.FaultLost {
			return err
		}
		return nil
	}
	if len(res) == 1 && len(res[0].Rows) == 1 {
		pid, err := strconv.ParseUint(string(res[0].Rows[0][0]), 10, 32)
		if err == nil && uint32(pid) != session.PID() {
			e.pooled.Store(true)
		}
	}
	return nil
}

// unfit tells that the connection was made before a pooler was found, and executes
// statements in a way that does not work there. Nothing was sent over it yet, or what
// was sent has failed.
func (e *server) unfit(conn *pgx.Conn) bool {
	return e.pooled.Load() && !e.suits(modeOf(conn))
}

// prepareConn has the pool throw away a connection that is unfit. Once a pooler was
// found it stays found, so each connection is looked at for this reason once.
func (e *server) prepareConn(_ context.Context, conn *pgx.Conn) (bool, error) {
	return !e.unfit(conn), nil
}

// learn notes that a prepared statement was not where it was made, or that another
// client's was there: sessions are handed on, whoever does it.
func (e *server) learn(err error) {
	var answer *pgconn.PgError
	if err != nil && errors.As(err, &answer) && (answer.Code == "26000" || answer.Code == "42P05" || isPooler(answer, "prepared statement")) {
		e.pooled.Store(true)
	}
}

// Way implements engine.Engine.
func (e *server) Way() string {
	mode := e.config.ConnConfig.DefaultQueryExecMode
	switch {
	case !e.pooled.Load():
		return ""
	case e.suits(mode):
		return "through a pooler of connections, by default_query_exec_mode=" + strings.ReplaceAll(mode.String(), " ", "_") + " of database.url"
	}
	return "through a pooler of connections; statements are not kept prepared (default_query_exec_mode=exec)"
}

// isPooler tells whether an answer is a pooler's own, and says one of these. It has
// no code of its own for most of what it says, and does not write the severity twice,
// as PostgreSQL does.
func isPooler(answer *pgconn.PgError, says ...string) bool {
	return answer.SeverityUnlocalized == "" && slices.ContainsFunc(says, func(text string) bool { return strings.Contains(answer.Message, text) })
}

// poolerFault judges what PgBouncer itself answers, as far as it is not about a lost
// connection.
func poolerFault(answer *pgconn.PgError) (engine.Fault, bool) {
	switch {
	// query_timeout of PgBouncer.
	case isPooler(answer, "query timeout"):
		return engine.Fault{Class: engine.FaultSlow}, true
	// The pool has had no session to give for all that time: another try would wait
	// as long.
	case isPooler(answer, "query_wait_timeout"):
		return engine.Fault{Class: engine.FaultLost, Says: "the pooler of connections has no session to give"}, true
	case isPooler(answer, "statement pooling mode"):
		return engine.Fault{Class: engine.FaultRefused}, true
	}
	return engine.Fault{}, false
}

// poolerRefuses tells whether PgBouncer refuses a connection for a reason that only
// the configuration can mend, there or here.
func poolerRefuses(answer *pgconn.PgError) bool {
	return isPooler(answer, "unsupported startup parameter", "no such database", "no such user", "authentication failed", "auth failed")
}
