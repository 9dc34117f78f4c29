package redis

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/shared"
)

// The steps of the protocol on Redis: each is one script, so one atomic step.
// The scripts and what they promise are in script.go.

// withSibling returns the keys of a script that ends a refresh under way.
func withSibling(key string) []string {
	if sibling := shared.SiblingOf(key); sibling != "" {
		return []string{key, sibling}
	}
	return []string{key}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (t *Tier) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.script(ctx, t.scripts.fill, withSibling(key), shared.LeasePrefix+token, textOf(value), milliseconds(ttl))
	return n == 1, err
}

func (t *Tier) Release(ctx context.Context, key, token string) error {
	_, err := t.script(ctx, t.scripts.release, []string{key}, shared.LeasePrefix+token)
	return err
}

func (t *Tier) Guard(ctx context.Context, key, token string) error {
	return t.replicated(ctx, t.scripts.guard, guardScript, withSibling(key), token, milliseconds(t.cfg.Lease))
}

func (t *Tier) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	calls := make([]call, len(guards))
	for i, g := range guards {
		anew := "0"
		if g.Restore {
			anew = "1"
		}
		calls[i] = call{withSibling(g.Key), []string{g.Token, milliseconds(t.cfg.Lease), anew}}
	}
	out := make([]shared.Renewal, len(guards))
	numbers, errs := t.pipeline(ctx, renewScript, calls)
	for i := range out {
		out[i] = shared.Renewal{State: shared.GuardState(numbers[i]), Err: errs[i]}
	}
	return out
}

func (t *Tier) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration) error {
	err := t.replicated(ctx, t.scripts.unguard, unguardScript, withSibling(key), token, textOf(value), milliseconds(ttl))
	if err != nil && len(value) > 0 && !errors.Is(err, shared.ErrAway) {
		// Refused, as by a Redis without memory left: taking the guard out needs none.
		err = t.replicated(ctx, t.scripts.unguard, unguardScript, withSibling(key), token, "", "0")
	}
	return err
}

func (t *Tier) Claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error) {
	keys := withSibling(key)
	if len(keys) < 2 {
		return 0, false, nil
	}
	expires, err = t.script(ctx, t.scripts.claim, keys, textOf(was), token, milliseconds(t.cfg.Lease))
	return expires, expires > 0, err
}

func (t *Tier) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.script(ctx, t.scripts.refresh, withSibling(key), token, textOf(was), strconv.FormatInt(expires, 10), textOf(value), milliseconds(ttl))
	return n == 1, err
}

func (t *Tier) Disclaim(ctx context.Context, key, token string) error {
	_, err := t.script(ctx, t.scripts.release, []string{shared.SiblingOf(key)}, token)
	return err
}

// Remove leaves as a writer does whose guard was lost: it deletes what stands
// there, but a guard of others it marks as shared. DEL would take their guards
// away, and abort their writes. Side by side, for the connection to carry them in
// one piece; in Cluster they live in different slots.
func (t *Tier) Remove(ctx context.Context, keys []string) error {
	var all sync.WaitGroup
	var down, refused atomic.Pointer[error]
	next := make(chan string)
	for range min(len(keys), 64) {
		all.Go(func() {
			for key := range next {
				_, err := t.script(ctx, t.scripts.unguard, withSibling(key), shared.NewToken(), "", "0")
				switch {
				case errors.Is(err, shared.ErrAway):
					down.CompareAndSwap(nil, &err)
				case err != nil:
					refused.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for _, key := range keys {
		if down.Load() != nil {
			break // the rest fares no better
		}
		next <- key
	}
	close(next)
	all.Wait()
	for _, err := range []*error{down.Load(), refused.Load()} {
		if err != nil {
			return *err
		}
	}
	return nil
}
