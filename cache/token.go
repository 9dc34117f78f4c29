package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hearth/internal/limit"
)

// TakeTokens and ReturnTokens implement limit.Store: limits are counted where
// records are kept, so that all instances see one count.
func (c *Cache) TakeTokens(ctx context.Context, key string, rate limit.Rate, burst, want int) (limit.Grant, error) {
	return c.tier.TakeTokens(ctx, key, rate, burst, want)
}

// ReturnTokens implements limit.Store.
func (c *Cache) ReturnTokens(ctx context.Context, key string, rate limit.Rate, window int64, tokens int) error {
	return c.tier.ReturnTokens(ctx, key, rate, window, tokens)
}

// TakeTokens may be repeated when the connection breaks: what the first try has
// taken then is spent by nobody.
func (t *redisTier) TakeTokens(ctx context.Context, key string, rate limit.Rate, burst, want int) (limit.Grant, error) {
	n, err := t.numbers(ctx, t.scripts.take, key, milliseconds(rate.Window), strconv.Itoa(rate.Count), strconv.Itoa(burst), strconv.Itoa(want))
	if err == nil && len(n) != 5 {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return limit.Grant{}, fmt.Errorf("taking tokens of a limit: %w", err)
	}
	return limit.Grant{
		Tokens: int(n[0]), Window: n[1], Left: time.Duration(n[2]) * time.Millisecond,
		Rest: int(n[3]), Wait: time.Duration(n[4]) * time.Millisecond,
	}, nil
}

func (t *redisTier) ReturnTokens(ctx context.Context, key string, _ limit.Rate, window int64, tokens int) error {
	return t.once(ctx, t.scripts.giveBack, key, strconv.FormatInt(window, 10), strconv.Itoa(tokens))
}
