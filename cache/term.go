package cache

import (
	"sync/atomic"
	"time"

	"hearth/cache/memory"
	"hearth/internal/source"
)

// A source may say of an answer that it is for the one who asked (source.Term). Such
// an answer is kept in no tier and given to no reader that waits for the same key: it
// goes to the reader whose load it was. The lease is given back at once, and the key is
// remembered for a moment: its readers load alone then, side by side, because one
// after another each would have to wait for all that came before.

// loaded is what one call of the source has brought.
type loaded struct {
	records   [][]byte // nil for a missing one
	term      source.Term
	unchanged bool  // the source has confirmed the copy that was here
	asked     int64 // clock time at which it was asked
}

// detailUnshared marks an answer that is for one reader alone.
const detailUnshared = "unshared"

// unshared tells whether an answer is for one reader alone.
func (a Answer) unshared() bool { return a.Detail == detailUnshared }

// answerOf is the answer with one of the records that a load has brought.
func (q *query) answerOf(got loaded, at int) Answer {
	e := q.entryOf(got.records[at])
	got.records[at] = nil // the entry has its own copy
	a := q.fromSource(e)
	a.asked = got.asked
	if got.term.Unshared != "" {
		a.Detail = detailUnshared
	}
	return a
}

// fromSource is an answer that comes from the source.
func (q *query) fromSource(e *Entry) Answer {
	a := q.answer(e, TierSource)
	a.FromDB = true
	return a
}

// alone loads for this reader and nobody else, without a lease. The gate bounds how
// many do so at a time.
func (q *query) alone() (Answer, bool, error) {
	g := q.gateOf(q.r)
	if err := g.Enter(q.ctx); err != nil {
		q.numbers.refused(q.r)
		return Answer{}, false, err
	}
	got, err := q.ask(q.ctx, g, q.r, q.key, []source.Args{q.args})
	if err != nil {
		return Answer{}, false, err
	}
	return q.past(got), false, nil
}

// known is the record of key as memory has it, fresh or not, for a source that may
// confirm it instead of sending it again.
func (c *Cache) known(r *Resource, key string) []byte {
	if _, ok := r.Records.(source.Termed); !ok {
		return nil
	}
	e := c.store.Find(r.Shape, []byte(key))
	if e == nil || e.Missing() {
		return nil
	}
	return e.Data()
}

// sameBytes tells whether a is b itself, not a copy that is equal.
func sameBytes(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// noteTerm remembers whether a key's record may be shared, and tells the operator of one
// that may not: a resource of which nothing is ever kept looks like a broken cache.
func (c *Cache) noteTerm(r *Resource, key string, t source.Term) {
	now := c.store.Now()
	c.flights.unshared.note(key, now, t.Unshared != "")
	if t.Unshared != "" && r.unsharedLog.allow(now) {
		c.cfg.Log.Warn("the source forbids to share what it answers, so it is asked for each request; if that is not meant, mend it there",
			"resource", r.Name, "key", key, "because", t.Unshared)
	}
}

// unsharedFor is how long a key's readers load alone after an answer that may not be
// shared.
const unsharedFor = int64(10 * time.Second)

// unsharedKeys are the keys of which it is known that their records may not be shared.
// The table is of a fixed size, and keys that fall on one place take it from each
// other. A key that is forgotten costs its readers a wait; one taken for another loads
// alone, and is not kept for a moment.
type unsharedKeys [1 << 12]struct{ hash, until atomic.Int64 }

// has tells whether the readers of key are to load alone.
func (u *unsharedKeys) has(key string, now int64) bool {
	hash := memory.HashKey(key)
	place := &u[hash%uint64(len(u))]
	return now < place.until.Load() && place.hash.Load() == int64(hash)
}

func (u *unsharedKeys) note(key string, now int64, unshared bool) {
	hash := memory.HashKey(key)
	place := &u[hash%uint64(len(u))]
	switch {
	case unshared:
		place.hash.Store(int64(hash))
		place.until.Store(now + unsharedFor)
	case place.until.Load() != 0 && place.hash.Load() == int64(hash):
		place.until.Store(0)
	}
}
