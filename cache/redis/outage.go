package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearth/cache/shared"
)

// trouble is why Redis is not asked, and since when.
type trouble struct {
	err   error
	since time.Time
}

var errNotYet = errors.New("not connected yet")

// ask returns the clients, or why Redis must not be asked now: while it is
// known to be away nobody waits out a deadline to find that out again. In the
// first moments of a process nothing is known yet: then the first attempt to
// reach it is waited for, or a fleet that starts would load past it.
func (t *Tier) ask(ctx context.Context) (*clients, error) {
	bad := t.trouble.Load()
	if bad != nil && bad.err == errNotYet {
		select {
		case <-t.tried:
		case <-ctx.Done():
		}
		bad = t.trouble.Load()
	}
	if bad != nil {
		return nil, fmt.Errorf("%w: %w", shared.ErrAway, bad.err)
	}
	return t.clients.Load(), nil
}

// failed looks at an error of a command. What Redis itself has answered says
// that it is there: it concerns this command and its key alone. A broken link
// stops everybody from asking until the keeper has reached Redis again.
func (t *Tier) failed(err error) error {
	if err == nil {
		return nil
	}
	if reply := answered(err); reply != "" {
		return refusalOf(reply, err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// One slow answer is no outage; the keeper's own reads decide that.
		t.ProbeNow()
		return fmt.Errorf("%w: %w", shared.ErrAway, err)
	}
	if !errors.Is(err, errReplaced) {
		t.trip(err)
	}
	t.ProbeNow()
	return fmt.Errorf("%w: %w", shared.ErrAway, err)
}

// ProbeNow makes the next round of proofs begin at once.
func (t *Tier) ProbeNow() {
	select {
	case t.probe <- struct{}{}:
	default:
	}
}

// trip stops everybody from asking. It is logged once an outage.
func (t *Tier) trip(err error) {
	was := t.trouble.Load()
	if was != nil && was.err != errNotYet {
		return
	}
	if t.trouble.CompareAndSwap(was, &trouble{err: err, since: time.Now()}) {
		t.cfg.Log.Warn("redis cannot be asked", "error", err)
	}
}

func (t *Tier) mend() {
	if was := t.trouble.Swap(nil); was != nil {
		t.cfg.Log.Info("redis answers", "after", time.Since(was.since).Round(time.Millisecond))
	}
}

// refused tells whether Redis answers and only refuses the proof: an account
// without a right to the canary's key, no memory left for it (then MULTI, and so
// every tracked read, is refused, too, and a plain GET is not), no disk to write
// to. Redis is there, and its keys can be read; but nobody can tell whether it
// reports changes. So it is read as one that refuses CLIENT TRACKING, and asked
// again after retrackEvery.
func (t *Tier) refused(err error) bool {
	reply := answered(err)
	if t.clients.Load() == nil || reply == "" || slices.Contains(away, codeOf(reply)) {
		return false
	}
	if t.blind.Load() == nil { // which only the keeper changes
		t.blind.Store(t.store.NewUntrackedOwner())
		t.cfg.Log.Error("redis refuses the canary that proves its invalidations; memory keeps nothing longer than memory.untracked_ttl until it does not", "error", refusalOf(reply, err))
	}
	return true
}

// bound gives a command its deadline. Commands that begin within the same
// moment share a context, for one timer each would cost as much as the rest
// of a read. The caller's own deadline rules when it comes first; fasthttp's
// requests are cancelled by nothing else.
func (t *Tier) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	now := time.Now()
	if own, ok := ctx.Deadline(); ok && own.Before(now.Add(t.timeout)) {
		return ctx, func() {}
	}
	if m := t.moment.Load(); m != nil && now.Before(m.until) {
		return m.ctx, func() {}
	}
	until := now.Add(t.timeout / 16)
	shared, cancel := context.WithDeadline(context.Background(), until.Add(t.timeout))
	context.AfterFunc(shared, cancel) // nobody may cancel it before
	t.moment.Store(&moment{ctx: shared, until: until})
	return shared, func() {}
}

// moment is a deadline that commands begun before until may share.
type moment struct {
	ctx   context.Context
	until time.Time
}
