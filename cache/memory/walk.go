package memory

import "slices"

// What goes through all records of a partition.

// all are the segments with records, oldest first.
func (p *partition) all() []*segment {
	list := slices.Clone(p.queue)
	if p.open != nil {
		list = append(list, p.open)
	}
	return list
}

// walk calls f with every segment that has records, in the order in which they were opened,
// from where f has not been, until it returns false. The partition is locked while f runs,
// and free in between, so that nobody waits for long: not the connection that tells of
// changes either.
//
// A record that is in the partition from the beginning of the walk to its end is met: it
// moves only to a segment that is opened later, or is open, and those come later. It may be
// met twice.
func (p *partition) walk(f func(s *segment, from int) bool) bool {
	turn, off := uint64(0), 0
	for {
		p.mu.Lock()
		s := p.following(turn, off)
		if s == nil {
			p.mu.Unlock()
			return true
		}
		from := s.from
		if s.turn == turn {
			from = max(from, off)
		}
		turn, off = s.turn, s.used // now: f may clear it, and have it opened anew
		more := f(s, from)
		p.mu.Unlock()
		if !more {
			return false
		}
	}
}

// following is the segment of that turn if there is more in it than off, or the next one.
func (p *partition) following(turn uint64, off int) (next *segment) {
	for _, s := range p.all() {
		if s.turn == turn && s.used > off {
			return s
		}
		if s.turn > turn && (next == nil || s.turn < next.turn) {
			next = s
		}
	}
	return next
}

// each calls f with every record, until it returns false.
func (p *partition) each(f func(View) bool) bool {
	return p.walk(func(s *segment, from int) (more bool) {
		now := p.Now()
		more = true
		p.eachIn(s, from, func(r *record, _ uint64, _ int, _ uint64) bool {
			more = f(p.viewOf(r, now))
			return more
		})
		return more
	})
}

// viewOf is a record as a View. The partition is locked.
func (p *partition) viewOf(r *record, now int64) View {
	return View{r: r, e: p.heap.of(r), sh: shapeNamed(r.shapeID()), at: now}
}

// sweep drops the records that useless says are of no use any more, and frees the segments
// that become empty.
func (p *partition) sweep(useless func(*record) bool) {
	p.walk(func(s *segment, from int) bool {
		p.eachIn(s, from, func(r *record, hash uint64, slot int, place uint64) bool {
			if useless(r) {
				p.remove(hash, slot, place)
			}
			return true
		})
		if at := slices.Index(p.queue, s); at >= 0 && s.live == 0 {
			p.queue = slices.Delete(p.queue, at, at+1)
			p.retire(s)
		}
		return true
	})
}

// moveTo moves all records to other partitions, oldest first. Readers find a record here
// until it is there, or miss; writers wait for the lock, and go there then. The memory of
// this one is given back as it is emptied, but for what readers may still be looking at.
func (p *partition) moveTo(next *tableParts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.successor.Store(next)
	p.budget = 0
	for _, s := range p.all() {
		p.eachIn(s, s.from, func(r *record, hash uint64, slot int, place uint64) bool {
			e := p.heap.of(r)
			if r.onHeap() && e == nil {
				return true
			}
			p.remove(hash, slot, place)
			next.of(hash).adopt(r, e, hash)
			return true
		})
		p.retire(s)
	}
	p.queue, p.open = nil, nil
}

// tidy gives back what readers were looking at, and tells whether all of it is.
func (p *partition) tidy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(0)
	return len(p.retired) == 0
}

// adopt keeps a copy of a record of another partition, which is locked. What has no room
// here is dropped.
func (p *partition) adopt(r *record, e *Entry, hash uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := r.size()
	if e == nil && size > p.largest() { // segments are smaller here: it lives on as an object of the heap
		v := p.viewOf(r, p.Now())
		if v.sh == nil {
			return // nobody asks for it any more
		}
		e = v.Entry()
	}
	if e != nil {
		p.put(e)
		return
	}
	if !p.makeRoom(size, 0) {
		return
	}
	s := p.open
	moved, place := s.at(s.used), p.placeOf(s, s.used)
	moved.copyFrom(r, size)
	p.wrote(s, size)
	p.show(hash, string(r.key()), place)
}

// sizes are the bytes in use, without what was not written to yet, and the number of
// records.
func (p *partition) sizes() (bytes, count int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes = p.taken
	if p.open != nil {
		bytes -= int64(p.arena.size - p.open.used)
	}
	return bytes, int64(p.count)
}
