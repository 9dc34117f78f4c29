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
//
// A subject whose key is not in Redis yet may be one of a flood, each of which
// would leave a key there for three windows. So keys are made at a bounded rate,
// see newcomers, and subjects beyond it share one count until they have a key.
// Who has one is not concerned.
func (t *redisTier) TakeTokens(ctx context.Context, key string, rate limit.Rate, burst, want int) (limit.Grant, error) {
	k := tokenKeysOf(key)
	only := want == 0 || k.subject == "" // one key for the whole limit: nobody can make more of it
	crowd := t.newcomersOf(k.limit)
	mayMake := only || crowd.admit(rate, time.Now())
	n, err := t.take(ctx, k.own, rate, burst, want, mayMake)
	if err != nil {
		return limit.Grant{}, err
	}
	if n[5] == 0 && mayMake && !only {
		crowd.giveBack()
	}
	if n[0] >= 0 {
		return grantOf(n), nil
	}
	return t.takeShared(ctx, k, rate, burst)
}

// take runs the script.
func (t *redisTier) take(ctx context.Context, keys []string, rate limit.Rate, burst, want int, mayMake bool) ([]int64, error) {
	may := "0"
	if mayMake {
		may = "1"
	}
	n, err := t.numbers(ctx, t.scripts.take, keys, milliseconds(rate.Window), strconv.Itoa(rate.Count), strconv.Itoa(burst), strconv.Itoa(want), may)
	if err == nil && len(n) != 6 {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return nil, fmt.Errorf("taking tokens of a limit: %w", err)
	}
	return n, nil
}

func grantOf(n []int64) limit.Grant {
	return limit.Grant{
		Tokens: int(n[0]), Window: n[1], Left: time.Duration(n[2]) * time.Millisecond,
		Rest: int(n[3]), Wait: time.Duration(n[4]) * time.Millisecond,
	}
}

// soon is when a subject without a key may have one, and ask again.
const soon = time.Second

// takeShared asks for one token of the count that all subjects without a key
// share, and notes in the subject's annex that it has had it: the key that it
// may get later in the same window, from whichever instance, begins with that.
func (t *redisTier) takeShared(ctx context.Context, k tokenKeys, rate limit.Rate, burst int) (limit.Grant, error) {
	n, err := t.take(ctx, k.shared, rate, burst, 1, true)
	if err != nil {
		return limit.Grant{}, err
	}
	g := grantOf(n)
	g.Shared, g.Rest = true, 0
	if g.Tokens == 0 {
		g.Wait = min(g.Wait, soon)
		return g, nil
	}
	noted, err := t.numbers(ctx, t.scripts.spill, k.own, milliseconds(rate.Window), strconv.Itoa(rate.Count))
	if err == nil && len(noted) != 2 {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return limit.Grant{}, fmt.Errorf("taking tokens of a limit: %w", err)
	}
	g.Left = min(g.Left, time.Duration(noted[1])*time.Millisecond)
	if noted[0] == 0 { // it has a key by now, and has used it up
		g.Tokens, g.Wait = 0, g.Left
	}
	return g, nil
}

func (t *redisTier) ReturnTokens(ctx context.Context, key string, _ limit.Rate, window int64, tokens int) error {
	return t.once(ctx, t.scripts.giveBack, key, strconv.FormatInt(window, 10), strconv.Itoa(tokens))
}
