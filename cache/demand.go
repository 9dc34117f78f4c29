package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"hearth/cache/memory"
	"hearth/internal/source"
)

// Demand is what a client asks of an answer's freshness (RFC 9111, 5.2.1), beyond what every
// reader gets. The zero Demand asks nothing. Durations are counted at the request's arrival.
type Demand struct {
	Aged         bool          // MaxAge holds; no-cache is Aged with a MaxAge of 0
	MaxAge       time.Duration // the record was had from its source no longer ago than this
	MinFresh     time.Duration // what has to be left of the record's lifetime; 0: nothing
	MaxStale     time.Duration // how far beyond its lifetime a copy may be, marked stale; 0: not at all; negative: by any time
	OnlyIfCached bool          // answer from a tier or not at all: no load (ErrNotCached)
	// Since is the clock time of this instance (see Cache.SinceOf) before which the shared
	// tier must not have been read for the answer; 0: any time. A write whose version the
	// client sends was over by then.
	Since int64
	// Allow is asked once, before the demand causes work that a reader without one would not
	// cause: false ends the read with ErrNotAllowed. nil: always. It must not wait.
	Allow func() bool
}

// Errors of reads with a Demand.
var (
	ErrNotCached  = errors.New("no tier has a copy that meets the demand")
	ErrNotAllowed = errors.New("more reads demand fresh answers than may")
)

// ReadFresh is Read, and memory, for a client with a demand.
//
//   - Aged: a copy counts if it is known to be young enough, by the rules of copyage.go. What is
//     not takes no part: a load is joined only if it began late enough, and else a new one takes
//     the copy's place, under a lease that replaces exactly its bytes. Should it fail, the copy
//     is put back, so that others miss nothing.
//   - MinFresh: what has too little left is loaded anew, once. A load meets it in any case.
//   - Since: only a read of the shared tier that was sent since then counts, in memory as on its
//     way. It causes no load where the shared tier has the record.
//   - Resources without a source are never loaded: the shared tier is their source.
func (c *Cache) ReadFresh(ctx context.Context, r *Resource, key string, args source.Args, d Demand) (Answer, error) {
	q := c.newQuery(ctx, r, key, args)
	q.wish = newWish(d, q.began)
	a, err := q.run(nil)
	if err == nil {
		a, err = q.granted(a)
	}
	c.noticed(r, key, &a, err)
	return a, err
}

// wish is the Demand of one read on its way.
type wish struct {
	Demand
	since   int64 // the clock time from which on the record must have been had, if Aged
	allowed bool  // Allow was asked
	failed  bool  // what was demanded cannot be had any more

	born int64 // since when the record is known to be what it is, of the copy that was judged last

	overMemory, overShared bool // a copy there was passed over
	judged                 bool // the stale copy that is answered
}

// unborn is the birth of a copy of which nobody knows how old it is.
const unborn = math.MinInt64 / 2

func newWish(d Demand, began int64) *wish {
	w := &wish{Demand: d, since: unborn, born: unborn}
	if d.Aged {
		w.since = max(unborn, began-int64(max(d.MaxAge, 0)))
	}
	return w
}

// cachedOnly tells that no load may be caused, nor waited for.
func (q *query) cachedOnly() bool {
	return q.wish != nil && q.wish.OnlyIfCached && q.r.Records != nil
}

// needsLife tells that what is left of a copy's lifetime has to be known.
func (q *query) needsLife() bool { return q.wish != nil && (q.wish.Aged || q.wish.MinFresh > 0) }

// permitted asks once whether the demand may cause work.
func (q *query) permitted() error {
	if q.cachedOnly() {
		return ErrNotCached
	}
	w := q.wish
	if !w.allowed && w.Allow != nil && !w.Allow() {
		return ErrNotAllowed
	}
	w.allowed = true
	return nil
}

// meets tells whether what memory has, and would answer with, meets the demand.
func (w *wish) meets(q *query, v View, now int64) bool {
	w.born = q.bornOf(v, now)
	met := (w.Since == 0 || q.readAt(v, now) >= w.Since) && (!w.Aged || w.born >= w.since) && v.TTL(now) >= w.MinFresh
	w.overMemory = w.overMemory || !met
	return met
}

// meetsShared is the same of what a read of the shared tier has found. again says that
// another read has to tell. What is loaded meanwhile has the lifetime that it has.
func (w *wish) meetsShared(q *query, seen *sharedRead) (met, again bool) {
	sent := seen.sent
	if seen.plain { // it is joined only before it is sent
		sent = max(sent, q.began)
	}
	switch {
	case sent < w.Since:
		return false, true
	case q.r.Records == nil:
		w.born = sent
		return sent >= w.since, sent < w.since
	case q.needsLife() && seen.untimed:
		return false, true
	}
	w.born = q.bornOfShared(seen)
	if w.Aged && w.born < w.since {
		return false, w.born > unborn && q.askedFor(memory.Never) >= w.since // a load has ended meanwhile
	}
	return seen.TTL == 0 || seen.TTL >= w.MinFresh || w.born >= q.began, false
}

// supersede loads a copy anew that does not meet the demand, in its place.
func (q *query) supersede(seen *sharedRead) (Answer, bool, error) {
	q.wish.overShared = true
	if l := q.flights.loadSince(q.r, q.key, q.began); l != nil {
		return q.join(l)
	}
	if err := q.permitted(); err != nil {
		return Answer{}, false, err
	}
	if q.replaced++; q.replaced > 3 { // others are faster each time
		a, err := q.pass(false)
		return a, false, err
	}
	old := *seen
	q.old = &old
	return q.loadLeased(seen.bytes())
}

// mayJoin tells whether the reader may have what l brings: a load that has begun long enough
// after the demand, or has not begun yet.
func (q *query) mayJoin(l *load) bool {
	if q.wish == nil || !q.wish.Aged {
		return true
	}
	asked := l.asked.Load()
	return asked == 0 || asked >= q.wish.since
}

// bears tells whether a copy that nobody vouches for may be answered, marked, as far as the
// demand goes: it is no younger for being all there is.
func (w *wish) bears(q *query, v View, now int64) bool {
	w.born = q.bornOf(v, now)
	w.judged = (w.Since == 0 || q.readAt(v, now) >= w.Since) && (!w.Aged || w.born >= w.since || w.failed && w.MaxStale != 0 && w.within(q.staleFor(v, now)))
	return w.judged
}

// within tells whether a copy that is so far beyond its lifetime may be answered.
func (w *wish) within(beyond time.Duration) bool { return w.MaxStale < 0 || beyond <= w.MaxStale }

// tolerated answers with a stale copy although others could be asked: the client says that
// it may be.
func (q *query) tolerated() (Answer, bool) {
	w := q.wish
	if w == nil || w.MaxStale == 0 || w.MinFresh > 0 || q.writes.has(q.key) {
		return Answer{}, false
	}
	return q.staleIf(func(v View, now int64) bool { return !v.Untracked() && w.within(q.staleFor(v, now)) })
}

// passedOver answers, marked, with the copy in the shared tier that was too old for the demand:
// no load has brought another, and the client takes what is stale.
func (q *query) passedOver() (Answer, bool) {
	w := q.wish
	if w == nil || w.MaxStale == 0 || !w.Aged || q.writes.has(q.key) || q.r.Degraded() {
		return Answer{}, false
	}
	seen := q.getTimed()
	if seen.err != nil || seen.entry == nil || seen.sent < w.Since {
		return Answer{}, false
	}
	q.numbers.stale.Add(1)
	w.born, w.judged = q.bornOfShared(seen), true
	a := q.answer(seen.entry, TierStale)
	a.Detail, a.TTL = "stale", -1
	return a, true
}

// granted looks at an answer before the client gets it.
func (q *query) granted(a Answer) (Answer, error) {
	w := q.wish
	a.overMemory, a.overShared = w.overMemory, w.overShared
	switch {
	case a.FromDB:
		if w.Aged {
			q.flights.overtake(q.key, a.Entry, a.asked, int64(q.cfg.Revalidate))
		}
	case a.Tier == TierStale && !w.judged && (w.Since > 0 || w.Aged && w.MaxStale == 0):
		return Answer{}, fmt.Errorf("%w: nothing but a stale copy is left, which does not meet the demand", ErrUnavailable)
	case w.born > unborn:
		a.Age = max(time.Duration(q.store.Now()-w.born), 1)
	}
	return a, nil
}
