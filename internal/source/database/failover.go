package database

import (
	"context"
	"errors"
	"fmt"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// A database fails over: another server is the primary, and connections, a name or an
// address lead to the old one. What a call meets there has a remedy (see package
// engine), and so the first write after a fail-over goes through. Ping sees to the rest,
// once a second: that connections nobody uses do not lead to a server which is dead or
// frozen, and that loads do not go on reading from one that is no primary any more,
// though nobody writes.

// Ping finishes the set-up if it is undone, and asks the database for a sign of
// life, and whether it takes writes. It keeps the deadline of ctx and the configured
// timeout. Its errors wrap ErrDown as those of Records do. Unlike observe it counts a
// deadline as an outage: a database that does not answer the smallest question in time
// is of no use.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := source.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	if err := db.wait(ctx); err != nil {
		return err
	}
	takes, err := db.askTwice(ctx)
	if db.engine.Renewed() { // and so has lost what the set-up has made
		db.ready.Store(false)
		if err := db.wait(ctx); err != nil {
			return err
		}
	}
	if err == nil && !takes && db.writes.Load() && db.engine.Seek(ctx) {
		takes, err = db.engine.Ping(ctx)
	}
	db.up.Store(err == nil)
	db.readOnly.Store(err == nil && !takes || err != nil && db.engine.Fault(err).ReadOnly)
	if err != nil {
		return fmt.Errorf("asking the database for a sign of life: %w", db.mark(ctx, err))
	}
	return nil
}

// askTwice gives up the connections of the pool when the first that is asked is lost, or
// does not answer within half of the time: the second question goes by a new one.
func (db *DB) askTwice(ctx context.Context) (takesWrites bool, err error) {
	first, cancel := context.WithTimeout(ctx, db.cfg.Timeout/2)
	takesWrites, err = db.engine.Ping(first)
	cancel()
	if err == nil || ctx.Err() != nil || db.engine.Fault(err).Class != engine.FaultLost {
		return takesWrites, err
	}
	db.engine.Lost()
	takesWrites, again := db.engine.Ping(ctx)
	return takesWrites, preferred(ctx, err, again)
}

// ReadOnly tells whether, at the latest ping, no server was found that takes writes
// although some records are written to. It sends nothing.
func (db *DB) ReadOnly() bool { return db.readOnly.Load() && db.writes.Load() }

// isNoPrimary tells that there is no other server to try.
func isNoPrimary(err error) bool { return errors.Is(err, engine.ErrNoPrimary) }
