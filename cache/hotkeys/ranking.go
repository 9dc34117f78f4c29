package hotkeys

import (
	"cmp"
	"container/heap"
	"slices"

	"hearth/cache/memory"
)

// ranking is Space-Saving for one order: a fixed number of counters, of which the least gives
// way to a key that is not counted yet. The newcomer goes on from that counter's value, and
// remembers it as its error: so a counter is never less than what its key has come to, and
// less the error never more. A scan of a million keys drives up errors, and nothing else.
type ranking struct {
	index map[identity]*item
	least byValue // a heap, the least counter first
	spare []*item // counters that count nothing yet: none is ever made later
}

func newRanking() ranking {
	r := ranking{index: make(map[identity]*item, counters), least: make(byValue, 0, counters)}
	all := make([]item, counters)
	for i := range all {
		r.spare = append(r.spare, &all[i])
	}
	return r
}

// item is a counter.
type item struct {
	identity
	value, err float64
	at         int // in the heap
}

// sure is what its key has come to at least.
func (it *item) sure() float64 { return it.value - it.err }

func count[K string | []byte](r *ranking, shape *memory.Shape, key K, weight float64) {
	it := r.index[identity{shape, string(key)}]
	switch {
	case it != nil:
		it.value += weight
		heap.Fix(&r.least, it.at)
	case len(r.least) < counters:
		it = r.spare[len(r.spare)-1]
		r.spare = r.spare[:len(r.spare)-1]
		*it = item{identity: identity{shape, string(key)}, value: weight}
		r.index[it.identity] = it
		heap.Push(&r.least, it)
	default:
		it = r.least[0]
		delete(r.index, it.identity)
		it.identity, it.err = identity{shape, string(key)}, it.value
		it.value += weight
		r.index[it.identity] = it
		heap.Fix(&r.least, 0)
	}
}

// scale makes all counters smaller, and forgets those of which nothing is left.
func (r *ranking) scale(by float64) {
	const nothing = 1e-9
	r.least = slices.DeleteFunc(r.least, func(it *item) bool {
		it.value, it.err = it.value*by, it.err*by
		if it.value < nothing {
			delete(r.index, it.identity)
			r.spare = append(r.spare, it)
			return true
		}
		return false
	})
	heap.Init(&r.least)
	for i, it := range r.least {
		it.at = i
	}
}

// top are those that are ranked first by what is sure of them; of equals the one whose key
// comes first.
func (r *ranking) top(most int, keep func(*memory.Shape) bool) []*item {
	var all []*item
	for _, it := range r.least {
		if it.sure() > 0 && keep(it.shape) {
			all = append(all, it)
		}
	}
	slices.SortFunc(all, func(a, b *item) int {
		return cmp.Or(cmp.Compare(b.sure(), a.sure()), cmp.Compare(a.key, b.key), cmp.Compare(a.shape.ID(), b.shape.ID()))
	})
	return all[:min(most, len(all))]
}

// byValue is the heap.
type byValue []*item

func (h byValue) Len() int           { return len(h) }
func (h byValue) Less(i, j int) bool { return h[i].value < h[j].value }
func (h byValue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *byValue) Push(x any) {
	it := x.(*item)
	it.at = len(*h)
	*h = append(*h, it)
}

func (h *byValue) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
