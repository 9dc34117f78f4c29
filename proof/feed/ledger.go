package main

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/report"
)

// ledger knows which versions of rows have committed and when, and by that how old an
// answer is. Of one row versions grow with time, for one session at a time changes it.
// All of it may be used at the same time.
type ledger struct {
	began time.Time
	rows  []row

	recent [recents]atomic.Int64 // numbers of the rows that were changed last
	latest atomic.Int64          // how many were changed so far
	reads  atomic.Int64
	marked atomic.Int64 // of them, those that vouch for nothing
	failed atomic.Int64 // … or had no answer, or one without a row
}

// recents is how many changes are remembered as the latest; a power of two.
const recents = 256

type row struct {
	mu      sync.Mutex
	commits []commit
}

// commit is one change of a row.
type commit struct {
	version int64
	at      time.Duration // when its session was answered
	// How long after that an unmarked answer without the change was asked for, and had come,
	// at the latest; 0: none did.
	asked, came time.Duration
}

// newLedger knows of n rows, which are numbered from 0 on and of version 0.
func newLedger(n int) *ledger { return &ledger{began: time.Now(), rows: make([]row, n)} }

// now is the one clock of a trial.
func (l *ledger) now() time.Duration { return time.Since(l.began) }

// commit notes that versions of rows have committed by now.
func (l *ledger) commit(version int64, ids ...int64) {
	at := l.now()
	for _, id := range ids {
		r := &l.rows[id]
		r.mu.Lock()
		r.commits = append(r.commits, commit{version: version, at: at})
		r.mu.Unlock()
		n := l.latest.Add(1)
		l.recent[(n-1)%recents].Store(id)
	}
}

// version is the latest of a row.
func (l *ledger) version(id int64) int64 {
	r := &l.rows[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.commits) == 0 {
		return 0
	}
	return r.commits[len(r.commits)-1].version
}

// answered checks an answer that came now, and returns by how long it is late: since when
// the first change that it lacks had committed when it was asked for. 0: it lacks none.
func (l *ledger) answered(id, version int64, asked time.Duration) (late time.Duration) {
	came := l.now()
	r := &l.rows[id]
	r.mu.Lock()
	defer r.mu.Unlock()
	first := sort.Search(len(r.commits), func(i int) bool { return r.commits[i].version > version })
	for i := first; i < len(r.commits) && r.commits[i].at < asked; i++ {
		c := &r.commits[i]
		late = max(late, asked-c.at)
		c.asked, c.came = max(c.asked, asked-c.at), max(c.came, came-c.at)
	}
	return late
}

// lags are, of all changes since a time, how long after each the last answer without it
// was asked for and came; and how many were seen old at all.
func (l *ledger) lags(since time.Duration) (asked, came *report.Latencies, old int) {
	asked, came = &report.Latencies{}, &report.Latencies{}
	for i := range l.rows {
		r := &l.rows[i]
		r.mu.Lock()
		for _, c := range r.commits {
			if c.at < since {
				continue
			}
			asked.Add(c.asked)
			came.Add(c.came)
			if c.came > 0 {
				old++
			}
		}
		r.mu.Unlock()
	}
	return asked, came, old
}

// worst is the longest that an old answer was asked for after a change, of those that
// committed in a time.
func (l *ledger) worst(from, to time.Duration) (asked time.Duration) {
	for i := range l.rows {
		r := &l.rows[i]
		r.mu.Lock()
		for _, c := range r.commits {
			if c.at >= from && c.at <= to {
				asked = max(asked, c.asked)
			}
		}
		r.mu.Unlock()
	}
	return asked
}

// changed are the rows that were changed last, at most n of them, each once.
func (l *ledger) changed(to []int64, n int) []int64 {
	latest := l.latest.Load()
	for i := latest - 1; i >= max(0, latest-min(int64(n), recents)); i-- {
		if id := l.recent[i%recents].Load(); !slices.Contains(to, id) {
			to = append(to, id)
		}
	}
	return to
}
