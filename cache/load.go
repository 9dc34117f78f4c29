package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/gate"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// load is one load that other readers in this process may wait for: under a lease,
// or past the tiers (pass.go). answer and err are set before done is closed.
type load struct {
	key    string
	res    *Resource
	done   chan struct{}
	answer Answer
	err    error
	// restored says that it was for a demand, and that the copy whose place it took was put
	// back: others read that.
	restored bool

	asked atomic.Int64 // clock time at which the source was asked, 0: it was not yet
}

// result is what the load has brought to a reader that has waited for it. again
// tells the reader to start over: the load ended without an answer, or the reader
// that led it ran out of its own time, which says nothing about the record.
func (l *load) result(ctx context.Context) (a Answer, again bool, err error) {
	if l.answer.Entry == nil && (l.err == nil || errors.Is(l.err, ErrTimeout) && ctx.Err() == nil) {
		return Answer{}, true, nil
	}
	return l.answer, false, l.err
}

// loadOf returns the load that runs here under token, if a reader of r may
// join it.
func (s *Flights) loadOf(r *Resource, key, token string) *load {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l := sh.loads[token]; l != nil && l.res == r {
		return l
	}
	return nil
}

// loadSince returns a load of key that runs here and has asked the source since a clock time,
// or has not asked yet, if a reader of r may join it.
func (s *Flights) loadSince(r *Resource, key string, since int64) *load {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, l := range sh.loads {
		if asked := l.asked.Load(); l.key == key && l.res == r && (asked == 0 || asked >= since) {
			return l
		}
	}
	return nil
}

// announce makes the load joinable. Writes of this process to its key end that
// (see Changed), and so does the end of the load.
func (s *Flights) announce(token string, l *load) {
	sh := s.shard(l.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.loads == nil {
		sh.loads = map[string]*load{}
	}
	sh.loads[token] = l
}

// conclude ends a load, with its answer or with why there is none.
func (s *Flights) conclude(token string, l *load, a Answer, err error) {
	sh := s.shard(l.key)
	sh.mu.Lock()
	delete(sh.loads, token)
	sh.mu.Unlock()
	l.answer, l.err = a, err
	close(l.done)
}

// attempt is one try, in this process, to get the lease of a key. Without it a
// thousand readers of one cold key would each ask Redis for the lease that only one
// of them can get. It lasts until the lease is taken, here or elsewhere. The other
// readers then read the key again, and may join the load only after they have seen
// its token there (see meetLease). They may share a failure at once: it began after
// they came, and a failure is never out of date.
type attempt struct {
	res  *Resource     // for which it is: after a reload the same key may have another source
	over chan struct{} // closed when the others are set
	load *load         // nil if it got no lease
	err  error         // why it did not even ask for one
}

// failure is why a reader that has waited for the attempt need not try the same
// again; nil if it may succeed where the attempt did not.
func (t *attempt) failure() error {
	err := t.err
	if t.load != nil {
		select {
		case <-t.load.done:
			err = t.load.err
		default:
		}
	}
	if errors.Is(err, ErrTimeout) { // of the one who tried
		return nil
	}
	return err
}

// try returns the attempt at key that is under way, or makes one that is the
// caller's to end.
func (s *Flights) try(r *Resource, key string) (t *attempt, mine bool) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if t := sh.attempts[key]; t != nil {
		return t, false
	}
	if sh.attempts == nil {
		sh.attempts = map[string]*attempt{}
	}
	t = &attempt{res: r, over: make(chan struct{})}
	sh.attempts[key] = t
	return t, true
}

// tried ends an attempt: with the load that has begun, or why none has.
func (s *Flights) tried(key string, t *attempt, got *leased, err error) {
	if t.err = err; got != nil {
		t.load = got.load
	}
	sh := s.shard(key)
	sh.mu.Lock()
	delete(sh.attempts, key)
	sh.mu.Unlock()
	close(t.over)
}

// leased is a key whose lease this process has just taken.
type leased struct {
	q     *query
	token string
	load  *load
	old   *sharedRead // whose place the lease has taken: a copy from before the loss of the feed; see meetCopy
}

// loadLeased takes the lease of the key and loads its record. instead is nil for a
// key that is empty, else the bytes that the lease shall replace: what is malformed,
// or a placeholder that somebody's PERSIST has left. When something else stands there
// by now, that is resolved.
func (q *query) loadLeased(instead []byte) (a Answer, again bool, err error) {
	if q.r.Records == nil {
		return Answer{}, false, fmt.Errorf("%w: placeholder in key %q of a resource without a source", ErrUnavailable, q.key)
	}
	g := q.gateOf(q.r)
	if err := g.Check(); err != nil {
		q.numbers.refused(q.r)
		return Answer{}, false, err
	}
	if q.flights.unshared.has(q.key, q.store.Now()) {
		return q.alone()
	}
	if t := q.followed; t != nil && t.res == q.r {
		if err := t.failure(); err != nil {
			return Answer{}, false, err
		}
	}
	q.followed = nil
	t, mine := q.flights.try(q.r, q.key)
	if !mine {
		return q.follow(t)
	}
	got, seen, err := q.takeLease(g, instead)
	q.flights.tried(q.key, t, got, err)
	switch {
	case err != nil:
		return Answer{}, false, err
	case got == nil && seen.err != nil:
		a, err = q.withoutShared(seen.err)
		return a, false, err
	case got == nil && seen.State == shared.Malformed:
		return q.wait(seen)
	case got == nil:
		return q.resolve(&seen)
	}
	// On its own goroutine: it goes on when its reader is out of time, because
	// others wait for it.
	q.running.Go(func() { q.loadAndFill(g, []*leased{got}) })
	a, err = got.wait()
	return a, false, err
}

// follow waits for another reader's attempt, and says to read again.
func (q *query) follow(t *attempt) (Answer, bool, error) {
	a, again, err := q.await(t.over, q.settings.Load().Wait)
	select {
	case <-t.over:
		q.followed = t
	default:
	}
	return a, again, err
}

// wait returns what the load has brought.
func (k *leased) wait() (Answer, error) {
	select {
	case <-k.load.done:
		return k.load.answer, k.load.err
	case <-k.q.ctx.Done():
		return Answer{}, fmt.Errorf("%w: loading from the source", ErrTimeout)
	}
}

// takeLease enters the gate and takes the lease, in this order: a load that waits for
// a place holds no lease, so it holds up no other instance. Without a lease it has
// left the gate, and seen is what stands in the key, or why the key could not be
// asked. err is the gate's refusal.
func (q *query) takeLease(g *gate.Gate, instead []byte) (got *leased, seen sharedRead, err error) {
	if err := q.pause(); err != nil {
		return nil, seen, err
	}
	if err := g.Enter(q.ctx); err != nil {
		q.numbers.refused(q.r)
		return nil, seen, err
	}
	if got, seen = q.acquire(instead); got == nil {
		g.Leave(gate.ErrNotAsked)
	}
	return got, seen, nil
}

// pause spreads readers that the end of one load has released, one in each process,
// and that found nothing: the load has failed, or a write has voided its lease. They
// would all ask for the next lease in the same moment.
func (q *query) pause() error {
	if q.released == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(min(5*time.Millisecond<<min(q.released, 5), q.settings.Load().Wait/20)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-q.ctx.Done():
		return fmt.Errorf("%w: waiting to load", ErrTimeout)
	}
}

// acquire asks for the lease. Without it, seen says what else stands in the key.
func (q *query) acquire(instead []byte) (got *leased, seen sharedRead) {
	token := shared.NewToken()
	// Announced before the token stands in Redis: a reader that sees the token there
	// must find the load here, or it would wait for an invalidation instead.
	l := &load{key: q.key, res: q.r, done: make(chan struct{})}
	q.flights.announce(token, l)
	began := q.store.Now()
	found, err := q.tier.Acquire(q.ctx, q.key, token, instead)
	if err == nil && found.State == shared.Absent {
		return &leased{q: q, token: token, load: l, old: q.old}, sharedRead{}
	}
	q.flights.conclude(token, l, Answer{}, nil)
	if err != nil {
		return nil, sharedRead{result: result{err: err}}
	}
	// What SET NX found was not read tracked: answered, never kept.
	if found.IsPlaceholder() && found.TTL == 0 {
		found.TTL = q.cfg.Lease // SET does not tell; without expiry it is to whom a GET says so
	}
	seen = sharedRead{result: result{Content: found, untimed: true}, sent: began}
	q.finished(q.r, q.key, &seen.result, 0, false)
	return nil, seen
}

// loadAndFill loads the keys of one resource with one call of the source, and stores
// each record whose lease still stands. It leaves the gate. It runs on a goroutine
// of its own, which Cache.Close joins: other readers wait for it when its own reader
// is out of time.
func (c *Cache) loadAndFill(g *gate.Gate, group []*leased) {
	cut := fmt.Errorf("%w: load was cut short", ErrUnavailable)
	open := group
	defer func() { // a panic must not strand those who wait
		for _, k := range open {
			c.flights.conclude(k.token, k.load, Answer{}, cut)
		}
	}()
	// Nobody waits for a load past its lease. It outlives the request that leads
	// it, of which it keeps the name alone.
	ctx, cancel := context.WithTimeout(source.CallerOf(group[0].q.ctx).In(c.life), c.cfg.Lease*9/10)
	defer cancel()
	r, args := group[0].q.r, make([]source.Args, len(group))
	for i, k := range group {
		args[i] = k.q.args
		k.load.asked.Store(c.store.Now())
	}
	got, err := c.ask(ctx, g, r, group[0].q.key, args)
	for _, m := range group[1:] { // ask has counted the first
		c.noticedLoad(r, m.q.key)
	}
	open = nil
	var all sync.WaitGroup
	for i, k := range group[1:] { // side by side, so that the connection carries them in one piece
		all.Go(func() { k.complete(ctx, got, i+1, errorOf(err, i+1)) })
	}
	group[0].complete(ctx, got, 0, errorOf(err, 0))
	all.Wait()
}

// complete stores the record, or gives the lease back, and tells those that wait.
// Fill is a compare-and-set: any write since the lease was taken has removed the
// token, and then the record is answered and not stored (promise C5).
func (k *leased) complete(ctx context.Context, got loaded, at int, err error) {
	q, a := k.q, Answer{}
	defer func() { q.flights.conclude(k.token, k.load, a, err) }()
	if err != nil {
		a, err = k.failed(ctx, err)
		return
	}
	a = q.answerOf(got, at)
	e := a.Entry
	// Served, not written: what may not be shared, and absent ids, which must not flood
	// the shared tier. The others need not wait for the lease to expire.
	if a.unshared() || e.Missing() && !q.missing.allow(q.store.Now()) {
		k.release(ctx)
		return
	}
	q.mark(ctx, q.r, q.key, e.Data())
	generation := q.tier.Generation().Number
	stored, fillErr := q.tier.Fill(ctx, q.key, k.token, e.Data(), got.term.Within(q.lifetime(q.r, q.key, e.Missing())))
	if a.Stored = stored; stored {
		q.loadTimes.note(q.key, loadTime{asked: a.asked, stored: q.store.Now(), generation: generation})
	}
	if fillErr == nil {
		return
	}
	q.cfg.Log.Warn("a loaded record was not stored", "resource", q.r.Name, "error", fillErr)
	if !errors.Is(fillErr, shared.ErrAway) {
		k.release(ctx) // refused: the lease would stand until it expires, and all readers wait for nothing
	}
}

// release gives the lease back, so that readers need not wait for its expiry.
func (k *leased) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := k.q.tier.Release(ctx, k.q.key, k.token); err != nil {
		k.q.cfg.Log.Debug("a lease was left to expire", "resource", k.q.r.Name, "error", err)
	}
}

// entryOf makes the entry of a loaded record; record is nil for a missing one. It is
// answered and not kept: memory keeps only what a tracked read has brought.
func (q *query) entryOf(record []byte) *Entry {
	if record == nil {
		return memory.NewEntry(q.r.Shape, q.key, nil, memory.FlagMissing)
	}
	if e := q.store.Sending(q.r.Shape, q.key, record, 0); e != nil {
		return e
	}
	e := q.store.NewAnswer(q.r.Shape, q.key, record, 0)
	q.store.NoteSize(e, e.Length() <= q.store.MaxValue())
	return e
}

// otherName tells that the source has answered, and that a row which was found goes
// by another name: nothing of it may be kept under the one asked for.
func otherName(err error) bool {
	var one *source.SpellingError
	var several source.SpellingErrors
	return errors.As(err, &one) || errors.As(err, &several)
}

// errorOf is what an error of several loads says of one of them.
func errorOf(err error, i int) error {
	var several source.SpellingErrors
	if !errors.As(err, &several) {
		return err
	}
	if one := several[i]; one != nil {
		return one
	}
	return nil
}

// fetch calls the source. A panic in it is this load's failure and nobody
// else's: others wait for its end, and the goroutine may have no other guard.
func fetch(ctx context.Context, r *Resource, args []source.Args, known []byte) (got loaded, err error) {
	defer func() {
		if p := recover(); p != nil {
			got, err = loaded{}, fmt.Errorf("panic in the source: %v\n%s", p, debug.Stack())
		}
	}()
	if len(args) > 1 {
		got.records, err = r.Records.(source.ManyRecords).LoadMany(ctx, args)
		return got, err
	}
	var record []byte
	if termed, ok := r.Records.(source.Termed); ok {
		record, got.term, err = termed.LoadTermed(ctx, args[0], known)
	} else {
		record, err = r.Records.Load(ctx, args[0])
	}
	if errors.Is(err, source.ErrNoRecord) {
		record, err = nil, nil
	}
	if err != nil {
		return loaded{}, err
	}
	got.records, got.unchanged = [][]byte{record}, sameBytes(record, known)
	return got, nil
}
