package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Read returns up to most rows behind after, in the order of their ids. Ids are given
// when a row is written, not when its transaction commits: a row may appear behind
// others that are long gone. So a reader must look from the beginning now and then.
//
// What was read is not taken: it stands until Done.
func (o *Outbox) Read(ctx context.Context, after int64, most int) ([]Row, error) {
	read := func(after int64) ([]Row, error) { return o.rows(ctx, o.dialect.Texts().Read, after, most) }
	if l, ok := o.dialect.(looker); ok && after <= 0 {
		return l.lookFrom(ctx, o.engine, read)
	}
	return read(after)
}

// looker is a dialect in which a look from the beginning is dear, and knows where it may
// begin.
type looker interface {
	lookFrom(ctx context.Context, e engine.Engine, read func(after int64) ([]Row, error)) ([]Row, error)
}

// Kept returns rows that were kept, as Read does those that wait.
func (o *Outbox) Kept(ctx context.Context, after int64, most int) ([]Row, error) {
	return o.rows(ctx, o.dialect.Texts().Kept, after, most)
}

func (o *Outbox) rows(ctx context.Context, text string, after int64, most int) ([]Row, error) {
	res, err := o.engine.Query(ctx, engine.Query{SQL: text, Args: []any{after, int64(most)}})
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	rows := make([]Row, 0, len(res.Rows))
	for _, cells := range res.Rows {
		r, err := rowOf(cells)
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// rowOf reads one row of Texts.Read.
func rowOf(cells [][]byte) (r Row, err error) {
	if r.ID, err = intOf(cells[0]); err != nil {
		return r, fmt.Errorf("column id: %w", err)
	}
	set, err := intOf(cells[1])
	if err != nil {
		return r, fmt.Errorf("column watch: %w", err)
	}
	r.Set = int32(set)
	if text := textOf(cells[2]); text != "" {
		r.Data = json.RawMessage(text)
	}
	r.Writer = textOf(cells[3])
	age, err := secondsOf(cells[4])
	r.Age = age
	return r, err
}

// Done deletes rows that were read. A row that is gone already is none of its concern:
// two instances may have handled it.
func (o *Outbox) Done(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return o.change(ctx, "deleting what was drained", func(tx engine.Transaction) error {
		if err := o.owned(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, o.dialect.Texts().Done(ids))
		return err
	})
}

// Keep takes rows that were read out of the way, and keeps them for a while: what was
// done for them may get lost with the shared tier, and is then done again.
func (o *Outbox) Keep(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return o.change(ctx, "keeping what was drained", func(tx engine.Transaction) error {
		if err := o.owned(ctx, tx); err != nil {
			return err
		}
		for _, q := range o.dialect.Keep(ids) {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// Expire deletes rows that were kept for longer than age.
func (o *Outbox) Expire(ctx context.Context, age time.Duration) error {
	return o.change(ctx, "deleting what was kept", func(tx engine.Transaction) error {
		_, err := tx.Exec(ctx, engine.Query{SQL: o.dialect.Texts().Expire, Args: []any{age.Seconds()}})
		return err
	})
}

// Canary writes a row that is measured on its way. When it returns the row is committed.
func (o *Outbox) Canary(ctx context.Context) error {
	return o.change(ctx, "writing a canary", func(tx engine.Transaction) error {
		_, err := tx.Exec(ctx, engine.Query{SQL: o.dialect.Texts().Insert, Args: []any{int64(Canary), nil}})
		return err
	})
}

// Flush asks whoever drains the outbox to remove all records of resources.
func (o *Outbox) Flush(ctx context.Context, resources []string) error {
	data, err := json.Marshal(resources)
	if err != nil {
		return err
	}
	return o.change(ctx, "asking for records to be removed", func(tx engine.Transaction) error {
		_, err := tx.Exec(ctx, engine.Query{SQL: o.dialect.Texts().Insert, Args: []any{int64(Flush), string(data)}})
		return err
	})
}

// Size tells how much waits to be drained. It may count every row.
func (o *Outbox) Size(ctx context.Context) (s Size, err error) {
	res, err := o.engine.Query(ctx, engine.Query{SQL: o.dialect.Texts().Size})
	if err != nil {
		return s, fmt.Errorf("counting the outbox: %w", err)
	}
	if s.Rows, err = intOf(res.Rows[0][0]); err != nil {
		return s, err
	}
	s.Oldest, err = secondsOf(res.Rows[0][1])
	return s, err
}

// Moved tells whether the outbox may have changed since it was last asked. Only SQLite
// knows without looking; the others say yes.
func (o *Outbox) Moved(ctx context.Context) (bool, error) { return o.dialect.Moved(ctx, o.engine) }

// Beat notes that a fleet drains the outbox, unless another one does.
//
// Two fleets that drain one outbox would each take rows away that the other has not seen.
// A beat's number only grows, in the database itself: a lower one than before says that the
// database has lost commits, in a fail-over or by a restore.
func (o *Outbox) Beat(ctx context.Context, b Beat) (p Pulse, err error) {
	err = o.change(ctx, "noting who drains the outbox", func(tx engine.Transaction) error {
		t := o.dialect.Texts()
		res, err := tx.Query(ctx, engine.Query{SQL: t.Pulse})
		if err != nil {
			return err
		}
		if len(res.Rows) != 1 {
			return errNotInstalled
		}
		cells := res.Rows[0]
		p = Pulse{Fleet: textOf(cells[0]), Before: textOf(cells[2]), Server: textOf(cells[4])}
		if p.Number, err = intOf(cells[1]); err != nil {
			return err
		}
		since, err := secondsOf(cells[3])
		if err != nil {
			return err
		}
		if p.Fleet != b.Fleet && p.Fleet != "" && !slices.Contains(b.Former, p.Fleet) && since < b.Patience {
			return nil
		}
		p.Held, p.Fleet, p.Number = true, b.Fleet, p.Number+1
		o.fleet.Store(&b.Fleet)
		_, err = tx.Exec(ctx, engine.Query{SQL: t.Note, Args: []any{b.Fleet, b.Instance, p.Number, p.Server}})
		return err
	})
	return p, err
}

// ErrOthers says that another fleet drains the outbox by now.
var ErrOthers = errors.New("another fleet drains the outbox by now")

// owned makes sure that the outbox is still the fleet's which has noted a beat here. An
// instance that stood still may wake long after another fleet has taken over, which has not
// seen the rows that were read before.
func (o *Outbox) owned(ctx context.Context, tx engine.Transaction) error {
	fleet := o.fleet.Load()
	if fleet == nil {
		return nil
	}
	res, err := tx.Query(ctx, engine.Query{SQL: o.dialect.Texts().Drainer})
	switch {
	case err != nil:
		return err
	case len(res.Rows) != 1:
		return errNotInstalled
	case textOf(res.Rows[0][0]) != *fleet:
		return ErrOthers
	}
	return nil
}

// errNotInstalled: the tables are there, and not what is in them.
var errNotInstalled = errors.New("the outbox lacks the row that tells who drains it; run: hearth feed install -apply")

// change runs f in a transaction.
func (o *Outbox) change(ctx context.Context, doing string, f func(engine.Transaction) error) error {
	tx, err := o.engine.Begin(ctx, engine.RemedyNone)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err = f(tx); err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		tx.Rollback()
		if o.engine.Fault(err).Remedy == engine.RemedyPrimary {
			o.engine.Seek(ctx) // for the next time
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Fault says whose fault an error of the outbox is.
func (o *Outbox) Fault(err error) engine.Fault { return o.engine.Fault(err) }

// Lost has the connections dialled anew; see engine.Engine.
func (o *Outbox) Lost() { o.engine.Lost() }

// textOf is a cell as text: a string, or the JSON itself; "" for null.
func textOf(cell []byte) string {
	var text string
	switch {
	case string(cell) == "null":
		return ""
	case len(cell) > 0 && cell[0] == '"' && json.Unmarshal(cell, &text) == nil:
		return text
	}
	return string(cell)
}

// textsOf are the cells of a result as texts; NULL is "".
func textsOf(res *engine.Result) [][]string {
	rows := make([][]string, len(res.Rows))
	for i, cells := range res.Rows {
		for _, cell := range cells {
			rows[i] = append(rows[i], textOf(cell))
		}
	}
	return rows
}

func intOf(cell []byte) (int64, error) { return strconv.ParseInt(textOf(cell), 10, 64) }

// secondsOf is a number of seconds; 0 for null and what lies ahead.
func secondsOf(cell []byte) (time.Duration, error) {
	text := textOf(cell)
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, fmt.Errorf("%q is no number of seconds", text)
	}
	return max(0, time.Duration(min(seconds, 1e9)*float64(time.Second))), nil
}

// Lazy tells that taking rows out needs the lock that all writers wait for.
func (o *Outbox) Lazy() bool { return o.engine.Dialect() == sqltext.SQLite }

// Busy tells that an error comes of somebody else's lock.
func (o *Outbox) Busy(err error) bool { return o.engine.Fault(err).Class == engine.FaultBusy }
