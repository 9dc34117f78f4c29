package memory

import (
	"math"
	"sync/atomic"
	"time"
)

// sketch estimates how often each key is read per second, in fixed memory: a
// count-min sketch (Cormode and Muthukrishnan, 2005) of the present second
// beside that of the one before. It never underestimates by more than the
// sampling does, so a hot key is found; that a cold one shares all its
// counters with hot ones is unlikely, and costs a shorter lifetime.
//
// Reads from memory are counted one in sketchSample, chosen by the clock's
// low bits, so that a hot key's counters do not travel between the cores with
// every hit.
type sketch struct {
	second  atomic.Int64
	ceiling atomic.Uint32                             // counts of a second beyond which a key is not counted further
	counts  [2][sketchRows][sketchWidth]atomic.Uint32 // by second's parity
}

const (
	sketchRows   = 4
	sketchWidth  = 1 << 12
	sketchSample = 16
)

// distinguish makes the sketch tell keys below rate reads a second from those
// above, and count no further than that takes.
func (s *sketch) distinguish(rate float64) {
	s.ceiling.Store(uint32(min(2*rate, 1<<30)) + 1<<10)
}

// sampled picks the memory hits that are counted.
func sampled(now int64) bool { return now>>4%sketchSample == 0 }

// add counts n reads of the key with this hash at clock time now. It returns the reads of
// the present second so far, by the same estimate as rate.
func (s *sketch) add(hash uint64, now int64, n uint32) (reads uint32) {
	second := now / int64(time.Second)
	if was := s.second.Load(); second > was && s.second.CompareAndSwap(was, second) {
		s.clear(second & 1)
		if second > was+1 {
			s.clear(was & 1) // the second before this one saw no read
		}
	}
	rows := &s.counts[second&1]
	if most := s.ceiling.Load(); rows[0][column(hash, 0)].Load() >= most {
		return most // hot for sure; reading the counter leaves its cache line shared
	}
	reads = math.MaxUint32
	for i := range rows {
		reads = min(reads, rows[i][column(hash, i)].Add(n))
	}
	return reads
}

func (s *sketch) clear(parity int64) {
	for i := range s.counts[parity] {
		for j := range s.counts[parity][i] {
			s.counts[parity][i][j].Store(0)
		}
	}
}

// rate returns the reads of the last full second or of the present one so
// far, whichever are more.
func (s *sketch) rate(hash uint64) float64 {
	var most uint32
	for parity := range s.counts {
		least := ^uint32(0)
		for i := range s.counts[parity] {
			least = min(least, s.counts[parity][i][column(hash, i)].Load())
		}
		most = max(most, least)
	}
	return float64(most)
}

func column(hash uint64, row int) uint64 { return hash >> (row * 12) % sketchWidth }
