package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Plain commands on keys, all on the plain client.

// Get reads one key untracked: what it returns may be answered, not stored.
func (t *Tier) Get(ctx context.Context, key string) (shared.Content, error) {
	replies, err := t.getMany(ctx, []string{key})
	if err != nil {
		return shared.Content{}, err
	}
	return replies[0].Content, replies[0].Err
}

// getMany reads keys in one round trip. A key that Redis refuses has an error of its
// own; err is that of all keys.
func (t *Tier) getMany(ctx context.Context, keys []string) (replies []shared.Found, err error) {
	replies = make([]shared.Found, len(keys))
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		cmds := make([]rueidis.Completed, 0, 2*len(keys))
		for _, key := range keys {
			// The value first, then its lifetime: readers remove a placeholder that has
			// none. In the other order the lifetime of a persistent value could be
			// taken for that of the lease which replaced it in between, and the
			// lease would be removed from under its holder.
			cmds = append(cmds, c.B().Get().Key(key).Build(), c.B().Pttl().Key(key).Build())
		}
		answers := c.DoMulti(ctx, cmds...)
		for i := range keys {
			pttl, err := answers[2*i+1].AsInt64()
			if err != nil && errorReply(err) == "" {
				return err
			}
			if err != nil {
				replies[i] = shared.Found{Err: t.noteFailure(err)}
				continue
			}
			// PTTL answers -1 for a key without expiry, and -2 for one that is
			// gone since the GET.
			ttl := time.Duration(pttl) * time.Millisecond
			if pttl == -1 {
				ttl = 0
			} else if pttl <= 0 {
				ttl = time.Millisecond
			}
			r, err := contentOf(answers[2*i], ttl)
			if err != nil && errorReply(err) == "" {
				return err
			}
			replies[i] = shared.Found{Content: r, Err: t.noteFailure(err)}
		}
		return nil
	})
	return replies, err
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

// Set stores items without expiry in one pipeline. errs is nil when all were
// acknowledged, else errs[i] belongs to items[i]. The pipeline shares one
// deadline, the tier's timeout for a command.
func (t *Tier) Set(ctx context.Context, items []shared.Item) []error {
	c, err := t.ask(ctx)
	if err != nil {
		return shared.ErrorForEach(err, len(items))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	cmds := make([]rueidis.Completed, len(items))
	for i, it := range items {
		cmds[i] = c.plain.B().Set().Key(it.Key).Value(textOf(it.Value)).Build()
	}
	var errs []error
	for i, answer := range c.plain.DoMulti(ctx, cmds...) {
		if err := t.noteFailure(answer.Error()); err != nil {
			if errs == nil {
				errs = make([]error, len(items))
			}
			errs[i] = err
		}
	}
	return errs
}

// Add adds n to the number at key and returns the sum. It is not repeated when the
// connection breaks: it may have counted.
func (t *Tier) Add(ctx context.Context, key string, n int64) (sum int64, err error) {
	err = t.run(ctx, false, func(ctx context.Context, c rueidis.Client) (err error) {
		sum, err = c.Do(ctx, c.B().Incrby().Key(key).Increment(n).Build()).AsInt64()
		return err
	})
	return sum, err
}

// Count reads the number at key, 0 if there is none.
func (t *Tier) Count(ctx context.Context, key string) (int64, error) {
	var text []byte
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
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
