package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// Set stores items for ttl, 0 without expiry, those of one node in one piece. errs is nil
// when all were acknowledged, else errs[i] belongs to items[i]. All share one deadline, the
// tier's timeout for a command.
func (t *Tier) Set(ctx context.Context, items []shared.Item, ttl time.Duration) []error {
	b := itemBatch{tier: t, items: items}
	if ttl > 0 {
		b.px = milliseconds(ttl)
	}
	if top := t.topology.Load(); top != nil && top.only != nil {
		b.setOn(ctx, top.only)
	} else {
		t.spread(ctx, b.keys(), b.each())
	}
	return b.errs
}

// itemBatch is a Set under way.
type itemBatch struct {
	tier  *Tier
	items []shared.Item
	px    string // lifetime in milliseconds; "": none

	failed []int   // places of items that were not stored at once …
	causes []error // … and why

	mu   sync.Mutex
	errs []error // by item; nil while there is none
}

// maxTogether bounds the items of one MSET: other clients wait while Redis runs a command.
const maxTogether = 256

// setOn stores the items in the one node that has all keys. A pipeline of SETs has as many
// replies as items, and reading a reply costs as much as writing an item. So items without
// a lifetime go by MSET, which stores all or, with an error for a reply, nothing. Which
// item was to blame it does not tell, as where Redis has memory for some of them only, or
// the account may not write one of the keys: then SETs tell, one for each.
func (b *itemBatch) setOn(ctx context.Context, n *node) {
	caller := ctx
	ctx = b.tier.bound(ctx)
	c, err := n.askFor(ctx, false)
	switch {
	case err != nil:
		b.errs = shared.ErrorForEach(err, len(b.items))
		return
	case b.px != "" || len(b.items) < 2 || c.noMSET.Load():
		b.setEach(ctx, c.plain, 0, len(b.items))
	default:
		b.setTogether(ctx, c)
	}
	if len(b.failed) > 0 {
		b.tier.sendOn(ctx, caller, n, c, b.keys(), b.failed, b.causes, b.each())
	}
}

// setTogether stores the items by MSET.
func (b *itemBatch) setTogether(ctx context.Context, c *connections) {
	var room [1]rueidis.Completed
	cmds := room[:0]
	for start := 0; start < len(b.items); start += maxTogether {
		cmd := c.plain.B().Arbitrary("MSET") // Mset would look for the slot of each key
		for _, it := range b.items[start:min(start+maxTogether, len(b.items))] {
			cmd = cmd.Args(it.Key, textOf(it.Value))
		}
		cmds = append(cmds, cmd.Build())
	}
	for i, answer := range c.plain.DoMulti(ctx, cmds...) {
		start, err := i*maxTogether, answer.Error()
		end := min(start+maxTogether, len(b.items))
		switch {
		case err == nil:
		case errorReply(err) != "":
			if isCommandRefused(err) && !c.noMSET.Swap(true) {
				b.tier.cfg.Log.Warn("redis refuses MSET, which stores a batch at once: it is stored by a SET for each item, which costs more; allow +mset", "error", err)
			}
			b.setEach(ctx, c.plain, start, end)
		default: // whether they are stored is open
			for j := start; j < end; j++ {
				b.failed, b.causes = append(b.failed, j), append(b.causes, err)
			}
		}
	}
}

// setEach stores the items from start to end by a SET for each, in one pipeline.
func (b *itemBatch) setEach(ctx context.Context, c rueidis.Client, start, end int) {
	cmds := make([]rueidis.Completed, 0, end-start)
	for i := start; i < end; i++ {
		cmds = b.set(cmds, c, i)
	}
	for i, answer := range c.DoMulti(ctx, cmds...) {
		if err := answer.Error(); err != nil {
			b.failed, b.causes = append(b.failed, start+i), append(b.causes, err)
		}
	}
}

// set appends the command that stores one item.
func (b *itemBatch) set(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed {
	key, value := b.items[i].Key, textOf(b.items[i].Value)
	if b.px == "" {
		return append(dst, c.B().Set().Key(key).Value(value).Build())
	}
	// By PxMilliseconds each command would have its own text of the number.
	return append(dst, c.B().Arbitrary("SET").Args(key, value, "PX", b.px).Build())
}

// each is the batch as a command for each key.
func (b *itemBatch) each() spreading {
	return spreading{
		bounded: true,
		build:   b.set,
		take:    func(_ int, answers []rueidis.RedisResult) error { return answers[0].Error() },
		fail: func(i int, err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.errs == nil {
				b.errs = make([]error, len(b.items))
			}
			b.errs[i] = err
		},
	}
}

func (b *itemBatch) keys() []string {
	keys := make([]string, len(b.items))
	for i, it := range b.items {
		keys[i] = it.Key
	}
	return keys
}
