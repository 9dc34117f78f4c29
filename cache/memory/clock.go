package memory

import (
	"sync/atomic"
	"time"
)

// Clock counts nanoseconds since the process began to care, by the monotonic
// clock. Where that clock stands still while the machine sleeps, the wall
// clock runs ahead of it; the distance between the two gives it away.
type Clock struct {
	base  time.Time
	drift atomic.Int64 // wall minus monotonic time at the last tick, ns
}

// maxJump is how far the wall clock may run ahead between two ticks before
// what was verified earlier is doubted. A step by NTP costs a moment's
// freshness; a machine that slept must not serve what it remembers.
const maxJump = int64(250 * time.Millisecond)

func NewClock() *Clock { return &Clock{base: time.Now()} }

// At maps t, read by time.Now in this process, to clock time.
func (c *Clock) At(t time.Time) int64 { return int64(t.Sub(c.base)) }

func (c *Clock) Now() int64 { return int64(time.Since(c.base)) }

// slept tells whether the wall clock has jumped ahead since the last tick.
func (c *Clock) slept(t time.Time, mono int64) bool {
	return t.UnixNano()-c.base.UnixNano()-mono-c.drift.Load() > maxJump
}

// tick accepts the present distance between the clocks. Only after every
// owner has lost what it had verified before the jump may it be called.
func (c *Clock) tick(t time.Time) {
	c.drift.Store(t.UnixNano() - c.base.UnixNano() - c.At(t))
}
