package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Lead takes the lease in key for holder, or renews it. It returns what stands there then.
// It may be called for any key, on whatever node that lives; a server that takes another's
// place may lack the lease, and then there may be two holders for as long as it lasts.
func (t *Tier) Lead(ctx context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error) {
	text, err := shared.LeaderText(holder, note)
	if err != nil {
		return nil, false, err
	}
	err = t.run(ctx, key, true, func(ctx context.Context, c rueidis.Client) (err error) {
		standing, err = t.scripts.lead.Exec(ctx, c, []string{key}, []string{holder, textOf(text), milliseconds(ttl)}).AsBytes()
		if held = rueidis.IsRedisNil(err); held {
			standing, err = text, nil
		}
		return err
	})
	return standing, held, err
}

// Peek returns what stands in the key of such a lease, nil for nothing.
func (t *Tier) Peek(ctx context.Context, key string) (standing []byte, err error) {
	err = t.run(ctx, key, true, func(ctx context.Context, c rueidis.Client) (err error) {
		standing, err = c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			standing, err = nil, nil
		}
		return err
	})
	return standing, err
}

// Yield gives that lease back if it is still the holder's.
func (t *Tier) Yield(ctx context.Context, key, holder string) error {
	_, err := t.step(ctx, t.scripts.yield, []string{key}, holder)
	return err
}
