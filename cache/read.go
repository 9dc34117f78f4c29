package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"hearth/internal/source"
)

// Read is the slow way: memory did not have a fresh entry when Hit looked. It
// asks the shared tier, tracked, and behind that the source under a lease.
// key is kept.
func (c *Cache) Read(ctx context.Context, r *Resource, key string, args source.Args) (Answer, error) {
	return c.newQuery(ctx, r, key, args).run(nil)
}

// Memory answers from memory alone, without waiting and without asking anybody,
// for a reader that there is no place for: with what Hit finds, with untracked
// copies while there is nothing better, and with one that is not fresh any more,
// marked, as for readers whom nobody else could answer.
func (c *Cache) Memory(r *Resource, key string, args source.Args) (Answer, bool) {
	return c.newQuery(context.Background(), r, key, args).fromMemoryAlone()
}

func (q *query) fromMemoryAlone() (Answer, bool) {
	if a, ok := q.fromMemory(); ok {
		return a, true
	}
	if q.writes.has(q.key) || q.r.Records == nil && q.tier.up() == nil {
		return Answer{}, false
	}
	return q.stale()
}

// newQuery begins a read, and counts it for the key's rate.
func (c *Cache) newQuery(ctx context.Context, r *Resource, key string, args source.Args) *query {
	q := &query{Cache: c, ctx: ctx, r: r, key: key, args: args, began: c.store.now()}
	c.store.reads.add(hashString(key), q.began, 1)
	return q
}

// run goes through the tiers until there is an answer. first is what the
// shared tier was already seen to hold, if it was asked. Where nobody can
// answer in time, a copy that is no longer fresh is better than none; it is
// marked.
func (q *query) run(first *sighting) (Answer, error) {
	a, err := q.walk(first)
	return q.orStale(a, err)
}

func (q *query) orStale(a Answer, err error) (Answer, error) {
	if err == nil || q.r.Records == nil || !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOverload) && !errors.Is(err, ErrTimeout) {
		return a, err
	}
	if stale, ok := q.stale(); ok {
		return stale, nil
	}
	return a, err
}

func (q *query) walk(first *sighting) (Answer, error) {
	for {
		if first == nil {
			if a, ok := q.fromMemory(); ok {
				return a, nil
			}
		}
		if q.writes.has(q.key) {
			if q.r.Records == nil { // a reload has given the key to a resource without a source
				return Answer{}, fmt.Errorf("%w: a write of key %q is not confirmed", ErrUnavailable, q.key)
			}
			return q.loadPast(false)
		}
		seen := first
		if first = nil; seen == nil {
			seen = q.readShared()
		}
		a, again, err := q.settle(*seen)
		if !again {
			return a, err
		}
	}
}

// query is one read on its way through the tiers.
type query struct {
	*Cache
	ctx   context.Context
	r     *Resource
	key   string
	args  source.Args
	began int64 // clock time of arrival

	waited   time.Duration // for somebody else's placeholder, so far
	released int           // how often such a wait has ended
	followed *attempt      // the last one it was for
}

// sighting is what one read of the shared tier found, and when it was sent.
type sighting struct {
	result
	sent int64
}

// fromMemory answers from a fresh entry that came since Hit looked, or from
// an untracked one while nobody could say better.
func (q *query) fromMemory() (Answer, bool) {
	e := q.store.find(q.r, []byte(q.key))
	if e == nil {
		return Answer{}, false
	}
	t := time.Now()
	now := q.store.at(t)
	if now >= q.store.freshUntil(e) || q.store.overslept(t, now) {
		return Answer{}, false
	}
	a := q.answer(e, TierMemory)
	a.TTL = time.Duration(e.expiry - now)
	if e.flags&flagUntracked != 0 {
		if e.owner == q.local.id && q.tier.up() == nil {
			return Answer{}, false
		}
		a.Detail = "untracked"
	}
	if e.Due(a.TTL) && q.TakeRefresh(q.r, e) {
		q.Refresh(q.r, q.key, q.args, e)
	}
	return a, true
}

func (q *query) answer(e *Entry, t Tier) Answer {
	return Answer{Entry: e, Tier: t, Shared: q.tier.name(), resource: q.r}
}

// readShared reads the key once: alone, or with those who read it already.
func (q *query) readShared() *sighting {
	f, lead, plain := q.store.join(q.r, q.key)
	switch {
	case plain:
		sent := q.store.now()
		rep, err := q.tier.get(q.ctx, q.key)
		res := result{reply: rep, err: err}
		q.finished(q.r, q.key, &res, 0)
		return &sighting{result: res, sent: sent}
	case lead:
		q.lead(q.ctx, []*flight{f})
		return &sighting{result: f.result, sent: q.began}
	}
	_, sent := q.store.boundTo(f)
	return &sighting{result: f.wait(q.ctx), sent: sent}
}

// lead reads flights in one round trip and ends them, whatever happens.
func (c *Cache) lead(ctx context.Context, flights []*flight) {
	ended := 0
	defer func() {
		for _, f := range flights[ended:] { // a panic must not strand those who wait
			c.store.finish(f, result{err: fmt.Errorf("%w: read was cut short", ErrUnavailable)}, 0)
		}
	}()
	for i, got := range c.tier.track(ctx, flights) {
		res := result{reply: got.reply, err: got.err}
		c.finished(flights[i].res, flights[i].key, &res, got.flags)
		c.store.finish(flights[i], res, got.expiry)
		ended++
	}
}

// finished makes the answer's body, on the reader's own time: the connection
// goes on delivering invalidations meanwhile.
func (c *Cache) finished(r *Resource, key string, res *result, flags uint8) {
	switch {
	case res.err != nil:
	case res.kind == kindValue:
		if res.entry = c.store.aloft.find(r, key, res.data, flags); res.entry == nil {
			res.entry = c.store.entryToKeep(r, key, res.data, flags)
		}
		res.data = nil // the entry has its own; a large value twice is too much
	case res.kind == kindNull, res.kind == kindNone && r.Records == nil:
		res.entry = newEntry(r, key, nil, flags|flagMissing)
	}
}

// settle turns what the shared tier holds into an answer, or says that the
// key has to be read again.
func (q *query) settle(seen sighting) (a Answer, again bool, err error) {
	switch {
	case errors.Is(seen.err, ErrTimeout):
		return Answer{}, false, seen.err
	case seen.err != nil && q.ctx.Err() != nil:
		return Answer{}, false, fmt.Errorf("%w: %w", ErrTimeout, seen.err)
	case seen.err != nil:
		a, err = q.withoutShared(seen.err)
		return a, false, err
	case seen.entry != nil:
		return q.found(seen.result), false, nil
	case seen.kind == kindLease:
		return q.meetLease(seen)
	case seen.kind == kindGuard:
		return q.meetGuard(seen)
	case seen.kind == kindBad:
		q.numbers.notJSON.Add(1)
		if q.r.Records == nil {
			return Answer{}, false, fmt.Errorf("%w: key %q", ErrNotJSON, q.key)
		}
		instead := seen.data
		if instead == nil {
			instead = []byte{}
		}
		return q.loadLeased(instead)
	}
	return q.loadLeased(nil)
}

// found answers with a value of the shared tier.
func (q *query) found(res result) Answer {
	a := q.answer(res.entry, q.tier.name())
	a.TTL, a.Stored, a.absent = res.ttl, res.stored, res.kind == kindNone
	if res.entry.flags&flagUntracked != 0 {
		a.Detail = "untracked"
	}
	if !res.stored && res.ttl > 0 && res.ttl < q.r.lead(res.entry.Missing()) && q.TakeRefresh(q.r, res.entry) {
		q.Refresh(q.r, q.key, q.args, res.entry) // what memory does not keep is due by what the shared tier says
	}
	return a
}

// meetLease waits for somebody else's load, or joins it when it runs in this
// process and its lease was seen standing after this reader came: then the
// load began after every write that this reader may have heard of was
// guarded.
func (q *query) meetLease(seen sighting) (Answer, bool, error) {
	if q.waited > q.settings.Load().Wait {
		if seen.ttl == 0 { // somebody took its expiry away (PERSIST): nobody will ever fill it
			return q.loadLeased([]byte(seen.text))
		}
		return Answer{}, false, fmt.Errorf("%w: key %q is being loaded elsewhere for longer than load.wait", ErrTimeout, q.key)
	}
	if seen.sent >= q.began {
		if l := q.store.loadOf(q.r, q.key, seen.text[len(leasePrefix):]); l != nil {
			return q.join(l)
		}
	}
	return q.wait(seen)
}

// meetGuard waits while the record is being written; past a bounded wait it
// loads without storing anything.
func (q *query) meetGuard(seen sighting) (Answer, bool, error) {
	if q.waited > q.settings.Load().Wait/3 {
		if seen.ttl == 0 && q.waited > q.settings.Load().Wait {
			return q.loadLeased([]byte(seen.text))
		}
		if q.r.Records != nil && seen.ttl != 0 {
			a, err := q.loadPast(false)
			return a, false, err
		}
	}
	return q.wait(seen)
}

// recheck is the longest a waiter relies on being told.
const recheck = 250 * time.Millisecond

// wait waits for a change of the key, with a jittered timer for the case that
// nobody tells, and says to read again.
func (q *query) wait(seen sighting) (Answer, bool, error) {
	d := recheck/2 + rand.N(recheck/2)
	w := seen.changed
	if w == nil || w == firedWatch { // not tracked: look again soon
		return q.await(nil, 2*time.Millisecond+rand.N(8*time.Millisecond))
	}
	q.store.watching(q.key, w)
	defer q.store.unwatch(q.key, w)
	return q.await(w.fired, d)
}

// await waits until over is closed, d passes or the read is out of time, as
// one of at most load.max_waiting, and says to read again.
func (q *query) await(over <-chan struct{}, d time.Duration) (Answer, bool, error) {
	if err := q.beginWaiting(); err != nil {
		return Answer{}, false, err
	}
	defer q.waiting.Add(-1)
	before := q.store.now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-over:
	case <-timer.C:
	case <-q.ctx.Done():
		err = fmt.Errorf("%w: waiting for somebody else's load or write", ErrTimeout)
	}
	q.waited += time.Duration(q.store.now() - before)
	q.released++
	return Answer{}, err == nil, err
}

// join waits for a load of this process and shares its answer.
func (q *query) join(l *load) (Answer, bool, error) {
	if err := q.beginWaiting(); err != nil {
		return Answer{}, false, err
	}
	defer q.waiting.Add(-1)
	select {
	case <-l.done:
		q.released++
		return l.result(q.ctx)
	case <-q.ctx.Done():
		return Answer{}, false, fmt.Errorf("%w: waiting for a load", ErrTimeout)
	}
}

// beginWaiting counts one reader more that waits, unless too many do.
func (q *query) beginWaiting() error {
	q.numbers.leaseWaits.Add(1)
	if q.waiting.Add(1) > int64(q.settings.Load().MaxWaiting) {
		q.waiting.Add(-1)
		return fmt.Errorf("%w: %d readers wait already for loads and writes (load.max_waiting)", ErrOverload, q.settings.Load().MaxWaiting)
	}
	return nil
}

// withoutShared answers while the shared tier cannot be asked: from memory,
// marked, or from the source, kept for a moment and marked. A copy whose
// lifetime was over is not worth more than the source's word.
func (q *query) withoutShared(cause error) (Answer, error) {
	if q.r.Records != nil && errors.Is(cause, ErrRefused) && q.refusals.allow(q.store.now()) {
		// The reader is answered, so nobody else would tell the operator.
		q.cfg.Log.Error("the shared tier refuses a key; its record is loaded from the source each time", "resource", q.r.Name, "key", q.key, "error", cause)
	}
	if e := q.store.find(q.r, []byte(q.key)); e != nil && e.flags&flagUntracked == 0 && q.store.now() < e.ends {
		if a, ok := q.stale(); ok {
			return a, nil
		}
	}
	if q.r.Records == nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnavailable, cause)
	}
	return q.loadPast(true)
}

// stale answers from an entry that nobody vouches for any more.
func (q *query) stale() (Answer, bool) {
	e := q.store.find(q.r, []byte(q.key))
	if e == nil {
		return Answer{}, false
	}
	now := q.store.now()
	if now >= q.store.staleUntil(e, q.r.TTL.Stale) {
		return Answer{}, false
	}
	q.numbers.stale.Add(1)
	a := q.answer(e, TierStale)
	a.Detail = "stale"
	a.TTL = min(time.Duration(q.store.freshUntil(e)-now), -1)
	return a, true
}
