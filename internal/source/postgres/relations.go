package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
)

// A session that reads a query locks what it reads, and shows these locks. So a query is
// described in a transaction of its own, and the locks are looked at: all tables that
// stand in it are there, behind views, in selects within it and in policies of row
// security, whatever a plan makes of them. EXPLAIN plans it as well, for SQL functions
// whose text becomes part of the query; that also locks the partitions and children of a
// table, which its own name stands for. All ends with the transaction, so it works through
// a pooler.

// relationsWait is how long a lock of somebody else is waited for.
const relationsWait = "SET LOCAL lock_timeout = '2s'"

// lockedRelations are the tables that the transaction has locked, with what tells that one
// above it is locked, too.
const lockedRelations = `WITH locked AS (
	SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid())
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), EXISTS (
		SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent IN (SELECT relation FROM locked))::text
	FROM locked JOIN pg_catalog.pg_class c ON c.oid = locked.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'f', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`

// Relations implements engine.Engine.
func (e *server) Relations(ctx context.Context, q engine.Query) (names []string, err error) {
	conn, err := e.acquire(ctx, q.Remedy)
	if err != nil {
		return nil, err
	}
	defer conn.Release() // which ends a connection that is within a transaction still
	defer awaitEnd(conn.Conn())
	defer func() { e.learn(err) }()
	session := conn.Conn().PgConn()
	if err := session.Exec(ctx, "BEGIN READ ONLY; "+relationsWait).Close(); err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.RollbackTimeout)
		defer cancel()
		_ = session.Exec(ctx, "ROLLBACK").Close()
	}()
	description, err := session.Prepare(ctx, "", q.SQL, nil)
	if err != nil {
		return nil, err
	}
	if names, err = locked(ctx, session, nil, false); err != nil {
		return nil, err
	}
	// Of what cannot be planned without values the locks of the description have to do.
	if err := session.Exec(ctx, "SAVEPOINT hearth").Close(); err != nil {
		return nil, err
	}
	explained := session.ExecParams(ctx, "EXPLAIN "+q.SQL, make([][]byte, len(description.ParamOIDs)), description.ParamOIDs, nil, nil).Read().Err
	var answer *pgconn.PgError
	switch {
	case explained == nil:
		names, err = locked(ctx, session, names, true)
	case !errors.As(explained, &answer) || session.IsClosed():
		return nil, explained
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// locked returns what the transaction has locked. Of what was planned, and did not stand in
// the query before, that is left out which belongs to a table that is locked as well.
func locked(ctx context.Context, session *pgconn.PgConn, before []string, planned bool) (names []string, err error) {
	res := session.ExecParams(ctx, lockedRelations, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	for _, row := range res.Rows {
		if name, below := string(row[0]), string(row[1]) == "true"; !planned || !below || slices.Contains(before, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
