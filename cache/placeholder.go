package cache

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The steps of the protocol on Redis: each is one script, so one atomic step.
// The scripts and what they promise are in script.go.

// withSibling returns the keys of a script that ends a refresh under way.
func withSibling(key string) []string {
	if sibling := siblingOf(key); sibling != "" {
		return []string{key, sibling}
	}
	return []string{key}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (t *redisTier) fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.script(ctx, t.scripts.fill, withSibling(key), leasePrefix+token, textOf(value), milliseconds(ttl))
	return n == 1, err
}

func (t *redisTier) release(ctx context.Context, key, token string) error {
	_, err := t.script(ctx, t.scripts.release, []string{key}, leasePrefix+token)
	return err
}

func (t *redisTier) guard(ctx context.Context, key, token string) error {
	return t.replicated(ctx, t.scripts.guard, guardScript, withSibling(key), token, milliseconds(t.lease))
}

func (t *redisTier) uphold(ctx context.Context, guards []kept) []upheld {
	calls := make([]call, len(guards))
	for i, g := range guards {
		anew := "0"
		if g.anew {
			anew = "1"
		}
		calls[i] = call{withSibling(g.key), []string{g.token, milliseconds(t.lease), anew}}
	}
	out := make([]upheld, len(guards))
	numbers, errs := t.pipeline(ctx, upholdScript, calls)
	for i := range out {
		out[i] = upheld{upheldState(numbers[i]), errs[i]}
	}
	return out
}

func (t *redisTier) unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration) error {
	err := t.replicated(ctx, t.scripts.unguard, unguardScript, withSibling(key), token, textOf(value), milliseconds(ttl))
	if err != nil && len(value) > 0 && !errors.Is(err, errDown) {
		// Refused, as by a Redis without memory left: taking the guard out needs none.
		err = t.replicated(ctx, t.scripts.unguard, unguardScript, withSibling(key), token, "", "0")
	}
	return err
}

func (t *redisTier) claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error) {
	keys := withSibling(key)
	if len(keys) < 2 {
		return 0, false, nil
	}
	expires, err = t.script(ctx, t.scripts.claim, keys, textOf(was), token, milliseconds(t.lease))
	return expires, expires > 0, err
}

func (t *redisTier) refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	n, err := t.script(ctx, t.scripts.refresh, withSibling(key), token, textOf(was), strconv.FormatInt(expires, 10), textOf(value), milliseconds(ttl))
	return n == 1, err
}

func (t *redisTier) disclaim(ctx context.Context, key, token string) error {
	_, err := t.script(ctx, t.scripts.release, []string{siblingOf(key)}, token)
	return err
}

// remove leaves as a writer does whose guard was lost: it deletes what stands
// there, but a guard of others it marks as shared. DEL would take their guards
// away, and abort their writes. Side by side, for the connection to carry them in
// one piece; in Cluster they live in different slots.
func (t *redisTier) remove(ctx context.Context, keys []string) error {
	var all sync.WaitGroup
	var down, refused atomic.Pointer[error]
	next := make(chan string)
	for range min(len(keys), 64) {
		all.Go(func() {
			for key := range next {
				_, err := t.script(ctx, t.scripts.unguard, withSibling(key), newToken(), "", "0")
				switch {
				case errors.Is(err, errDown):
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
