package cache

import (
	"context"
	"fmt"
	"time"

	"hearth/cache/shared"
)

// Store writes items to the shared tier in one pipeline, and returns when every one is
// acknowledged. They live for ttl, or without end if it is 0; what was to end before is
// not any more. They are dropped from memory before it
// returns, also those of which it is not known whether they were stored. errs is nil when all were stored,
// else errs[i] belongs to items[i] and wraps ErrUnavailable.
func (c *Cache) Store(ctx context.Context, items []Item, ttl time.Duration) (errs []error) {
	errs = c.tier.Set(ctx, items, ttl)
	for _, it := range items {
		c.flights.Changed(it.Key)
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("%w: storing an item: %w", ErrUnavailable, err)
		}
	}
	return errs
}

// Note keeps value, which is JSON, under a key of our own, and returns what stood there
// before. It writes only what differs, so instances that agree write nothing.
func (c *Cache) Note(ctx context.Context, key string, value []byte) (before []byte, err error) {
	was, err := c.tier.Get(ctx, key)
	if err != nil || was.State == shared.Value && string(was.Data) == string(value) {
		return was.Data, err
	}
	if errs := c.tier.Set(ctx, []Item{{Key: key, Value: value}}, 0); errs != nil {
		return nil, errs[0]
	}
	return was.Data, nil
}

// Invalidate removes copies of records that have a source from the shared tier and so
// from every memory. A guard that stands there stays, and its writer will put no record in
// its place: what it has read back in its transaction may be older than this call.
func (c *Cache) Invalidate(ctx context.Context, keys []string) error {
	return c.remove(ctx, keys, true)
}

// Erase removes records that live in the shared tier only.
func (c *Cache) Erase(ctx context.Context, keys []string) error {
	return c.remove(ctx, keys, false)
}

func (c *Cache) remove(ctx context.Context, keys []string, copies bool) error {
	if len(keys) == 0 {
		return nil
	}
	err := c.tier.Remove(ctx, keys, copies)
	for _, key := range keys {
		c.flights.Changed(key)
	}
	return err
}

// Outdate removes copies of records that somebody has changed in their source. From then
// on every load must see the change; see shared.Outdated. It returns nil when all of it is
// done, and known to as many replicas as a write; after an error all has to be done again.
// It sets Kept of the records that stay: those that their own writers have put.
//
// Copies in memory here are dropped in any case. Other instances are told by the shared
// tier.
func (c *Cache) Outdate(ctx context.Context, keys []shared.Outdated) error {
	if len(keys) == 0 {
		return nil
	}
	err := c.tier.Outdate(ctx, keys)
	for i := range keys {
		if !keys[i].Kept {
			c.flights.Changed(keys[i].Key)
		}
	}
	return err
}

// Sweep is Outdate for all keys of the shared tier that match pattern, as shared.Glob makes
// it, and that match says yes to: the tier may hold keys of others. match may be called from
// several goroutines. It takes seconds for a million keys, and holds nobody up; ctx is its
// deadline. n counts the keys, some perhaps twice. After an error some may be left. Copies
// in memory, here as elsewhere, go with what the tier tells of its changes.
func (c *Cache) Sweep(ctx context.Context, pattern string, match func(key string) bool) (n int64, err error) {
	return c.tier.Sweep(ctx, pattern, match)
}

// Generation tells whether the shared tier may have lost what it was told.
func (c *Cache) Generation() shared.Generation { return c.tier.Generation() }

// Lead takes the lease in key, one of our own, for holder, or renews it, in the shared
// tier: one instance of the fleet holds it at a time, but for the moment after Redis has
// failed over. standing is what stands there then: its holder, a space and the note.
func (c *Cache) Lead(ctx context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error) {
	return c.tier.Lead(ctx, key, holder, note, ttl)
}

// Peek returns what stands in the key of such a lease, nil for nothing.
func (c *Cache) Peek(ctx context.Context, key string) (standing []byte, err error) {
	return c.tier.Peek(ctx, key)
}

// Yield gives that lease back if it is still the holder's.
func (c *Cache) Yield(ctx context.Context, key, holder string) error {
	return c.tier.Yield(ctx, key, holder)
}
