package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"hearth/cache/shared"
)

// outdated bounds how many keys are removed in one piece. Redis runs the scripts of a
// piece one by one, with commands of others between them; what a piece bounds is the
// memory for it, and what has to be done again when a connection breaks.
const outdated = 512

// Outdate removes what stands in keys whose records have changed in their source: the
// keys of each node in pieces, and nodes side by side. A piece takes no longer than a
// single command may. It stops early when Redis is away; one master of a Cluster that is
// away keeps nobody from the keys of the others.
//
// Each key takes a step of its own, which any order with other steps does no harm to. A
// step is harmless when repeated, but that a record of the writer itself is not spared
// twice.
func (t *Tier) Outdate(ctx context.Context, keys []shared.Outdated) error {
	var first error
	for part := range slices.Chunk(keys, outdated) {
		err := t.outdatePart(ctx, part)
		if err != nil && t.Up() != nil {
			return err
		}
		if first = cmp.Or(first, err); ctx.Err() != nil {
			return cmp.Or(first, fmt.Errorf("%w: %w", shared.ErrAway, context.Cause(ctx)))
		}
	}
	return first
}

func (t *Tier) outdatePart(ctx context.Context, part []shared.Outdated) error {
	calls := make([]call, len(part))
	for i := range part {
		o := &part[i]
		t.told.note(o.Key)
		calls[i] = call{withSibling(o.Key), []string{o.Writer}}
		if o.Writer != "" {
			calls[i].keys = withMark(o.Key)
		}
	}
	var done confirmed
	var first error
	for i, a := range t.steps(t.bound(ctx), t.scripts.outdate, calls, &done) {
		if isKeyRefused(a.err) {
			a.err = t.outdateRefused(ctx, &part[i], &done)
		}
		part[i].Kept = a.err == nil && a.number == 2
		if first == nil || errors.Is(a.err, shared.ErrAway) && !errors.Is(first, shared.ErrAway) {
			first = a.err
		}
	}
	if first != nil {
		return first
	}
	return t.confirm(ctx, &done)
}

// outdateRefused is for a key of which some key is refused to the account. That may be a
// sibling or a mark, then there are none. A key that cannot be read either has nothing in it
// that anybody is answered, and must not keep the changes of all other keys waiting.
func (t *Tier) outdateRefused(ctx context.Context, o *shared.Outdated, done *confirmed) error {
	_, err := t.stepOver(ctx, t.scripts.outdate, []string{o.Key}, []string{o.Writer}, done)
	if !isKeyRefused(err) {
		return err
	}
	if _, unreadable := t.Get(ctx, o.Key); isKeyRefused(unreadable) {
		return nil
	}
	return err
}

// Remove deletes keys. It is Outdate for a change of others, but that no replica is
// waited for. copies tells that the keys hold copies, of records that have a source. It
// stops early when Redis is away, and returns that error before others.
func (t *Tier) Remove(ctx context.Context, keys []string, copies bool) error {
	var other error
	for part := range slices.Chunk(keys, outdated) {
		calls := make([]call, len(part))
		for i, key := range part {
			if copies { // what is deleted and stored again lives nowhere else
				t.written.note(key)
			}
			calls[i] = call{withSibling(key), []string{""}}
		}
		for _, a := range t.steps(t.bound(ctx), t.scripts.outdate, calls, nil) {
			if errors.Is(a.err, shared.ErrAway) {
				return a.err
			}
			other = cmp.Or(other, a.err)
		}
	}
	return other
}

// confirmed are the connections over which the steps of a batch were done, for replicas to
// confirm them.
type confirmed struct {
	mu  sync.Mutex
	all map[*connections]struct{}
}

// note adds connections. It may be called on nil.
func (c *confirmed) note(conns *connections) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[*connections]struct{}{}
	}
	c.all[conns] = struct{}{}
}

// confirm waits until enough replicas have confirmed what was done over each of the
// connections, at most as long as a single command may take.
func (t *Tier) confirm(ctx context.Context, done *confirmed) error {
	if t.cfg.WaitReplicas == 0 {
		return nil
	}
	ctx = t.bound(ctx)
	var all sync.WaitGroup
	errs := make(chan error, len(done.all))
	for conns := range done.all {
		all.Go(func() { errs <- conns.node.noteFailure(conns, t.confirmOne(ctx, conns)) })
	}
	all.Wait()
	close(errs)
	var first error
	for err := range errs {
		first = cmp.Or(first, err)
	}
	return first
}

// confirmOne asks one server, over another connection than the steps: WAIT stops its own.
func (t *Tier) confirmOne(ctx context.Context, conns *connections) error {
	got, err := conns.waited(ctx, t.cfg.WaitReplicas, t.timeout/2, nil)
	if err == nil && got < int64(t.cfg.WaitReplicas) {
		err = t.tooFew(got)
	}
	return err
}

// tooFew is what a step fails with that too few replicas have confirmed.
func (t *Tier) tooFew(got int64) error {
	return fmt.Errorf("%w: %d of redis.wait_replicas = %d confirmed", shared.ErrAway, got, t.cfg.WaitReplicas)
}

// ownKey returns a key that the node serves. It begins anywhere among its slots: a slot
// that is on its way to another node is not met again and again.
func (n *node) ownKey(prefix string) string {
	if ranges := n.ranges.Load(); ranges != nil && len(*ranges) > 0 {
		r := (*ranges)[rand.IntN(len(*ranges))]
		prefix += "{" + n.tier.slotTag(r.first, r.last) + "}:"
	}
	return prefix
}

// Generation tells how often a server has taken another's place, or started again. What was
// written here or outdated here within the minute before was removed from it before it was
// asked for anything, but for what was forgotten.
func (t *Tier) Generation() shared.Generation {
	return shared.Generation{Number: t.takeovers.Load(), Forgotten: t.forgetful.Load()}
}
