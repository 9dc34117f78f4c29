package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
	"weak"

	"hearth/cache/gate"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// Copies may live long because a feed reports the changes that others make to a
// resource's records. While the feed is lost since s, with life = Settings.DegradedTTL:
//
//	what is loaded     lives life at most, and a mark stands beside it that tells when, and
//	                   which bytes
//	a copy with a      is what the source had since s, if the mark is of after s and names
//	mark               just these bytes, and the copy has no more than life left
//	any other copy     may be older. Until s + life it is served, and loaded anew once, at a
//	                   moment drawn for each key and instance. Then a load takes its place
//	                   while readers wait
//
// So no answer is older than s + life and one load, unless it is marked stale. What is
// left of a copy's lifetime alone does not tell: an old copy has little left, too, when
// its end comes.
//
// The mark is set before the value that it is for, so that who reads the value finds it.
// Between the two an older value may stand beside it. It counts only if it has the same
// bytes, and then it is what the source had.

// loss says that a resource's feed is lost. It is immutable.
type loss struct {
	until   int64         // clock time until which copies of before are served
	noticed int64         // clock time at which this instance was told
	from    int64         // unix ms of the loss; a mark of before says nothing
	life    time.Duration // of what is loaded meanwhile
}

// losses are the resources whose feed is lost. One that a reload has replaced, and of which
// nobody says that it is over, is not kept for that.
type losses struct {
	sync.Mutex
	since map[weak.Pointer[Resource]]time.Time
	aging map[uint32]*loss // by shape: those whose entries in memory are still to be aged
	walks bool             // somebody is at it
}

// Degrade says that the feed is lost since a time that tells of changes of r's records.
// A second call changes nothing, unless its time is an earlier one. A Resource that a
// reload has made is not degraded: Degrade it before its first use.
func (c *Cache) Degrade(r *Resource, since time.Time) {
	if r.Records == nil {
		return
	}
	c.losses.Lock()
	defer c.losses.Unlock()
	if was, ok := c.losses.since[weak.Make(r)]; ok && !since.Before(was) {
		return
	}
	maps.DeleteFunc(c.losses.since, func(at weak.Pointer[Resource], _ time.Time) bool { return at.Value() == nil })
	c.losses.since[weak.Make(r)] = since
	c.degradeLocked(r, since)
}

// Restore says that the feed tells of changes again, and has told of all that were made
// meanwhile.
func (c *Cache) Restore(r *Resource) {
	c.losses.Lock()
	defer c.losses.Unlock()
	delete(c.losses.since, weak.Make(r))
	delete(c.losses.aging, r.ID())
	r.lost.Store(nil)
}

// Degraded tells whether r lives by the rules for a feed that is lost.
func (r *Resource) Degraded() bool { return r.lost.Load() != nil }

// degradeAgain goes on with another DegradedTTL.
func (c *Cache) degradeAgain() {
	c.losses.Lock()
	defer c.losses.Unlock()
	for at, since := range c.losses.since {
		if r := at.Value(); r != nil {
			c.degradeLocked(r, since)
		}
	}
}

func (c *Cache) degradeLocked(r *Resource, since time.Time) {
	life := c.settings.Load().DegradedTTL
	if life <= 0 {
		r.lost.Store(nil)
		return
	}
	l := &loss{until: c.store.At(since) + int64(life), noticed: c.store.Now(), from: since.UnixMilli(), life: life}
	r.lost.Store(l)
	c.losses.aging[r.ID()] = l
	if !c.losses.walks {
		c.losses.walks = true
		c.running.Go(c.ageAll)
	}
}

// ageAll ages what memory has of the resources that are waiting for it: one goroutine at
// a time does.
func (c *Cache) ageAll() {
	for {
		c.losses.Lock()
		todo := c.losses.aging
		if len(todo) == 0 || c.life.Err() != nil {
			c.losses.walks = false
			c.losses.Unlock()
			return
		}
		c.losses.aging = map[uint32]*loss{}
		c.losses.Unlock()
		// A flight that ended before the loss was noted is in memory after this; one that
		// ends later notes the loss itself. See Flights.finish.
		c.flights.settle()
		c.store.Each(func(v View) bool {
			for id, l := range todo {
				if v.IsOf(id) {
					l.age(v, c.store.Now())
				}
			}
			return c.life.Err() == nil
		})
	}
}

// age has a record in memory loaded anew within the window, and not trusted beyond it.
func (l *loss) age(v View, now int64) {
	if at, ok := l.window(v.SharedExpiry(now), now); ok {
		v.Age(l.until, at)
	}
}

// aged is for how long memory keeps a copy that it gets now, and that may be from before
// the loss.
func (l *loss) aged(life memory.Life, now int64) memory.Life {
	if l == nil {
		return life
	}
	life.Until = min(life.Until, l.until)
	if at, ok := l.window(life.Ends, now); ok {
		life.RefreshAt, life.Aged = min(life.RefreshAt, at), true
	}
	return life
}

// window draws when a copy is to be loaded anew that ends at ends; not ok: it ends by
// itself.
func (l *loss) window(ends, now int64) (at int64, ok bool) {
	switch {
	case ends <= l.until:
		return 0, false
	case now < l.until:
		return now + rand.Int64N(l.until-now), true
	}
	return memory.Never, true
}

// due tells whether a copy that memory does not keep is to be loaded anew by now: no
// entry keeps the moment that was drawn for it, so it follows from the key.
func (l *loss) due(key string, now int64) bool {
	if now >= l.until {
		return true
	}
	const parts = 1 << 20
	window := l.until - l.noticed
	return now >= l.noticed+window/parts*int64(memory.HashKey(key)%parts)
}

// within is a lifetime for what is loaded while the feed is lost.
func (l *loss) within(life time.Duration) time.Duration {
	if l == nil {
		return life
	}
	return min(life, l.life-rand.N(l.life/5+1))
}

// mark is what stands beside a copy that was loaded while its feed was lost.
type mark struct {
	Loaded int64  `json:"loaded"` // unix ms
	SHA256 string `json:"sha256"` // of the record
}

func digestOf(record []byte) string {
	sum := sha256.Sum256(record)
	return hex.EncodeToString(sum[:])
}

// mark notes that the source has just had record, which is about to be put into key. If that
// fails while the feed is lost, the record is loaded once more, later.
func (c *Cache) mark(ctx context.Context, r *Resource, key string, record []byte) {
	c.own.note(key, record)
	l := r.lost.Load()
	if l == nil {
		return
	}
	text, err := json.Marshal(mark{time.Now().UnixMilli(), digestOf(record)})
	if err == nil {
		err = c.tier.SetFor(ctx, shared.MarkOf(key), text, l.life)
	}
	if err != nil {
		c.cfg.Log.Debug("a record that was loaded while the feed is lost was not marked", "resource", r.Name, "error", err)
	}
}

// verify returns l if what was found is known to be what the source had since the loss.
func (l *loss) verify(m mark, found shared.Content) *loss {
	if found.TTL <= 0 || found.TTL > l.life+l.life/10 || m.Loaded < l.from {
		return nil
	}
	record := found.Data
	if found.State == shared.NoRecord {
		record = memory.Null
	}
	if m.SHA256 != digestOf(record) {
		return nil
	}
	return l
}

// marks reads the marks of keys of r, and returns what judges the values that were found
// there meanwhile. nil: the feed is not lost.
func (c *Cache) marks(ctx context.Context, r *Resource, keys []string) func(i int, found shared.Content) *loss {
	l := r.lost.Load()
	if l == nil {
		return nil
	}
	marks := make([]mark, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		all.Go(func() {
			if got, err := c.tier.Get(ctx, shared.MarkOf(key)); err == nil && got.State == shared.Value {
				_ = json.Unmarshal(got.Data, &marks[i]) // what is none verifies nothing
			}
		})
	}
	return func(i int, found shared.Content) *loss {
		all.Wait()
		return l.verify(marks[i], found)
	}
}

// meetCopy answers with a value of the shared tier, unless it may be from before the loss
// of the feed, and its time is over.
func (q *query) meetCopy(seen *sharedRead) (Answer, bool, error) {
	l := q.r.lost.Load()
	if q.wish != nil {
		if met, again := q.wish.meetsShared(q, seen); again {
			return Answer{}, true, nil
		} else if !met {
			return q.supersede(seen)
		}
	}
	switch {
	case l == nil || seen.verified == l:
		return q.fromShared(&seen.result), false, nil
	case seen.untimed: // what is left of its lifetime has to be asked for
		return Answer{}, true, nil
	case q.store.Now() < l.until:
		return q.fromAged(l, &seen.result), false, nil
	}
	if q.cachedOnly() {
		return Answer{}, false, ErrNotCached
	}
	if q.replaced++; q.replaced > 3 { // its bytes are not what they look like, so nothing can be put in their place
		a, err := q.pass(false)
		return a, false, err
	}
	old := *seen // the next read of this query takes its place
	q.old = &old
	return q.loadLeased(seen.bytes())
}

// bytes are those of the value that was seen; its entry has them now.
func (s *sharedRead) bytes() []byte {
	if s.State == shared.NoRecord {
		return s.Content.Bytes()
	}
	return s.entry.Data()
}

// servable tells whether meetCopy would answer with what was seen.
func (q *query) servable(seen *sharedRead) bool {
	l := q.r.lost.Load()
	return l == nil || seen.verified == l || !seen.untimed && q.store.Now() < l.until
}

// fromAged answers with a copy that may be from before the loss, and sees to it that it is
// loaded anew. Memory knows when for those that it keeps.
func (q *query) fromAged(l *loss, res *result) Answer {
	now := q.store.Now()
	if !res.stored && l.due(q.key, now) && res.entry.TakeRefresh(now, now+int64(q.cfg.Lease)) {
		q.refreshInBackground(q.r, q.key, q.args, res.entry, res.TTL != 0 && shared.SiblingOf(q.key) != "")
	}
	return q.fromShared(res)
}

// outlived answers with a copy from before the loss whose time is over, marked, for as
// long as a copy without a connection could be served: its source does not answer.
func (q *query) outlived(old *sharedRead) (Answer, bool) {
	l := q.r.lost.Load()
	if old == nil || l == nil {
		return Answer{}, false
	}
	now := q.store.Now()
	if now-l.until >= int64(q.r.TTL.Stale) {
		return Answer{}, false
	}
	q.numbers.stale.Add(1)
	a := q.answer(old.entry, TierStale)
	a.Detail, a.TTL = "stale", min(time.Duration(l.until-now), -1)
	return a, true
}

// forGood is the lifetime of a copy that had no end when it was found.
const forGood = 100 * 365 * 24 * time.Hour

// failed ends a load that has brought nothing. A copy whose place it has taken is put back
// with what is left of its lifetime. One from before the loss of the feed is answered with:
// nobody can do better.
func (k *leased) failed(ctx context.Context, err error) (Answer, error) {
	if k.old == nil || !unanswered(err) {
		k.release(ctx)
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	// A lifetime that began anew would make the copy look younger than it is.
	ttl := k.old.TTL - time.Duration(k.q.store.Now()-k.old.sent)
	switch {
	case k.old.TTL > 0:
	case k.q.wish != nil:
		ttl = forGood
	default:
		ttl = k.q.lifetime(k.q.r, k.q.key, k.old.entry.Missing())
	}
	if ttl < time.Millisecond {
		k.release(ctx)
	} else if _, fillErr := k.q.tier.Fill(ctx, k.q.key, k.token, k.old.bytes(), ttl); fillErr != nil {
		k.release(ctx)
	}
	k.load.restored = k.q.wish != nil
	if a, ok := k.q.outlived(k.old); ok {
		return a, nil
	}
	return Answer{}, err
}

// replace loads a copy anew that cannot be claimed, because it has no expiry or its key no
// sibling: readers wait meanwhile.
func (c *Cache) replace(r *Resource, key string, args source.Args, e *Entry) (refreshResult, error) {
	g := c.gateOf(r)
	if !g.TryEnter() {
		return refreshSkipped, nil
	}
	q := &query{Cache: c, ctx: c.life, r: r, key: key, args: args, began: c.store.Now(), old: &sharedRead{result: result{entry: e}}}
	got, seen := q.acquire(e.Data())
	if got == nil {
		g.Leave(gate.ErrNotAsked)
		return refreshSkipped, seen.err
	}
	c.loadAndFill(g, []*leased{got})
	switch a, err := got.wait(); {
	case err != nil, a.Tier == TierStale:
		return refreshFailed, err
	case !a.Stored:
		return refreshSuperseded, nil
	}
	return refreshStored, nil
}

// unanswered tells of an error that it says nothing about the record.
func unanswered(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverload) || errors.Is(err, ErrTimeout)
}
