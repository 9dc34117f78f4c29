package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// linkReader reads a canary on the connection it stands for, and writes it on
// another. The Redis tier implements it per node.
type linkReader interface {
	readTracked(ctx context.Context, key string) error
	writeCanary(ctx context.Context, key string) error
}

// link keeps proving one tracked connection: that it answers, and that it
// reports changes. The proof is a canary, a key of this process' own: it is
// read the way everything is read, then set through the write client, and the
// invalidation has to come back on the connection. How long that takes is the
// measure of promise C1.
type link struct {
	store   *memory.Store
	flights Reads
	via     linkReader
	timeout time.Duration // memory.link_timeout
	prefix  string        // of keys that live on the node
	key     string
	name    string // of the node, for the log

	owner *memory.Owner // connection that read the canary now out
	sent  int64         // clock time its SET was sent; 0: none is out
}

const canaryPrefix = "hearth:canary:"

// errSilent: the connection answers, and does not report changes.
var errSilent = errors.New("redis does not report changes (CLIENT TRACKING without effect)")

// prove runs one round: settle the canary that is out, read the next one,
// set it, and give its invalidation the rest of the round to arrive.
func (l *link) prove(ctx context.Context, round time.Duration) error {
	if err := l.settle(); err != nil {
		return err
	}
	// As long as any command may take: a Redis that stalls for a moment is slow,
	// not away. Freshness does not wait for this; it ends by itself.
	ctx, cancel := context.WithTimeout(ctx, l.timeout/2)
	defer cancel()
	if l.sent != 0 { // the canary is out still; that the link answers is to be shown all the same
		_, err := l.read(ctx, l.prefix+"ping:"+shared.NewToken())
		return err
	}
	owner, err := l.read(ctx, l.key)
	if err != nil {
		return err
	}
	l.owner = owner
	select {
	case <-l.owner.Proofs(): // of an earlier round
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
	return l.settle()
}

// read reads a key of the link's own, tracked, and returns the connection it
// came over.
func (l *link) read(ctx context.Context, key string) (*memory.Owner, error) {
	o, begun, err := l.flights.Probe(key, func() error { return l.via.readTracked(ctx, key) })
	if !begun { // its answer may never come, and while it is awaited nothing else may be asked
		l.key = l.prefix + shared.NewToken()
		return nil, fmt.Errorf("reading the canary of %s: an earlier read has not been answered", l.name)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the canary of %s: %w", l.name, err)
	case o == nil:
		return nil, fmt.Errorf("reading the canary of %s: it reached no connection", l.name)
	case o.Ended():
		return nil, fmt.Errorf("%s: %w", l.name, errSilent) // found deaf before, and not replaced
	}
	return o, nil
}

// settle records the delay of the canary that is out: final if its
// invalidation has been applied, else its age so far, round by round. Past
// link_timeout it counts as lost and the connection as deaf.
func (l *link) settle() error {
	if l.sent == 0 {
		return nil
	}
	if l.owner.Ended() {
		l.sent = 0 // its connection is gone, and with it the question
		return nil
	}
	if heard := l.owner.ProvenAt(); heard >= l.sent {
		l.store.ReportDelay(time.Duration(heard - l.sent))
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
	l.flights.Closed(l.owner)
	return fmt.Errorf("%s: %w", l.name, errSilent)
}

// proveAll runs one round on all links at once and returns what failed.
func proveAll(ctx context.Context, links []*link, round time.Duration) error {
	errs := make([]error, len(links))
	var all sync.WaitGroup
	for i, l := range links {
		all.Go(func() { errs[i] = l.prove(ctx, round) })
	}
	all.Wait()
	return errors.Join(errs...)
}
