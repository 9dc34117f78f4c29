package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// Track reads keys through rueidis' client-side caching: each is a transaction of GET
// and PTTL, announced to Redis as tracked. Contents and errors are per key.
func (t *Tier) Track(ctx context.Context, keys []string) []shared.Found {
	ctx = t.bound(ctx)
	out := make([]shared.Found, len(keys))
	if len(keys) == 1 {
		out[0] = t.trackOne(ctx, route{tier: t, key: keys[0], repeatable: true})
		return out
	}
	var all sync.WaitGroup
	for n, at := range t.byNode(ctx, keys, func(i int, err error) { out[i].Err = err }) {
		all.Go(func() { t.trackSome(ctx, n, keys, at, out) })
	}
	all.Wait()
	return out
}

// trackOne reads one key, wherever it is.
func (t *Tier) trackOne(ctx context.Context, r route) shared.Found {
	for {
		n, c, err := r.next(ctx, true)
		if err != nil {
			return shared.Found{Err: err}
		}
		o := n.untracked.Load()
		if o == nil && c.tracked == nil { // refused by the server before, and not by this one
			o = t.store.NewUntrackedOwner()
		}
		switch {
		case r.ask:
			// A reply behind ASKING is not tracked. The key's read is bound to no
			// connection, so what it brings is answered and not stored.
			var found shared.Found
			if found.Content, err = getOne(ctx, asking{c.plain}, r.key); err == nil {
				return found
			}
		case o != nil:
			return t.readUntracked(ctx, o, []string{r.key})[0]
		default:
			var found shared.Found
			if found, err = trackedReply(c.tracked.DoCache(ctx, c.tracked.B().Get().Key(r.key).Cache(), t.cfg.Revalidate)); err == nil {
				return found
			}
		}
		if !r.again(ctx, n, c, err) {
			return shared.Found{Err: n.noteFailure(c, err)}
		}
	}
}

// trackSome reads those of keys in one round trip that n serves; at has their places.
func (t *Tier) trackSome(ctx context.Context, n *node, keys []string, at []int, out []shared.Found) {
	c, err := n.askFor(ctx, true)
	if err != nil {
		for _, i := range at {
			out[i].Err = err
		}
		return
	}
	if o := n.untracked.Load(); o != nil || c.tracked == nil {
		some := make([]string, len(at))
		for j, i := range at {
			some[j] = keys[i]
		}
		if o == nil {
			o = t.store.NewUntrackedOwner()
		}
		for j, found := range t.readUntracked(ctx, o, some) {
			out[at[j]] = found
		}
		return
	}
	cmds := make([]rueidis.CacheableTTL, len(at))
	for j, i := range at {
		cmds[j] = rueidis.CT(c.tracked.B().Get().Key(keys[i]).Cache(), t.cfg.Revalidate)
	}
	var all sync.WaitGroup
	for j, answer := range c.tracked.DoMultiCache(ctx, cmds...) {
		i := at[j]
		if out[i], err = trackedReply(answer); err == nil {
			continue
		}
		if r := (route{tier: t, key: keys[i], repeatable: true}); r.again(ctx, n, c, err) {
			all.Go(func() { out[i] = t.trackOne(ctx, r) })
		} else {
			out[i] = shared.Found{Err: n.noteFailure(c, err)}
		}
	}
	all.Wait()
}

// trackedReply reads the reply to one tracked read.
func trackedReply(answer rueidis.RedisResult) (shared.Found, error) {
	var ttl time.Duration
	if at := answer.CachePXAT(); at > 0 {
		ttl = max(time.Until(time.UnixMilli(at)), time.Millisecond)
	}
	r, err := contentOf(answer, ttl)
	return shared.Found{Content: r}, err
}

// readUntracked reads while a node refuses tracking. The owner o stands in for a
// connection. It never proves itself, so memory keeps what is read no longer than
// memory.untracked_ttl, marked.
func (t *Tier) readUntracked(ctx context.Context, o *memory.Owner, keys []string) []shared.Found {
	sent := t.store.Now()
	for _, key := range keys {
		t.reads.Bind(o, key, sent)
	}
	replies := t.getMany(ctx, keys)
	for _, key := range keys {
		t.reads.Arrived(o, key)
	}
	return replies
}
