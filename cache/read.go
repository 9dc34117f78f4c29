package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// Pin keeps what Look finds where it is until it is released: for as long as it takes to
// copy an answer, never over a wait or a system call. See memory.Pin for the stripe.
func (c *Cache) Pin(stripe uint32) memory.Pin { return c.store.Pin(stripe) }

// Look looks a key up in memory under a pin of the caller's: the fast path of every read. A
// View that was not found means that the read has to go the slow way. ttl is what is left of
// the record's lifetime, should its link go on proving itself. Look does not allocate, takes
// no lock, and keeps nothing of key. now must have been read after the request arrived.
func (c *Cache) Look(r *Resource, key []byte, now time.Time) (View, time.Duration) {
	return c.store.Look(r.Shape, key, now)
}

// CountLarge counts a hit of a large record that is answered, which Look leaves out.
func (c *Cache) CountLarge(key []byte, v View) { c.store.CountLarge(key, v) }

// Read is the slow path: memory did not have a fresh record for Look. It
// asks the shared tier with a tracked read, and behind that the source, under a
// lease. It waits until ctx ends, and returns ErrUnavailable, ErrOverload,
// ErrTimeout or ErrNotJSON. The cache keeps key and args.
func (c *Cache) Read(ctx context.Context, r *Resource, key string, args source.Args) (Answer, error) {
	a, err := c.newQuery(ctx, r, key, args).run(nil)
	c.noticed(r, key, &a, err)
	return a, err
}

// ReadAtOnce is Read for those who can hand the request on: it reads the shared tier once,
// and answers if the record is there, small, and needs no mark. Else ok is false, nothing has
// happened, and Read does all of it. The cache keeps key.
func (c *Cache) ReadAtOnce(ctx context.Context, r *Resource, key string) (a Answer, ok bool) {
	q := c.newQuery(ctx, r, key, nil)
	if a, ok = q.fromMemory(); ok {
		return a, a.Detail == "" && !a.Entry.Large()
	}
	if q.writes.has(key) || r.Degraded() || q.began < c.unvouched.Load() {
		return Answer{}, false
	}
	seen := q.readShared()
	e := seen.entry
	if e != nil && e.Untracked() {
		c.unvouched.Store(q.began + unvouchedFor)
	}
	if seen.err != nil || e == nil || e.Large() || e.Untracked() || r.Degraded() || q.isDue(&seen.result) {
		if seen.plain {
			q.handedOn.note(key)
		}
		return Answer{}, false
	}
	a = q.answerShared(&seen.result)
	c.noticed(r, key, &a, nil)
	return a, true
}

// unvouchedFor is how long nothing is read at once after an answer for which no connection
// vouches: it has a mark, so the next ones would be read for nothing, too. In ns.
const unvouchedFor = int64(5 * time.Second)

// Memory answers from memory alone, without waiting and without asking anybody.
// It is for requests that exceed server.max_in_flight: they get what Look finds, an
// untracked copy while the shared tier is away, or a stale copy, which is marked.
func (c *Cache) Memory(r *Resource, key string, args source.Args) (Answer, bool) {
	return c.newQuery(context.Background(), r, key, args).fromMemoryAlone()
}

func (q *query) fromMemoryAlone() (Answer, bool) {
	if a, ok := q.fromMemory(); ok {
		return a, true
	}
	if q.writes.has(q.key) || q.r.Records == nil && q.tier.Readable(q.key) == nil {
		return Answer{}, false
	}
	return q.stale()
}

// newQuery begins a read on the slow path. It counts the read for the key's rate:
// Look counts those that memory answers.
func (c *Cache) newQuery(ctx context.Context, r *Resource, key string, args source.Args) *query {
	q := &query{Cache: c, ctx: ctx, r: r, key: key, args: args, began: c.store.Now()}
	q.reads = c.store.CountRead(key, q.began)
	return q
}

// run goes through the tiers until there is an answer. first is what the
// shared tier was already seen to hold; nil if it was not asked yet. When no tier
// can answer in time, a stale copy is better than none; it is marked.
func (q *query) run(first *sharedRead) (Answer, error) {
	a, err := q.walk(first)
	return q.orStale(a, err)
}

func (q *query) orStale(a Answer, err error) (Answer, error) {
	if err == nil || q.r.Records == nil || !unanswered(err) {
		return a, err
	}
	if q.wish != nil {
		q.wish.failed = true
	}
	if stale, ok := q.stale(); ok {
		return stale, nil
	}
	if stale, ok := q.passedOver(); ok {
		return stale, nil
	}
	if stale, ok := q.outlived(q.old); ok {
		return stale, nil
	}
	return a, err
}

// walk asks one tier after the other, and begins again whenever a wait is over:
// only a new read of the shared tier tells what the wait has changed.
//
// A key whose write is unconfirmed is read past both tiers. Its guard may be gone,
// and then either tier may hold the record of before.
func (q *query) walk(first *sharedRead) (Answer, error) {
	for {
		if first == nil {
			if a, ok := q.fromMemory(); ok {
				return a, nil
			}
			if a, ok := q.tolerated(); ok {
				return a, nil
			}
		}
		if q.writes.has(q.key) {
			if q.cachedOnly() {
				return Answer{}, ErrNotCached
			}
			if q.r.Records == nil { // a reload has given the key to a resource without a source
				return Answer{}, fmt.Errorf("%w: a write of key %q is not confirmed", ErrUnavailable, q.key)
			}
			return q.pass(false)
		}
		seen := first
		if first = nil; seen == nil {
			seen = q.readShared()
		}
		if errors.Is(seen.err, shared.ErrInterrupted) && !q.interrupted && q.ctx.Err() == nil {
			q.interrupted = true // once: the tier is reached again in a moment, or away
			continue
		}
		a, again, err := q.resolve(seen)
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
	began int64   // clock time of arrival
	reads float64 // of the key in this second, so far

	waited   time.Duration // for somebody else's placeholder, so far
	released int           // how often such a wait has ended
	followed *attempt      // the last one that it has waited for

	interrupted bool // a read of the shared tier broke off

	copied  bool       // memory has a copy, fresh or not
	keeping keeping    // what memory does with the record
	follows bool       // a plain read has met a placeholder: the next read is tracked
	plain   plainRead  // on the wire, led by this reader …
	seen    sharedRead // … and what it has found

	wish     *wish       // what the client demands, see demand.go; nil: nothing
	old      *sharedRead // the copy whose place a load is to take, see meetCopy
	replaced int         // how often one was to be
}

// sharedRead is what one read of the shared tier found, and when it was sent. The
// time decides whether a reader may join what the read has found: see meetLease.
type sharedRead struct {
	result
	sent int64
}

// fromMemory answers from a fresh entry that came since Look was asked, or from an
// untracked one. An untracked copy of a load counts only while the shared tier is
// away: with Redis back, Redis knows better.
func (q *query) fromMemory() (Answer, bool) {
	key := []byte(q.key)
	defer q.Pin(uint32(q.began)).Release()
	v := q.store.Peek(q.r.Shape, key)
	if q.copied = v.Found(); !q.copied {
		return Answer{}, false
	}
	t := time.Now()
	now := q.store.At(t)
	if now >= q.store.FreshUntil(v) || q.store.SleptUnnoticed(t, now) {
		return Answer{}, false
	}
	if v.Untracked() && q.store.IsOwner(q.local, v) && q.tier.Readable(q.key) == nil {
		return Answer{}, false
	}
	if q.wish != nil && !q.wish.meets(q, v, now) {
		return Answer{}, false
	}
	a := q.answer(v.Entry(), TierMemory)
	a.TTL = v.TTL(now)
	if v.Untracked() {
		a.Detail = "untracked"
	}
	if v.RefreshDue(a.TTL) && q.TakeRefresh(q.r, key, v) {
		q.Refresh(q.r, q.key, q.args, a.Entry)
	}
	return a, true
}

func (q *query) answer(e *Entry, t Tier) Answer {
	return Answer{Entry: e, Tier: t, Shared: q.shared}
}

// readShared reads the key once. What memory would not keep it reads plainly. Else it
// joins the flight of the key, leads a new one, or, while a poisoned read is still on the
// wire, reads untracked. A placeholder is read tracked in any case, or nobody would tell
// when it goes.
func (q *query) readShared() *sharedRead {
	if !q.keeps() && !q.follows {
		if q.needsLife() {
			seen := q.getTimed()
			seen.plain = true
			return seen
		}
		if seen := q.readPlain(); seen != nil {
			return seen
		}
	}
	q.follows = false
	f, lead, plain := q.flights.join(q.r, q.key)
	switch {
	case plain:
		return q.getTimed()
	case lead:
		q.lead(q.ctx, []*flight{f})
		return &sharedRead{result: f.result, sent: q.began}
	}
	res := f.wait(q.ctx)
	_, sent := q.flights.boundTo(f)
	return &sharedRead{result: res, sent: sent}
}

// lead reads flights of one resource in one round trip and ends them, whatever happens: readers
// that have joined wait for nothing else.
func (c *Cache) lead(ctx context.Context, flights []*flight) {
	ended := 0
	defer func() {
		for _, f := range flights[ended:] { // a panic must not strand those who wait
			c.flights.finish(f, result{err: fmt.Errorf("%w: read was cut short", ErrUnavailable)}, 0)
		}
	}()
	keys := make([]string, len(flights))
	for i, f := range flights {
		keys[i] = f.key
	}
	verify := c.marks(ctx, flights[0].res, keys)
	for i, got := range c.tier.Track(ctx, keys) {
		res := result{Content: got.Content, err: got.Err}
		if verify != nil {
			res.verified = verify(i, got.Content)
		}
		expiry, flags := c.trust(flights[i], got.TTL)
		if got.State == shared.Value {
			// The read may have begun on a connection that broke, so that its flight is that
			// one's, and ended at a server that has just taken another's place.
			flags |= unreported(&got.Content)
		}
		c.finished(flights[i].res, flights[i].key, &res, flags, true)
		c.flights.finish(flights[i], res, expiry)
		ended++
	}
}

// trust decides until when memory may trust the copy that a flight has brought,
// of which ttl is left in the shared tier (0: no expiry), and how it is marked.
// It counts from the moment at which the read was sent. A connection that has
// not been seen to deliver an invalidation vouches for nothing.
func (c *Cache) trust(f *flight, ttl time.Duration) (expiry int64, flags uint8) {
	o, sent := c.flights.boundTo(f)
	life := c.cfg.Revalidate
	if o != nil && !o.Proven() { // without a connection it is not stored at all
		life, flags = min(life, c.settings.Load().UntrackedTTL), memory.FlagUntracked
	}
	if ttl > 0 {
		life = min(life, ttl)
	}
	return sent + int64(life), flags
}

// finished makes the answer's body, on the reader's own time: the connection
// goes on delivering invalidations meanwhile. What memory is not to keep gets no
// compressed variant.
func (c *Cache) finished(r *Resource, key string, res *result, flags uint8, keep bool) {
	if r.Records != nil {
		flags |= memory.FlagSourced
	}
	switch {
	case res.err != nil:
	case res.State == shared.Value:
		switch res.entry = c.store.Sending(r.Shape, key, res.Data, flags); {
		case res.entry != nil:
		case keep:
			res.entry = c.store.NewKept(r.Shape, key, res.Data, flags)
		default:
			res.entry = c.store.NewAnswer(r.Shape, key, res.Data, flags)
		}
		res.Data = nil // the entry has its own; a large value twice is too much
	case res.State == shared.NoRecord, res.State == shared.Absent && r.Records == nil:
		res.entry = memory.NewEntry(r.Shape, key, nil, flags|memory.FlagMissing)
	}
}

// resolve turns what the shared tier holds into an answer, or says that the key
// has to be read again:
//
//	value, no record    the answer, or the same as malformed; see meetCopy
//	lease               wait for the load, or join it
//	guard               wait for the write, at last pass by it
//	nothing             take the lease and load
//	malformed           the same, by compare-and-set; 502 without a source
//	error               answer without the shared tier
func (q *query) resolve(seen *sharedRead) (a Answer, again bool, err error) {
	q.old = nil
	switch {
	case errors.Is(seen.err, ErrTimeout): // this reader's own, waiting for a flight
		return Answer{}, false, seen.err
	case seen.err != nil && q.ctx.Err() != nil:
		return Answer{}, false, fmt.Errorf("%w: %w", ErrTimeout, seen.err)
	case seen.err != nil:
		a, err = q.withoutShared(seen.err)
		return a, false, err
	case seen.entry != nil:
		return q.meetCopy(seen)
	case q.cachedOnly():
		return Answer{}, false, ErrNotCached
	case seen.plain && seen.IsPlaceholder():
		q.follows = true
		return Answer{}, true, nil
	case seen.State == shared.Lease:
		return q.meetLease(*seen)
	case seen.State == shared.Guard:
		return q.meetGuard(*seen)
	case seen.State == shared.Malformed:
		q.numbers.notJSON.Add(1)
		if q.r.Records == nil {
			return Answer{}, false, fmt.Errorf("%w: key %q", ErrNotJSON, q.key)
		}
		instead := seen.Data
		if instead == nil {
			instead = []byte{}
		}
		return q.loadLeased(instead)
	}
	return q.loadLeased(nil)
}

// fromShared answers with a value of the shared tier.
func (q *query) fromShared(res *result) Answer {
	if q.isDue(res) && q.TakeRefresh(q.r, []byte(q.key), memory.ViewOf(res.entry)) {
		q.Refresh(q.r, q.key, q.args, res.entry)
	}
	return q.answerShared(res)
}

// isDue tells whether a record that memory does not keep is due to be loaded anew, by what the
// shared tier says of its lifetime.
func (q *query) isDue(res *result) bool {
	return !res.stored && res.TTL > 0 && res.TTL < q.r.refreshAhead(res.entry.Missing())
}

func (q *query) answerShared(res *result) Answer {
	a := q.answer(res.entry, q.shared)
	a.TTL, a.Stored, a.absent = res.TTL, res.stored, res.State == shared.Absent
	if res.entry.Untracked() {
		a.Detail = "untracked"
	}
	return a
}

// withoutShared answers while the shared tier cannot be asked, or refuses this key:
// with a stale copy from memory, or with a load that memory keeps for
// memory.untracked_ttl. Both are marked. A copy whose lifetime was over before the
// outage is not used: the source knows better.
func (q *query) withoutShared(cause error) (Answer, error) {
	if q.r.Records != nil && errors.Is(cause, ErrRefused) && q.refusalLog.allow(q.store.Now()) {
		// The reader is answered, so this line is all that tells the operator.
		q.cfg.Log.Error("the shared tier refuses a key; its record is loaded from the source each time", "resource", q.r.Name, "key", q.key, "error", cause)
	}
	living := q.holdsLiving()
	if living || q.cachedOnly() {
		if a, ok := q.stale(); ok {
			return a, nil
		}
	}
	if q.r.Records == nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnavailable, cause)
	}
	if q.wish != nil && (living || q.cachedOnly()) { // others would be answered with that copy
		if err := q.permitted(); err != nil {
			return Answer{}, err
		}
	}
	return q.pass(true)
}
