// Package room counts memory that many share, so that all of them together
// stay within one bound. It knows nothing of what the memory is for: whoever
// takes some says how much, and gives it back.
package room

import "sync/atomic"

// Room is a number of bytes that may be taken at a time. It is safe for
// concurrent use.
type Room struct {
	size, taken, refused atomic.Int64
}

// New returns a Room of size bytes.
func New(size int64) *Room {
	r := &Room{}
	r.Resize(size)
	return r
}

// Resize makes the room another size. What is taken stays taken; nothing more
// is until there is less of it.
func (r *Room) Resize(size int64) { r.size.Store(size) }

// Take takes n bytes, or tells that so many are not there.
func (r *Room) Take(n int64) bool { return r.take(n, false) }

// TakeOne is Take, but for what has to be possible however large it is: where
// nothing is taken at all, n may be more than there is.
func (r *Room) TakeOne(n int64) bool { return r.take(n, true) }

func (r *Room) take(n int64, alone bool) bool {
	for {
		taken := r.taken.Load()
		if taken+n > r.size.Load() && !(alone && taken <= 0) {
			r.refused.Add(1)
			return false
		}
		if r.taken.CompareAndSwap(taken, taken+n) {
			return true
		}
	}
}

// Add takes n bytes whether they are there or not, for what is needed all the
// same and is bounded by something else.
func (r *Room) Add(n int64) { r.taken.Add(n) }

// Give gives n bytes back.
func (r *Room) Give(n int64) { r.taken.Add(-n) }

// Size is how many bytes may be taken.
func (r *Room) Size() int64 { return r.size.Load() }

// Taken is how many bytes are taken.
func (r *Room) Taken() int64 { return r.taken.Load() }

// Refused is how often Take has refused.
func (r *Room) Refused() int64 { return r.refused.Load() }
