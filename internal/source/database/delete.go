package database

import (
	"context"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// Delete implements Records. Its Change has a nil record. A record that is not
// there is ErrNoRecord, one that other rows refer to ErrConflict.
func (t *table) Delete(ctx context.Context, args source.Args) (source.Change, error) {
	if t.delete == nil {
		return nil, source.ErrReadOnly
	}
	ctx, cancel := t.deadline(ctx)
	defer cancel()
	q := engine.QueryOf(t.delete, args, nil)
	unfit := false
	c, err := t.change(ctx, args, func(ctx context.Context, tx engine.Transaction) ([]byte, error) {
		// A deletion under another spelling would leave the copy that is kept
		// under the row's own name, so the row that would go has to be the one of
		// the path.
		if _, err := t.judgeStanding(args, t.inWrite(ctx, tx)); err != nil {
			unfit = t.db.engine.Fault(err).Class == engine.FaultData
			return nil, err
		}
		n, err := tx.Exec(ctx, q)
		t.db.observe(err)
		switch fault := t.db.engine.Fault(err); {
		// The statement may have other conditions than the key; a row that they spare is none
		// of its records.
		case err == nil && n == 0:
			return nil, source.ErrNoRecord
		case err == nil:
			t.refusals.Cleared(source.KeyDelete)
			return nil, nil
		case fault.Class == engine.FaultReference, fault.Class == engine.FaultRule:
			return nil, source.Mark(&source.BodyError{Reason: source.ErrConflict.Error()}, source.ErrConflict)
		default:
			unfit = fault.Class == engine.FaultData
			return nil, t.failed("deleting", t.mark(ctx, source.KeyDelete, err))
		}
	})
	// Asked after the transaction, which may hold the only connection: a key that no column
	// takes is no record, and no fault of the statement.
	if unfit && !t.db.engine.Fits(ctx, q) {
		return nil, source.ErrNoRecord
	}
	return c, err
}
