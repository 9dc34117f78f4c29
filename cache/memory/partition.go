package memory

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// partition is a part of a table, by hash: an index, and the segments that it shows records
// of. What changes it holds its lock; readers take none.
//
// Records are written into the open segment, one behind the other. A full one joins the
// queue. One that is replaced or dropped leaves a hole. When there is no room for another
// segment, one of the queue is cleared: what is worth its place is copied to the open
// segment, all else is dropped, and when no reader can be looking at it any more (see
// grace) its memory is used again. Which segment that is:
//
//	many holes in all    the one with the most: everything in it is worth its place
//	else                 the oldest: records that were read since they were written, or
//	                     since they were last copied, are
//
// So an eviction costs no list and no pointer per entry: it is FIFO with reinsertion, whose
// hit ratio is that of much dearer policies once admission keeps out what is asked for
// once (Yang et al., SOSP 2023). A segment holds what was read in one stretch of time, so
// its records also expire together, and leave together.
type partition struct {
	mu       sync.Mutex
	index    index
	heap     heapObjects
	arena    *arena
	places   uint64 // of a segment
	segments []*segment
	bases    bases
	open     *segment   // written to; nil before the first record
	queue    []*segment // full ones, oldest first
	turns    uint64     // how many segments were opened
	retired  []*segment // cleared, perhaps still looked at
	ready    []*segment // to be used next

	budget int64
	taken  int64 // bytes of segments, index and heap objects, which never exceed the budget
	used   int64 // bytes written in open and queue
	live   int64 // bytes of records that the index shows
	count  int

	admission admission

	successor atomic.Pointer[tableParts] // has all records, once it is set and the lock is free; see moveTo

	*storewide
}

// storewide is what all partitions of a store share.
type storewide struct {
	*Clock
	grace     grace
	evictions atomic.Int64 // records that were dropped to make room
	large     *LargeAnswers
	poison    byte // what freed segments are overwritten with, not 0: for tests
}

const (
	maxSegment = 1 << 20
	minSegment = 1 << 10
	// perBudget is how many segments a budget is divided into, where they do not become
	// too large or too small.
	perBudget = 64
	// perSegment is how many of the largest records a segment takes: what is left at its
	// end is wasted.
	perSegment = 8
	// patience is how many segments are cleared for one record: if all that they hold was
	// read, it is not kept. The next one goes on behind them, and what they hold has a read
	// less by then.
	patience = 10
	// maxRetired is how many segments wait for readers before no more are cleared: a reader
	// that was stopped under a pin must not empty its partition. What is read meanwhile is
	// answered, and not kept.
	maxRetired = 3
)

func newPartition(budget int64, sh *storewide) *partition {
	size := maxSegment
	for size > minSegment && int64(size)*perBudget > budget {
		size /= 2
	}
	p := &partition{storewide: sh, budget: budget, arena: newArena(size), places: uint64(size / recordAlign)}
	p.index.init()
	p.taken = p.index.bytes()
	p.bases.Store(&[]unsafe.Pointer{})
	return p
}

// at is the record at a place.
func (p *partition) at(place uint64) *record {
	base := (*p.bases.Load())[place/p.places]
	return (*record)(unsafe.Add(base, place%p.places*recordAlign))
}

func (p *partition) segmentOf(place uint64) *segment { return p.segments[place/p.places] }

func (p *partition) placeOf(s *segment, off int) uint64 {
	return uint64(s.number)*p.places + uint64(off/recordAlign)
}

// lookup finds the record of key, or nil. It takes no lock and does not allocate. The
// caller holds a pin.
func (p *partition) lookup(hash uint64, key []byte) *record {
	a := p.index.arrays[arrayOf(hash)].Load()
	tag := tagOf(hash)
	for i := home(tag, len(a.slots)); ; {
		got := a.slots[i].Load()
		if got == 0 {
			return nil
		}
		if got>>placeBits == tag {
			if r := p.at(got & placeMask); r.hasKey(key) {
				return r
			}
		}
		if i++; i == len(a.slots) {
			i = 0
		}
	}
}

// put keeps a copy of e under its key, in place of what was there. false: there is no room
// for it, and nothing is kept under the key. The partition is locked.
func (p *partition) put(e *Entry) bool {
	data, size, onHeap := p.shape(e)
	var heapBytes int64
	if onHeap {
		heapBytes = int64(e.size)
	}
	if !p.makeRoom(size, heapBytes) {
		p.drop(e.hash, e.key(), nil)
		return false
	}
	state := uint32(0)
	if onHeap {
		p.drop(e.hash, e.key(), nil) // it may be of the same object, which would be taken for gone
		state = recordHeap
		p.taken += heapBytes
		data = binary.LittleEndian.AppendUint32(nil, p.heap.add(e))
		p.large.enteredTable(e)
	}
	s := p.open
	r, place := s.at(s.used), p.placeOf(s, s.used)
	r.write(e, p.Now(), e.key(), data, state)
	p.wrote(s, size)
	p.show(e.hash, e.key(), place)
	return true
}

// shape is how e lies in a segment.
func (p *partition) shape(e *Entry) (data []byte, size int, onHeap bool) {
	if !e.Missing() {
		data = e.Data()
	}
	gzip := -1
	if e.gzipLen > 0 {
		gzip = int(e.gzipLen)
	}
	size = recordSize(int(e.keyLen), len(data), gzip)
	if e.Large() || size > p.largest() {
		return nil, recordSize(int(e.keyLen), 4, -1), true
	}
	return data, size, false
}

// largest is the size of the largest record that a segment takes.
func (p *partition) largest() int { return min((p.arena.size-segmentHead)/perSegment, 1<<16-1) }

func (p *partition) wrote(s *segment, size int) {
	s.used += size
	s.live += size
	p.used += int64(size)
	p.live += int64(size)
}

// show has the index show a record, in place of another one under its key.
func (p *partition) show(hash uint64, key string, place uint64) {
	if p.index.crowded(hash) {
		p.holdSpare()
		p.taken += p.index.grow(hash)
	}
	slot, old := p.find(hash, key)
	p.index.set(hash, slot, place, old == 0)
	if old == 0 {
		p.count++
	} else {
		p.left(old)
	}
	p.keepBudget() // the index has grown
}

// keepBudget clears segments until the budget is kept. What is in the open one stays. It has
// no choice, but goes once around before it drops what was read.
func (p *partition) keepBudget() {
	for n := 0; !p.giveBack(0) && !p.promised(0) && len(p.queue) > 0; n++ {
		p.clearOne(n > len(p.queue)+patience)
	}
}

// find returns the slot and the place of key.
func (p *partition) find(hash uint64, key string) (slot int, place uint64) {
	return p.index.arrays[arrayOf(hash)].Load().find(tagOf(hash), func(at uint64) bool { return string(p.at(at).key()) == key })
}

// left notes that the index shows no more what lies at a place.
func (p *partition) left(place uint64) {
	r, s := p.at(place), p.segmentOf(place)
	size := r.size()
	s.live -= size
	p.live -= int64(size)
	if e := p.heap.remove(r); e != nil {
		p.taken -= int64(e.size)
		p.large.leftTable(e)
	}
	p.admission.left(p.held())
}

// held are the bytes of all records.
func (p *partition) held() int64 { return p.live + p.heap.bytes }

// drop removes the record of key if there is one and keep, if given, does not object. The
// partition is locked, also while keep is called.
func (p *partition) drop(hash uint64, key string, keep func(View) bool) bool {
	slot, place := p.find(hash, key)
	if place == 0 || keep != nil && keep(p.viewOf(p.at(place), p.Now())) {
		return false
	}
	p.remove(hash, slot, place)
	p.admission.changed(hash)
	return true
}

func (p *partition) remove(hash uint64, slot int, place uint64) {
	p.index.remove(hash, slot)
	p.count--
	p.left(place)
}

// makeRoom sees to it that the open segment takes size more bytes, and the budget so many
// bytes on the heap; false: there is no such room.
func (p *partition) makeRoom(size int, heapBytes int64) bool {
	need := heapBytes
	if need > 0 { // objects leave room for segments: one that is cleared for want of room could name them all
		need += 2 * int64(p.arena.size)
	}
	if need > p.budget {
		return false
	}
	if !p.admission.fits(p.count) {
		p.holdSpare()
		p.taken += p.admission.fit(p.count)
	}
	for n := 0; !p.giveBack(need); n++ {
		if n == patience || p.promised(need) || !p.evictUntil(func() bool { return p.promised(need) }) {
			return false
		}
	}
	if p.fits(size) {
		return true
	}
	if size > p.arena.size-segmentHead {
		return false
	}
	if p.hollow() {
		p.clearOne(false)
	}
	for n := 0; n < patience && !p.fits(size) && !p.hasSpare(heapBytes) && len(p.retired) < maxRetired; n++ {
		if !p.clearOne(false) {
			break
		}
	}
	return p.fits(size) || (p.hasSpare(heapBytes) || len(p.queue) == 0) && p.openNext(heapBytes)
}

// giveBack lets the system have segments that are not in use, until so many more bytes fit
// in the budget; false: they do not. One stays: without a segment to copy into, what is worth
// its place could not be kept when another one is cleared.
func (p *partition) giveBack(bytes int64) bool {
	p.collect()
	for len(p.ready) > 0 && p.taken+bytes > p.budget && (len(p.ready) > 1 || len(p.queue) == 0) {
		s := p.ready[len(p.ready)-1]
		p.ready = p.ready[:len(p.ready)-1]
		p.free(s)
	}
	return p.taken+bytes <= p.budget
}

// promised tells whether so many more bytes fit in the budget once the cleared segments are
// free that readers may still be looking at.
func (p *partition) promised(bytes int64) bool {
	return p.taken+bytes-int64(len(p.retired)*p.arena.size) <= p.budget
}

// free ends a segment.
func (p *partition) free(s *segment) {
	p.segments[s.number] = nil
	p.arena.give(s.base)
	p.taken -= int64(p.arena.size)
}

// fits tells whether the open segment takes size more bytes.
func (p *partition) fits(size int) bool { return p.open != nil && p.open.used+size <= p.arena.size }

// hollow tells that much more is written than is shown, even if there is room.
func (p *partition) hollow() bool {
	holes := p.used - p.live
	return holes > p.live/2 && holes > 4*int64(p.arena.size)
}

// hasSpare tells whether there is a segment to be used next, and one to copy into.
func (p *partition) hasSpare(heapBytes int64) bool {
	p.collect()
	return len(p.ready) > 1 || p.taken+heapBytes+int64(p.arena.size)*int64(2-len(p.ready)) <= p.budget
}

// openNext has the open segment join the queue, and takes another one.
func (p *partition) openNext(heapBytes int64) bool {
	next := p.takeSegment(heapBytes)
	if next == nil {
		return false
	}
	switch s := p.open; {
	case s == nil:
	case s.live == 0:
		p.retire(s)
	default:
		p.queue = append(p.queue, s)
	}
	p.turns++
	next.turn = p.turns
	p.open = next
	return true
}

// takeSegment returns an empty segment, nil if there is none.
func (p *partition) takeSegment(heapBytes int64) *segment {
	p.collect()
	if len(p.ready) == 0 && !p.moreSegments(heapBytes) {
		return nil
	}
	s := p.ready[len(p.ready)-1]
	p.ready = p.ready[:len(p.ready)-1]
	s.used, s.live, s.from = segmentHead, 0, segmentHead
	p.used += segmentHead
	return s
}

// moreSegments makes one more ready; false: there is no room for it.
func (p *partition) moreSegments(heapBytes int64) bool {
	if p.taken+heapBytes+int64(p.arena.size) > p.budget {
		return false
	}
	base := p.arena.take(int((p.budget - p.taken) / int64(p.arena.size)))
	if base == nil {
		return false
	}
	p.taken += int64(p.arena.size)
	s := &segment{base: base}
	p.number(s)
	p.ready = append(p.ready, s)
	return true
}

// holdSpare makes the segment ready into which records can be copied when another one is
// cleared, before what else the partition needs takes the room for it.
func (p *partition) holdSpare() {
	if p.collect(); len(p.ready) == 0 {
		p.moreSegments(0)
	}
}

// number gives a segment a number that no other has, and readers its address.
func (p *partition) number(s *segment) {
	s.number = slices.Index(p.segments, nil)
	if s.number < 0 {
		s.number = len(p.segments)
		p.segments = append(p.segments, s)
	}
	p.segments[s.number] = s
	all := make([]unsafe.Pointer, len(p.segments))
	for i, one := range p.segments {
		if one != nil {
			all[i] = one.base
		}
	}
	p.bases.Store(&all)
}

// collect finds out which cleared segments nobody looks at any more.
func (p *partition) collect() {
	for len(p.retired) > 0 && p.grace.over(p.retired[0].since) {
		s := p.retired[0]
		p.retired = p.retired[1:]
		if p.poison != 0 {
			s.overwrite(p.arena.size, p.poison)
		}
		if p.taken > p.budget && len(p.ready) > 0 { // it has become smaller, or the index larger
			p.free(s)
		} else {
			p.ready = append(p.ready, s)
		}
	}
}

// eachIn calls f with each record of a segment that the index shows, from where the
// eviction goes on, until f returns false.
func (p *partition) eachIn(s *segment, from int, f func(r *record, hash uint64, slot int, place uint64) bool) {
	for off := from; off < s.used; {
		r := s.at(off)
		size, place := r.size(), p.placeOf(s, off)
		off += size
		hash := hashBytes(r.key())
		slot, found := p.index.arrays[arrayOf(hash)].Load().find(tagOf(hash), func(at uint64) bool { return at == place })
		if found != 0 && !f(r, hash, slot, place) {
			return
		}
	}
}
