package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/shared"
	"hearth/internal/source"
)

// openWrites are all writes from their guards to their unguards. Two goroutines look
// after them. One renews the guards. The other asks what became of each COMMIT whose
// answer was lost, and takes out the guards whose removal the shared tier did not
// confirm. They are two because a database that does not answer must cost no write its
// guard.
//
// From the moment at which COMMIT is sent until its outcome is known the guard is
// renewed without a gap: a write is in here before its guard is set, and leaves when its
// guard is confirmed to be gone. A gap would cost the coherence of the key:
//
//  1. A writer sends COMMIT, and the answer does not come.
//  2. Its guard expires. Another instance takes the lease, and loads the record of before.
//  3. The database commits. The loader fills the key with the record of before.
//
// A guard that was lost all the same (Redis was away for longer than its lifetime,
// or emptied) is set anew, which removes what was filled meanwhile.
//
// While the outcome is unknown, or the guard not confirmed to be gone, the write is
// unconfirmed: this instance reads its key past both tiers and stores nothing.
type openWrites struct {
	cache *Cache
	log   *slog.Logger
	stop  context.CancelFunc
	done  sync.WaitGroup

	unconfirmed atomic.Int64 // how many; has answers without the lock
	restored    atomic.Int64 // guards set anew, ever

	mu    sync.Mutex
	all   map[*openWrite]struct{}
	byKey map[string][]*openWrite // the unconfirmed ones by key
}

// openWrite is one write on its way. Its fields are guarded by openWrites.mu, but for
// those that never change.
type openWrite struct {
	r          *Resource
	key, token string

	stage        writeStage
	renewed      time.Time               // when the guard was last known to stand, at least
	abort        context.CancelCauseFunc // ends the transaction
	change       source.Change           // asked for its outcome, while that is unknown
	giveUpAt     time.Time               // when to stop waiting for a database that cannot tell
	unconfirmed  bool                    // unconfirmed
	restoredLate bool                    // its guard was set anew while it was taken out
}

// writeStage is how far a write has come:
//
//	guarding ─► changing ─► deciding ─────────────► decided ─► guard out: forgotten
//	                           │   the outcome is       ▲ │
//	                           │   known                │ └─ not confirmed: unconfirmed,
//	                           └─► undecided ───────────┘    tried again
//	                               unconfirmed, asked about
type writeStage uint8

const (
	guarding  writeStage = iota // its guard is being set
	changing                    // its transaction runs: without its guard it must not commit
	deciding                    // COMMIT is sent: without its guard it needs another
	undecided                   // the same, and its client was told that the outcome is unknown
	decided                     // to take the guard out
)

// maxWrites bounds the writes that are open at a time; beyond it they are refused.
const maxWrites = 4096

const (
	retryEvery = 200 * time.Millisecond
	// settleGrace is how long the end of the process waits for outcomes.
	closeGrace = 5 * time.Second
)

func (u *openWrites) prepare(c *Cache) {
	u.cache, u.log = c, c.cfg.Log
	u.all, u.byKey = map[*openWrite]struct{}{}, map[string][]*openWrite{}
}

func (u *openWrites) start() {
	c := u.cache
	ctx, cancel := context.WithCancel(context.Background())
	u.stop = cancel
	every := func(d time.Duration, f func(context.Context)) {
		u.done.Go(func() {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					f(ctx)
				}
			}
		})
	}
	every(max(c.cfg.Lease/16, time.Millisecond), u.renewDue)
	every(retryEvery, u.retryUnconfirmed)
}

// close waits a while for the outcomes that are still unknown. What is left then
// keeps its guard for a full lifetime more, which outlives this process on Redis:
// past that it is a gap that docs/consistency.md names.
func (u *openWrites) close() {
	if u.stop == nil { // nothing was started
		return
	}
	grace := time.NewTimer(min(closeGrace, u.cache.cfg.Lease))
	defer grace.Stop()
	tick := time.NewTicker(retryEvery / 10)
	defer tick.Stop()
	for over := false; !over && u.unconfirmed.Load() > 0; {
		select {
		case <-tick.C:
		case <-grace.C:
			over = true
		}
	}
	u.stop()
	u.done.Wait()
	left := u.due(0)
	if len(left) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), u.cache.cfg.Lease/4)
	defer cancel()
	u.renewGuards(ctx, left)
	u.log.Warn("the process ends before the outcome of writes is known: should the database commit them later than their guards stand, "+
		"older copies may be served for up to ttl.cold", "writes", len(left), "guards_stand", u.cache.cfg.Lease)
}

// begin takes a place for a write, before its guard is set.
func (u *openWrites) begin(w *openWrite) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) >= maxWrites {
		return fmt.Errorf("%w: %d writes are open, of which %d wait to be confirmed", ErrUnavailable, len(u.all), u.unconfirmed.Load())
	}
	u.all[w] = struct{}{}
	return nil
}

// guarded begins to renew the guard. set is a moment before the guard was set; abort
// ends the transaction.
func (u *openWrites) guarded(w *openWrite, set time.Time, abort context.CancelCauseFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.stage, w.renewed, w.abort = changing, set, abort
}

// sending is called just before COMMIT is sent: from here on a lost guard is no reason
// to abort, but to set the guard anew. It returns why the write must not commit, if
// the guard was lost before, which ends the context guarded.
func (u *openWrites) sending(w *openWrite, guarded context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if cause := context.Cause(guarded); cause != nil {
		return cause
	}
	w.stage = deciding
	return nil
}

// unguarding is called just before the guard is taken out: from here on it is not
// renewed any more.
func (u *openWrites) unguarding(w *openWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.stage = decided
}

// markUnconfirmed makes a write unconfirmed: with change its outcome is unknown, without
// it the guard is still to be taken out.
func (u *openWrites) markUnconfirmed(w *openWrite, change source.Change) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.stage, w.change, w.unconfirmed = decided, change, true
	if change != nil {
		w.stage, w.giveUpAt = undecided, time.Now().Add(2*u.cache.cfg.Lease)
	}
	u.byKey[w.key] = append(u.byKey[w.key], w)
	u.unconfirmed.Add(1)
}

// end forgets a write whose guard is gone. It does nothing for one that was left
// unconfirmed, so it may be deferred.
func (u *openWrites) end(w *openWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !w.unconfirmed {
		delete(u.all, w)
	}
}

// confirmed forgets a write that was unconfirmed, unless its guard was set anew while
// it was taken out.
func (u *openWrites) confirmed(w *openWrite) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.restoredLate {
		w.restoredLate = false
		return false
	}
	delete(u.all, w)
	if left := slices.DeleteFunc(u.byKey[w.key], func(other *openWrite) bool { return other == w }); len(left) > 0 {
		u.byKey[w.key] = left
	} else {
		delete(u.byKey, w.key)
	}
	u.unconfirmed.Add(-1)
	return true
}

// has tells whether key must be read past both tiers. Without unconfirmed writes, the
// normal case, it takes no lock.
func (u *openWrites) has(key string) bool {
	if u.unconfirmed.Load() == 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.byKey[key]) > 0
}

// guards tells whether a guard with that text is, or is also, of a write that is open here.
func (u *openWrites) guards(key, text string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for w := range u.all {
		if w.key == key && strings.Contains(text, w.token) {
			return true
		}
	}
	return false
}

// awaits tells whether the outcome of a write to this source is unknown.
func (u *openWrites) awaits(opened any) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for w := range u.all {
		if w.stage == undecided && w.r.Opened == opened {
			return true
		}
	}
	return false
}

// Awaits tells whether the outcome of a write is unknown that only opened, a source
// as a Resource names it, can tell.
func (c *Cache) Awaits(opened any) bool { return c.writes.awaits(opened) }

// due are the writes whose guards were last renewed longer ago than age.
func (u *openWrites) due(age time.Duration) (all []*openWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for w := range u.all {
		if w.stage > guarding && w.stage < decided && now.Sub(w.renewed) >= age {
			all = append(all, w)
		}
	}
	return all
}

// renewDue renews all guards that have less than three quarters of their lifetime left,
// in one round trip. Those that fail are tried again at each tick, of which a dozen are left
// before they expire.
func (u *openWrites) renewDue(ctx context.Context) {
	if list := u.due(u.cache.cfg.Lease / 4); len(list) > 0 {
		ctx, cancel := context.WithTimeout(ctx, u.cache.cfg.Lease/4)
		defer cancel()
		u.renewGuards(ctx, list)
	}
}

var errGuardLost = errors.New("the guard was lost while the transaction ran")

// renewGuards prolongs the guards of list, or sets them anew, and aborts the
// transactions that must not go on without theirs. It returns the first error.
func (u *openWrites) renewGuards(ctx context.Context, list []*openWrite) (first error) {
	if len(list) == 0 {
		return nil
	}
	guards := make([]shared.HeldGuard, len(list))
	u.mu.Lock()
	for i, w := range list {
		// A transaction whose COMMIT is sent after this has its guard seen to
		// stand, is aborted, or finds it set anew by the next round.
		guards[i] = shared.HeldGuard{Key: w.key, Token: w.token, Restore: w.stage > changing}
	}
	u.mu.Unlock()
	asked := time.Now()
	for i, got := range u.cache.tier.RenewGuards(ctx, guards) {
		if first == nil {
			first = got.Err
		}
		if got.State == shared.GuardRestored {
			u.restored.Add(1)
			u.cache.flights.Changed(guards[i].Key)
		}
		if u.noteRenewal(list[i], got, asked) {
			if err := u.cache.tier.Unguard(ctx, guards[i].Key, guards[i].Token, nil, 0, false); err == nil { // else it expires
				u.cache.flights.Changed(guards[i].Key)
			}
		}
	}
	return first
}

// noteRenewal notes what a round has found of a guard. It returns true for a guard that
// was set anew although it was not lost:
//
//  1. A round is sent that renews the guard, with the order to set it anew.
//  2. The write takes its guard out. That overtakes the round.
//  3. The round finds no guard, and sets one that no write will take out.
//
// The caller takes it out again. If the write's own removal has not been confirmed yet,
// retryUnconfirmed takes it out once more instead.
func (u *openWrites) noteRenewal(w *openWrite, got shared.Renewal, asked time.Time) (stray bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case got.Err == nil && got.State != shared.GuardGone:
		w.renewed = asked
	case w.stage == changing:
		w.abort(errors.Join(errGuardLost, got.Err))
	}
	if got.State != shared.GuardRestored || w.stage != decided {
		return false
	}
	_, open := u.all[w]
	w.restoredLate = true
	return !open || !w.unconfirmed
}

// renewForPass is for a pass, between its load and its answer. Its reader learns of the
// COMMIT from the record, so nothing older may be served anywhere after that. The guards
// stand or are set anew, which removes what was filled from before the COMMIT.
func (u *openWrites) renewForPass(ctx context.Context, key string) error {
	u.mu.Lock()
	all := slices.Clone(u.byKey[key])
	u.mu.Unlock()
	return u.renewGuards(ctx, all)
}
