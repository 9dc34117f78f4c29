package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"hearth/internal/source"
)

// undecided returns the change whose outcome is unknown, nil if it is known.
func (u *openWrites) undecided(w *openWrite) source.Change {
	u.mu.Lock()
	defer u.mu.Unlock()
	return w.change
}

// retryUnconfirmed goes once through the unconfirmed writes: it asks for outcomes,
// source by source, and takes guards out.
func (u *openWrites) retryUnconfirmed(ctx context.Context) {
	type origin struct {
		opened any
		name   string
	}
	ask, remove := map[origin][]*openWrite{}, []*openWrite(nil)
	u.mu.Lock()
	for _, list := range u.byKey {
		for _, w := range list {
			if o := (origin{w.r.Opened, w.r.Source}); w.change != nil {
				ask[o] = append(ask[o], w)
			} else {
				remove = append(remove, w)
			}
		}
	}
	u.mu.Unlock()
	var all sync.WaitGroup
	for _, list := range ask {
		all.Go(func() { sideBySide(ctx, list, u.ask) })
	}
	all.Go(func() { sideBySide(ctx, remove, u.remove) })
	all.Wait()
}

// sideBySide does f for one write of list, and if that succeeds for the others, at
// most 32 at a time. The first finds out whether the source or tier answers at all:
// otherwise each of thousands would wait for its deadline. It is drawn anew each time,
// so that one write which always fails does not hold up the others for good.
func sideBySide(ctx context.Context, list []*openWrite, f func(context.Context, *openWrite) error) {
	if len(list) == 0 {
		return
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if f(ctx, list[0]) != nil {
		return
	}
	var all sync.WaitGroup
	places := make(chan struct{}, 32)
	for _, w := range list[1:] {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			_ = f(ctx, w) // again in the next round
		})
	}
	all.Wait()
}

// ask asks for the outcome of a COMMIT. Committed or not, it is enough that the
// database cannot change its mind any more: then the guard is taken out. A source that
// cannot tell (it is closed, or keeps no record) is given up at giveUpAt.
func (u *openWrites) ask(ctx context.Context, w *openWrite) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	over, err := u.undecided(w).Over(ctx)
	if errors.Is(err, source.ErrNoOutcome) || errors.Is(err, source.ErrClosed) { // a reload has closed it
		over, err = time.Now().After(w.giveUpAt), nil
	}
	if err != nil || !over {
		return err
	}
	u.mu.Lock()
	w.stage, w.change = decided, nil
	u.mu.Unlock()
	return u.remove(ctx, w)
}

// remove takes the guard out, then drops the local copy, in this order: see unguard.
func (u *openWrites) remove(ctx context.Context, w *openWrite) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := u.cache.tier.Unguard(ctx, w.key, w.token, nil, 0, false); err != nil {
		return err
	}
	u.cache.flights.Changed(w.key)
	if !u.confirmed(w) {
		return errRestoredLate
	}
	return nil
}

var errRestoredLate = errors.New("the guard was set anew while it was taken out")
