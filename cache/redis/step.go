package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// The steps of the protocol on Redis: each is one script, so one atomic step. The
// scripts and what they promise are in script.go.

// withSibling returns the keys of a step that ends a refresh under way.
func withSibling(key string) []string {
	if sibling := shared.SiblingOf(key); sibling != "" {
		return []string{key, sibling}
	}
	return []string{key}
}

// withMark returns the keys of a step that minds the mark of own writes.
func withMark(key string) []string {
	keys := withSibling(key)
	if own := shared.OwnOf(key); own != "" {
		keys = append(keys, own)
	}
	return keys
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Acquire puts a lease in the place of nothing or, with instead, of exactly those
// bytes. Otherwise it returns what stands there.
func (t *Tier) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	var r shared.Content
	err := t.runOn(ctx, key, true, true, func(ctx context.Context, _ *connections, c rueidis.Client) error {
		var answer rueidis.RedisResult
		if instead == nil {
			answer = c.Do(ctx, c.B().Set().Key(key).Value(shared.LeasePrefix+token).Nx().Get().Px(t.cfg.Lease).Build())
		} else {
			answer = t.scripts.swap.Exec(ctx, c, []string{key}, []string{string(instead), shared.LeasePrefix + token, milliseconds(t.cfg.Lease)})
		}
		var err error
		r, err = contentOf(answer, 0)
		return err
	})
	if r.State == shared.Lease && r.Text == shared.LeasePrefix+token {
		r = shared.Content{} // the first attempt did it, and its answer got lost
	}
	return r, err
}

// Fill replaces the lease by value; false: the lease is gone, and with it the right to
// store what was loaded under it.
func (t *Tier) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.step(ctx, t.scripts.fill, withSibling(key), shared.LeasePrefix+token, textOf(value), milliseconds(ttl))
	return n == 1, err
}

// Release removes the lease if it still stands.
func (t *Tier) Release(ctx context.Context, key, token string) error {
	_, err := t.step(ctx, t.scripts.release, []string{key}, shared.LeasePrefix+token)
	return err
}

// Guard joins the guard that stands in key, or replaces whatever else does. It returns
// when enough replicas have it: a replica that is promoted without it would let readers
// fill the key from before the commit.
func (t *Tier) Guard(ctx context.Context, key, token string) error {
	t.written.note(key)
	return t.replicatedStep(ctx, t.scripts.guard, withSibling(key), token, milliseconds(t.cfg.Lease))
}

// RenewGuards prolongs guards, all of them in one round trip. ctx is its only
// deadline.
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
	for i, answer := range t.steps(ctx, t.scripts.renew, calls, nil) {
		out[i] = shared.Renewal{State: shared.GuardState(answer.number), Err: answer.err}
	}
	return out
}

// Unguard takes token out of the guard. The last one deletes the key, or puts value
// there (nil: nothing) if the guard was never shared. After an error the guard may
// stand or not, and the caller tries again.
func (t *Tier) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error {
	t.written.note(key) // again: the write may have taken long
	keys, args := withSibling(key), []string{token, textOf(value), milliseconds(ttl)}
	if own && len(value) > 0 {
		keys, args = withMark(key), append(args, milliseconds(shared.OwnFor))
	}
	err := t.replicatedStep(ctx, t.scripts.unguard, keys, args...)
	if err != nil && len(value) > 0 && !errors.Is(err, shared.ErrAway) {
		// Refused, as by a Redis without memory left: taking the guard out needs none.
		err = t.replicatedStep(ctx, t.scripts.unguard, withSibling(key), token, "", "0")
	}
	return err
}

// Claim takes the refresh lease of key while exactly the bytes was stand there, with
// an expiry, which it returns (unix ms). ok is false when they do not, when another
// refresh of the key is under way, or when the key has no sibling.
func (t *Tier) Claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error) {
	keys := withSibling(key)
	if len(keys) < 2 {
		return 0, false, nil
	}
	expires, err = t.step(ctx, t.scripts.claim, keys, textOf(was), token, milliseconds(t.cfg.Lease))
	return expires, expires > 0, err
}

// Refresh stores value if the refresh lease still stands, and bytes and expiry are
// what Claim saw; else it stores nothing and returns false.
func (t *Tier) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.step(ctx, t.scripts.refresh, withSibling(key), token, textOf(was), strconv.FormatInt(expires, 10), textOf(value), milliseconds(ttl))
	return n == 1, err
}

// Disclaim gives the refresh lease back if it still stands.
func (t *Tier) Disclaim(ctx context.Context, key, token string) error {
	_, err := t.step(ctx, t.scripts.release, []string{shared.SiblingOf(key)}, token)
	return err
}
