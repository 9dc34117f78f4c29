package cache

import (
	"context"
	"errors"
	"sync"

	"hearth/internal/source"
)

// ReadMany reads several keys of r; answers come in the order asked, and a key
// asked twice is read once. All that memory lacks is read from the shared
// tier in one round trip.
func (c *Cache) ReadMany(ctx context.Context, r *Resource, keys []string, args []source.Args) ([]Answer, error) {
	m := many{Cache: c, answers: make([]Answer, len(keys)), first: make(map[string]int, len(keys))}
	for i, key := range keys {
		if _, twice := m.first[key]; !twice {
			m.first[key] = i
			m.add(i, c.newQuery(ctx, r, key, args[i]))
		}
	}
	if len(m.flights) > 0 {
		c.lead(ctx, m.flights)
	}
	if err := m.settle(); err != nil {
		return nil, err
	}
	for i, key := range keys {
		m.answers[i] = m.answers[m.first[key]]
	}
	return m.answers, nil
}

// many is one many-read under way.
type many struct {
	*Cache
	answers []Answer
	first   map[string]int // key → the place of its answer
	rest    []rest         // what memory did not answer
	flights []*flight      // led by this read
}

// rest is a key to be settled: with the flight led for it, if any.
type rest struct {
	at     int
	q      *query
	flight *flight
}

func (m *many) add(at int, q *query) {
	a, ok := q.fromMemory()
	if ok {
		m.answers[at] = a
		return
	}
	open := rest{at: at, q: q}
	if !m.writes.has(q.key) {
		if f, lead, _ := m.store.join(q.r, q.key); lead {
			open.flight = f
			m.flights = append(m.flights, f)
		}
	}
	m.rest = append(m.rest, open)
}

// settle answers the rest: hits of the shared tier at once, and what has to
// be loaded or waited for side by side. The cap on loads bounds the work
// behind it, the cap on ids the number of goroutines.
func (m *many) settle() error {
	errs := make([]error, len(m.rest))
	var all sync.WaitGroup
	for n, open := range m.rest {
		var seen *sighting
		if open.flight != nil {
			seen = &sighting{result: open.flight.result, sent: open.q.began}
			if seen.err == nil && seen.entry != nil {
				m.answers[open.at] = open.q.found(seen.result)
				continue
			}
		}
		all.Go(func() { m.answers[open.at], errs[n] = open.q.run(seen) })
	}
	all.Wait()
	return errors.Join(errs...)
}
