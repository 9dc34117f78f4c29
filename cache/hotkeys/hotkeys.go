// Package hotkeys finds the keys that are asked for most, in fixed memory: Space-Saving
// (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in
// data streams", ICDT 2005) over a sample of the hits and of the misses.
//
// It stands beside the memory tier and not in it: a hit pays for nothing but being picked.
package hotkeys

import (
	"math"
	"sync"
	"time"

	"hearth/cache/memory"
)

// Order is by what keys are ranked.
type Order int

// The orders.
const (
	Reads Order = iota
	Bytes
	Misses
	Loads
	Orders
)

// Weights are what one event, or a sample that stands for many, adds to a key, by Order.
type Weights [Orders]float64

const (
	// counters are how many keys are counted in each order. Whatever has more than one part in
	// so many of all that came within the window is among them.
	counters = 1024
	// window is the time constant in which events are forgotten: what has gone on for ten
	// seconds counts by 86 per cent, and what has ended ten seconds ago by 14.
	window = 5 * time.Second
	// MaxKey is the longest key in bytes that is told from others; of longer ones those that
	// begin alike are one.
	MaxKey = 512
)

// Table counts keys. It is safe for concurrent use; a caller that must not wait uses Try.
type Table struct {
	mu     sync.Mutex
	origin int64 // clock time at which weights are what they are
	ranked [Orders]ranking
}

// New returns an empty Table.
func New() *Table {
	t := &Table{}
	for i := range t.ranked {
		t.ranked[i] = newRanking()
	}
	return t
}

// identity is a key of a resource: the same key under another shape is another record.
type identity struct {
	shape *memory.Shape
	key   string
}

// Add counts an event at clock time now. It keeps nothing of key.
func (t *Table) Add(now int64, shape *memory.Shape, key []byte, w Weights) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add(t, now, shape, key, w)
}

// Try is Add unless somebody else is at the table: then it tells false. It may keep key.
func (t *Table) Try(now int64, shape *memory.Shape, key string, w Weights) bool {
	if !t.mu.TryLock() {
		return false
	}
	defer t.mu.Unlock()
	add(t, now, shape, key, w)
	return true
}

func add[K string | []byte](t *Table, now int64, shape *memory.Shape, key K, w Weights) {
	growth := t.growth(now)
	key = key[:min(len(key), MaxKey)]
	for order, weight := range w {
		if weight > 0 {
			count(&t.ranked[order], shape, key, weight*growth)
		}
	}
}

// growth is by how much an event of clock time now counts more than one of the origin: the
// past fades by what comes later counting more (forward decay: Cormode, Shkapenyuk,
// Srivastava and Xu, ICDE 2009), so that no counter has to be touched as time goes by.
func (t *Table) growth(now int64) float64 {
	const most = 40 // windows, of which e to the power is far from overflowing
	passed := float64(now-t.origin) / float64(window)
	if passed > most {
		for i := range t.ranked {
			t.ranked[i].scale(math.Exp(-passed))
		}
		t.origin, passed = now, 0
	}
	return math.Exp(max(passed, 0))
}

// Hot is a key with its rates per second. Each is at most what it really was, and short of it by
// what the key came before it was counted.
type Hot struct {
	Shape *memory.Shape
	Key   string
	Rates Weights
}

// Top returns the most keys at most that rank first. Only keys that keep says yes to count; it
// is called under the table's lock.
func (t *Table) Top(now int64, by Order, most int, keep func(*memory.Shape) bool) []Hot {
	t.mu.Lock()
	defer t.mu.Unlock()
	perSecond := 1 / t.growth(now) / window.Seconds()
	var all []Hot
	for _, it := range t.ranked[by].top(most, keep) {
		hot := Hot{Shape: it.shape, Key: it.key}
		for order := range t.ranked {
			if found := t.ranked[order].index[it.identity]; found != nil {
				hot.Rates[order] = found.sure() * perSecond
			}
		}
		all = append(all, hot)
	}
	return all
}
