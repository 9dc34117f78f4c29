package main

import (
	"container/heap"
	"slices"
)

// never is the time of a request that does not come.
const never = 1<<31 - 1

// optimum is the share of hits that the best of all policies has, which knows what will be
// asked for (Belady, 1966): memory holds those keys that are asked for soonest. A key that
// is asked for later than all of them is not kept at all.
func optimum(t *trace, capacity int) float64 {
	keys := t.keys()
	next := make([]int32, len(t.requests)) // when the request's key is asked for again
	last := make([]int32, keys)
	for i := range last {
		last[i] = never
	}
	for i := len(t.requests) - 1; i >= 0; i-- {
		key := t.requests[i]
		next[i], last[key] = last[key], int32(i)
	}
	hits := 0
	uses := make([]int32, keys) // next use of a key in memory; 0: it is not there
	held, order := 0, &latest{}
	for i, key := range t.requests {
		switch {
		case uses[key] != 0:
			hits++
		case next[i] == never:
			continue // would be the first to go
		case held < capacity:
			held++
		default:
			order.clean(uses)
			if (*order)[0].at <= next[i] {
				continue
			}
			uses[(*order)[0].key] = 0
			heap.Pop(order)
		}
		uses[key] = next[i]
		heap.Push(order, use{next[i], key})
	}
	return float64(hits) / float64(len(t.requests))
}

// use is that a key is asked for at a time.
type use struct {
	at  int32
	key uint32
}

// latest has the last of all uses on top, those that have passed included.
type latest []use

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i].at > l[j].at }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(x any)        { *l = append(*l, x.(use)) }
func (l *latest) Pop() any {
	x := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return x
}

// clean removes what is on top and does not hold any more.
func (l *latest) clean(uses []int32) {
	for uses[(*l)[0].key] != (*l)[0].at {
		heap.Pop(l)
	}
}

// fixedSet is the share of hits that the best set of keys has that never changes, from the
// second request for each on. Where requests do not depend on each other, and in the long
// run, that is the best of what does not know the future (Aho, Denning and Ullman,
// "Principles of optimal page replacement", 1971); on a trace it is a little better yet,
// because it is chosen by the counts of the trace itself.
func fixedSet(t *trace, capacity int) float64 {
	counts := make([]int, t.keys())
	for _, key := range t.requests {
		counts[key]++
	}
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	hits := 0
	for _, n := range counts[:min(capacity, len(counts))] {
		hits += max(n-1, 0)
	}
	return float64(hits) / float64(len(t.requests))
}
