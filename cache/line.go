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
	places chan struct{} // a token for each place that is taken, or that there is not; those who wait get in as they came
	size   atomic.Int64  // places that there are
	wait   atomic.Int64  // for a place, at most; ns
	queued atomic.Int64

	waited atomic.Int64 // how long the last one from the queue had waited; ns
	served atomic.Int64 // clock time when it got its place, or the queue began
}

// queuePerPlace bounds how many may wait for each that is at work.
const queuePerPlace = 16

// MaxPlaces is the most places that a line can have. The tokens in a channel take
// no room, so a line can be made for as many, and those that it does not have be
// taken from the beginning: then their number can change while others wait.
const MaxPlaces = 100_000

func newLine(places int, wait time.Duration, c *clock) *line {
	l := &line{clock: c, places: make(chan struct{}, MaxPlaces)}
	l.size.Store(int64(places))
	l.wait.Store(int64(wait))
	for range MaxPlaces - places {
		l.places <- struct{}{}
	}
	return l
}

// resize changes the number of places. New ones are there at once; how many are
// too much it returns, for shrink.
func (l *line) resize(places int) (less int64) {
	was := l.size.Swap(int64(places))
	for range int64(places) - was {
		<-l.places
	}
	return was - int64(places)
}

// shrink takes places away as soon as they are free, in turn with those who
// wait for them, and ends early when ctx ends.
func (l *line) shrink(ctx context.Context, places int64) {
	for range places {
		select {
		case l.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
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
	size, wait := l.size.Load(), time.Duration(l.wait.Load())
	if most := queuePerPlace * size; queued > most {
		return fmt.Errorf("%w: %d wait already (load.max_concurrent = %d)", ErrOverload, most, size)
	}
	if head := time.Duration(max(l.waited.Load(), came-l.served.Load())); head > wait/2 {
		return fmt.Errorf("%w: others have waited for %v already (load.wait = %v, load.max_concurrent = %d)", ErrOverload, head.Round(time.Millisecond), wait, size)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		now := l.clock.now()
		l.waited.Store(now - came)
		l.served.Store(now)
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: no place within load.wait (load.max_concurrent = %d)", ErrOverload, size)
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
