package memory

import (
	"encoding/binary"
	"sync/atomic"
)

// heapObjects are the values of a partition that are too large for its segments. There are
// few of them, whatever the budget, so they stay objects of the Go heap: they can be lent
// to connections for as long as their readers take, and the collector frees them. In a
// segment lies a record without data that names its object by number.
type heapObjects struct {
	all   atomic.Pointer[[]*atomic.Pointer[Entry]] // by number
	free  []uint32
	bytes int64 // of all objects
}

// add gives an object a number. The partition is locked.
func (h *heapObjects) add(e *Entry) uint32 {
	h.bytes += int64(e.size)
	if n := len(h.free); n > 0 {
		number := h.free[n-1]
		h.free = h.free[:n-1]
		(*h.all.Load())[number].Store(e)
		return number
	}
	var all []*atomic.Pointer[Entry]
	if was := h.all.Load(); was != nil {
		all = *was
	}
	place := new(atomic.Pointer[Entry])
	place.Store(e)
	all = append(all, place) // readers of the old slice know no such number
	h.all.Store(&all)
	return uint32(len(all) - 1)
}

// of is the object of a record; nil for a record that has none, or whose object was
// replaced since: the number may be another object's by now, so key and shape are compared.
func (h *heapObjects) of(r *record) *Entry {
	if !r.onHeap() {
		return nil
	}
	e := (*h.all.Load())[binary.LittleEndian.Uint32(r.data())].Load()
	if e == nil || !e.hasKey(r.key()) || e.shape&shapeMask != r.shapeID() {
		return nil
	}
	return e
}

// remove frees the number of a record, and returns its object; nil if it has none. The
// partition is locked.
func (h *heapObjects) remove(r *record) *Entry {
	if !r.onHeap() {
		return nil
	}
	number := binary.LittleEndian.Uint32(r.data())
	h.free = append(h.free, number)
	e := (*h.all.Load())[number].Swap(nil)
	if e != nil {
		h.bytes -= int64(e.size)
	}
	return e
}
