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
	caller := ctx
	ctx = t.bound(ctx)
	out := make([]shared.Found, len(keys))
	if len(keys) == 1 {
		out[0] = t.trackOne(ctx, route{tier: t, caller: caller, key: keys[0]})
		return out
	}
	var all sync.WaitGroup
	for n, at := range t.byNode(ctx, keys, func(i int, err error) { out[i].Err = err }) {
		all.Go(func() { t.trackSome(ctx, caller, n, keys, at, out) })
	}
	all.Wait()
	return out
}

// trackOne reads one key, wherever it is.
func (t *Tier) trackOne(ctx context.Context, r route) shared.Found {
	for ctx = r.within(ctx); ; ctx = r.within(ctx) {
		n, c, err := r.next(ctx, false)
		if err != nil {
			return shared.Found{Err: err}
		}
		o := n.untrackedOwner(c)
		switch {
		case r.ask:
			// A reply behind ASKING is not tracked. The key's read is bound to no
			// connection, so what it brings is answered and not stored.
			var found shared.Found
			if found.Content, err = getOne(ctx, asking{c.plain}, r.key); err == nil {
				return found
			}
		case o != nil:
			return n.readUntracked(ctx, o, []string{r.key})[0]
		default:
			var found shared.Found
			if found, err = n.trackedReply(c.tracked.DoCache(ctx, c.tracked.B().Get().Key(r.key).Cache(), t.cfg.Revalidate)); err == nil {
				return found
			}
		}
		if !r.again(ctx, n, c, err) {
			return shared.Found{Err: n.noteFailure(c, err)}
		}
	}
}

// trackSome reads those of keys in one round trip that n serves; at has their places.
func (t *Tier) trackSome(ctx, caller context.Context, n *node, keys []string, at []int, out []shared.Found) {
	c, err := n.askFor(ctx, false)
	if err != nil {
		for _, i := range at {
			out[i].Err = err
		}
		return
	}
	if o := n.untrackedOwner(c); o != nil {
		some := make([]string, len(at))
		for j, i := range at {
			some[j] = keys[i]
		}
		for j, found := range n.readUntracked(ctx, o, some) {
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
		found, err := n.trackedReply(answer)
		if out[i] = found; err == nil {
			continue
		}
		all.Go(func() {
			r := route{tier: t, caller: caller, key: keys[i]}
			if r.again(ctx, n, c, err) {
				out[i] = t.trackOne(ctx, r)
			} else {
				out[i] = shared.Found{Err: n.noteFailure(c, err)}
			}
		})
	}
	all.Wait()
}

// trackedReply reads the reply to one tracked read. In a Cluster nobody reports when a key
// that does not exist comes to be: while its slot is on its way to another node, it is made
// there, and the node that was read goes on knowing nothing of it. A key that exists is
// deleted here when it moves, and that is reported.
func (n *node) trackedReply(answer rueidis.RedisResult) (shared.Found, error) {
	var ttl time.Duration
	if at := answer.CachePXAT(); at > 0 {
		ttl = max(time.Until(time.UnixMilli(at)), time.Millisecond)
	}
	r, err := contentOf(answer, ttl)
	r.Unreported = r.State == shared.Absent && n.ranges.Load() != nil
	return shared.Found{Content: r}, err
}

// untrackedOwner returns the owner of what is read while it must be marked, nil when it
// need not be: the node refuses tracking, or has just taken another server's place.
func (n *node) untrackedOwner(c *connections) *memory.Owner {
	if o := n.untracked.Load(); o != nil {
		return o
	}
	if o := n.heldOwner.Load(); o != nil && n.held() {
		return o
	}
	if c.tracked == nil { // refused by the server before, and not by this one
		return n.tier.store.NewUntrackedOwner()
	}
	return nil
}

// readUntracked reads what must be marked. The owner o stands in for a connection. It
// never proves itself, so memory keeps what is read no longer than memory.untracked_ttl.
//
// On a node that is held a value is answered, and not kept: the mark ends with the hold.
func (n *node) readUntracked(ctx context.Context, o *memory.Owner, keys []string) []shared.Found {
	t, sent, held := n.tier, n.tier.store.Now(), n.held()
	for _, key := range keys {
		t.reads.Bind(o, key, sent)
	}
	replies := t.getMany(ctx, keys)
	for i, key := range keys {
		t.reads.Arrived(o, key)
		if held && replies[i].Err == nil {
			replies[i].Content, replies[i].Err = marked(replies[i].Content)
		}
	}
	return replies
}
