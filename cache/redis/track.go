package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// Track reads keys through rueidis' client-side caching: each is a transaction of GET
// and PTTL, announced to Redis as tracked. Contents and errors are per key.
func (t *Tier) Track(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	c, err := t.ask(ctx)
	if err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	if o := t.untracked.Load(); o != nil {
		return t.readUntracked(ctx, o, keys)
	}
	ctx = t.bound(ctx)
	if len(keys) == 1 {
		out[0] = t.trackedReply(c.tracked.DoCache(ctx, c.tracked.B().Get().Key(keys[0]).Cache(), t.cfg.Revalidate))
		return out
	}
	cmds := make([]rueidis.CacheableTTL, len(keys))
	for i, key := range keys {
		cmds[i] = rueidis.CT(c.tracked.B().Get().Key(key).Cache(), t.cfg.Revalidate)
	}
	for i, answer := range c.tracked.DoMultiCache(ctx, cmds...) {
		out[i] = t.trackedReply(answer)
	}
	return out
}

// trackedReply reads the reply to one tracked read.
func (t *Tier) trackedReply(answer rueidis.RedisResult) shared.Found {
	var ttl time.Duration
	if at := answer.CachePXAT(); at > 0 {
		ttl = max(time.Until(time.UnixMilli(at)), time.Millisecond)
	}
	r, err := contentOf(answer, ttl)
	if err != nil {
		return shared.Found{Err: t.noteFailure(err)}
	}
	return shared.Found{Content: r}
}

// readUntracked reads while Redis refuses tracking. The owner o stands in for a
// connection. It never proves itself, so memory keeps what is read no longer than
// memory.untracked_ttl, marked.
func (t *Tier) readUntracked(ctx context.Context, o *memory.Owner, keys []string) []shared.Found {
	sent := t.store.Now()
	for _, key := range keys {
		t.reads.Bind(o, key, sent)
	}
	replies, err := t.getMany(ctx, keys)
	for i, key := range keys {
		t.reads.Arrived(o, key)
		if err != nil {
			replies[i] = shared.Found{Err: err}
		}
	}
	return replies
}
