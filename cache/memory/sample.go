package memory

import (
	"math/rand/v2"
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

// samples are hits that were picked and that nobody has looked at yet. A hit pays a
// multiplication and a comparison for them. One that is picked is copied into one of a few
// rings: readers never wait for whoever looks, nor for each other.
//
// Who is picked is drawn by the key and the clock, and not by the clock alone: the requests
// of a batch are answered on one reading of it, and some clocks stand still for a
// microsecond or more.
//
// All hits are accounted for. What a full ring cannot take replaces something in it by
// chance, so that a burst is seen from its beginning to its end, and those that are handed
// out stand for those that are not.
type samples struct {
	_     [twoLines]byte
	below atomic.Uint64 // what is drawn below it is picked: 0 nothing, allDrawn everything
	_     [twoLines - 8]byte

	// lost is how many hits the picked ones stand for that found no ring, and that no
	// sample stands for yet.
	lost  atomic.Int64
	rings [sampleRings]sampleRing
}

const (
	sampleRings = 8
	sampleRoom  = 64       // per ring
	sampleKeys  = 16 << 10 // bytes of all keys of a ring; at least maxKey
	// mostSampled is how thin a sample may be: one hit of so many.
	mostSampled = 1 << 20

	allDrawn = 1 << 32
	// thinnedBy is how much thinner readers make the sample when a ring overflows.
	thinnedBy = 8

	twoLines = 128 // cache lines, which processors fetch in pairs
)

type sampleRing struct {
	mu     sync.Mutex
	n      int
	seen   int    // hits since they were last taken, of which n are kept
	weight uint64 // hits that those stand for
	used   int    // of keys
	hits   [sampleRoom]Sample
	keys   [sampleKeys]byte
	_      [twoLines]byte
}

// draw is a number below allDrawn. Its upper and its lower bits are as good as drawn by lot:
// each depends on all that varies, in whatever steps the clock goes.
func draw(hash uint64, at int64) uint64 {
	return (hash ^ uint64(at)) * 0x9e3779b97f4a7c15 >> 32
}

// add notes a hit that was picked, under the pin of its record. below is what it was picked
// by: that tells how many hits it stands for, whatever is picked by now.
func (s *samples) add(hash, below uint64, key []byte, v View) {
	weight := (allDrawn + below/2) / below
	ring := s.lock(draw(hash, v.at))
	if ring == nil {
		s.lost.Add(int64(weight))
		return
	}
	defer ring.mu.Unlock()
	if ring.seen++; ring.seen%sampleRoom == 0 {
		s.below.CompareAndSwap(below, max(below/thinnedBy, allDrawn/mostSampled))
	}
	ring.weight += weight
	hit := ring.place(len(key), weight)
	if hit == nil { // others stand for it
		return
	}
	hit.Key = append(hit.Key[:0], key...)
	hit.Shape, hit.Epoch, hit.At, hit.For = v.sh, v.epoch(), v.at, uint32(weight)
	hit.ETag, hit.Bytes = v.etag(), v.dataBytes()
}

// SampleAnswer samples a hit that Look has not seen, such as one of a many-read's, if it is its
// turn: e is what was answered at clock time at, and it was fresh.
func (s *Store) SampleAnswer(sh *Shape, e *Entry, at int64) {
	if below := s.samples.below.Load(); draw(e.hash, at) < below {
		s.samples.add(e.hash, below, e.bytesAt(0, int(e.keyLen)), View{e: e, sh: sh, at: at})
	}
}

// lock returns a ring that nobody else is at, locked; nil if there is none.
func (s *samples) lock(drawn uint64) *sampleRing {
	for i := range uint64(sampleRings) {
		if ring := &s.rings[(drawn+i)%sampleRings]; ring.mu.TryLock() {
			return ring
		}
	}
	return nil
}

// place returns where a hit with a key of so many bytes goes, nil for one that is not kept.
// The ring is locked.
//
// A full ring keeps a weighted sample of all that it has seen (Chao, 1982): the hit is kept
// with the probability by which each of the ring is kept, in proportion to what it stands
// for, and replaces any of them.
func (ring *sampleRing) place(key int, weight uint64) *Sample {
	free := sampleKeys - ring.used
	if ring.n < sampleRoom && key <= free {
		hit := &ring.hits[ring.n]
		ring.n++
		hit.Key = ring.room(key)
		return hit
	}
	if rand.Uint64N(ring.weight) >= weight*uint64(ring.n) {
		return nil
	}
	hit := &ring.hits[rand.IntN(ring.n)]
	switch {
	case key <= cap(hit.Key):
	case key <= free:
		hit.Key = ring.room(key)
	default:
		return nil
	}
	return hit
}

// room takes n bytes of the ring's keys.
func (ring *sampleRing) room(n int) []byte {
	from := ring.used
	ring.used += n
	return ring.keys[from:from:ring.used]
}

// TakeSamples hands out the hits that were picked since the call before. f must be quick,
// and must keep nothing of what it gets but copies. It is called by one goroutine at a time.
func (s *Store) TakeSamples(f func(*Sample)) {
	lost := uint64(s.samples.lost.Swap(0))
	for i := range s.samples.rings {
		lost = s.samples.rings[i].take(f, lost)
	}
	s.samples.lost.Add(int64(lost))
}

// take empties the ring. Its hits also stand for those that were lost, if it has any; what
// is left of the lost is returned.
func (ring *sampleRing) take(f func(*Sample), lost uint64) (left uint64) {
	ring.mu.Lock()
	defer ring.mu.Unlock()
	if ring.n == 0 {
		return lost
	}
	all := ring.weight + lost
	for i := range ring.hits[:ring.n] {
		hit := &ring.hits[i]
		if ring.seen > ring.n {
			hit.For = shareOf(all, 1, uint64(ring.n))
		} else {
			hit.For = shareOf(all, uint64(hit.For), ring.weight)
		}
		f(hit)
		*hit = Sample{}
	}
	ring.n, ring.seen, ring.weight, ring.used = 0, 0, 0, 0
	return 0
}

// shareOf is all·part/whole, rounded.
func shareOf(all, part, whole uint64) uint32 {
	return uint32(min((all*part+whole/2)/whole, 1<<32-1))
}

// SampleOneOf has about one hit of n be picked from now on, 1<<20 at most; 0: none. To begin
// with none is. Readers pick fewer when there are too many of them for what was said last.
func (s *Store) SampleOneOf(n int) {
	if n <= 0 {
		s.samples.below.Store(0)
		return
	}
	s.samples.below.Store(allDrawn / uint64(min(n, mostSampled)))
}
