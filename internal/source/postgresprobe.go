package source

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/source/sqltext"
)

// postgresProber prepares statements, which tells of syntax, names and types, and
// has them explained, which tells of rights. A rehearsal is one transaction with a
// savepoint around each step.
type postgresProber struct {
	conn       *pgxpool.Conn
	rehearsing bool
}

func (e *postgresEngine) prober(ctx context.Context, r *rehearsal) (prober, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	p := &postgresProber{conn: conn, rehearsing: r != nil}
	if r == nil {
		return p, nil
	}
	if err := p.rehearse(ctx, r); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *postgresProber) run(ctx context.Context, sql string) error {
	return p.conn.Conn().PgConn().Exec(ctx, sql).Close()
}

func (p *postgresProber) rehearse(ctx context.Context, r *rehearsal) error {
	if r.writes {
		var readOnly string
		if err := p.conn.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly == "on" {
			r.report("url", errors.New("the database takes no writes (transaction_read_only is on), and some resources write; name the primary"))
		}
	}
	// Locks that others hold are not waited for: nobody would know why.
	if err := p.run(ctx, "BEGIN; SET LOCAL lock_timeout = '2s'"); err != nil {
		return err
	}
	step := func(key, text string) error {
		err := p.guarded(ctx, func() error { return p.run(ctx, text) })
		var answer *pgconn.PgError
		switch {
		case err == nil:
		case !errors.As(err, &answer) || p.conn.Conn().IsClosed():
			return err
		case answer.Code == "25001": // it runs outside of transactions only
		case postgresAnswer(answer).kind == faultBusy, postgresAnswer(answer).kind == faultSlow: // which says nothing of the statement
		default:
			r.report(key, err)
		}
		return nil
	}
	for i, text := range r.init {
		if sqltext.MayEndTransaction(sqltext.PostgreSQL, text) {
			continue
		}
		if err := step(initKey(i), text); err != nil {
			return err
		}
	}
	if !r.demo {
		return nil
	}
	var exists bool
	if err := p.conn.QueryRow(ctx, "SELECT to_regclass('"+demoTable+"') IS NOT NULL").Scan(&exists); err != nil || exists {
		return err
	}
	return step("demo", demoStatements(demoTable)[0])
}

// guarded lets the transaction of a rehearsal go on after a failure.
func (p *postgresProber) guarded(ctx context.Context, f func() error) error {
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

func (p *postgresProber) probe(ctx context.Context, q query, reads bool) (names []string, err error) {
	session := p.conn.Conn().PgConn()
	var types []uint32
	err = p.guarded(ctx, func() error {
		description, err := session.Prepare(ctx, "", q.sql, nil)
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
		return nil, nil // as simple text they are one statement to nobody but us
	case err != nil:
		return nil, err
	}
	explained := p.guarded(ctx, func() error {
		return session.ExecParams(ctx, "EXPLAIN "+q.sql, make([][]byte, len(types)), types, nil, nil).Read().Err
	})
	if errors.As(explained, &answer) && answer.Code == "42501" {
		return nil, explained
	}
	if !reads {
		return nil, nil
	}
	return names, nil
}

// end closes a connection that a rehearsal has used: whatever init has set for the
// session goes with it.
func (p *postgresProber) end() {
	if p.rehearsing {
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		_ = p.run(ctx, "ROLLBACK")
		_ = p.conn.Conn().Close(ctx)
	}
	p.conn.Release()
}
