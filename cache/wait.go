package cache

import (
	"fmt"
	"math/rand/v2"
	"time"

	"hearth/cache/shared"
)

// meetLease waits for another's load, or joins it when the load runs in this
// process and its lease was seen to stand after this reader came.
//
// The condition is what makes a join safe. Say a client has written at another
// instance, has its 200, and reads here. A load that began before that write's
// guard may bring the old record. Its lease is gone by then: the guard has replaced
// it. So a lease that stood after the reader came belongs to a load that began
// after every write which the reader can have heard of.
func (q *query) meetLease(seen sharedRead) (Answer, bool, error) {
	if q.waited > q.settings.Load().Wait {
		if seen.TTL == 0 { // its expiry was taken away (PERSIST), so it would stand for good
			return q.loadLeased([]byte(seen.Text))
		}
		return Answer{}, false, fmt.Errorf("%w: key %q is being loaded elsewhere for longer than load.wait", ErrTimeout, q.key)
	}
	if seen.sent >= q.began {
		if l := q.flights.loadOf(q.r, q.key, seen.Text[len(shared.LeasePrefix):]); l != nil && q.mayJoin(l) {
			return q.join(l)
		}
	}
	return q.wait(seen)
}

// meetGuard waits while the record is being written. After a third of load.wait it
// passes: it loads and stores nothing, for the write may commit at any moment. A
// guard without expiry, which somebody's PERSIST has left, is taken over by
// compare-and-set after the whole wait.
func (q *query) meetGuard(seen sharedRead) (Answer, bool, error) {
	if q.waited > q.settings.Load().Wait/3 {
		if seen.TTL == 0 && q.waited > q.settings.Load().Wait {
			return q.loadLeased([]byte(seen.Text))
		}
		if q.r.Records != nil && seen.TTL != 0 {
			a, err := q.pass(false)
			return a, false, err
		}
	}
	return q.wait(seen)
}

// recheckEvery is how long a waiter relies on being told of a change.
const recheckEvery = 250 * time.Millisecond

// wait waits for a change of the key and says to read again. A jittered timer
// covers the case that the change is not reported: by a link that breaks, or by a
// lease that expires in Redis without a command on the key.
func (q *query) wait(seen sharedRead) (Answer, bool, error) {
	d := recheckEvery/2 + rand.N(recheckEvery/2)
	w := seen.changed
	if w == nil || w == firedWatch { // not tracked: look again soon
		return q.await(nil, 2*time.Millisecond+rand.N(8*time.Millisecond))
	}
	q.flights.watching(q.key, w)
	defer q.flights.unwatch(q.key, w)
	return q.await(w.fired, d)
}

// await waits until over is closed, d has passed or the read is out of time, as
// one of at most load.max_waiting readers, and says to read again.
func (q *query) await(over <-chan struct{}, d time.Duration) (Answer, bool, error) {
	if err := q.beginWaiting(); err != nil {
		return Answer{}, false, err
	}
	defer q.waiting.Add(-1)
	before := q.store.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-over:
	case <-timer.C:
	case <-q.ctx.Done():
		err = fmt.Errorf("%w: waiting for somebody else's load or write", ErrTimeout)
	}
	q.waited += time.Duration(q.store.Now() - before)
	q.released++
	return Answer{}, err == nil, err
}

// join waits for a load of this process and shares its answer. It says to read
// again when the load has ended without one. What may not be shared belongs to the
// reader that led the load: the others ask for themselves (RFC 9111, 4: collapsed
// requests).
func (q *query) join(l *load) (Answer, bool, error) {
	if err := q.outlast(l); err != nil {
		return Answer{}, false, err
	}
	if l.answer.unshared() {
		return q.alone()
	}
	if l.restored && !q.needsLife() { // what it was to replace is good enough
		return Answer{}, true, nil
	}
	return l.result(q.ctx)
}

// outlast waits for the end of a load of this process.
func (q *query) outlast(l *load) error {
	if err := q.beginWaiting(); err != nil {
		return err
	}
	defer q.waiting.Add(-1)
	select {
	case <-l.done:
		q.released++
		return nil
	case <-q.ctx.Done():
		return fmt.Errorf("%w: waiting for a load", ErrTimeout)
	}
}

// beginWaiting counts one more waiting reader, or refuses it: each holds a
// connection and a deadline. Without an error the caller counts it down again.
func (q *query) beginWaiting() error {
	q.numbers.leaseWaits.Add(1)
	if q.waiting.Add(1) > int64(q.settings.Load().MaxWaiting) {
		q.waiting.Add(-1)
		return fmt.Errorf("%w: %d readers wait already for loads and writes (load.max_waiting)", ErrOverload, q.settings.Load().MaxWaiting)
	}
	return nil
}
