package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// prober prepares statements, which tells of syntax, names and types, and
// has them explained, which tells of rights. A rehearsal is one transaction with a
// savepoint around each step.
type prober struct {
	conn       *pgxpool.Conn
	rehearsing bool
}

// Prober implements engine.Engine. The connection is held until End, as a
// rehearsal lives in its transaction.
func (e *server) Prober(ctx context.Context, r *engine.Rehearsal) (engine.Prober, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	p := &prober{conn: conn, rehearsing: r != nil}
	if r == nil {
		return p, nil
	}
	if err := p.rehearse(ctx, r); err != nil {
		p.End()
		return nil, err
	}
	return p, nil
}

// run sends statements as simple text: several may stand in one.
func (p *prober) run(ctx context.Context, sql string) error {
	return p.conn.Conn().PgConn().Exec(ctx, sql).Close()
}

// rehearse runs the set-up in a transaction that End undoes. Statements that open or end
// transactions themselves are left out, for nothing of them could be undone.
func (p *prober) rehearse(ctx context.Context, r *engine.Rehearsal) error {
	if r.Writes {
		var readOnly string
		if err := p.conn.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly == "on" {
			r.Report("url", errors.New("the database takes no writes (transaction_read_only is on), and some resources write; name the primary"))
		}
	}
	// A lock that another session holds is not waited for: the rehearsal would
	// stand still and not say why.
	if err := p.run(ctx, "BEGIN; SET LOCAL lock_timeout = '2s'"); err != nil {
		return err
	}
	// A refusal is reported and the rehearsal goes on; only a connection that
	// broke ends it.
	step := func(key, text string) error {
		err := p.guarded(ctx, func() error { return p.run(ctx, text) })
		var answer *pgconn.PgError
		switch {
		case err == nil:
		case !errors.As(err, &answer) || p.conn.Conn().IsClosed():
			return err
		case answer.Code == "25001": // it runs outside of transactions only
		case answerFault(answer).Class == engine.FaultBusy, answerFault(answer).Class == engine.FaultSlow: // which says nothing of the statement
		default:
			r.Report(key, err)
		}
		return nil
	}
	for i, text := range r.Init {
		if sqltext.MayEndTransaction(sqltext.PostgreSQL, text) {
			continue
		}
		if err := step(engine.InitKey(i), text); err != nil {
			return err
		}
	}
	if !r.Demo {
		return nil
	}
	var exists bool
	if err := p.conn.QueryRow(ctx, "SELECT to_regclass('"+engine.DemoTable+"') IS NOT NULL").Scan(&exists); err != nil || exists {
		return err
	}
	return step("demo", engine.DemoStatements(engine.DemoTable)[0])
}

// guarded lets the transaction of a rehearsal go on after a failure. PostgreSQL
// refuses every further statement of a transaction in which one has failed, until
// a savepoint before it is restored. Without a rehearsal there is no transaction,
// and f runs as it is.
func (p *prober) guarded(ctx context.Context, f func() error) error {
	if !p.rehearsing {
		return f()
	}
	if err := p.run(ctx, "SAVEPOINT hearth"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		return p.run(ctx, "RELEASE hearth")
	}
	return errors.Join(err, p.run(ctx, "ROLLBACK TO hearth; RELEASE hearth"))
}

// Probe explains writes as well: EXPLAIN runs nothing, and checks rights. Only a
// missing right (42501) is taken from EXPLAIN. Its other errors come from the
// null parameters or from what cannot be explained, such as CALL.
func (p *prober) Probe(ctx context.Context, q engine.Query, reads bool) (names []string, err error) {
	session := p.conn.Conn().PgConn()
	var types []uint32
	err = p.guarded(ctx, func() error {
		description, err := session.Prepare(ctx, "", q.SQL, nil)
		if err != nil {
			return err
		}
		types, names = description.ParamOIDs, []string{}
		for _, f := range description.Fields {
			names = append(names, f.Name)
		}
		return nil
	})
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && strings.Contains(answer.Message, "multiple commands"):
		return nil, nil // several statements in one text cannot be prepared
	case err != nil:
		return nil, err
	}
	// Parameters are null: only the right to run the statement is asked for, and EXPLAIN
	// needs no value for that.
	explained := p.guarded(ctx, func() error {
		return session.ExecParams(ctx, "EXPLAIN "+q.SQL, make([][]byte, len(types)), types, nil, nil).Read().Err
	})
	if errors.As(explained, &answer) && answer.Code == "42501" {
		return nil, explained
	}
	if !reads {
		return nil, nil
	}
	return names, nil
}

// End closes a connection that a rehearsal has used: whatever init has set for the
// session goes with it.
func (p *prober) End() {
	if p.rehearsing {
		ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
		defer cancel()
		_ = p.run(ctx, "ROLLBACK")
		_ = p.conn.Conn().Close(ctx)
	}
	p.conn.Release()
}
