package cache

import (
	"slices"
	"sync"
	"sync/atomic"

	"hearth/cache/memory"
)

// lateReads are reads whose readers gave up before the reply came. Until it
// comes their keys must not be read tracked again on the same connection: the
// late reply would be taken for the later read's.
type lateReads struct {
	count atomic.Int64 // spares those without any the lock

	mu  sync.Mutex
	all map[*memory.Owner][]lateRead
}

type lateRead struct {
	f     *flight
	since int64 // clock time at which its reader gave up
}

// add notes a read that is given up now. The clock is read under the lock, so reads
// stand in the order of their times.
func (l *lateReads) add(o *memory.Owner, f *flight, clock *memory.Clock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*memory.Owner][]lateRead{}
	}
	l.all[o] = append(l.all[o], lateRead{f: f, since: clock.Now()})
	l.count.Add(1)
}

// take removes the reads on o that were given up before a clock time, and returns
// them.
func (l *lateReads) take(o *memory.Owner, before int64) []lateRead {
	if l.count.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all[o]
	n := slices.IndexFunc(all, func(r lateRead) bool { return r.since >= before })
	if n < 0 {
		n = len(all)
	}
	if n == len(all) {
		delete(l.all, o)
	} else {
		l.all[o] = all[n:]
	}
	l.count.Add(-int64(n))
	return all[:n]
}

// stamp records that a command sent at sent was answered in order on o. A read that
// was given up before that command was sent has been answered too, or was never sent:
// it no longer blocks its key.
func (s *Flights) stamp(o *memory.Owner, sent int64) {
	s.Verify(o, sent)
	s.forgetLate(o, sent)
}

// Closed ends an owner: its connection is gone. The cost does not depend on how
// many entries it owns.
func (s *Flights) Closed(o *memory.Owner) {
	o.End()
	s.forgetLate(o, memory.Never)
	s.wakeAll() // what they wait for, this connection will not report any more
}

// forgetLate frees the keys of reads on o that were given up before a clock time.
func (s *Flights) forgetLate(o *memory.Owner, before int64) {
	for _, r := range s.late.take(o, before) {
		s.forget(r.f)
	}
}
