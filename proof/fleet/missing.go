package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	missingCap     = 8  // load.max_concurrent
	missingFlood   = 40 // clients of each instance that ask for what does not exist: all of them may queue
	missingReaders = 2  // clients of each instance that read what does
	missingPace    = 5 * time.Millisecond
	missingKeys    = 200 // that exist
	missingShare   = 0.05
)

// missing asks for ids that do not exist while others read records that are in memory.
// It asks for each id twice: what memory remembers of a missing record comes from the
// second time.
func missing(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Query = 2 * time.Millisecond
	s.MaxConcurrent, s.Budget = missingCap, fmt.Sprintf("%dMiB", t.budget)
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	readers, err := f.gather(missingReaders, t.seed)
	if err != nil {
		return err
	}
	defer readers.close()
	flood, err := f.gather(missingFlood, t.seed+1)
	if err != nil {
		return err
	}
	defer flood.close()
	paths := make([]string, missingKeys)
	for i := range paths {
		paths[i] = "/row/" + strconv.Itoa(1+i)
	}
	if err := readers.warm(ctx, paths); err != nil {
		return err
	}
	readers.total()
	before, err := f.statistics(ctx)
	if err != nil {
		return err
	}
	if err := t.witness.reset(ctx, s.Query); err != nil {
		return err
	}
	m := &missingRun{trial: t, readers: readers, flood: flood, paths: paths}
	m.ids = absentIDs(t.absent, t.seed)
	if err := m.play(ctx); err != nil {
		return err
	}
	after, err := f.statistics(ctx)
	if err != nil {
		return err
	}
	if err := m.report(ctx); err != nil {
		return err
	}
	m.room(before, after)
	return nil
}

// absentIDs are different ids beyond all records, in no order.
func absentIDs(n int, seed uint64) []int64 {
	random := rand.New(rand.NewPCG(seed, 1))
	ids := make([]int64, 0, n)
	known := map[int64]bool{}
	for len(ids) < n {
		if id := lastRecord + 1 + random.Int64N(1<<52); !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// missingRun is the scenario's phases: what readers were answered in each.
type missingRun struct {
	*trial
	readers, flood crowd
	paths          []string
	ids            []int64

	calm, busy, flooded, again *tally // of the readers
	first, second              *tally // of the flood
	took                       time.Duration
	queries                    account // of the first round
}

func (m *missingRun) play(ctx context.Context) (err error) {
	if m.calm, err = m.phase(ctx, func(ctx context.Context) error { pause(ctx, m.trial.calm); return nil }); err != nil {
		return err
	}
	// The same clients at the same speed, asking for what exists: what the machine
	// does to the readers when it has no processor to spare.
	m.busy, err = m.phase(ctx, func(ctx context.Context) error {
		ends := time.Now().Add(m.trial.calm)
		return m.flood.each(ctx, func(ctx context.Context, c *client) error {
			for time.Now().Before(ends) && ctx.Err() == nil {
				if err := c.ask(m.paths[c.rand.IntN(len(m.paths))]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	m.flood.total()
	began := time.Now()
	if m.flooded, err = m.phase(ctx, m.askAbsent); err != nil {
		return err
	}
	m.took, m.first = time.Since(began), m.flood.total()
	if m.queries, err = m.witness.account(ctx); err != nil {
		return err
	}
	m.again, err = m.phase(ctx, m.askAbsent)
	m.second = m.flood.total()
	return err
}

// askAbsent lets the flood ask for all ids. An instance is asked for the same ids in
// each round.
func (m *missingRun) askAbsent(ctx context.Context) error {
	var next [instances]atomic.Int64
	return m.flood.each(ctx, func(ctx context.Context, c *client) error {
		for ctx.Err() == nil {
			at := int(next[c.instance].Add(1)-1)*instances + c.instance
			if at >= len(m.ids) {
				return nil
			}
			if err := c.ask("/row/" + strconv.FormatInt(m.ids[at], 10)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// phase lets the readers read at their pace while something goes on.
func (m *missingRun) phase(ctx context.Context, goesOn func(ctx context.Context) error) (*tally, error) {
	reading, enough := context.WithCancel(ctx)
	defer enough()
	read := make(chan error, 1)
	go func() {
		read <- m.readers.each(reading, func(ctx context.Context, c *client) error {
			for pause(ctx, missingPace) {
				if err := c.ask(m.paths[c.rand.IntN(len(m.paths))]); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	err := goesOn(ctx)
	enough()
	err = errors.Join(err, <-read)
	return m.readers.total(), err
}

func (m *missingRun) report(ctx context.Context) error {
	all, err := m.witness.account(ctx)
	if err != nil {
		return err
	}
	again := all.begun - m.queries.begun
	rate := float64(m.first.times.n) / m.took.Seconds()
	m.figure("flood", "%d ids by %d clients, %.0f/s: %d absent, %d refused with Retry-After, %d failed",
		len(m.ids), len(m.flood), rate, m.first.absent, m.first.refused, m.first.failed)
	m.figure("", "%d of them were not written to Redis (memory.missing_rate)", m.first.unstored)
	m.figure("the same ids again", "%d absent, %d refused with Retry-After, %d failed", m.second.absent, m.second.refused, m.second.failed)
	m.figure("queries", "%d, and %d when asked again; at most %d at the same time", m.queries.begun, again, all.peak)
	m.times("hits before", &m.calm.times)
	m.times("hits beside other hits", &m.busy.times)
	m.times("hits beside the flood", &m.flooded.times)
	m.figure("flood / other hits", "p50 %.2f, p99 %.2f",
		ratio(m.flooded.times.quantile(0.5), m.busy.times.quantile(0.5)), ratio(m.flooded.times.quantile(0.99), m.busy.times.quantile(0.99)))
	m.figure("flood / before", "p50 %.2f, p99 %.2f",
		ratio(m.flooded.times.quantile(0.5), m.calm.times.quantile(0.5)), ratio(m.flooded.times.quantile(0.99), m.calm.times.quantile(0.99)))
	hits := &tally{}
	for _, t := range []*tally{m.calm, m.busy, m.flooded, m.again} {
		hits.merge(t)
	}
	m.bound(all.peak <= instances*missingCap, "never more than %d queries at a time, %d on each instance: %d", instances*missingCap, missingCap, all.peak)
	m.bound(m.queries.begun <= int64(len(m.ids)), "at most 1 query for each id: %d for %d", m.queries.begun, len(m.ids))
	m.bound(again <= m.first.unstored+m.first.refused+m.first.failed, "what Redis was told is not asked again: %d queries", again)
	m.bound(m.first.found()+m.second.found() == 0, "no id that does not exist gets a record: %d", m.first.found()+m.second.found())
	m.bound(hits.found() == hits.times.n, "every hit gets 200: %d of %d", hits.found(), hits.times.n)
	m.bound(hits.ok[memory] == hits.times.n, "every hit comes from memory: %d of %d", hits.ok[memory], hits.times.n)
	return nil
}

// room judges what memory spends on missing records. Where hearth does not tell, it is
// what memory has grown by: nothing else was read since.
func (m *missingRun) room(before, after [instances]statistics) {
	share := int64(missingShare * float64(m.budget<<20))
	most, entries, told := int64(0), int64(0), "missing_bytes"
	for i := range after {
		room := after[i].Cache.MemoryBytes - before[i].Cache.MemoryBytes
		if own := after[i].Cache.MissingBytes; own != nil {
			room = *own
		} else {
			told = "growth of memory_bytes"
		}
		most, entries = max(most, room), max(entries, after[i].Cache.MissingEntries)
	}
	m.figure("memory", "missing records take %d bytes (%s) in %d entries on the fullest instance; memory.budget is %d MiB", most, told, entries, m.budget)
	m.bound(most <= share+share/20, "they stay within their share, %d bytes, to 5 %%: %.0f %%", share, 100*float64(most)/float64(share))
}
