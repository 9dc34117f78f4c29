package redis

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// slotCount is how many hash slots a Cluster has.
const slotCount = 16384

// topology says which node serves a key. It is immutable; nodes live on from one to the
// next.
type topology struct {
	only     *node             // serves all keys; nil in a Cluster
	slots    *[slotCount]*node // nil without a Cluster
	nodes    map[string]*node  // masters by address, those without slots, too
	replicas map[string]string // address of each replica → that of its master
}

// slotRange are the slots from first to last.
type slotRange struct{ first, last uint16 }

// nodeOf returns the node that serves key, nil if none does.
func (top *topology) nodeOf(t *Tier, key string) *node {
	if top.only != nil {
		return top.only
	}
	return top.slots[t.Slot(key)]
}

// at returns the node with an address, nil if there is none.
func (top *topology) at(addr string) *node {
	if top == nil {
		return nil
	}
	return top.nodes[addr]
}

// all are the nodes.
func (top *topology) all() []*node {
	if top.only != nil {
		return []*node{top.only}
	}
	return slices.Collect(maps.Values(top.nodes))
}

// serving are the nodes that serve keys.
func (top *topology) serving() []*node {
	return slices.DeleteFunc(top.all(), (*node).idle)
}

// idle tells whether the node is a master of a Cluster that serves no slot.
func (n *node) idle() bool {
	r := n.ranges.Load()
	return r != nil && len(*r) == 0
}

// serves tells whether the node serves key.
func (n *node) serves(key string) bool {
	ranges := n.ranges.Load()
	if ranges == nil {
		return true
	}
	slot := n.tier.Slot(key)
	return slices.ContainsFunc(*ranges, func(r slotRange) bool { return slot >= r.first && slot <= r.last })
}

// keepTopology finds out what Redis is, and goes on asking who serves what: the sentinels
// for the master, a Cluster for its slots. It asks four times per link_timeout, and at
// once when an answer of Redis shows that something has moved.
func (t *Tier) keepTopology(ctx context.Context) {
	tick := time.NewTicker(t.cfg.LinkTimeout / 4)
	defer tick.Stop()
	if t.sentinels != nil {
		n := t.newNode(soleNode, t.sentinels.master)
		t.topology.Store(&topology{only: n})
		n.start(ctx)
		t.sentinels.keep(ctx, t.cfg.LinkTimeout/4, t.timeout, n.lookNow)
		return
	}
	for ctx.Err() == nil {
		hint, done := t.listings.begin()
		t.survey(ctx, hint)
		close(done)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-t.listings.wake:
		}
	}
}

// survey asks once.
func (t *Tier) survey(ctx context.Context, hint *node) {
	top := t.topology.Load()
	switch {
	case top == nil:
		defer time.AfterFunc(t.timeout, t.discovery.giveUpWaiting).Stop()
		if err := t.discover(ctx); err != nil && ctx.Err() == nil {
			t.discovery.markAway(err)
		}
	case top.only == nil:
		t.listCluster(ctx, top, hint)
	}
}

// discover reaches one of the seeds, and learns whether it is part of a Cluster.
func (t *Tier) discover(ctx context.Context) error {
	view, err := t.askSeeds(ctx, t.seeds)
	switch {
	case err != nil:
		return err
	case view == nil:
		n := t.newNode(soleNode, func(context.Context) ([]string, error) { return t.seeds, nil })
		t.topology.Store(&topology{only: n})
		n.start(ctx)
	default:
		t.adoptTopology(ctx, nil, []*clusterView{view})
	}
	t.discovery.swap(nil)
	return nil
}

// rediscover begins anew: Redis is something else than it was. It may be called by the
// keeper of the node that has found out.
func (t *Tier) rediscover() {
	top := t.topology.Load()
	if top == nil || top.only == nil || !t.topology.CompareAndSwap(top, nil) {
		return
	}
	t.discovery.interrupt(errNotYet)
	top.only.stop()
	t.relist(nil)
}

// listings are the requests to list a Cluster's slots anew.
type listings struct {
	mu   sync.Mutex
	next chan struct{} // closed when the listing that begins next is over
	hint *node         // to be asked first: it knows what has moved
	wake chan struct{}
}

// begin begins a listing.
func (l *listings) begin() (hint *node, done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hint, done = l.hint, l.next
	if done == nil {
		done = make(chan struct{})
	}
	l.hint, l.next = nil, nil
	return hint, done
}

// ask asks for a listing, and returns what is closed when it is over.
func (l *listings) ask(hint *node) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = make(chan struct{})
	}
	if hint != nil {
		l.hint = hint
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l.next
}

// relist makes the slots be listed at once. hint is the node whose answer has shown that
// something has moved, or nil.
func (t *Tier) relist(hint *node) <-chan struct{} { return t.listings.ask(hint) }

// relistAndWait is relist that waits until the listing is over.
func (t *Tier) relistAndWait(ctx context.Context, hint *node) {
	select {
	case <-t.relist(hint):
	case <-ctx.Done():
	}
}
