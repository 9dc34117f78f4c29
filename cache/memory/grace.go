package memory

import "sync/atomic"

// grace knows when nobody can be reading what was taken out of the index: readers hold a
// pin while they look at records, and memory that records have left is used again only
// when every pin is released that was taken before.
//
// It is read-copy-update with counters (McKenney's SRCU), so a reader needs no registration and waits for
// nobody. Readers count themselves in one of two counters of a stripe, that of the parity
// of the phase. The phase moves on only when the counters of the other parity are zero,
// which new readers do not use:
//
//	reader                                     writer
//	p = phase                                  takes a record out of the index
//	count[stripe][p&1]++                       g = phase
//	looks at the index, and at records         phase = g+1, whoever moves it on
//	count[stripe][p&1]--                       phase = g+2 once all count[·][g&1] are 0
//	                                           phase = g+3 once all count[·][(g+1)&1] are 0
//	                                           uses the memory again
//
// A reader that could have found the record has counted itself before the record left the
// index. It is in one of the two parities, and each was seen to be zero since: who moves
// the phase from g+1 on has begun to look at the counters when the phase was g+1, and so
// after the writer had read g. The move from g to g+1 proves nothing, for it may rest on a
// look at the counters from before. A reader that was stopped between its two first lines
// counts itself in an old parity; if it does so after that parity was seen to be zero, its
// look at the index comes later still, and finds no such record. See TestGrace for what
// happens with one move less.
type grace struct {
	phase   atomic.Uint64
	stripes [graceStripes]graceStripe

	looked func() // called between the look at the counters and the move of the phase: for tests; may be nil
}

const (
	graceStripes = 64
	graceMoves   = 3 // of the phase until memory may be used again
)

type graceStripe struct {
	counts [2]atomic.Int64
	_      [112]byte // two cache lines: neighbours are not fought over
}

// Pin keeps what Look finds where it is: memory that a record leaves is not used again
// before all pins are released that were taken before. It is held for as long as it takes
// to copy an answer, never over a wait or a system call. The zero Pin holds nothing.
type Pin struct{ count *atomic.Int64 }

// Pin takes a pin. Callers on one processor pass the same stripe, others another one, so
// that none of them writes to what another writes to.
func (s *Store) Pin(stripe uint32) Pin { return s.grace.enter(stripe) }

func (g *grace) enter(stripe uint32) Pin {
	count := &g.stripes[stripe%graceStripes].counts[g.phase.Load()&1]
	count.Add(1)
	return Pin{count}
}

// Release ends the pin, once.
func (p Pin) Release() {
	if p.count != nil {
		p.count.Add(-1)
	}
}

// over tells whether all pins are released that were taken before the phase was since. It
// moves the phase on as far as it can, and does not wait.
func (g *grace) over(since uint64) bool {
	for {
		phase := g.phase.Load()
		if phase >= since+graceMoves {
			return true
		}
		for i := range g.stripes {
			if g.stripes[i].counts[(phase+1)&1].Load() != 0 {
				return false
			}
		}
		if g.looked != nil {
			g.looked()
		}
		g.phase.CompareAndSwap(phase, phase+1)
	}
}
