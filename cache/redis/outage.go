package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// availability knows whether a node may be asked. While it is away no caller waits out a
// deadline to find that out again: the node's keeper alone goes on trying. A connection
// that breaks is no outage yet: it is dialled anew, which is over in a moment, and callers
// wait for that.
//
//	not connected yet ──recovered──► available ──interrupt──► interrupted
//	        │                          ▲   │                    │     │
//	     markAway               recovered  markAway        markAway  recovered
//	        │                          │   ▼                    │     ▼
//	        └────────────────────────► away ◄───────────────────┘   available
type availability struct {
	log    *slog.Logger
	outage atomic.Pointer[outage] // nil while the node can be asked
	probe  chan struct{}          // wakes the keeper at once
}

// outage is why a node is not asked, and since when.
type outage struct {
	err     error
	since   time.Time
	attempt chan struct{} // while not nil and open, an attempt to reach the node is under way
	told    bool          // the log has it
	mends   string        // what an operator has to mend, as far as it was met and logged
}

// over tells whether the attempt is over, so that err is what came of it.
func (o *outage) over() bool {
	if o.attempt == nil {
		return true
	}
	select {
	case <-o.attempt:
		return true
	default:
		return false
	}
}

var errNotYet = errors.New("not connected yet")

// errReplaced is what a command meets whose connection the keeper has just replaced. It
// says nothing about Redis.
var errReplaced = rueidis.ErrClosing

// init begins in the state "not connected yet".
func (a *availability) init(log *slog.Logger) {
	a.log, a.probe = log, make(chan struct{}, 1)
	a.outage.Store(&outage{err: errNotYet, since: time.Now(), attempt: make(chan struct{})})
}

// await returns nil if the node may be asked, else why not. It waits for an attempt to
// reach the node, at most until ctx ends: before the first one nothing is known, and a
// fleet that starts would load past Redis.
func (a *availability) await(ctx context.Context) error {
	for {
		now := a.outage.Load()
		if now == nil {
			return nil
		}
		if now.attempt == nil {
			return fmt.Errorf("%w: %w", shared.ErrAway, now.err)
		}
		select {
		case <-now.attempt: // another state has taken its place, which tells what came of it
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", shared.ErrAway, now.err)
		}
	}
}

// why is why the node is not asked, nil if it is.
func (a *availability) why() error {
	if now := a.outage.Load(); now != nil {
		return now.err
	}
	return nil
}

// ProbeNow makes the keeper's next round begin at once. It does not wait.
func (a *availability) ProbeNow() {
	select {
	case a.probe <- struct{}{}:
	default:
	}
}

// interrupt makes callers wait for the keeper's next attempt. It does nothing while the
// node is away.
func (a *availability) interrupt(err error) {
	if a.outage.CompareAndSwap(nil, &outage{err: err, since: time.Now(), attempt: make(chan struct{})}) {
		a.ProbeNow()
	}
}

// markAway ends an attempt without success, and stops all callers from asking. It logs
// once an outage, and again when something is met that an operator has to mend.
func (a *availability) markAway(err error) {
	was := a.outage.Load()
	now := &outage{err: err, since: time.Now(), told: true, mends: mends(err)}
	if was != nil {
		now.since, now.mends = was.since, cmp.Or(now.mends, was.mends)
	}
	if was == nil || !was.told || now.mends != was.mends {
		a.log.Warn("redis cannot be asked", "error", err)
	}
	a.swap(now)
}

// giveUpWaiting lets callers go who wait for an attempt that takes too long.
func (a *availability) giveUpWaiting() {
	if was := a.outage.Load(); was != nil && !was.over() {
		if a.outage.CompareAndSwap(was, &outage{err: was.err, since: was.since}) {
			close(was.attempt)
		}
	}
}

// recovered lets callers ask again. It may be called when nothing was wrong.
func (a *availability) recovered() {
	was := a.outage.Load()
	if was == nil {
		return
	}
	a.swap(nil)
	switch {
	case was.told || was.err == errNotYet:
		a.log.Info("redis answers", "after", time.Since(was.since).Round(time.Millisecond))
	default:
		a.log.Info("a connection to redis was dialled anew", "after", time.Since(was.since).Round(time.Millisecond), "error", was.err)
	}
}

// swap changes the state, and wakes those that wait for it.
func (a *availability) swap(now *outage) {
	if was := a.outage.Swap(now); was != nil && !was.over() {
		close(was.attempt)
	}
}
