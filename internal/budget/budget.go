// Package budget counts memory that many share, so that all of them together stay
// within one bound. It knows nothing of what the memory is for: who takes some says
// how much, and returns it. So one type bounds answers, request bodies and the
// subjects of limits alike, and an operator reads all of them in the same way.
package budget

import "sync/atomic"

// Budget is a number of bytes that may be taken at a time. It is safe for
// concurrent use.
type Budget struct {
	size, taken, refused atomic.Int64
}

// New returns a Budget of size bytes.
func New(size int64) *Budget {
	b := &Budget{}
	b.Resize(size)
	return b
}

// Resize makes the budget another size. What is taken stays taken; nothing more
// is until there is less of it.
func (b *Budget) Resize(size int64) { b.size.Store(size) }

// Take takes n bytes, or tells that so many are not left.
func (b *Budget) Take(n int64) bool { return b.take(n, false) }

// TakeAlone is Take, but for what has to be possible however large it is: where
// nothing is taken at all, n may exceed the budget.
func (b *Budget) TakeAlone(n int64) bool { return b.take(n, true) }

func (b *Budget) take(n int64, alone bool) bool {
	for {
		taken := b.taken.Load()
		if taken+n > b.size.Load() && !(alone && taken <= 0) {
			b.refused.Add(1)
			return false
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

// Overdraw takes n bytes whether they are left or not, for what is needed all the
// same and is bounded by something else.
func (b *Budget) Overdraw(n int64) { b.taken.Add(n) }

// Return gives n bytes back.
func (b *Budget) Return(n int64) { b.taken.Add(-n) }

// Size is how many bytes may be taken.
func (b *Budget) Size() int64 { return b.size.Load() }

// Taken is how many bytes are taken.
func (b *Budget) Taken() int64 { return b.taken.Load() }

// Refused is how often Take and TakeAlone have refused.
func (b *Budget) Refused() int64 { return b.refused.Load() }
