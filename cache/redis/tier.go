// Package redis is the shared tier in Redis, and in Sentinel and Cluster: the only
// package that names rueidis.
//
// Each step of the protocol is one script, so that an instance which dies in the
// middle of a write leaves a state that the others understand. Tracked reads have a
// client of their own, so that no other traffic delays an invalidation.
package redis

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// Tier is the shared tier in Redis. It is safe for concurrent use. Every method that
// asks Redis keeps the deadline of its context, and takes half of link_timeout at
// most unless it says otherwise; an error wraps shared.ErrAway when Redis could not
// be asked, shared.ErrRefused when Redis refuses the command or the key for good.
//
// Tracked reads have a client of their own, with one connection per node, on which
// all replies and invalidations come in one order. Everything else goes through a
// second client, whose traffic cannot delay an invalidation.
type Tier struct {
	cfg   Config
	store *memory.Store
	reads Reads

	availability
	deadlines
	scripts scripts

	clients   atomic.Pointer[clients]      // nil until Redis has been reached once
	untracked atomic.Pointer[memory.Owner] // set while Redis refuses tracking; only the link keeper changes it

	stop    context.CancelCauseFunc // ends the link keeper
	running sync.WaitGroup
}

// clients are both clients of one Redis.
type clients struct{ tracked, plain rueidis.Client }

// Reads are the tracked reads under way, as the cache keeps them. The methods of one
// owner, Probe apart, are called in the order of its connection's wire.
type Reads interface {
	// Bind notes that the read of key is about to be sent on o; sent is clock time.
	Bind(o *memory.Owner, key string, sent int64)
	// Arrived notes a reply, Refused an error reply, Abandoned that the reader gave up.
	Arrived(o *memory.Owner, key string)
	Refused(o *memory.Owner, key string)
	Abandoned(o *memory.Owner, key string)
	// Invalidated applies a change of key, Flushed one of all keys, Closed the end of
	// the connection.
	Invalidated(o *memory.Owner, key string)
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
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t := &Tier{cfg: c, store: s, reads: f, deadlines: deadlines{timeout: c.LinkTimeout / 2}, scripts: newScripts()}
	t.availability.init(c.Log)
	return t, nil
}

// Open begins to connect, in the background. It waits for nothing.
func (t *Tier) Open() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.stop = cancel
	t.running.Go(func() { t.keepLinks(ctx) })
	return nil
}

// Close ends the link keeper and both clients. It may follow New without Open.
func (t *Tier) Close() {
	if t.stop != nil {
		t.stop(shared.ErrAway)
	}
	t.running.Wait()
	if c := t.clients.Load(); c != nil {
		c.tracked.Close()
		c.plain.Close()
	}
}

// Name is the tier's label in metrics.
func (t *Tier) Name() string { return "redis" }

// Up returns why Redis cannot be asked, nil if it can.
func (t *Tier) Up() error {
	if now := t.outage.Load(); now != nil {
		return now.err
	}
	return nil
}

// ask returns the clients, or why Redis must not be asked now.
func (t *Tier) ask(ctx context.Context) (*clients, error) {
	if err := t.await(ctx); err != nil {
		return nil, err
	}
	return t.clients.Load(), nil
}

// do runs f against the plain client, once more if the connection broke under it; f
// must be harmless when repeated. A step of the protocol is, for it names its token: at
// worst a fill that was stored counts as refused, or an unguard deletes the record that
// its first attempt has put there.
func (t *Tier) do(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	return t.run(ctx, true, f)
}

// run is do, or with repeatable false for what must not be repeated.
func (t *Tier) run(ctx context.Context, repeatable bool, f func(context.Context, rueidis.Client) error) error {
	c, err := t.ask(ctx)
	if err != nil {
		return err
	}
	ctx = t.bound(ctx)
	err = f(ctx, c.plain)
	if repeatable && err != nil && isBroken(err) && ctx.Err() == nil {
		err = f(ctx, c.plain)
	}
	return t.noteFailure(err)
}
