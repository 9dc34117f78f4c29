// Package redis is the shared tier in Redis, and in Sentinel and Cluster: the only
// package that names rueidis.
//
// Each step of the protocol is one script, so that an instance which dies in the
// middle of a write leaves a state that the others understand. Tracked reads have a
// connection of their own, so that no other traffic delays an invalidation. Which server
// a connection leads to is decided here and not by rueidis: a server that takes another's
// place may lack the latest writes, and must be put right before it is asked.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// Tier is the shared tier in Redis. It is safe for concurrent use. Every method that
// asks Redis keeps the deadline of its context, and takes half of link_timeout at
// most unless it says otherwise; an error wraps shared.ErrAway when the node that serves
// the key could not be asked, shared.ErrRefused when Redis refuses the command or the key
// for good.
//
// A Redis, the master that sentinels name, and each master of a Cluster is a node: with
// connections, an availability and a keeper of its own.
type Tier struct {
	cfg   Config
	store *memory.Store
	reads Reads

	deadlines
	scripts   scripts
	written   recentKeys   // here
	told      recentKeys   // by others
	takeovers atomic.Int64 // ever
	forgetful atomic.Int64 // those among them at which keys of the minute before were forgotten

	seeds     []string
	sentinels *sentinels // nil without

	discovery availability // why there is no topology
	topology  atomic.Pointer[topology]
	listings  listings

	stop    context.CancelCauseFunc // ends the keepers
	running sync.WaitGroup
}

// Reads are the tracked reads under way, as the cache keeps them. The methods of one
// owner, Probe apart, are called in the order of its connection's wire.
type Reads interface {
	// Bind notes that the read of key is about to be sent on o; sent is clock time.
	Bind(o *memory.Owner, key string, sent int64)
	// Arrived notes a reply, Refused an error reply, Abandoned that the reader gave up.
	Arrived(o *memory.Owner, key string)
	Refused(o *memory.Owner, key string)
	Abandoned(o *memory.Owner, key string)
	// Invalidated applies a change of key, and tells whether it has dropped the copy of a
	// record that has a source. Flushed applies a change of all keys, Closed the end of
	// the connection.
	Invalidated(o *memory.Owner, key string) (sourced bool)
	Flushed(o *memory.Owner)
	Closed(o *memory.Owner)
	// Probe reads a key of the tier's own, of which nothing is kept. It returns the
	// connection that the read went out on; begun is false when an earlier read of
	// key has not been answered.
	Probe(key string, read func() error) (o *memory.Owner, begun bool, err error)
}

// New returns the tier, or what is wrong with its configuration. It connects to
// nothing until it is opened.
func New(c Config, s *memory.Store, f Reads) (*Tier, error) {
	o, err := c.options(time.Second, nil)
	if err != nil {
		return nil, err
	}
	t := &Tier{cfg: c, store: s, reads: f, deadlines: deadlines{timeout: c.LinkTimeout / 2}, scripts: newScripts(), seeds: o.InitAddress}
	if o.Sentinel.MasterSet != "" {
		t.sentinels = newSentinels(c, o.InitAddress, o.Sentinel.MasterSet)
	}
	t.written.most, t.told.most = maxWritten, maxTold
	t.discovery.init(c.Log)
	t.listings.wake = make(chan struct{}, 1)
	return t, nil
}

// Open begins to connect, in the background. It waits for nothing.
func (t *Tier) Open() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.stop = cancel
	t.running.Go(func() { t.watchClock(ctx) })
	t.running.Go(func() { t.keepTopology(ctx) })
	return nil
}

// Close ends the keepers and all connections. It may follow New without Open.
func (t *Tier) Close() {
	if t.stop != nil {
		t.stop(shared.ErrAway)
	}
	t.running.Wait()
}

// watchClock notices when the process has slept.
func (t *Tier) watchClock(ctx context.Context) {
	tick := time.NewTicker(t.cfg.LinkTimeout / 4)
	defer tick.Stop()
	for {
		t.store.NoticeSleep()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Name is the tier's label in metrics.
func (t *Tier) Name() string { return "redis" }

// Up returns why nothing of Redis can be asked, nil if at least one node can: an instance
// is of use as long as one master of a Cluster serves its keys.
func (t *Tier) Up() error {
	top := t.topology.Load()
	if top == nil {
		return cmp.Or(t.discovery.why(), errNotYet)
	}
	var first error
	for _, n := range top.serving() {
		err := n.why()
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return cmp.Or(first, errNotYet)
}

// Readable returns why key cannot be read now, nil if it can.
func (t *Tier) Readable(key string) error {
	top := t.topology.Load()
	if top == nil {
		return cmp.Or(t.discovery.why(), errNotYet)
	}
	n := top.nodeOf(t, key)
	if n == nil {
		return errNoNode
	}
	return n.why()
}

// NodeName is what the node is called that serves key, "" if none does.
func (t *Tier) NodeName(key string) string {
	if top := t.topology.Load(); top != nil {
		if n := top.nodeOf(t, key); n != nil {
			return n.name
		}
	}
	return ""
}

// ProbeNow makes every node be proved at once, as after a change of the account. It waits
// for nothing.
func (t *Tier) ProbeNow() {
	t.relist(nil)
	if top := t.topology.Load(); top != nil {
		for _, n := range top.all() {
			n.ProbeNow()
		}
	}
}

// NodeState is how one node is.
type NodeState struct {
	Name    string
	Serves  bool // it serves keys; a master that has just joined a Cluster does not
	Up      bool // it can be asked
	Tracked bool // it reports changes, as far as is known
	Held    bool // its server has just taken another's place: what it answers is marked
}

// State is how the tier is, for metrics.
type State struct {
	Nodes     []NodeState // in the order of their names; none before Redis was reached once
	Takeovers int64       // of a node's place by another server, ever
}

// State returns how the tier is now.
func (t *Tier) State() State {
	s := State{Takeovers: t.takeovers.Load()}
	if top := t.topology.Load(); top != nil {
		for _, n := range top.all() {
			s.Nodes = append(s.Nodes, NodeState{Name: n.name, Serves: !n.idle(), Up: n.why() == nil, Tracked: n.untracked.Load() == nil, Held: n.held()})
		}
		slices.SortFunc(s.Nodes, func(a, b NodeState) int { return cmp.Compare(a.Name, b.Name) })
	}
	return s
}

// errNoNode is why a key cannot be asked for whose slot no node serves.
var errNoNode = errors.New("no node of the cluster serves the key's slot")

// nodeOf returns the node that serves key. Before the topology is known it waits for the
// first attempt to learn it.
func (t *Tier) nodeOf(ctx context.Context, key string) (*node, error) {
	top := t.topology.Load()
	for top == nil {
		if err := t.discovery.await(ctx); err != nil {
			return nil, err
		}
		if top = t.topology.Load(); top == nil && ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", shared.ErrAway, errNotYet)
		}
	}
	if n := top.nodeOf(t, key); n != nil {
		return n, nil
	}
	t.relist(nil)
	return nil, fmt.Errorf("%w: %w", shared.ErrAway, errNoNode)
}
