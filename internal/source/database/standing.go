package database

import (
	"context"
	"errors"
	"slices"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// judgeStanding judges the row that stands where a write is about to go: an
// upsert may give it the name of the path, and a deletion takes it away. absent
// says that nothing stands there, as far as can be told. A *SpellingError means
// that the row there goes by another name, so the write is refused before it
// changes anything.
func (t *table) judgeStanding(args source.Args, find lookup) (absent bool, err error) {
	if !t.shows() {
		return false, nil
	}
	res, err := find(args)
	if errors.Is(err, source.ErrNoRecord) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s, err := t.shapeOf(res.Names)
	if err != nil {
		return false, err
	}
	if err := t.alone(res); err != nil {
		return false, err
	}
	return len(res.Rows) == 0 && !t.many, t.verify(s, res.Rows, args, find)
}

// beforePut returns what a PUT does first in its transaction: it judges the row
// that stands, and tells whether none does.
//
// InnoDB shows a transaction what stood when it first read. So on MySQL the look
// at what stands comes before the transaction: the record that is read back must
// not be older than the write.
func (t *table) beforePut(ctx context.Context, args source.Args) (func(context.Context, engine.Transaction) (bool, error), error) {
	// On PostgreSQL each statement of READ COMMITTED sees what was committed by
	// then, and on SQLite the write lock is held from BEGIN on, so both may look
	// inside.
	apart, wasAbsent := t.db.engine.Dialect() == sqltext.MySQL, false
	if apart {
		if err := t.ready(ctx, args); err != nil {
			return nil, t.failed("changing", err)
		}
		var err error
		if wasAbsent, err = t.judgeStanding(args, t.inLoad(ctx)); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, tx engine.Transaction) (absent bool, err error) {
		if absent = wasAbsent; !apart {
			if absent, err = t.judgeStanding(args, t.inWrite(ctx, tx)); err != nil {
				return false, err
			}
		}
		if !absent || !t.contested(ctx) {
			return absent, nil
		}
		// Two writers may make one row under two spellings at once, and the second
		// would only give the first one's row another name. So what is not there
		// is held to be absent until the upsert; of two one begins anew, and finds
		// the row.
		if !apart {
			if err := tx.Again(ctx, engine.RemedyNone); err != nil {
				return false, t.failed("changing", t.db.mark(ctx, err))
			}
		}
		return t.judgeStanding(args, t.inLook(ctx, tx))
	}, nil
}

// contested tells whether a row that was not found may come to be under another
// spelling before it is made. SQLite has one writer at a time; a write with a
// condition has looked already; integers and UUIDs are spelt in one way. Only
// such writes pay for a second look under isolation.
func (t *table) contested(ctx context.Context) bool {
	return t.db.engine.Dialect() != sqltext.SQLite && source.ConditionOf(ctx) == nil &&
		slices.ContainsFunc(t.keys, func(k keyColumn) bool { return k.param.Type == param.String && !k.vouched && !k.hidden() })
}

// unfit is for an error of the look at what stands: a value that fits no column
// is the client's, as it is when the upsert meets it.
func (t *table) unfit(err error) error {
	if fault := t.db.engine.Fault(err); fault.Class == engine.FaultData {
		return &source.BodyError{Reason: fault.Reason}
	}
	return err
}
