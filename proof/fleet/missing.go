package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
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
// Every such id is a load, and what is remembered of it takes memory that records could
// have.
// It asks for each id twice: what memory remembers of a missing record comes from the
// second time.
func missing(t *trial) {
	s := normal()
	s.Query = 2 * time.Millisecond
	s.MaxConcurrent, s.Budget = missingCap, fmt.Sprintf("%dMiB", t.budget)
	f := t.assemble(s)
	m := &missingRun{trial: t, readers: t.connect(f, missingReaders, t.seed), flood: t.connect(f, missingFlood, t.seed+1)}
	m.paths, m.ids = rowPaths(missingKeys), absentIDs(t.absent, t.seed)
	m.readers.Warm(t, m.paths)
	t.observer.reset(s.Query)
	m.play()
	after := f.statistics(t)
	m.report()
	m.checkMemory(after)
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
	readers, flood load.Clients
	paths          []string
	ids            []int64

	calm, busy, flooded, again *load.Counts // of the readers
	first, second              *load.Counts // of the flood
	elapsed                    time.Duration
	queries                    work // of the first round
}

func (m *missingRun) play() {
	m.calm = m.phase(func() { testkit.Sleep(m.Context(), m.trial.calm) })
	// The same clients at the same speed, asking for what exists: what the machine
	// does to the readers when it has no processor to spare.
	m.busy = m.phase(func() { m.readFor(m.flood, m.trial.calm, m.paths) })
	m.flood.Total()
	began := time.Now()
	m.flooded = m.phase(m.askAbsent)
	m.elapsed, m.first = time.Since(began), m.flood.Total()
	m.queries = m.observer.work()
	m.again = m.phase(m.askAbsent)
	m.second = m.flood.Total()
}

// askAbsent lets the flood ask for all ids. An instance is asked for the same ids in
// each round.
func (m *missingRun) askAbsent() {
	var next [instances]atomic.Int64
	m.flood.Each(m, func(ctx context.Context, c *load.Client) error {
		for ctx.Err() == nil {
			at := int(next[c.Instance].Add(1)-1)*instances + c.Instance
			if at >= len(m.ids) {
				return nil
			}
			if err := c.Ask("/row/" + strconv.FormatInt(m.ids[at], 10)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// phase lets the readers read at their pace while something goes on.
func (m *missingRun) phase(goesOn func()) *load.Counts {
	end := m.readers.Begin(m, func(ctx context.Context, c *load.Client) error {
		for testkit.Sleep(ctx, missingPace) {
			if err := c.Ask(m.paths[c.Rand.IntN(len(m.paths))]); err != nil {
				return err
			}
		}
		return nil
	})
	goesOn()
	end()
	return m.readers.Total()
}

func (m *missingRun) report() {
	all := m.observer.work()
	again := all.begun - m.queries.begun
	rate := float64(m.first.Times.N) / m.elapsed.Seconds()
	m.Figure("flood", "%d ids by %d clients, %.0f/s: %d absent, %d refused with Retry-After, %d failed",
		len(m.ids), len(m.flood), rate, m.first.Absent, m.first.Refused.N, m.first.Failed)
	m.Figure("", "%d of them were not written to Redis (memory.missing_rate)", m.first.Unstored)
	m.Figure("the same ids again", "%d absent, %d refused with Retry-After, %d failed", m.second.Absent, m.second.Refused.N, m.second.Failed)
	m.Figure("queries", "%d, and %d when asked again; at most %d at the same time", m.queries.begun, again, all.peak)
	m.Times("hits before", &m.calm.Times)
	m.Times("hits beside other hits", &m.busy.Times)
	m.Times("hits beside the flood", &m.flooded.Times)
	m.Figure("flood / other hits", "p50 %.2f, p99 %.2f",
		report.Ratio(m.flooded.Times.Quantile(0.5), m.busy.Times.Quantile(0.5)), report.Ratio(m.flooded.Times.Quantile(0.99), m.busy.Times.Quantile(0.99)))
	m.Figure("flood / before", "p50 %.2f, p99 %.2f",
		report.Ratio(m.flooded.Times.Quantile(0.5), m.calm.Times.Quantile(0.5)), report.Ratio(m.flooded.Times.Quantile(0.99), m.calm.Times.Quantile(0.99)))
	hits := &load.Counts{}
	for _, t := range []*load.Counts{m.calm, m.busy, m.flooded, m.again} {
		hits.Merge(t)
	}
	m.Bound(all.peak <= instances*missingCap, "never more than %d queries at a time, %d on each instance: %d", instances*missingCap, missingCap, all.peak)
	m.Bound(m.queries.begun <= int64(len(m.ids)), "at most 1 query for each id: %d for %d", m.queries.begun, len(m.ids))
	m.Bound(again <= m.first.Unstored+m.first.Refused.N+m.first.Failed, "what Redis was told is not asked again: %d queries", again)
	m.Bound(m.first.Found()+m.second.Found() == 0, "no id that does not exist gets a record: %d", m.first.Found()+m.second.Found())
	m.Bound(hits.Found() == hits.Times.N, "every hit gets 200: %d of %d", hits.Found(), hits.Times.N)
	m.Bound(hits.OK[load.Memory] == hits.Times.N, "every hit comes from memory: %d of %d", hits.OK[load.Memory], hits.Times.N)
}

// checkMemory judges what memory spends on missing records: whoever asks for what does
// not exist must not push out what does.
func (m *missingRun) checkMemory(all []statistics) {
	share := int64(missingShare * float64(m.budget<<20))
	most, entries := int64(0), int64(0)
	for _, s := range all {
		most, entries = max(most, s.Cache.MissingBytes), max(entries, s.Cache.MissingEntries)
	}
	m.Figure("memory", "missing records take %d bytes (missing_bytes) in %d entries on the fullest instance; memory.budget is %d MiB", most, entries, m.budget)
	m.Bound(most <= share+share/20, "they stay within their share, %d bytes, to 5 %%: %.0f %%", share, 100*float64(most)/float64(share))
}
