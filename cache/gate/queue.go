package gate

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// queue is a bounded number of places and a bounded queue for them. When the waiter at
// its head has waited for half of the time that it may, newcomers are refused at once:
// their clients can ask elsewhere, and those in the queue will be served. How long the
// work takes need not be known for that; CoDel (Nichols and Jacobson, 2012) does the
// same to packets. The number of places may change at any time.
type queue struct {
	clock  *memory.Clock
	size   atomic.Int64 // places
	wait   atomic.Int64 // for a place, at most; ns
	queued atomic.Int64 // length of the queue, for metrics

	mu      sync.Mutex
	taken   int64
	waiters list.List // of *waiter, in the order they came
	waited  int64     // how long the last one from the queue had waited; ns
	served  int64     // clock time when it got its place, or the queue began
}

// waiter is work that waits for a place.
type waiter struct {
	came  int64         // clock time at which it joined the queue
	place chan struct{} // closed when it has one
}

// queuePerPlace bounds how many may wait for each place.
const queuePerPlace = 16

func newQueue(places int, wait time.Duration, c *memory.Clock) *queue {
	l := &queue{clock: c}
	l.size.Store(int64(places))
	l.wait.Store(int64(wait))
	return l
}

// resize changes the number of places. New ones go to those who wait; where there
// are fewer, work under way is finished first.
func (l *queue) resize(places int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size.Store(int64(places))
	l.admitLocked()
}

// enter takes a place, and waits for it as long as the queue and ctx allow. Work that
// has entered must leave.
func (l *queue) enter(ctx context.Context) error {
	place, err := l.join()
	if place == nil {
		return err
	}
	timer := time.NewTimer(time.Duration(l.wait.Load()))
	defer timer.Stop()
	select {
	case <-place.Value.(*waiter).place:
		return nil
	case <-timer.C:
		err = fmt.Errorf("%w: no place within load.wait (load.max_concurrent = %d)", shared.ErrOverload, l.size.Load())
	case <-ctx.Done():
		err = fmt.Errorf("%w: waiting for a place", shared.ErrTimeout)
	}
	l.giveUp(place)
	return err
}

// join takes a place if there is one, and then returns nil; otherwise it joins the
// queue, unless that is too long or too slow. All of it is one step under the lock, or
// the first to wait in a new queue could be judged by how long the last one had taken.
func (l *queue) join() (place *list.Element, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.enterLocked() {
		return nil, nil
	}
	came := l.clock.Now()
	if l.waiters.Len() == 0 {
		l.waited, l.served = 0, came
	}
	if err := l.refusalLocked(came); err != nil {
		return nil, err
	}
	place = l.waiters.PushBack(&waiter{came, make(chan struct{})})
	l.queued.Store(int64(l.waiters.Len()))
	return place, nil
}

// refusalLocked is why the queue takes nobody now, nil if it does. The lock is held.
func (l *queue) refusalLocked(now int64) error {
	size, wait := l.size.Load(), time.Duration(l.wait.Load())
	if most := queuePerPlace * size; int64(l.waiters.Len()) >= most {
		return fmt.Errorf("%w: %d wait already (load.max_concurrent = %d)", shared.ErrOverload, most, size)
	}
	if l.waiters.Len() == 0 {
		return nil
	}
	if head := time.Duration(max(l.waited, now-l.served)); head > wait/2 {
		return fmt.Errorf("%w: others have waited for %v already (load.wait = %v, load.max_concurrent = %d)", shared.ErrOverload, head.Round(time.Millisecond), wait, size)
	}
	return nil
}

// tryEnter takes a place if one is free and nobody waits for it.
func (l *queue) tryEnter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enterLocked()
}

// idle tells whether more than half of the places are free.
func (l *queue) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 2*l.taken < l.size.Load()
}

func (l *queue) enterLocked() bool {
	if !l.freeLocked() {
		return false
	}
	l.taken++
	return true
}

// freeLocked tells whether there is a place that nobody waits for. The lock is held.
func (l *queue) freeLocked() bool { return l.waiters.Len() == 0 && l.taken < l.size.Load() }

// leave gives a place back, to the next waiter.
func (l *queue) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	l.admitLocked()
}

// giveUp takes a waiter out of the queue, or gives back the place that it was given in
// this very moment: either the place's channel is closed or the waiter is still queued,
// never both, because both change under the lock.
func (l *queue) giveUp(e *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-e.Value.(*waiter).place:
		l.taken--
		l.admitLocked()
	default:
		l.waiters.Remove(e)
		l.queued.Store(int64(l.waiters.Len()))
	}
}

// admitLocked gives free places to the waiters that have waited longest. The lock is
// held.
func (l *queue) admitLocked() {
	for l.taken < l.size.Load() {
		first := l.waiters.Front()
		if first == nil {
			return
		}
		w := l.waiters.Remove(first).(*waiter)
		l.queued.Store(int64(l.waiters.Len()))
		l.taken++
		l.served = l.clock.Now()
		l.waited = l.served - w.came
		close(w.place)
	}
}
