package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// canaryCarrier reads a canary on the connection that is to be proved, and writes it
// on another.
type canaryCarrier interface {
	readTracked(ctx context.Context, key string) error
	writeCanary(ctx context.Context, key string) error
}

// link keeps proving one tracked connection: that it answers, and that it reports
// changes. The proof is a canary, a key of this process alone, on the connection's own
// node. It is read the way
// every key is read, then set through the plain client, and the invalidation has to
// come back on the connection. How long that takes is the measure of promise C1.
//
//	        read, SET
//	idle ──────────────► out ──its invalidation is applied──► idle, its delay is recorded
//	                     │ ▲ │
//	   a round later     │ │ ├──its connection has ended────► idle, nothing is known
//	   its age is        └─┘ │
//	   recorded              └──link_timeout has passed─────► idle, lost: the connection
//	                                                          is closed as a silent one
//
// A link is used by one goroutine at a time.
type link struct {
	store   *memory.Store
	reads   Reads
	via     canaryCarrier
	timeout time.Duration // memory.link_timeout
	prefix  string        // of keys that live on the node
	key     string
	name    string // of the node, for the log

	owner *memory.Owner // connection that read the canary which is out
	sent  int64         // clock time at which its SET was sent; 0: none is out
}

const canaryPrefix = "hearth:canary:"

// errSilent: the connection answers, and does not report changes. That is worse than a
// broken one, for entries that were read on it would go on looking fresh.
var errSilent = errors.New("redis does not report changes (CLIENT TRACKING without effect)")

// errUnanswered: an earlier read of the same key has not been answered. Like a deadline,
// it says nothing of the connection.
var errUnanswered = fmt.Errorf("an earlier read has not been answered: %w", context.DeadlineExceeded)

// prove runs one round: it judges the canary that is out, reads the next one, sets it,
// and waits for its invalidation until the round is over.
func (l *link) prove(ctx context.Context, round time.Duration) error {
	if err := l.judge(); err != nil {
		return err
	}
	// As long as any command may take: a Redis that stalls briefly is slow,
	// not away. Freshness does not wait for this; it ends by itself.
	ctx, cancel := context.WithTimeout(ctx, l.timeout/2)
	defer cancel()
	if l.sent != 0 { // the canary is still out; a read of another key shows whether the link answers
		_, err := l.read(ctx, l.prefix+"ping:"+shared.NewToken())
		return err
	}
	owner, err := l.read(ctx, l.key)
	if err != nil {
		return err
	}
	l.owner = owner
	select {
	case <-l.owner.Proofs(): // of an earlier round, which was over by then
	default:
	}
	sent := l.store.Now()
	if err := l.via.writeCanary(ctx, l.key); err != nil {
		return fmt.Errorf("setting the canary of %s: %w", l.name, err)
	}
	l.sent = sent
	timer := time.NewTimer(round)
	defer timer.Stop()
	select {
	case <-l.owner.Proofs():
	case <-timer.C:
	case <-ctx.Done():
	}
	return l.judge()
}

// read reads a key of the link's own, tracked, and returns the connection it
// came over.
func (l *link) read(ctx context.Context, key string) (*memory.Owner, error) {
	o, begun, err := l.reads.Probe(key, func() error { return l.via.readTracked(ctx, key) })
	if !begun { // its answer may never come, and until it does the key cannot be read again
		l.key = l.prefix + shared.NewToken()
		return nil, fmt.Errorf("reading the canary of %s: %w", l.name, errUnanswered)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the canary of %s: %w", l.name, err)
	case o == nil:
		return nil, fmt.Errorf("reading the canary of %s: it reached no connection", l.name)
	case o.Ended():
		return nil, fmt.Errorf("%s: %w", l.name, errSilent) // it was silent before, and has not been replaced
	}
	return o, nil
}

// judge records the delay of the canary that is out: the whole delay if its
// invalidation has been applied, else its age so far, in every round. Past
// link_timeout the canary counts as lost and the connection as silent.
func (l *link) judge() error {
	if l.sent == 0 {
		return nil
	}
	if l.owner.Ended() {
		l.sent = 0
		return nil
	}
	if at := l.owner.ProvenAt(); at >= l.sent {
		l.store.ReportDelay(time.Duration(at - l.sent))
		l.sent = 0
		return nil
	}
	age := l.store.Now() - l.sent
	l.store.ReportDelay(time.Duration(age))
	if age < int64(l.timeout) {
		return nil
	}
	l.sent = 0
	l.store.LostCanaries.Add(1)
	l.reads.Closed(l.owner)
	return fmt.Errorf("%s: %w", l.name, errSilent)
}

// newLink returns the link of the node's present connections.
func (n *node) newLink() *link {
	prefix := n.ownKey(canaryPrefix)
	return &link{store: n.tier.store, reads: n.tier.reads, timeout: n.tier.cfg.LinkTimeout, via: carrier{n, n.conns.Load()}, name: n.name, prefix: prefix, key: prefix + shared.NewToken()}
}

// carrier implements canaryCarrier on the connections of one node.
type carrier struct {
	node *node
	*connections
}

func (c carrier) readTracked(ctx context.Context, key string) error {
	_, err := contentOf(c.tracked.DoCache(ctx, c.tracked.B().Get().Key(key).Cache(), c.node.tier.cfg.Revalidate), 0)
	return err
}

func (c carrier) writeCanary(ctx context.Context, key string) error {
	return c.plain.Do(ctx, c.plain.B().Set().Key(key).Value("0").Ex(time.Minute).Build()).Error()
}

// slotTag returns text whose hash slot lies in [first, last], so that a key with it in
// braces lives on the node that serves those slots. It begins anywhere: a slot that is on
// its way to another node is not met again and again.
func (t *Tier) slotTag(first, last uint16) string {
	for i := rand.IntN(1 << 20); ; i++ {
		tag := strconv.Itoa(i)
		if slot := t.Slot(tag); slot >= first && slot <= last {
			return tag
		}
	}
}
