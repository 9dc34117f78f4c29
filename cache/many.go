package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"hearth/cache/gate"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// ReadMany reads several keys of r, the slow path of a many-read. Answers come in the
// order asked, and a key asked twice is read once. All that memory lacks is read from
// the shared tier in one round trip, and what that lacks, too, with one call of the
// source where the source takes many. One failure fails all, as one request has one
// status.
func (c *Cache) ReadMany(ctx context.Context, r *Resource, keys []string, args []source.Args) ([]Answer, error) {
	m := many{Cache: c, answers: make([]Answer, len(keys)), first: make(map[string]int, len(keys))}
	for i, key := range keys {
		if _, twice := m.first[key]; !twice {
			m.first[key] = i
			m.add(i, c.newQuery(ctx, r, key, args[i]))
		}
	}
	m.readLed(ctx)
	if err := m.answerMisses(); err != nil {
		return nil, err
	}
	for i, key := range keys {
		if m.answers[i] = m.answers[m.first[key]]; m.first[key] == i {
			c.noticed(r, key, &m.answers[i], nil)
		}
	}
	return m.answers, nil
}

// MemoryMany answers from memory alone, without waiting and without asking anybody,
// if memory has an answer for every key. Otherwise ok is false, and nothing has
// happened. stale also takes the copies that Memory takes.
func (c *Cache) MemoryMany(r *Resource, keys []string, args []source.Args, stale bool) (answers []Answer, ok bool) {
	answers = make([]Answer, len(keys))
	for i, key := range keys {
		q := query{Cache: c, r: r, key: key, args: args[i]}
		if answers[i], ok = q.fromMemory(); !ok && stale {
			answers[i], ok = q.fromMemoryAlone()
		}
		if !ok {
			return nil, false
		}
	}
	now := c.store.Now()
	for i, key := range keys { // only now: who goes on to ReadMany is counted there
		c.store.CountRead(key, now)
		c.sampleHit(r, &answers[i], now)
	}
	return answers, true
}

// many is one many-read under way.
type many struct {
	*Cache
	answers []Answer
	first   map[string]int // key → the place of its answer
	misses  []miss         // what memory did not answer
	led     []*flight      // by this read
	plain   []int          // places in misses of those that it leads plain reads of
}

// miss is a key that memory did not answer, with the flight that this read leads for
// it, if any. Another reader may lead one already, or the key's write is unconfirmed.
type miss struct {
	at     int
	q      *query
	flight *flight
	seen   *sharedRead // what a plain read has found, in the place of a flight
}

// found is what this read has found in the key, nil if it has not read it.
func (open *miss) found() *sharedRead {
	if open.flight != nil {
		return &sharedRead{result: open.flight.result, sent: open.q.began}
	}
	return open.seen
}

// add answers a key from memory, or notes it as a miss.
func (m *many) add(at int, q *query) {
	a, ok := q.fromMemory()
	if ok {
		m.answers[at] = a
		return
	}
	open := miss{at: at, q: q}
	switch {
	case m.writes.has(q.key):
	case !q.keeps():
		if q.beginPlain() {
			m.plain = append(m.plain, len(m.misses))
		}
	default:
		if f, lead, _ := m.flights.join(q.r, q.key); lead {
			open.flight = f
			m.led = append(m.led, f)
		}
	}
	m.misses = append(m.misses, open)
}

// readLed reads what memory would keep and what it would not side by side: together they
// take one round trip.
func (m *many) readLed(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	if len(m.plain) > 0 && len(m.led) > 0 {
		all.Go(func() { m.leadPlain(ctx) })
	} else if len(m.plain) > 0 {
		m.leadPlain(ctx)
	}
	if len(m.led) > 0 {
		m.lead(ctx, m.led)
	}
}

// leadPlain makes the plain reads that this read leads, and ends them, whatever happens.
func (m *many) leadPlain(ctx context.Context) {
	ended := 0
	defer func() {
		for _, n := range m.plain[ended:] { // a panic must not strand those who wait
			m.misses[n].q.endPlain()
		}
	}()
	keys, sent := make([]string, len(m.plain)), m.store.Now()
	for i, n := range m.plain {
		keys[i] = m.misses[n].q.key
	}
	for i, found := range m.tier.Values(ctx, keys) {
		open := &m.misses[m.plain[i]]
		open.seen = &sharedRead{result: result{Content: found.Content, err: found.Err}, sent: sent}
		open.q.tookPlain(open.seen)
		open.q.endPlain()
		ended++
	}
}

// answerMisses answers what memory did not: hits of the shared tier at once, absent
// keys, and copies whose time is over, with one call of the source where it takes many, and all else, which has to be
// loaded or waited for, side by side. The gate bounds the work behind it, and
// server.max_many the number of goroutines.
func (m *many) answerMisses() error {
	errs := make([]error, len(m.misses))
	var all sync.WaitGroup
	one := func(n int, seen *sharedRead) {
		all.Go(func() { m.answers[m.misses[n].at], errs[n] = m.misses[n].q.run(seen) })
	}
	var absent []int // places in misses
	for n, open := range m.misses {
		found := open.found()
		if found == nil {
			one(n, nil)
			continue
		}
		seen := *found
		_, takesMany := open.q.r.Records.(source.ManyRecords)
		switch {
		case seen.err == nil && seen.entry != nil && open.q.servable(&seen):
			m.answers[open.at], _, errs[n] = open.q.meetCopy(&seen)
		case seen.err == nil && seen.entry != nil && takesMany && !seen.untimed: // from before the loss of the feed
			open.q.old = &seen
			absent = append(absent, n)
		case seen.err == nil && seen.State == shared.Absent && takesMany:
			absent = append(absent, n)
		default:
			one(n, &seen)
		}
	}
	if len(absent) > 0 {
		all.Go(func() { m.loadAbsent(absent, errs, one) })
	}
	all.Wait()
	for n, open := range m.misses {
		if otherName(errs[n]) { // no record of that name; nothing is kept of it
			m.answers[open.at], errs[n] = open.q.fromSource(memory.NewEntry(open.q.r.Shape, open.q.key, nil, memory.FlagMissing)), nil
		}
	}
	return errors.Join(errs...)
}

// loadAbsent takes the leases of the keys at those places in misses, and loads those
// that it gets in one call. A key that another reader is loading is read alone.
func (m *many) loadAbsent(absent []int, errs []error, one func(int, *sharedRead)) {
	first := m.misses[absent[0]].q
	g := m.gateOf(first.r)
	tries := make(map[int]*attempt, len(absent))
	for _, n := range absent {
		if t, mine := m.flights.try(m.misses[n].q.r, m.misses[n].q.key); mine {
			tries[n] = t
		} else {
			one(n, nil)
		}
	}
	if len(tries) == 0 {
		return
	}
	err := g.Enter(first.ctx)
	got := make(map[int]*leased, len(tries))
	if err == nil {
		got = m.acquire(tries, one)
	}
	for n, t := range tries {
		q := m.misses[n].q
		m.flights.tried(q.key, t, got[n], err)
		if err != nil {
			m.numbers.refused(q.r)
			m.answers[m.misses[n].at], errs[n] = q.orStale(Answer{}, err)
		}
	}
	if err != nil {
		return
	}
	if len(got) == 0 {
		g.Leave(gate.ErrNotAsked)
		return
	}
	group := slices.Collect(maps.Values(got))
	m.running.Go(func() { m.loadAndFill(g, group) })
	for n, k := range got {
		a, err := k.wait()
		m.answers[m.misses[n].at], errs[n] = k.q.orStale(a, err)
	}
}

// acquire asks for the leases side by side, so that the connection carries them in one
// piece, and returns those that it got.
func (m *many) acquire(tries map[int]*attempt, one func(int, *sharedRead)) map[int]*leased {
	got := make(map[int]*leased, len(tries))
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range tries {
		all.Go(func() {
			q, instead := m.misses[n].q, []byte(nil)
			if q.old != nil {
				instead = q.old.bytes()
			}
			k, seen := q.acquire(instead)
			if k == nil {
				one(n, &seen)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[n] = k
		})
	}
	all.Wait()
	return got
}
