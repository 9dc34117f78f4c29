package memory

import (
	"sync"
	"sync/atomic"
)

// Sample is a hit of memory that was picked to be looked at later, away from the reader.
type Sample struct {
	Key   []byte // valid while TakeSamples hands it out
	Shape *Shape
	ETag  [etagBytes]byte // of what was answered
	Epoch uint32          // in which the record was read
	Bytes int             // of the record's data
	At    int64           // clock time of the hit
	For   uint32          // hits that it stands for
}

// samples are hits that were picked and that nobody has looked at yet. A hit pays one
// comparison for them; one that is picked is copied into one of a few rings, and dropped
// if that is locked or full: readers never wait for whoever looks.
//
// Hits are picked by the low bits of the clock, so that of a batch that is answered on one
// reading of it all are picked or none: whatever stands first in a batch is not preferred.
type samples struct {
	mask    atomic.Int64 // of the clock's bits that must be 0 for a hit to be picked; -1: none is
	dropped atomic.Int64
	rings   [sampleRings]sampleRing
}

const (
	sampleRings = 8
	sampleRoom  = 64 // per ring
	// mostSampled is how thin a sample may be: one hit of so many.
	mostSampled = 1 << 20
)

type sampleRing struct {
	mu   sync.Mutex
	n    int
	hits [sampleRoom]Sample
	_    [64]byte
}

// picked tells whether a hit at clock time at is to be looked at.
func (s *samples) picked(at int64) bool { return at>>4&s.mask.Load() == 0 }

// add notes a hit that was picked, under the pin of its record.
func (s *samples) add(key []byte, v View) {
	ring := &s.rings[v.at>>10%sampleRings]
	if !ring.mu.TryLock() {
		s.dropped.Add(1)
		return
	}
	defer ring.mu.Unlock()
	if ring.n == sampleRoom {
		s.dropped.Add(1)
		return
	}
	hit := &ring.hits[ring.n]
	ring.n++
	hit.Key = append(hit.Key[:0], key...)
	hit.Shape, hit.Epoch, hit.At, hit.For = v.sh, v.epoch(), v.at, uint32(s.mask.Load()+1)
	hit.ETag, hit.Bytes = v.etag(), v.dataBytes()
}

// TakeSamples hands out the hits that were picked since the call before. f must be quick,
// and must keep nothing of what it gets but copies. It is called by one goroutine at a time.
func (s *Store) TakeSamples(f func(*Sample)) {
	for i := range s.samples.rings {
		ring := &s.samples.rings[i]
		ring.mu.Lock()
		for j := range ring.hits[:ring.n] {
			f(&ring.hits[j])
		}
		ring.n = 0
		ring.mu.Unlock()
	}
}

// SampleOneOf has about one hit of n be picked from now on, n rounded up to a power of two;
// 0: none. To begin with none is.
func (s *Store) SampleOneOf(n int) {
	if n <= 0 {
		s.samples.mask.Store(-1)
		return
	}
	mask := int64(1)
	for mask < int64(min(n, mostSampled)) {
		mask <<= 1
	}
	s.samples.mask.Store(mask - 1)
}

// SamplesDropped is how many hits were picked so far and not taken, since there were too many.
func (s *Store) SamplesDropped() int64 { return s.samples.dropped.Load() }
