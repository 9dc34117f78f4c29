package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// availability knows whether Redis may be asked. While it is away no caller waits
// out a deadline to find that out again: the link keeper alone goes on trying.
//
//	not connected yet ──recovered──► available
//	        │                          │   ▲
//	     markAway               markAway   recovered
//	        │                          ▼   │
//	        └────────────────────────► away
type availability struct {
	log          *slog.Logger
	outage       atomic.Pointer[outage] // nil while Redis can be asked
	firstAttempt chan struct{}          // closed when the first attempt to reach Redis is over
	probe        chan struct{}          // wakes the link keeper at once
}

// outage is why Redis is not asked, and since when.
type outage struct {
	err   error
	since time.Time
}

var errNotYet = errors.New("not connected yet")

// errReplaced is what a command meets whose client the link keeper has just
// replaced. It says nothing about Redis.
var errReplaced = rueidis.ErrClosing

// init begins in the state "not connected yet".
func (a *availability) init(log *slog.Logger) {
	a.log, a.firstAttempt, a.probe = log, make(chan struct{}), make(chan struct{}, 1)
	a.outage.Store(&outage{err: errNotYet, since: time.Now()})
}

// await returns nil if Redis may be asked, else why not. Before the first attempt
// to reach Redis nothing is known: then its end is waited for, or a fleet that
// starts would load past Redis.
func (a *availability) await(ctx context.Context) error {
	now := a.outage.Load()
	if now != nil && now.err == errNotYet {
		select {
		case <-a.firstAttempt:
		case <-ctx.Done():
		}
		now = a.outage.Load()
	}
	if now != nil {
		return fmt.Errorf("%w: %w", shared.ErrAway, now.err)
	}
	return nil
}

// noteFailure turns the error of a command into the tier's. An error reply shows
// that Redis is there: it concerns this command and its key alone. One slow answer
// is no outage, either; the link keeper's own reads decide that. A broken
// connection stops all callers until the link keeper has reached Redis again.
func (a *availability) noteFailure(err error) error {
	if err == nil {
		return nil
	}
	if reply := errorReply(err); reply != "" {
		return refusalOf(reply, err)
	}
	if !isDeadline(err) && !errors.Is(err, errReplaced) {
		a.markAway(err)
	}
	a.ProbeNow()
	return fmt.Errorf("%w: %w", shared.ErrAway, err)
}

// ProbeNow makes the next round of proofs begin at once. It does not wait.
func (a *availability) ProbeNow() {
	select {
	case a.probe <- struct{}{}:
	default:
	}
}

// markAway stops all callers from asking. It logs once an outage.
func (a *availability) markAway(err error) {
	was := a.outage.Load()
	if was != nil && was.err != errNotYet {
		return
	}
	if a.outage.CompareAndSwap(was, &outage{err: err, since: time.Now()}) {
		a.log.Warn("redis cannot be asked", "error", err)
	}
}

// recovered lets callers ask again. It may be called when nothing was wrong.
func (a *availability) recovered() {
	if was := a.outage.Swap(nil); was != nil {
		a.log.Info("redis answers", "after", time.Since(was.since).Round(time.Millisecond))
	}
}
