package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// load is one load under a lease that others in this process may wait for.
type load struct {
	key    string
	res    *Resource
	done   chan struct{}
	answer Answer
	err    error
}

func (l *load) wait(ctx context.Context) (Answer, bool, error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		return Answer{}, false, ErrTimeout
	}
	if l.answer.Entry == nil && (l.err == nil || errors.Is(l.err, ErrTimeout) && ctx.Err() == nil) {
		return Answer{}, true, nil // it ended without an answer, or only its own reader was out of time
	}
	return l.answer, false, l.err
}

// loadOf returns the load that runs here under token, if a reader of r may
// join it.
func (s *store) loadOf(r *Resource, key, token string) *load {
	sh := s.flightShard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l := sh.loads[token]; l != nil && l.res == r {
		return l
	}
	return nil
}

// announce makes the load joinable; own writes to its key end that (see
// changed), and so does its own end.
func (s *store) announce(token string, l *load) {
	sh := s.flightShard(l.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.loads == nil {
		sh.loads = map[string]*load{}
	}
	sh.loads[token] = l
}

func (s *store) conclude(token string, l *load, a Answer, err error) {
	sh := s.flightShard(l.key)
	sh.mu.Lock()
	delete(sh.loads, token)
	sh.mu.Unlock()
	l.answer, l.err = a, err
	close(l.done)
}

// loadLeased takes the lease on the key and loads it. instead is nil for a key
// that is empty, else the bytes that the lease shall replace. Finding
// something else there, it settles that.
func (q *query) loadLeased(instead []byte) (a Answer, again bool, err error) {
	if q.r.Records == nil {
		return Answer{}, false, fmt.Errorf("%w: placeholder in key %q of a resource without a source", ErrUnavailable, q.key)
	}
	token := newToken()
	// Announced before it stands in Redis: whoever sees the token may join.
	l := &load{key: q.key, res: q.r, done: make(chan struct{})}
	q.store.announce(token, l)
	began := q.store.now()
	found, err := q.tier.acquire(q.ctx, q.key, token, instead)
	if err == nil && found.kind == kindNone {
		// On its own goroutine: it goes on when its reader is out of time,
		// because others wait for it.
		q.running.Go(func() { q.loadAndFill(token, l) })
		select {
		case <-l.done:
			return l.answer, false, l.err
		case <-q.ctx.Done():
			return Answer{}, false, fmt.Errorf("%w: loading from the source", ErrTimeout)
		}
	}
	q.store.conclude(token, l, Answer{}, nil)
	if err != nil {
		a, err = q.withoutShared(err)
		return a, false, err
	}
	// What SET NX found was not read tracked: answered, never kept.
	if found.isPlaceholder() && found.ttl == 0 {
		found.ttl = q.cfg.Lease // SET does not tell; without expiry it is to whom a GET says so
	}
	seen := sighting{result: result{reply: found}, sent: began}
	q.finished(q.r, q.key, &seen.result, 0)
	if found.kind == kindBad {
		return q.wait(seen)
	}
	return q.settle(seen)
}

// loadAndFill runs the load and stores the record if the lease still stands.
func (q *query) loadAndFill(token string, l *load) {
	a, err := Answer{}, fmt.Errorf("%w: load was cut short", ErrUnavailable)
	defer func() { q.store.conclude(token, l, a, err) }()
	// Nobody waits for a load past its lease.
	ctx, cancel := context.WithTimeout(q.life, q.cfg.Lease*9/10)
	defer cancel()
	var e *Entry
	if e, err = q.load(ctx); err != nil {
		q.release(ctx, token)
		if stale, ok := q.stale(); ok {
			a, err = stale, nil
		}
		return
	}
	a = q.loaded(e)
	if e.Missing() && !q.missing.allow(q.store.now()) {
		q.release(ctx, token) // served, not written: absent ids must not flood the shared tier
		return
	}
	var fillErr error
	if a.Stored, fillErr = q.tier.fill(ctx, q.key, token, e.Data(), q.lifetime(q.r, q.key, e.Missing())); fillErr != nil {
		q.cfg.Log.Warn("a loaded record was not stored", "resource", q.r.Name, "error", fillErr)
	}
}

func (q *query) release(ctx context.Context, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := q.tier.release(ctx, q.key, token); err != nil {
		q.cfg.Log.Debug("a lease was left to expire", "resource", q.r.Name, "error", err)
	}
}

func (q *query) loaded(e *Entry) Answer {
	a := q.answer(e, TierSource)
	a.FromDB = true
	return a
}

// load asks the source, one of at most load.max_concurrent at a time.
func (q *query) load(ctx context.Context) (*Entry, error) {
	if err := q.slot(ctx); err != nil {
		return nil, err
	}
	defer func() { <-q.slots }()
	data, err := q.fetch(ctx)
	q.numbers.loaded(q.r, err)
	switch {
	case missed(err):
		return newEntry(q.r, q.key, nil, flagMissing), nil
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%w: loading from the source: %w", ErrTimeout, err)
	case err != nil:
		return nil, fmt.Errorf("%w: loading from the source: %w", ErrUnavailable, err)
	}
	return newEntry(q.r, q.key, data, 0), nil
}

// fetch calls the source. A panic in it is this load's failure and nobody
// else's: others wait for its end, and the goroutine may have no other guard.
func (q *query) fetch(ctx context.Context) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the source: %v\n%s", p, debug.Stack())
		}
	}()
	return q.r.Records.Load(ctx, q.args)
}

// queuePerSlot bounds how many loads may wait for each running one.
const queuePerSlot = 16

// slot takes the right to load, waiting load.wait at most.
func (q *query) slot(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	if q.queued.Add(1) > int64(queuePerSlot*cap(q.slots)) {
		q.queued.Add(-1)
		return fmt.Errorf("%w: %d loads wait already (load.max_concurrent = %d)", ErrOverload, queuePerSlot*cap(q.slots), cap(q.slots))
	}
	defer q.queued.Add(-1)
	timer := time.NewTimer(q.cfg.Wait)
	defer timer.Stop()
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: no load finished within load.wait", ErrOverload)
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting to load", ErrTimeout)
	}
}

// pastLine is the queue of one key's loads that no lease covers: one runs,
// one forms. A reader may join only the one that has not begun, because what
// the running one has read may be older than this reader's request.
type pastLine struct{ running, forming *load }

// pastKey names a line. Answers have a resource's shape, so resources do not share one.
type pastKey struct {
	resource uint32
	key      string
}

func (q *query) pastKey() pastKey { return pastKey{q.r.id, q.key} }

// loadPast loads without a lease and stores nothing in the shared tier: past
// a guard, while a write is unconfirmed, or (untracked) with the shared tier
// away; then memory keeps the answer for memory.untracked_ttl.
func (q *query) loadPast(untracked bool) (Answer, error) {
	l, mine, before := q.joinPast()
	if !mine {
		a, again, err := l.wait(q.ctx)
		if again {
			return q.loadPast(untracked)
		}
		return a, err
	}
	a, err := Answer{}, fmt.Errorf("%w: load was cut short", ErrUnavailable)
	defer func() { q.endPast(l, a, err) }()
	if before != nil {
		if _, _, waitErr := before.wait(q.ctx); errors.Is(waitErr, ErrTimeout) && q.ctx.Err() != nil {
			err = waitErr
			return a, err
		}
	}
	q.beginPast(l)
	var e *Entry
	if e, err = q.load(q.ctx); err != nil {
		if stale, ok := q.stale(); ok {
			a, err = stale, nil
		}
		return a, err
	}
	a = q.loaded(e)
	if untracked {
		a.Detail = "untracked"
		a.Stored = q.keepUntracked(e)
	}
	return a, nil
}

func (q *query) joinPast() (l *load, mine bool, before *load) {
	q.past.Lock()
	defer q.past.Unlock()
	line := q.past.lines[q.pastKey()]
	if line == nil {
		line = &pastLine{}
		q.past.lines[q.pastKey()] = line
	}
	if line.forming != nil {
		return line.forming, false, nil
	}
	line.forming = &load{key: q.key, res: q.r, done: make(chan struct{})}
	return line.forming, true, line.running
}

// beginPast closes the batch: from here on readers form the next one.
func (q *query) beginPast(l *load) {
	q.past.Lock()
	defer q.past.Unlock()
	line := q.past.lines[q.pastKey()]
	line.running, line.forming = l, nil
}

func (q *query) endPast(l *load, a Answer, err error) {
	q.past.Lock()
	line := q.past.lines[q.pastKey()]
	if line.running == l {
		line.running = nil
	}
	if line.forming == l { // ended before it began
		line.forming = nil
	}
	if line.running == nil && line.forming == nil {
		delete(q.past.lines, q.pastKey())
	}
	q.past.Unlock()
	l.answer, l.err = a, err
	close(l.done)
}

// keepUntracked keeps a loaded record for a moment: nobody will report a
// change, so it is marked in every answer.
func (q *query) keepUntracked(e *Entry) bool {
	if q.cfg.UntrackedTTL <= 0 || q.tier.up() == nil {
		return false
	}
	var data []byte
	flags := uint8(flagUntracked)
	if e.Missing() {
		flags |= flagMissing
	} else {
		data = e.Data()
	}
	kept := newEntry(q.r, q.key, data, flags)
	sh := q.store.flightShard(q.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := q.store.find(q.r, []byte(q.key)); old != nil && q.store.now() < q.store.staleUntil(old, q.r.TTL.Stale) && old.flags&flagUntracked == 0 {
		return false
	}
	return q.store.keep(kept, q.local, 0, q.store.now()+int64(q.cfg.UntrackedTTL))
}
