package handlers

import (
	"sync/atomic"
	"time"
)

// freshRate bounds the loads that demands for freshness cause (server.fresh_rate): evenly
// so many in a second, and as many at once after a pause. It is one number, the time at
// which it is whole again (the generic cell rate algorithm), so it needs no lock.
type freshRate struct {
	interval time.Duration // that one load takes; 0: no bound
	room     time.Duration // how far whole may lie ahead of now
	began    time.Time
	whole    atomic.Int64 // in ns since began
}

// newFreshRate allows perSecond loads, one at least at a time; 0 is without a bound.
func newFreshRate(perSecond float64) *freshRate {
	f := &freshRate{began: time.Now()}
	if perSecond > 0 {
		f.interval = time.Duration(float64(time.Second) / perSecond)
		f.room = max(0, time.Second-f.interval)
	}
	return f
}

// allow takes a load, if there is one left.
func (f *freshRate) allow() bool { return f.allowAt(time.Since(f.began)) }

func (f *freshRate) allowAt(now time.Duration) bool {
	for f.interval > 0 {
		was := f.whole.Load()
		whole := max(time.Duration(was), now)
		if whole-now > f.room {
			return false
		}
		if f.whole.CompareAndSwap(was, int64(whole+f.interval)) {
			break
		}
	}
	return true
}

// wait is how long it takes until there is one left.
func (f *freshRate) wait() time.Duration { return f.waitAt(time.Since(f.began)) }

func (f *freshRate) waitAt(now time.Duration) time.Duration {
	return max(0, time.Duration(f.whole.Load())-f.room-now)
}
