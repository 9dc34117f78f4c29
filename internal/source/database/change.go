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
	table    *table
	tx       engine.Transaction
	write    write
	record   []byte
	repeated bool
	ended    bool // by Commit or Rollback
	unknown  bool // how it ended
}

// Record implements source.Change. A repeated transaction may have left another one.
func (c *change) Record() []byte { return c.record }

// repeat does everything once more if that may help after err, and returns err if
// not. Nothing was committed, so a reader of the database sees the change once,
// and the guard that stands around the write stands around both attempts. On
// success c.record is that of the repetition. The transaction is open again then,
// whatever err has done to the first one.
func (c *change) repeat(ctx context.Context, err error) error {
	r := remedyOf(ctx, err)
	if r == engine.RemedyNone || c.repeated {
		return err
	}
	// Set before the attempt, so that an error of the repetition cannot lead to a
	// third one.
	c.repeated = true
	again := c.tx.Again(ctx, r)
	c.table.db.observe(again)
	if again != nil {
		return preferred(ctx, err, c.table.failed("beginning anew to change", c.table.db.mark(ctx, again)))
	}
	var second error
	c.record, second = c.write(ctx, c.tx)
	return preferred(ctx, err, second)
}

// Commit may return a *BodyError: deferred constraints speak up only here. A
// transaction that the database gives up in favour of another one, or whose
// connection was dead before COMMIT was sent, is done once more; its record may
// be another one then. An error that wraps ErrUnknownOutcome means that the
// answer was lost: the caller asks Over before it lets its guard go.
func (c *change) Commit(ctx context.Context) error {
	if c.ended {
		return errChangeOver
	}
	// Set first: whatever becomes of the commit, a Rollback after it must not end another
	// transaction on a connection that was given back.
	c.ended = true
	ctx, cancel := c.table.deadline(ctx)
	defer cancel()
	err := c.commit(ctx)
	if err == nil || c.repeated || remedyOf(ctx, err) == engine.RemedyNone {
		return err
	}
	if err = c.repeat(ctx, err); err != nil {
		c.tx.Rollback()
		return err
	}
	return c.commit(ctx)
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
}

// write is what happens inside a transaction. It returns the record that the
// transaction leaves.
type write func(ctx context.Context, tx engine.Transaction) ([]byte, error)

// change opens a transaction around write. It stays open only if write succeeds.
func (t *table) change(ctx context.Context, args source.Args, write write) (source.Change, error) {
	if err := t.ready(ctx, args); err != nil {
		return nil, t.failed("changing", err)
	}
	tx, err := t.begin(ctx)
	if err != nil {
		return nil, t.failed("beginning to change", err)
	}
	// The transaction outlives this call only as a Change that the caller has to end.
	kept := false
	defer func() { // a panic must not keep the connection
		if !kept {
			tx.Rollback()
		}
	}()
	// From the outside in: the condition is judged first, then the statement
	// runs, and last its count of changed rows is looked at. repeat runs the
	// whole chain again, so the condition is judged on the record that stands by
	// then.
	write = t.conditional(ctx, args, effective(write))
	c := &change{table: t, tx: tx, write: write}
	if c.record, err = write(ctx, tx); err != nil {
		if err = c.repeat(ctx, err); err != nil {
			return nil, err
		}
	}
	kept = true
	return c, nil
}

// begin tries a second time when the first met what may be gone at once: nothing
// was changed yet. observe gets the outcome of the last attempt alone: a
// connection that died while idle says nothing of the database.
func (t *table) begin(ctx context.Context) (engine.Transaction, error) {
	tx, err := t.db.engine.Begin(ctx, engine.RemedyNone)
	if err != nil {
		first := t.db.mark(ctx, err)
		if r := remedyOf(ctx, first); r != engine.RemedyNone {
			tx, err = t.db.engine.Begin(ctx, r)
		}
		if err != nil {
			t.db.observe(err)
			return nil, preferred(ctx, first, t.db.mark(ctx, err))
		}
	}
	t.db.observe(nil)
	return tx, nil
}
