package main

import (
	"sync/atomic"
	"time"

	"hearth/internal/testkit"
)

const (
	slotLasts = 100 * time.Millisecond
	slotLeast = 20 // answers; of fewer, a part says nothing
)

// timeline counts answers by the time at which they came, for as long as a scenario
// may last. It is used by all clients without a lock: each slot counts by itself.
type timeline struct {
	began time.Time
	slots [playWithin / slotLasts]struct{ all, memory atomic.Int64 }
}

func newTimeline() *timeline { return &timeline{began: time.Now()} }

func (l *timeline) now() time.Duration { return time.Since(l.began) }

func (l *timeline) note(fromMemory bool) { l.noteAt(l.now(), fromMemory) }

func (l *timeline) noteAt(at time.Duration, fromMemory bool) {
	slot := &l.slots[min(int(at/slotLasts), len(l.slots)-1)]
	slot.all.Add(1)
	if fromMemory {
		slot.memory.Add(1)
	}
}

// warmAfter is how long after since the first slot ended, if one has by now, in which
// 99 of 100 answers came from memory.
func (l *timeline) warmAfter(since, now time.Duration) (time.Duration, bool) {
	for i := int((since + slotLasts - 1) / slotLasts); i < len(l.slots) && time.Duration(i+1)*slotLasts <= now; i++ {
		all, memory := l.slots[i].all.Load(), l.slots[i].memory.Load()
		if all >= slotLeast && memory*100 >= all*99 {
			return time.Duration(i+1)*slotLasts - since, true
		}
	}
	return 0, false
}

// awaitWarm waits for that.
func (l *timeline) awaitWarm(tb testkit.TB, since time.Duration) (after time.Duration) {
	testkit.Eventually(tb, coldWithin, "answers come from memory", func() (warm bool) {
		after, warm = l.warmAfter(since, l.now())
		return warm
	})
	return after.Round(time.Millisecond)
}
