package cache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// line is a bounded number of places and a bounded queue for them. When those
// at the head of the queue have waited for half of what they may, newcomers are
// refused as they come: their clients can ask elsewhere, and who stands in the
// queue will be served. How long work takes need not be known for that (it is
// what CoDel, Nichols and Jacobson, 2012, does to packets).
type line struct {
	clock  *clock
	places chan struct{} // one token for each that is at work; those who wait get in as they came
	wait   time.Duration // for a place, at most
	queued atomic.Int64

	waited atomic.Int64 // how long the last one from the queue had waited; ns
	served atomic.Int64 // clock time when it got its place, or the queue began
}

// queuePerPlace bounds how many may wait for each that is at work.
const queuePerPlace = 16

func newLine(places int, wait time.Duration, c *clock) *line {
	return &line{clock: c, places: make(chan struct{}, places), wait: wait}
}

// enter takes a place, waiting for it as long as the line and ctx allow. Who
// has entered must leave.
func (l *line) enter(ctx context.Context) error {
	if l.enterAtOnce() {
		return nil
	}
	came := l.clock.now()
	queued := l.queued.Add(1)
	defer l.queued.Add(-1)
	if queued == 1 {
		l.waited.Store(0)
		l.served.Store(came)
	}
	if most := int64(queuePerPlace * cap(l.places)); queued > most {
		return fmt.Errorf("%w: %d wait already (load.max_concurrent = %d)", ErrOverload, most, cap(l.places))
	}
	if head := time.Duration(max(l.waited.Load(), came-l.served.Load())); head > l.wait/2 {
		return fmt.Errorf("%w: others have waited for %v already (load.wait = %v, load.max_concurrent = %d)", ErrOverload, head.Round(time.Millisecond), l.wait, cap(l.places))
	}
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		now := l.clock.now()
		l.waited.Store(now - came)
		l.served.Store(now)
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: no place within load.wait (load.max_concurrent = %d)", ErrOverload, cap(l.places))
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for a place", ErrTimeout)
	}
}

func (l *line) enterAtOnce() bool {
	select {
	case l.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *line) leave() { <-l.places }
