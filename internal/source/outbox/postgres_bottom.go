package outbox

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"hearth/internal/source/engine"
)

// A look from the beginning of the outbox walks over all rows that are dead and not yet
// vacuumed: 0.1 µs each, for every instance, four times a second. An open transaction of
// anybody may keep millions of them. So a look begins where a row can be that has not been
// seen.
//
// Each look first asks, in this order, for the last id that was given, for a transaction
// id, and for the transactions that run. A trigger takes an id when its transaction has an
// id of its own already. So:
//
//   - A transaction that is not listed by a look was not there at the look before it, which
//     had a later id than all that were: its rows have later ids than that look's last.
//   - A transaction that was listed, and is not any more, is over: the rows that it may have
//     written since the look before it was first listed are looked for now.
//   - A row that a look has found is looked for again: it may have been handled or not.
//
// Ids that are given again, by another server, after a crash or with another table, change
// the key, and all is looked at. So it is once a minute: somebody may have copied rows in.

// wholeEvery is how often a look begins at the beginning whatever is known.
const wholeEvery = time.Minute

// bottom is where looks begin. The zero value knows nothing.
type bottom struct {
	mu      sync.Mutex
	key     string
	whole   time.Time       // the latest look that began at the beginning
	last    int64           // the last id given at the latest look
	before  int64           // and at the one before
	running map[int64]int64 // transactions that were listed → all their rows have later ids
	lowest  int64           // the first row of the latest look; 0: it found none
}

// sight is what a look finds first.
type sight struct {
	key     string
	last    int64
	running []int64
}

// from is the id behind which a look begins, at a time.
func (b *bottom) from(s sight, now time.Time) (after int64) {
	if s.key != b.key || s.last < b.last {
		b.key, b.whole, b.last, b.before, b.running, b.lowest = s.key, now, 0, 0, map[int64]int64{}, 0
	}
	after = b.before
	for id, first := range b.running {
		if !slices.Contains(s.running, id) {
			after = min(after, first)
			delete(b.running, id)
		}
	}
	for _, id := range s.running {
		if _, known := b.running[id]; !known {
			b.running[id] = b.before
		}
	}
	if b.lowest > 0 {
		after = min(after, b.lowest-1)
	}
	if now.Sub(b.whole) >= wholeEvery {
		after, b.whole = 0, now
	}
	b.last, b.before = s.last, b.last
	return after
}

// lookFrom implements looker.
func (d postgres) lookFrom(ctx context.Context, e engine.Engine, read func(after int64) ([]Row, error)) ([]Row, error) {
	b := d.bottom
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := sightOf(ctx, e)
	switch {
	case err == nil:
	case e.Fault(err).Class >= engine.FaultRefused: // installed by a program that had no such function
		return read(0)
	default:
		return nil, err
	}
	rows, err := read(b.from(s, time.Now()))
	if err != nil {
		b.key = "" // what was over is not known any more
		return nil, err
	}
	b.lowest = 0
	if len(rows) > 0 {
		b.lowest = rows[0].ID
	}
	return rows, nil
}

func sightOf(ctx context.Context, e engine.Engine) (s sight, err error) {
	res, err := e.Query(ctx, engine.Query{SQL: "SELECT key, last, running FROM hearth.bottom()"})
	if err != nil {
		return s, err
	}
	cells := res.Rows[0]
	s.key = textOf(cells[0])
	if s.last, err = intOf(cells[1]); err != nil {
		return s, err
	}
	return s, json.Unmarshal(cells[2], &s.running)
}
