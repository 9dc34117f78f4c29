package stdsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// Prober prepares statements on a connection. Engine and Conn are for the
// Variant's Rehearse, which runs before any Probe. A prober is for one goroutine.
type Prober struct {
	Engine     *Engine
	Conn       *sql.Conn
	rehearsing bool
	Made       []string // what init creates, where it cannot be undone and so is not run
	close      func()
}

// Prober takes a connection of the readers' pool; a rehearsal has one that the
// Variant opens for it.
func (e *Engine) Prober(ctx context.Context, r *engine.Rehearsal) (engine.Prober, error) {
	if r == nil {
		conn, err := e.Reads.Conn(ctx)
		if err != nil {
			return nil, err
		}
		return &Prober{Engine: e, Conn: conn}, nil
	}
	pool, done, err := e.Variant.RehearsalPool(e)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		done()
		return nil, err
	}
	p := &Prober{Engine: e, Conn: conn, rehearsing: true, close: done}
	if err := e.Variant.Rehearse(ctx, p, r); err != nil {
		p.End()
		return nil, err
	}
	return p, nil
}

// End also closes the connection of a rehearsal: whatever init has set for the session
// goes with it.
func (p *Prober) End() {
	if p.rehearsing {
		ctx, cancel := context.WithTimeout(context.Background(), engine.RollbackTimeout)
		defer cancel()
		_, _ = p.Conn.ExecContext(ctx, "ROLLBACK")
		// ErrBadConn makes database/sql close the connection instead of keeping
		// it.
		_ = p.Conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = p.Conn.Close()
	if p.close != nil {
		p.close()
	}
}

// Prepare leaves nothing behind. What cannot be prepared at all says nothing. The
// error is the database's own, of which the caller asks Unprepared and Unmade.
func (p *Prober) Prepare(ctx context.Context, text string) error {
	stmt, err := p.Conn.PrepareContext(ctx, text)
	if err == nil {
		return stmt.Close()
	}
	return err
}

// Probe prepares the statement, which tells of syntax, names and types, and asks for no
// row of it, which tells the columns.
func (p *Prober) Probe(ctx context.Context, q engine.Query, reads bool) ([]string, error) {
	if err := p.Prepare(ctx, q.SQL); err != nil {
		if p.Engine.Variant.Unprepared(err) || p.Unmade(err) {
			return nil, nil
		}
		return nil, err
	}
	if !reads {
		return nil, nil
	}
	names, err := describe(ctx, p.Conn, q)
	switch {
	case err != nil && strings.Contains(err.Error(), "uplicate column"):
		return nil, err
	case err != nil:
		return nil, nil // it is no query that can stand within another one
	}
	for _, name := range names { // SQLite numbers what stands twice
		if plain, _, numbered := strings.Cut(name, ":"); numbered && slices.Contains(names, plain) {
			return nil, nil
		}
	}
	return names, nil
}

// Unmade tells whether what is missing is what init would make. It goes by the
// text of the error, in which a database names the table that it misses.
func (p *Prober) Unmade(err error) bool {
	return slices.ContainsFunc(p.Made, func(name string) bool { return strings.Contains(strings.ToLower(err.Error()), strings.ToLower(name)) })
}
