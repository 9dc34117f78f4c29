package gate

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/shared"
)

// breaker is a circuit breaker (Nygard, Release It!, 2007). Closed, it counts how loads
// end. It opens when a source fails as a whole: then no load waits out a timeout to
// learn that again, and the source is left in peace.
//
//	         breakerRow failures in a row, or half of the loads of 5 to 10 s,
//	         or one answer that asks for a pause
//	closed ─────────────────────────────────────────────────────────────────► open
//	   ▲                                                                       │ pause
//	   │ the probe succeeds                                                    ▼
//	   └──────────────────────────────────────────────────────────────── probing one load
//	                        it fails: open again, for twice as long, up to 15 s
//
// Two rules open it, because a busy source and one that is hardly asked show an outage
// differently. A source that fails now and then opens it by neither.
type breaker struct {
	until atomic.Int64 // clock time until which loads are refused; 0: closed

	mu      sync.Mutex
	probing bool                         // open, past until, and one load is out to see
	since   int64                        // clock time at which it opened
	pause   time.Duration                // of the present refusal, before its jitter
	row     int                          // failures since the last success
	window  int64                        // number of the present window
	counts  [2]struct{ all, failed int } // of this window and the one before
}

const (
	breakerRow    = 16                     // failures in a row that open it
	breakerLeast  = 5                      // failures that half of the loads must be at least
	breakerWindow = int64(5 * time.Second) // two windows are looked at
	breakerPause  = time.Second            // the first
	breakerLimit  = 15 * time.Second       // the longest
	breakerSpare  = time.Minute            // the longest that a source may ask for
)

// open tells whether a load would be refused now, and changes nothing.
func (b *breaker) open(now int64) bool {
	until := b.until.Load()
	if until == 0 {
		return false
	}
	if now < until {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.probing
}

// closed tells that the source is not being spared, nor to be tried again.
func (b *breaker) closed() bool { return b.until.Load() == 0 }

// allow tells whether a load may begin. If it may, exactly one of failed,
// succeeded and skip has to follow.
func (b *breaker) allow(now int64) bool {
	if b.until.Load() == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.until.Load()
	switch {
	case until == 0:
		return true
	case now < until || b.probing:
		return false
	}
	b.probing = true
	return true
}

// skip ends a load that did not ask the source.
func (b *breaker) skip() {
	if b.until.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false // were another load the probe, one more would do no harm
}

// succeeded counts a load that the source answered. It returns how long the
// breaker had been open if that closed it, else 0.
func (b *breaker) succeeded(now int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	b.row = 0
	b.counts[0].all++
	if b.until.Load() == 0 {
		return 0
	}
	was := time.Duration(now - b.since)
	b.until.Store(0)
	b.probing, b.pause = false, 0
	b.counts[0].failed, b.counts[1].failed = 0, 0
	return max(was, 1)
}

// failed counts a load that the source did not answer. It returns for how long
// loads are refused if that opened the breaker for the first time, else 0.
func (b *breaker) failed(now int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	b.row++
	b.counts[0].all++
	b.counts[0].failed++
	if b.until.Load() != 0 {
		if b.probing { // loads that had begun before it opened say nothing new
			b.probing = false
			b.refuse(now, min(2*b.pause, breakerLimit))
		}
		return 0
	}
	all, failed := b.counts[0].all+b.counts[1].all, b.counts[0].failed+b.counts[1].failed
	if b.row < breakerRow && (failed < breakerLeast || 2*failed < all) {
		return 0
	}
	b.since = now
	b.refuse(now, breakerPause)
	return b.pause
}

// spare counts a load with whose answer the source has asked to be left alone for d.
// One such answer opens the breaker: the source has said for all what is the matter. It
// returns for how long loads are refused if that opened the breaker for the first time,
// else 0.
func (b *breaker) spare(now int64, d time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	b.row++
	b.counts[0].all++
	b.counts[0].failed++
	was := b.until.Load()
	b.probing = false
	b.pause = max(b.pause, breakerPause)
	// Not a moment earlier than it asks for, and not all instances in one moment.
	d = min(d, breakerSpare)
	b.until.Store(max(was, now+int64(d)+rand.Int64N(int64(d)/10+1)))
	if was != 0 {
		return 0
	}
	b.since = now
	return d
}

// refuse opens the breaker for d, jittered, so that instances do not come back
// at one moment.
func (b *breaker) refuse(now int64, d time.Duration) {
	b.pause = d
	b.until.Store(now + int64(shared.Jitter(d)))
}

// turn begins a new window when it is time. The lock is held.
func (b *breaker) turn(now int64) {
	window := now/breakerWindow + 1
	if window == b.window {
		return
	}
	if window == b.window+1 {
		b.counts[1] = b.counts[0]
	} else {
		b.counts[1].all, b.counts[1].failed = 0, 0
	}
	b.counts[0].all, b.counts[0].failed = 0, 0
	b.window = window
}
