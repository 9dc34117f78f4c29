package redis

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Plain reads: one GET for each key, on the plain connections. Nobody is told of changes, so
// what they bring is answered, and not kept.

// Value reads one key. It is the way of all that memory does not keep, so it allocates
// nothing but the command and its reply.
func (t *Tier) Value(ctx context.Context, key string) (shared.Content, error) {
	r := route{tier: t, caller: ctx, key: key, repeatable: true}
	for ctx = t.bound(ctx); ; ctx = r.within(ctx) {
		n, c, err := r.next(ctx, false)
		if err != nil {
			return shared.Content{}, err
		}
		held := n.held() // behind the connections: those to a new server come with the hold
		var found shared.Content
		if r.ask {
			found, err = contentOf(asking{c.plain}.Do(ctx, c.plain.B().Get().Key(key).Build()), 0)
		} else {
			found, err = contentOf(c.plain.Do(ctx, c.plain.B().Get().Key(key).Build()), 0)
		}
		switch {
		case err == nil && held:
			return marked(found)
		case err == nil:
			return found, nil
		case !r.again(ctx, n, c, err):
			return shared.Content{}, n.noteFailure(c, err)
		}
	}
}

// Values reads keys, those of one node in one round trip. Each has an error of its own.
func (t *Tier) Values(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	t.spread(ctx, keys, spreading{
		repeatable: true, bounded: true,
		build: func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed {
			return append(dst, c.B().Get().Key(keys[i]).Build())
		},
		take: func(i int, answers []rueidis.RedisResult) (err error) {
			out[i].Content, err = contentOf(answers[0], 0)
			return err
		},
		held: func(i int) { out[i].Content, out[i].Err = marked(out[i].Content) },
		fail: func(i int, err error) { out[i] = shared.Found{Err: err} },
	})
	return out
}

// Settle returns true: changes are reported on the wire of the connection that has read, and
// an answer behind them on that wire tells that they were.
func (t *Tier) Settle(context.Context, string) bool { return true }

// marked is what a server has answered that may lack the latest writes. A value is
// answered, with a mark. Anything else is no reason to wait for others, or to load and
// fill: it may be what a lost write has replaced.
func marked(found shared.Content) (shared.Content, error) {
	if found.State != shared.Value {
		return shared.Content{}, fmt.Errorf("%w: %w", shared.ErrAway, errHeld)
	}
	found.Unreported = true
	return found, nil
}
