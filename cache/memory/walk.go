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

// each calls f with every record, until it returns false, under the lock.
func (p *partition) each(f func(View) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, more := p.Now(), true
	for _, s := range p.all() {
		p.eachIn(s, s.from, func(r *record, _ uint64, _ int, _ uint64) bool {
			more = f(p.viewOf(r, now))
			return more
		})
		if !more {
			break
		}
	}
	return more
}

// viewOf is a record as a View. The partition is locked.
func (p *partition) viewOf(r *record, now int64) View {
	return View{r: r, e: p.heap.of(r), sh: shapeNamed(r.shapeID()), at: now}
}

// sweep drops the records that useless says are of no use any more, and frees the segments
// that become empty.
func (p *partition) sweep(useless func(*record) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.all() {
		p.eachIn(s, s.from, func(r *record, hash uint64, slot int, place uint64) bool {
			if useless(r) {
				p.remove(hash, slot, place)
			}
			return true
		})
	}
	p.queue = slices.DeleteFunc(p.queue, func(s *segment) bool {
		if s.live > 0 {
			return false
		}
		p.retire(s)
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
