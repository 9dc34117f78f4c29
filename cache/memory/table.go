package memory

import (
	"slices"
	"sync"
	"sync/atomic"
)

// table maps keys to records within a budget of bytes: partitions by hash, each with a
// part of the budget.
type table struct {
	*storewide
	resizing sync.Mutex
	now      atomic.Pointer[tableParts]
	// left are partitions that a resize has emptied. They are held until no reader can be
	// looking at their memory: it goes when nobody has them any more.
	left []*tableParts
}

// tableParts are the partitions of one generation of a table: a budget of another order of
// size takes segments of another size.
type tableParts struct{ all []*partition }

const (
	maxPartitions = 16
	// partitionBytes is the budget from which on a partition is worth its locks: with
	// fewer segments than perBudget too much of each would be wasted.
	partitionBytes = 16 << 20
)

func newTable(budget int64, sh *storewide) *table {
	t := &table{storewide: sh}
	t.now.Store(newTableParts(budget, sh))
	return t
}

func newTableParts(budget int64, sh *storewide) *tableParts {
	n := 1
	for n < maxPartitions && budget/int64(2*n) >= partitionBytes {
		n *= 2
	}
	parts := &tableParts{all: make([]*partition, n)}
	for i := range parts.all {
		parts.all[i] = newPartition(budget/int64(n), sh)
	}
	return parts
}

func (p *tableParts) of(hash uint64) *partition { return p.all[partitionOf(hash)&(len(p.all)-1)] }

// lookup finds the record of key, and its object on the heap if it has one; nil for none.
// The caller holds a pin.
func (t *table) lookup(hash uint64, key []byte) (*record, *Entry) {
	p := t.now.Load().of(hash)
	r := p.lookup(hash, key)
	if r == nil {
		next := p.successor.Load() // it was set before the first record left
		if next == nil {
			return nil, nil
		}
		p = next.of(hash)
		if r = p.lookup(hash, key); r == nil {
			return nil, nil
		}
	}
	r.touch()
	if !r.onHeap() {
		return r, nil
	}
	e := p.heap.of(r)
	if e == nil {
		return nil, nil
	}
	return r, e
}

// locked calls f with the partition that has the keys with a hash, under its lock.
func (t *table) locked(hash uint64, f func(p *partition)) {
	for parts := t.now.Load(); parts != nil; {
		p := parts.of(hash)
		parts = func() *tableParts {
			p.mu.Lock()
			defer p.mu.Unlock()
			if next := p.successor.Load(); next != nil {
				return next
			}
			f(p)
			return nil
		}()
	}
}

// admits and wouldAdmit are those of the partition that keeps the key, or will.
func (t *table) admits(hash uint64) bool { return t.latest(hash).admits(hash) }

func (t *table) wouldAdmit(hash uint64) bool { return t.latest(hash).wouldAdmit(hash) }

// latest is the partition that a record goes to which comes now.
func (t *table) latest(hash uint64) *partition {
	p := t.now.Load().of(hash)
	if next := p.successor.Load(); next != nil {
		p = next.of(hash)
	}
	return p
}

func (t *table) put(e *Entry) (kept bool) {
	t.locked(e.hash, func(p *partition) { kept = p.put(e) })
	return kept
}

func (t *table) drop(hash uint64, key string, keep func(View) bool) {
	t.locked(hash, func(p *partition) { p.drop(hash, key, keep) })
}

// each calls f with every record, until it returns false. The record's partition is locked
// meanwhile, so f must be quick, and may call nothing that takes a lock here.
func (t *table) each(f func(View) bool) (all bool) {
	t.resizing.Lock()
	defer t.resizing.Unlock()
	for _, p := range t.now.Load().all {
		if !p.each(f) {
			return false
		}
	}
	return true
}

// resize changes the budget. Where that is one for segments of another size, the records
// move to new partitions: one partition after the other, under its lock.
func (t *table) resize(budget int64) {
	t.resizing.Lock()
	defer t.resizing.Unlock()
	was, next := t.now.Load(), newTableParts(budget, t.storewide)
	if len(was.all) == len(next.all) && was.all[0].arena.size == next.all[0].arena.size {
		for _, p := range was.all {
			p.resize(budget / int64(len(was.all)))
		}
		return
	}
	for _, p := range was.all {
		p.moveTo(next)
	}
	t.now.Store(next)
	t.left = append(t.left, was)
}

// tidy gives back memory that readers were looking at when it was left. A resize under way
// does so itself.
func (t *table) tidy() {
	if !t.resizing.TryLock() {
		return
	}
	defer t.resizing.Unlock()
	for _, p := range t.now.Load().all {
		p.tidy()
	}
	t.left = slices.DeleteFunc(t.left, func(parts *tableParts) bool {
		return !slices.ContainsFunc(parts.all, func(p *partition) bool { return !p.tidy() })
	})
}

// sweep drops the records that f says are of no use any more.
func (t *table) sweep(useless func(*record) bool) {
	t.resizing.Lock()
	defer t.resizing.Unlock()
	for _, p := range t.now.Load().all {
		p.sweep(useless)
	}
}

// sizes are the bytes in use and the number of records.
func (t *table) sizes() (bytes, count int64) {
	for _, p := range t.now.Load().all {
		b, n := p.sizes()
		bytes, count = bytes+b, count+n
	}
	return bytes, count
}
