package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/source"
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

// openGuard is one guard to remove. While the outcome of its commit is not
// known (change is set) the guard is renewed instead: until the database has
// finished with the transaction, a load may still bring the record of before.
type openGuard struct {
	key, token string
	change     source.Change // nil once the outcome is known
	renewed    time.Time
	blind      time.Time // when to stop waiting for a database that cannot tell
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

func (u *unconfirmed) add(g openGuard) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[g.key]++
	u.todo = append(u.todo, g)
	u.count.Add(1)
}

// retry goes once through the open guards, some side by side: each may have to
// wait for a database that does not answer, and those behind it must not lose
// their guards over that.
func (u *unconfirmed) retry(ctx context.Context, c *Cache) {
	u.mu.Lock()
	todo := u.todo
	u.todo = nil
	u.mu.Unlock()
	var left []openGuard
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, 32)
	for _, g := range todo {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if u.remove(ctx, c, &g) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			left = append(left, g)
		})
	}
	all.Wait()
	u.mu.Lock()
	u.todo = append(u.todo, left...)
	u.mu.Unlock()
}

// remove takes one guard out if that is right by now, and tells whether it is
// gone.
func (u *unconfirmed) remove(ctx context.Context, c *Cache, g *openGuard) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if g.change != nil && !g.known(ctx, c) {
		return false
	}
	g.change = nil
	if err := c.tier.unguard(ctx, g.key, g.token, nil, 0); err != nil {
		return false
	}
	c.store.changed(g.key)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys[g.key]--; u.keys[g.key] == 0 {
		delete(u.keys, g.key)
	}
	u.count.Add(-1)
	return true
}

// known renews the guard and asks for the outcome of the commit: committed or
// not, it is enough that it cannot take effect any more.
func (g *openGuard) known(ctx context.Context, c *Cache) bool {
	if now := time.Now(); now.Sub(g.renewed) > c.cfg.Lease/3 {
		// A failure to renew changes nothing: the key is read past.
		if _, err := c.tier.renew(ctx, g.key, g.token); err == nil {
			g.renewed = now
		}
	}
	over, err := g.change.Over(ctx)
	if errors.Is(err, source.ErrNoOutcome) || errors.Is(err, source.ErrClosed) { // a reload has closed it
		return time.Now().After(g.blind)
	}
	return err == nil && over
}
