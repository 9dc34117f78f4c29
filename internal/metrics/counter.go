package metrics

import (
	"strconv"
	"sync/atomic"
)

// Counter is a number that only grows. All methods are safe for concurrent
// use, allocate nothing and never block. Set.Counter makes one.
type Counter struct {
	owner *stripes
	lines []counterLine
}

type counterLine struct {
	n atomic.Uint64
	_ [lineSize - 8]byte
}

func newCounter(owner *stripes) *Counter {
	return &Counter{owner: owner, lines: make([]counterLine, owner.count())}
}

// Inc adds one.
func (c *Counter) Inc() { c.AddAt(c.owner.pick(), 1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.AddAt(c.owner.pick(), n) }

// AddAt is Add for a caller that has asked Set.Stripe already.
func (c *Counter) AddAt(at Stripe, n uint64) {
	c.lines[int(at)&(len(c.lines)-1)].n.Add(n)
}

// Value is the sum of everything added. Additions that run meanwhile may or
// may not be in it; of two calls in a row the second is never smaller.
func (c *Counter) Value() uint64 {
	var sum uint64
	for i := range c.lines {
		sum += c.lines[i].n.Load()
	}
	return sum
}

func (c *Counter) appendText(dst []byte, name, labels string) []byte {
	dst = appendName(dst, name, "", labels, "", "")
	return append(strconv.AppendUint(dst, c.Value(), 10), '\n')
}
