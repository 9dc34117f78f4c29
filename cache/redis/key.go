package redis

import (
	"context"
	"math"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Plain commands on keys, all on plain connections.

// Get reads one key untracked: what it returns may be answered, not stored.
func (t *Tier) Get(ctx context.Context, key string) (content shared.Content, err error) {
	err = t.runOn(ctx, key, true, true, func(ctx context.Context, _ *connections, c rueidis.Client) (err error) {
		content, err = getOne(ctx, c, key)
		return err
	})
	return content, err
}

// getMany reads keys, those of one node in one round trip. Each has an error of its own.
func (t *Tier) getMany(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	t.spread(ctx, keys, spreading{
		repeatable: true, bounded: true,
		build: func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed {
			return getting(dst, c, keys[i])
		},
		take: func(i int, answers []rueidis.RedisResult) (err error) {
			out[i].Content, err = got(answers)
			return err
		},
		fail: func(i int, err error) { out[i] = shared.Found{Err: err} },
	})
	return out
}

// getOne reads one key from one server.
func getOne(ctx context.Context, c rueidis.Client, key string) (shared.Content, error) {
	return got(c.DoMulti(ctx, getting(nil, c, key)...))
}

// getting appends the commands that read a key. The value first, then its lifetime: readers
// remove a placeholder that has none. In the other order the lifetime of a persistent
// value could be taken for that of the lease which replaced it in between, and the lease
// would be removed from under its holder.
func getting(dst []rueidis.Completed, c rueidis.Client, key string) []rueidis.Completed {
	return append(dst, c.B().Get().Key(key).Build(), c.B().Pttl().Key(key).Build())
}

// got reads the answers to getting. PTTL answers -1 for a key without expiry, and -2 for
// one that is gone since the GET.
func got(answers []rueidis.RedisResult) (shared.Content, error) {
	pttl, err := answers[1].AsInt64()
	if err != nil {
		return shared.Content{}, err
	}
	ttl := time.Duration(min(pttl, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
	if pttl == -1 {
		ttl = 0
	} else if pttl <= 0 {
		ttl = time.Millisecond
	}
	return contentOf(answers[0], ttl)
}

// contentOf reads the reply to a GET, or to a SET with GET. ttl is what is left of
// the key's lifetime, 0 if it has none or none is known.
func contentOf(answer rueidis.RedisResult, ttl time.Duration) (shared.Content, error) {
	raw, err := answer.AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return shared.Content{State: shared.Absent}, nil
	case isWrongType(err):
		return shared.Content{State: shared.Malformed}, nil
	case err != nil:
		return shared.Content{}, err
	}
	return shared.Parse(raw, ttl), nil
}

// SetFor writes value, for ttl.
func (t *Tier) SetFor(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return t.run(ctx, key, true, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Set().Key(key).Value(textOf(value)).PxMilliseconds(ttl.Milliseconds()).Build()).Error()
	})
}

// Add adds n to the number at key and returns the sum. It is not repeated when the
// connection breaks: it may have counted.
func (t *Tier) Add(ctx context.Context, key string, n int64) (sum int64, err error) {
	err = t.run(ctx, key, false, func(ctx context.Context, c rueidis.Client) (err error) {
		sum, err = c.Do(ctx, c.B().Incrby().Key(key).Increment(n).Build()).AsInt64()
		return err
	})
	return sum, err
}

// Count reads the number at key, 0 if there is none.
func (t *Tier) Count(ctx context.Context, key string) (int64, error) {
	var text []byte
	err := t.run(ctx, key, true, func(ctx context.Context, c rueidis.Client) (err error) {
		text, err = c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			text, err = []byte("0"), nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return shared.ParseCount(key, text)
}
