package cache

import "time"

// holdsLiving tells whether memory has a tracked copy whose lifetime is not over.
func (q *query) holdsLiving() bool {
	now := q.store.Now()
	defer q.Pin(uint32(now)).Release()
	v := q.store.Peek(q.r.Shape, []byte(q.key))
	return v.Found() && !v.Untracked() && now < v.SharedExpiry(now)
}

// stale answers with an entry that no connection vouches for any more, for at most
// ttl.stale after its connection last did. An entry that an invalidation has removed
// is not there to be found, so a copy known to be old is never served. Nor is a record
// without a source whose own lifetime is over: it is no record any more.
func (q *query) stale() (Answer, bool) {
	return q.staleIf(func(View, int64) bool { return true })
}

// staleIf is stale for what also suits.
func (q *query) staleIf(suits func(v View, now int64) bool) (Answer, bool) {
	now := q.store.Now()
	defer q.Pin(uint32(now)).Release()
	v := q.store.Peek(q.r.Shape, []byte(q.key))
	if !v.Found() || now >= q.store.StaleUntil(v, q.r.TTL.Stale) || q.r.Records == nil && now >= v.SharedExpiry(now) {
		return Answer{}, false
	}
	if !suits(v, now) || q.wish != nil && !q.wish.bears(q, v, now) {
		return Answer{}, false
	}
	q.numbers.stale.Add(1)
	a := q.answer(v.Entry(), TierStale)
	a.Detail = "stale"
	a.TTL = min(time.Duration(q.store.FreshUntil(v)-now), -1)
	return a, true
}

// staleFor is for how long nobody has vouched for a copy that may be served stale.
func (q *query) staleFor(v View, now int64) time.Duration {
	return time.Duration(now - q.store.StaleUntil(v, 0))
}
