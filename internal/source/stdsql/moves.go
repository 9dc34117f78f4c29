package stdsql

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"hearth/internal/source/engine"
)

// WantsWrites implements engine.Engine.
func (e *Engine) WantsWrites() error {
	if e.Wanted != nil {
		e.Wanted()
	}
	return nil
}

// Lost implements engine.Engine.
func (e *Engine) Lost() {
	if e.Moves != nil {
		e.Moves.Lost()
	}
}

// Seek implements engine.Engine.
func (e *Engine) Seek(ctx context.Context) bool {
	return e.Moves != nil && e.Moves.Seek(ctx, e.Moves.Number())
}

// conn takes a connection out of a pool, as the remedy asks for it. After one was lost
// each is asked for a sign of life, until one gives it: what the pool holds may be dead
// already and not know it. The pool makes a new one after at most as many as it holds.
func (e *Engine) conn(ctx context.Context, pool *sql.DB, r engine.Remedy) (*sql.Conn, error) {
	switch r {
	case engine.RemedyConnection:
		e.Lost()
	case engine.RemedyPrimary:
		if !e.Seek(ctx) {
			return nil, engine.ErrNoPrimary
		}
	}
	for left := pool.Stats().MaxOpenConnections; ; left-- {
		conn, err := pool.Conn(ctx)
		if err != nil || r != engine.RemedyConnection {
			return conn, err
		}
		if err = conn.PingContext(ctx); err == nil {
			return conn, nil
		}
		discard(conn)
		if ctx.Err() != nil || left <= 0 {
			return nil, err
		}
	}
}

// discard ends a connection instead of giving it back.
func discard(conn *sql.Conn) {
	// ErrBadConn makes database/sql close the connection instead of keeping it.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}
