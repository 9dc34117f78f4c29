package memory

import (
	"slices"
	"sync/atomic"
)

// clearOne takes the records out of one segment of the queue: of the one with the most
// holes, if there are many, and else of the oldest. With all, it drops what it finds there
// whether it was read or not. false: there is none to clear.
func (p *partition) clearOne(all bool) bool {
	if len(p.queue) == 0 && !p.sealOpen() {
		return false
	}
	at, keep, full := 0, worth, true
	if holes := p.used - p.live; holes > p.used/8 && !all {
		for i, s := range p.queue {
			if s.live*p.queue[at].used < p.queue[at].live*s.used {
				at = i
			}
		}
		if s := p.queue[at]; s.live < s.used*7/8 {
			keep, full = func(*record) bool { return true }, false
		} else {
			at = 0
		}
	}
	if all {
		keep = func(*record) bool { return false }
	}
	if full {
		p.admission.filled(p.held())
	}
	s := p.queue[at]
	p.queue = slices.Delete(p.queue, at, at+1)
	p.eachIn(s, s.from, func(r *record, hash uint64, slot int, place uint64) bool {
		p.moveOrDrop(s, r, hash, slot, place, keep)
		return true
	})
	p.retire(s)
	return true
}

// worth tells whether a record was read since it was written or copied.
func worth(r *record) bool { return atomic.LoadUint32(&r.word)&recordRead != 0 }

// moveOrDrop empties one place.
func (p *partition) moveOrDrop(s *segment, r *record, hash uint64, slot int, place uint64, keep func(*record) bool) {
	if !keep(r) || !p.move(s, r, hash, slot) {
		p.remove(hash, slot, place)
		p.evictions.Add(1)
	}
}

// move copies a record to the open segment, with a read less; false: there is no room.
func (p *partition) move(from *segment, r *record, hash uint64, slot int) bool {
	size := r.size()
	if !p.fits(size) && !p.openNext(0) {
		return false
	}
	s := p.open
	moved, place := s.at(s.used), p.placeOf(s, s.used)
	moved.copyFrom(r, size)
	if moved.word&recordRead != 0 {
		moved.word--
	}
	p.wrote(s, size)
	p.index.set(hash, slot, place, false)
	from.live -= size
	p.live -= int64(size)
	return true
}

// retire puts a segment that the index shows nothing of aside until no reader can be
// looking at it.
func (p *partition) retire(s *segment) {
	p.used -= int64(s.used)
	s.since = p.grace.phase.Load()
	p.retired = append(p.retired, s)
	p.collect()
}

// sealOpen has the open segment join the queue, where it is all there is to clear; false:
// there is nothing in it.
func (p *partition) sealOpen() bool {
	if p.open == nil || p.open.live == 0 {
		return false
	}
	p.queue = append(p.queue, p.open)
	p.open = nil
	return true
}

// evictUntil drops records, the oldest first, until enough says that it is. What is not
// written into segments is freed at once, so a whole segment would be too much.
// false: there is nothing left.
func (p *partition) evictUntil(enough func() bool) bool {
	s := p.open // which goes on being written to: copies of what is worth its place come round again
	if len(p.queue) > 0 {
		s = p.queue[0]
	} else if s == nil || s.live == 0 {
		return false
	}
	p.admission.filled(p.held())
	p.eachIn(s, s.from, func(r *record, hash uint64, slot int, place uint64) bool {
		s.from = int(place%p.places)*recordAlign + r.size()
		p.moveOrDrop(s, r, hash, slot, place, worth)
		return !enough()
	})
	if enough() {
		return true
	}
	if s == p.open {
		p.open = nil
	} else {
		p.queue = slices.Delete(p.queue, 0, 1) // it still is, or has become, the oldest
	}
	p.retire(s)
	return true
}

// resize changes the budget, and drops what is too much for it.
func (p *partition) resize(budget int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = budget
	p.admission.full.Store(false) // until it is seen to be
	for n := 0; !p.giveBack(0) && !p.promised(0) && p.clearOne(n > 0); n++ {
	}
}
