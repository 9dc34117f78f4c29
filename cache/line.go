package cache

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// line is a bounded number of places and a bounded queue for them. When those
// at the head of the queue have waited for half of what they may, newcomers are
// refused as they come: their clients can ask elsewhere, and who stands in the
// queue will be served. How long work takes need not be known for that (it is
// what CoDel, Nichols and Jacobson, 2012, does to packets). The number of places
// may change while all of this goes on.
type line struct {
	clock  *clock
	size   atomic.Int64 // places
	wait   atomic.Int64 // for a place, at most; ns
	queued atomic.Int64

	waited atomic.Int64 // how long the last one from the queue had waited; ns
	served atomic.Int64 // clock time when it got its place, or the queue began

	mu    sync.Mutex
	taken int64
	queue list.List // of chan struct{}, closed when its owner has got a place; in the order they came
}

// queuePerPlace bounds how many may wait for each that is at work.
const queuePerPlace = 16

func newLine(places int, wait time.Duration, c *clock) *line {
	l := &line{clock: c}
	l.size.Store(int64(places))
	l.wait.Store(int64(wait))
	return l
}

// resize changes the number of places. New ones go to those who wait; where there
// are fewer, work under way is finished first.
func (l *line) resize(places int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size.Store(int64(places))
	l.admitLocked()
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
	place := l.queueUp()
	mine := place.Value.(chan struct{})
	var err error
	select {
	case <-mine:
		now := l.clock.now()
		l.waited.Store(now - came)
		l.served.Store(now)
		return nil
	case <-timer.C:
		err = fmt.Errorf("%w: no place within load.wait (load.max_concurrent = %d)", ErrOverload, size)
	case <-ctx.Done():
		err = fmt.Errorf("%w: waiting for a place", ErrTimeout)
	}
	l.giveUp(place)
	return err
}

func (l *line) enterAtOnce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.Len() > 0 || l.taken >= l.size.Load() {
		return false
	}
	l.taken++
	return true
}

func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	l.admitLocked()
}

func (l *line) queueUp() *list.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.queue.PushBack(make(chan struct{}))
	l.admitLocked() // a place may have become free since it was asked for
	return e
}

// giveUp takes one who waits out of the queue, or gives back the place that it
// was given in this very moment.
func (l *line) giveUp(e *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-e.Value.(chan struct{}):
		l.taken--
		l.admitLocked()
	default:
		l.queue.Remove(e)
	}
}

func (l *line) admitLocked() {
	for l.taken < l.size.Load() {
		first := l.queue.Front()
		if first == nil {
			return
		}
		l.queue.Remove(first)
		l.taken++
		close(first.Value.(chan struct{}))
	}
}
