package cache

import (
	"fmt"

	"hearth/cache/memory"
	"hearth/internal/source"
)

// A pass is a load that no lease covers, and of which the shared tier stores nothing:
// past a guard, past an unconfirmed write, or with the shared tier away. One process
// makes one at a time for a key.

// passes are the passes of one key: one runs, one forms. A reader may join only the
// one that has not begun. What the running one has read may be older than a write
// that this reader has heard of, and no token tells.
type passes struct{ running, forming *load }

// passKey names passes. Answers have a resource's shape, so resources share none.
type passKey struct {
	resource *Resource
	key      string
}

func (q *query) passKey() passKey { return passKey{q.r, q.key} }

// pass loads without a lease, or joins the pass that forms. With untracked, for which
// the shared tier is away, memory keeps the answer for memory.untracked_ttl.
func (q *query) pass(untracked bool) (Answer, error) {
	for {
		l, mine, before := q.joinPass()
		if mine {
			return q.leadPass(l, before, untracked)
		}
		if a, again, err := q.join(l); !again {
			return a, err
		}
	}
}

// leadPass waits for the pass before it to end, closes the batch of its readers and
// loads.
func (q *query) leadPass(l, before *load, untracked bool) (a Answer, err error) {
	err = fmt.Errorf("%w: load was cut short", ErrUnavailable)
	defer func() { q.endPass(l, a, err) }()
	if before != nil {
		if err = q.outlast(before); err != nil {
			return a, err
		}
	}
	g := q.gateOf(q.r)
	if err = g.Enter(q.ctx); err != nil {
		q.numbers.refused(q.r)
		return a, err
	}
	q.startPass(l)
	got, err := q.ask(q.ctx, g, q.r, q.key, []source.Args{q.args})
	if err != nil {
		return a, err
	}
	a = q.past(got)
	if untracked && !a.unshared() {
		a.Detail = "untracked"
		a.Stored = q.keepUntracked(a.Entry, got.term)
	}
	return a, nil
}

// past is the answer of a load without a lease.
func (q *query) past(got loaded) Answer {
	a := q.answerOf(got, 0)
	if q.writes.has(q.key) && q.writes.renewForPass(q.ctx, q.key) != nil && !a.unshared() {
		// The shared tier may hold what is older than this, and nobody can be asked.
		a.Detail = "untracked"
	}
	return a
}

// joinPass returns the pass that forms. If there was none, it is a new one that the
// caller must lead, after the one that runs has ended.
func (q *query) joinPass() (l *load, mine bool, before *load) {
	q.passing.Lock()
	defer q.passing.Unlock()
	p := q.passing.byKey[q.passKey()]
	if p == nil {
		p = &passes{}
		q.passing.byKey[q.passKey()] = p
	}
	if p.forming != nil {
		return p.forming, false, nil
	}
	p.forming = &load{key: q.key, res: q.r, done: make(chan struct{})}
	return p.forming, true, p.running
}

// startPass closes the batch: from here on readers form the next one. It is called
// after the wait for a place, so readers that come during that wait are still served
// by this load.
func (q *query) startPass(l *load) {
	q.passing.Lock()
	defer q.passing.Unlock()
	p := q.passing.byKey[q.passKey()]
	p.running, p.forming = l, nil
}

// endPass tells the batch what the load has brought.
func (q *query) endPass(l *load, a Answer, err error) {
	q.passing.Lock()
	p := q.passing.byKey[q.passKey()]
	if p.running == l {
		p.running = nil
	}
	if p.forming == l { // ended before it began
		p.forming = nil
	}
	if p.running == nil && p.forming == nil {
		delete(q.passing.byKey, q.passKey())
	}
	q.passing.Unlock()
	l.answer, l.err = a, err
	close(l.done)
}

// keepUntracked keeps a loaded record for a moment: nobody will report a
// change, so it is marked in every answer.
func (q *query) keepUntracked(e *Entry, t source.Term) bool {
	if q.settings.Load().UntrackedTTL <= 0 || q.tier.Readable(q.key) == nil {
		return false
	}
	sh := q.flights.shard(q.key)
	if e.Length() > q.store.MaxValue() { // a second copy would be made for nothing
		sh.mu.Lock()
		defer sh.mu.Unlock()
		q.store.Drop(q.key, func(old View) bool { return !old.Untracked() })
		return false
	}
	var data []byte
	flags := uint8(memory.FlagUntracked)
	if e.Missing() {
		flags |= memory.FlagMissing
	} else {
		data = e.Data()
	}
	kept := q.store.NewKept(q.r.Shape, q.key, data, flags)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := q.store.Now()
	if q.holdsVerifiable(now) {
		return false // that one can be verified when the shared tier is back
	}
	return q.store.Keep(kept, q.local, q.local.Epoch(), now+int64(t.Within(q.settings.Load().UntrackedTTL)), memory.Never)
}

// holdsVerifiable tells whether memory has a tracked copy that may be served yet.
func (q *query) holdsVerifiable(now int64) bool {
	defer q.Pin(uint32(now)).Release()
	v := q.store.Peek(q.r.Shape, []byte(q.key))
	return v.Found() && !v.Untracked() && now < min(v.SharedExpiry(now), q.store.StaleUntil(v, q.r.TTL.Stale))
}
