package metrics

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// maxStripes bounds the memory of one counter (64 lines of 128 bytes).
const maxStripes = 64

// spare is how many stripes there are per processor. They are dealt out in
// turn and hints are lost and made anew in any order; with some to spare two
// processors seldom hold the same one.
const spare = 4

// lineSize is two cache lines: processors prefetch them in pairs, so a
// neighbour in the same pair would still be fought over.
const lineSize = 128

// Stripe names one of the copies that each metric of a Set keeps of its
// number. Any value is valid. A caller that updates several metrics for one
// request asks Set.Stripe once and passes the answer on.
type Stripe uint32

// stripes deals out stripes so that goroutines on one processor get the same
// one. A random choice would spread the load as evenly, but then nearly every
// addition fetches its line from another core; sync.Pool is the one portable
// way to keep something per processor.
type stripes struct {
	mask Stripe // number of stripes less one; the number is a power of two
	next atomic.Uint32
	pool sync.Pool // of *Stripe
}

func newStripes(procs int) *stripes {
	n := 1
	if procs > 1 {
		n = min(spare*procs, maxStripes)
	}
	s := &stripes{mask: 1<<bits.Len(uint(n-1)) - 1}
	s.pool.New = func() any {
		// The pool forgets a hint that two collections saw idle. Its
		// successor may then coincide with another processor's, which costs
		// speed, never a count.
		t := Stripe(s.next.Add(1))
		return &t
	}
	return s
}

func (s *stripes) count() int { return int(s.mask) + 1 }

func (s *stripes) pick() Stripe {
	if s.mask == 0 {
		return 0
	}
	t := s.pool.Get().(*Stripe)
	v := *t
	s.pool.Put(t)
	return v
}
