package memory

import (
	"sync/atomic"
	"time"
)

// Clock counts nanoseconds since it was made, by the monotonic clock: "clock time". On
// some systems that clock stands still while the machine sleeps. The wall clock then
// runs ahead of it, and the distance between the two shows that the machine has slept.
// It is safe for concurrent use.
type Clock struct {
	base  time.Time
	drift atomic.Int64 // wall minus monotonic time at the last tick, ns
}

// maxJump is how far the wall clock may run ahead between two ticks before links have to
// prove themselves anew, in ns. A step by NTP costs freshness until they have; a machine
// that slept must not serve what it remembers.
const maxJump = int64(250 * time.Millisecond)

// NewClock returns a clock at 0.
func NewClock() *Clock { return &Clock{base: time.Now()} }

// At maps t, read by time.Now in this process, to clock time.
func (c *Clock) At(t time.Time) int64 { return int64(t.Sub(c.base)) }

// Now is the present clock time.
func (c *Clock) Now() int64 { return int64(time.Since(c.base)) }

// jumped tells whether the wall clock has jumped ahead since the last tick.
func (c *Clock) jumped(t time.Time, mono int64) bool {
	return t.UnixNano()-c.base.UnixNano()-mono-c.drift.Load() > maxJump
}

// tick accepts the present distance between the clocks. It comes only after every owner
// has lost what it had verified before the jump: a reader in between would find the
// clocks agreed and the links verified.
func (c *Clock) tick(t time.Time) {
	c.drift.Store(t.UnixNano() - c.base.UnixNano() - c.At(t))
}
