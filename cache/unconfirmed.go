package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// unconfirmed is what writes left undone: guards which the shared tier did not
// confirm to have removed. It retries them in the background; meanwhile this
// instance reads those keys past both tiers and stores nothing, because
// nobody knows what the shared tier still serves.
type unconfirmed struct {
	count atomic.Int64 // of keys; lets has answer without the lock
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu   sync.Mutex
	keys map[string]int // key → guards not removed yet
	todo []openGuard
}

// openGuard is one guard to remove. While notBefore is ahead the outcome of
// its commit is not known, and the guard is renewed instead.
type openGuard struct {
	key, token string
	notBefore  time.Time
}

// maxUnconfirmed bounds the open guards; beyond it writes are refused.
const maxUnconfirmed = 1000

const retryEvery = 200 * time.Millisecond

func (u *unconfirmed) start(c *Cache) {
	u.keys = map[string]int{}
	ctx, cancel := context.WithCancel(context.Background())
	u.stop = cancel
	u.done.Add(1)
	go func() {
		defer u.done.Done()
		tick := time.NewTicker(retryEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				u.retry(ctx, c)
			}
		}
	}()
}

func (u *unconfirmed) close() {
	u.stop()
	u.done.Wait()
}

func (u *unconfirmed) full() bool { return u.count.Load() >= maxUnconfirmed }

// has tells whether key must be read past both tiers.
func (u *unconfirmed) has(key string) bool {
	if u.count.Load() == 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keys[key] > 0
}

func (u *unconfirmed) add(key, token string, notBefore time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[key]++
	u.todo = append(u.todo, openGuard{key, token, notBefore})
	u.count.Add(1)
}

// retry goes once through the open guards.
func (u *unconfirmed) retry(ctx context.Context, c *Cache) {
	u.mu.Lock()
	todo := u.todo
	u.todo = nil
	u.mu.Unlock()
	var left []openGuard
	for _, g := range todo {
		if time.Now().Before(g.notBefore) {
			// A failure to renew changes nothing: the key is read past.
			_, _ = c.tier.renew(ctx, g.key, g.token)
			left = append(left, g)
			continue
		}
		if err := c.tier.unguard(ctx, g.key, g.token, nil, 0); err != nil {
			left = append(left, g)
			continue
		}
		c.store.changed(g.key)
		u.mu.Lock()
		if u.keys[g.key]--; u.keys[g.key] == 0 {
			delete(u.keys, g.key)
		}
		u.count.Add(-1)
		u.mu.Unlock()
	}
	u.mu.Lock()
	u.todo = append(u.todo, left...)
	u.mu.Unlock()
}
