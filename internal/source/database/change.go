package database

import (
	"context"
	"errors"
	"fmt"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// errChangeOver answers a Commit after the change was ended.
var errChangeOver = errors.New("the change is over already")

// change is an open transaction. It lives longer than the call that began it, so
// it holds no context: each step has a deadline of its own. It is for one
// goroutine at a time, as engine.Transaction is. The caller ends it with Commit
// or Rollback; until then it holds a connection of the pool.
type change struct {
	table   *table
	args    source.Args
	turn    func() // gives the record's turn back; nil: it has none
	tx      engine.Transaction
	write   write
	record  []byte
	tries   tries // of remedies
	marked  bool  // Marked
	ended   bool  // by Commit or Rollback
	unknown bool  // how it ended
}

// Record implements source.Change. A repeated transaction may have left another one.
func (c *change) Record() []byte { return c.record }

// Marked implements source.Marked.
func (c *change) Marked() bool { return c.marked }

// repeat does everything once more if that may help after err, and again if what it
// meets then has a remedy that is left; it returns the error if not. Nothing was
// committed, so a reader of the database sees the change once, and the guard that
// stands around the write stands around all attempts: losing it ends ctx, and with
// that the attempts. On success c.record is that of the repetition. The transaction is
// open again then, whatever err has done to the first one.
func (c *change) repeat(ctx context.Context, err error) error {
	for {
		r := remedyOf(ctx, err)
		pause, left := c.tries.take(r)
		if !left {
			return err
		}
		if pause > 0 {
			// Its locks are what the others wait for.
			c.tx.Rollback()
			if !wait(ctx, pause) || c.takeTurn(ctx) != nil {
				return err
			}
		}
		again := c.tx.Again(ctx, r)
		if isNoPrimary(again) {
			return err
		}
		c.table.db.observe(again)
		if again != nil {
			err = preferred(ctx, err, c.table.failed("beginning anew to change", c.table.db.mark(ctx, again)))
			continue
		}
		var next error
		if c.record, next = c.write(ctx, c.tx); next == nil {
			return nil
		}
		err = preferred(ctx, err, next)
	}
}

// takeTurn waits for the record's turn, unless the change has it.
func (c *change) takeTurn(ctx context.Context) (err error) {
	if c.turn == nil {
		c.turn, err = c.table.turns.take(ctx, c.args)
	}
	return err
}

// over gives the turn back. The transaction has ended.
func (c *change) over() {
	if c.turn != nil {
		c.turn()
	}
}

// Commit may return a *BodyError: deferred constraints speak up only here. A
// transaction that the database gives up in favour of another one, or whose
// connection was dead before COMMIT was sent, is done again; its record may
// be another one then. An error that wraps ErrUnknownOutcome means that the
// answer was lost: the caller asks Over before it lets its guard go.
func (c *change) Commit(ctx context.Context) error {
	if c.ended {
		return errChangeOver
	}
	// Set first: whatever becomes of the commit, a Rollback after it must not end another
	// transaction on a connection that was given back.
	c.ended = true
	defer c.over()
	ctx, cancel := c.table.deadline(ctx)
	defer cancel()
	for {
		err := c.commit(ctx)
		if err == nil || remedyOf(ctx, err) == engine.RemedyNone {
			return err
		}
		if err = c.repeat(ctx, err); err != nil { // also where no remedy is left
			c.tx.Rollback()
			return err
		}
	}
}

// commit ends the transaction once. It notes whether the outcome is unknown,
// which Over needs, and turns what a deferred constraint refuses into a fault of
// the body.
func (c *change) commit(ctx context.Context) error {
	err := c.tx.Commit(ctx)
	c.table.db.observe(err)
	if err == nil {
		return nil
	}
	c.unknown = errors.Is(err, source.ErrUnknownOutcome)
	// There is no query to tell arguments from here: the refusal came at COMMIT,
	// and concerns rows rather than one statement. refuse goes by the names of
	// columns alone.
	if fault := c.table.db.engine.Fault(err); fault.Class >= engine.FaultData && !c.unknown {
		return c.table.refuse(ctx, refusedError{err: err, reason: fault.Reason})
	}
	return fmt.Errorf("committing a change of resource %q: %w", c.table.name, c.table.db.mark(ctx, err))
}

// Over asks only until it has heard that the transaction is over: what a database
// says of one may change back, when a crash made it forget that the transaction's
// id was ever given. The error wraps ErrNoOutcome where the database cannot tell
// and never will.
func (c *change) Over(ctx context.Context) (bool, error) {
	if !c.unknown {
		return c.ended, nil
	}
	ctx, cancel := c.table.deadline(ctx)
	defer cancel()
	over, err := c.tx.Over(ctx)
	if !errors.Is(err, source.ErrNoOutcome) { // which is an answer
		c.table.db.observe(err)
		if err != nil {
			err = c.table.db.mark(ctx, err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("asking whether a change of resource %q is over: %w", c.table.name, err)
	}
	c.unknown = !over
	return over, nil
}

// Rollback implements source.Change. After a Commit it does nothing, so callers
// may defer it.
func (c *change) Rollback() {
	if c.ended {
		return
	}
	c.ended = true
	c.tx.Rollback()
	c.over()
}

// write is what happens inside a transaction. It returns the record that the
// transaction leaves.
type write func(ctx context.Context, tx engine.Transaction) ([]byte, error)

// change opens a transaction around write. It stays open only if write succeeds.
func (t *table) change(ctx context.Context, args source.Args, write write) (source.Change, error) {
	if err := t.ready(ctx, args); err != nil {
		return nil, t.failed("changing", err)
	}
	c := &change{table: t, args: args, marked: t.db.marksWriters() && source.WriterOf(ctx) != ""}
	// The transaction outlives this call only as a Change that the caller has to end.
	kept := false
	defer func() { // a panic must not keep the connection
		if kept {
			return
		}
		if c.tx != nil {
			c.tx.Rollback()
		}
		c.over()
	}()
	if source.ConditionOf(ctx) != nil || t.contested(ctx) {
		if err := c.takeTurn(ctx); err != nil { // before the connection, which others need
			return nil, t.failed("changing", err) // no fault of the database's
		}
	}
	tx, err := t.begin(ctx)
	if err != nil {
		return nil, t.failed("beginning to change", err)
	}
	c.tx = tx
	// From the outside in: the condition is judged first, then the statement
	// runs, and last its count of changed rows is looked at. repeat runs the
	// whole chain again, so the condition is judged on the record that stands by
	// then.
	c.write = t.conditional(ctx, args, effective(write))
	if c.record, err = c.write(ctx, tx); err != nil {
		if err = c.repeat(ctx, err); err != nil {
			return nil, err
		}
	}
	kept = true
	return c, nil
}

// begin tries again when it meets what may be gone at once: nothing was changed yet.
// observe gets the outcome of the last attempt alone: a connection that died while idle
// says nothing of the database.
func (t *table) begin(ctx context.Context) (tx engine.Transaction, err error) {
	err = t.db.tryAgain(ctx, func(r engine.Remedy) (err error) {
		tx, err = t.db.engine.Begin(ctx, r)
		return err
	})
	t.db.observe(err)
	if err != nil {
		return nil, t.db.mark(ctx, err)
	}
	return tx, nil
}
