package source

import (
	"context"
	"errors"
	"fmt"
)

// errChangeOver answers a Commit after the change was ended.
var errChangeOver = errors.New("the change is over already")

// change is an open transaction. It lives longer than the call that began it,
// so it holds no context: each step has a deadline of its own.
type change struct {
	table  *table
	tx     transaction
	record []byte
	over   bool
}

func (c *change) Record() []byte { return c.record }

// Commit may return a *BodyError: deferred constraints speak up only here.
func (c *change) Commit(ctx context.Context) error {
	if c.over {
		return errChangeOver
	}
	c.over = true
	ctx, cancel := c.table.deadline(ctx)
	defer cancel()
	err := c.tx.commit(ctx)
	c.table.db.observe(err)
	if err == nil {
		return nil
	}
	if fault := c.table.db.engine.fault(err); fault.kind >= faultData && !errors.Is(err, ErrUnknownOutcome) {
		return &BodyError{Reason: fault.reason}
	}
	return fmt.Errorf("committing a change of resource %q: %w", c.table.name, err)
}

func (c *change) Rollback() {
	if c.over {
		return
	}
	c.over = true
	c.tx.rollback()
}
