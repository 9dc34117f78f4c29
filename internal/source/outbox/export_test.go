package outbox

import (
	"context"

	"hearth/internal/source/engine"
)

// DoneAnd is Done that calls a function before it commits.
func (o *Outbox) DoneAnd(ctx context.Context, ids []int64, before func()) error {
	return o.change(ctx, "deleting what was drained", func(tx engine.Transaction) error {
		_, err := tx.Exec(ctx, o.dialect.Texts().Done(ids))
		before()
		return err
	})
}
