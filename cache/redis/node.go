package redis

import (
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

// node is one server that serves keys: a master of a Cluster, or all there is. What
// breaks on a node, and what heals, concerns its own keys.
//
// Its keeper is one goroutine. It alone dials, replaces connections and finds out what
// the server can do:
//
//	can it be asked?     a round of proofs that it answers ends an outage; a command
//	                     whose connection breaks may begin one at any time
//	is it the one?       after a break, after an answer of a server that is no master any
//	                     more, and when a sentinel names another: the name is resolved
//	                     and dialled anew. Another server is put right first: takeover.go
//	does it track?       refused with CLIENT TRACKING or with the canary: reads become
//	                     untracked, and it is asked again every retrackEvery
//	does it report?      a canary that is lost: the connections are replaced at once
type node struct {
	tier    *Tier
	name    string // its address, or "redis" for all there is
	address func(context.Context) ([]string, error)

	availability
	conns     atomic.Pointer[connections]  // nil until it has been reached once
	untracked atomic.Pointer[memory.Owner] // set while it refuses tracking; only the keeper changes it
	heldUntil atomic.Int64                 // clock time until which what it answers is marked; see takeover.go
	heldOwner atomic.Pointer[memory.Owner] // of what is read until then
	ranges    atomic.Pointer[[]slotRange]  // the slots it serves; nil: all

	// Of the keeper alone.
	link      *link
	at        string    // where conns lead
	known     identity  // of the server that was used last
	after     *node     // whose place it takes in a Cluster; nil: nobody's, or no longer
	answered  time.Time // when it last answered: at the dial, or a round of proofs
	refusedAt time.Time // when tracking was refused
	suspect   bool      // it has answered as a server does that is not the master

	looks looks
	stop  context.CancelFunc // ends the keeper
	ended chan struct{}      // closed when it has ended, and its connections with it
}

// retrackEvery is how often a server that refuses tracking is asked again.
const retrackEvery = 5 * time.Second

// newNode returns a node whose keeper does not run yet.
func (t *Tier) newNode(name string, address func(context.Context) ([]string, error)) *node {
	n := &node{tier: t, name: name, address: address, ended: make(chan struct{})}
	log := t.cfg.Log
	if name != soleNode {
		log = log.With("node", name)
	}
	n.availability.init(log)
	return n
}

// soleNode is the name of a node that serves everything.
const soleNode = "redis"

// start begins to connect, in the background.
func (n *node) start(ctx context.Context) {
	ctx, n.stop = context.WithCancel(ctx)
	n.tier.running.Go(func() { n.keep(ctx) })
}

// keep connects, proves the link four times per link_timeout, and dials anew what is
// broken or silent, until ctx ends.
func (n *node) keep(ctx context.Context) {
	defer close(n.ended)
	defer n.disconnect()
	round := n.tier.cfg.LinkTimeout / 4
	tick := time.NewTicker(round)
	defer tick.Stop()
	for ctx.Err() == nil {
		look := n.looks.begin()
		err := n.reach(ctx, look)
		if err == nil {
			err = n.prove(ctx, round/2)
		}
		n.conclude(ctx, err)
		n.looks.end(look)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-n.probe:
		}
	}
}

// disconnect ends the node: what was read on it is not fresh any more.
func (n *node) disconnect() {
	n.markGone()
	if c := n.conns.Load(); c != nil {
		c.end()
	}
}

// errGone is why a node is not asked that serves no key any more.
var errGone = errors.New("it serves no keys any more")

func (n *node) markGone() { n.swap(&outage{err: errGone, since: time.Now(), told: true}) }

// reach sees to it that there are connections, to the server that is meant.
func (n *node) reach(ctx context.Context, look bool) error {
	defer time.AfterFunc(n.tier.timeout, n.giveUpWaiting).Stop() // a server that says nothing delays callers no longer
	addrs, err := n.address(ctx)
	c := n.conns.Load()
	if err != nil || c != nil && !slices.Contains(addrs, n.at) {
		if c != nil { // nobody says any more that this is the master
			c.end()
		}
		if err != nil {
			return err
		}
	}
	usable := c != nil && !c.over.Load()
	retrack := usable && c.tracked == nil && time.Since(n.refusedAt) > retrackEvery
	if usable && !look && !n.suspect && !retrack {
		return nil
	}
	n.suspect = false
	fresh, at, err := n.dialAny(ctx, addrs)
	switch {
	case err != nil && usable:
		return nil // the proof shows what the present connections are worth
	case err != nil:
		return err
	case usable && fresh.server.same(n.known) && (!retrack || fresh.tracked == nil):
		fresh.end()
		return nil
	}
	return n.adopt(ctx, fresh, at)
}

// dialAny dials the first of addrs that leads to a server which may be used.
func (n *node) dialAny(ctx context.Context, addrs []string) (c *connections, at string, err error) {
	for _, addr := range addrs {
		var failed error
		if c, failed = n.dialServer(ctx, addr); failed == nil {
			if failed = n.fits(c.server); failed == nil {
				return c, addr, nil
			}
			c.end()
		}
		err = errors.Join(err, failed)
	}
	return nil, "", err
}

// fits tells why a server is not the one that is meant, nil if it is.
func (n *node) fits(id identity) error {
	switch {
	case n.tier.sentinels != nil && id.role == "slave":
		return errors.New("the sentinels name a server that is a replica")
	case n.name == soleNode && len(n.tier.seeds) > 1 && id.role == "slave":
		return errors.New("the server is a replica")
	case n.ranges.Load() != nil && id.role == "slave":
		n.tier.relist(n)
		return errors.New("the cluster names a server that is a replica")
	case n.name == soleNode && n.tier.sentinels == nil && id.cluster:
		n.tier.rediscover()
		return errors.New("the server is part of a cluster by now")
	}
	return nil
}

// prove runs one round of proofs; while Redis refuses tracking, a ping, and from time to
// time the canary.
func (n *node) prove(ctx context.Context, round time.Duration) error {
	c := n.conns.Load()
	if c.tracked == nil || n.idle() || n.untracked.Load() != nil && time.Since(n.refusedAt) < retrackEvery {
		ctx, cancel := context.WithTimeout(ctx, n.tier.timeout)
		defer cancel()
		return c.plain.Do(ctx, c.plain.B().Ping().Build()).Error()
	}
	for attempt := 1; ; attempt++ {
		if n.link == nil || !n.serves(n.link.key) {
			n.link = n.newLink()
		}
		err := n.link.prove(ctx, round)
		if _, _, redirected := redirection(err, n.name); redirected {
			n.link = nil // its slot is on the move; another one shows the same
			if n.tier.relistAndWait(ctx, n); attempt < 3 && ctx.Err() == nil {
				continue
			}
			return nil // it answers
		}
		if err == nil && n.link.sent == 0 && n.untracked.Swap(nil) != nil {
			n.log.Info("redis reports changes again")
		}
		return err
	}
}

// conclude draws the conclusion from a round.
func (n *node) conclude(ctx context.Context, err error) {
	reply, c := errorReply(err), n.conns.Load()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		n.answered = time.Now()
		c.proved.Store(true)
		n.recovered()
	case errors.Is(err, errSilent):
		n.log.Error("invalidations do not arrive; memory keeps nothing longer than memory.untracked_ttl until they do", "error", err)
		n.renew(ctx, c)
	case c != nil && reply != "" && !slices.Contains(unusable, codeOf(reply)):
		n.canaryRefused(reply, err)
		n.answered = time.Now()
		c.proved.Store(true)
		n.recovered()
	case codeOf(reply) == "CLUSTERDOWN" && n.ranges.Load() != nil && time.Since(n.answered) < n.tier.cfg.LinkTimeout:
		// Another master is being failed over. It answers, and nobody can write to it, so
		// what was read of it stays true; commands wait for the end of that.
		n.tier.relist(n)
	case reply != "":
		n.suspect = slices.Contains(elsewhere, codeOf(reply))
		n.markAway(err)
	case c != nil && c.proved.Load() && !c.over.Load() && isBroken(err): // it is dialled anew at once
		n.broke(c, err)
	case c != nil && isBroken(err): // … or in the next round, if it has never been of use
		c.over.Store(true)
		n.markAway(err)
	case c != nil && isDeadline(err) && time.Since(n.answered) > n.tier.cfg.LinkTimeout:
		c.over.Store(true) // the address may lead elsewhere by now
		n.markAway(err)
	default:
		n.markAway(err)
	}
}

// renew replaces connections of which the tracked one is silent. The server answers, so
// what it reads may be answered; until a connection proves itself, nothing read on it
// lives longer than memory.untracked_ttl.
func (n *node) renew(ctx context.Context, c *connections) {
	fresh, at, err := n.dialAny(ctx, []string{n.at})
	if err == nil {
		err = n.adopt(ctx, fresh, at)
	}
	if err != nil {
		c.over.Store(true)
		n.markAway(err)
		return
	}
	n.conns.Load().proved.Store(true)
	n.recovered()
}

// canaryRefused notes that Redis answers and only refuses the proof: an account
// without a right to the canary's key, no memory left for it (then MULTI, and so every
// tracked read, is refused, too, while a plain GET is not), no disk to write to. Its
// keys can be read, but nothing shows that it reports changes. So it is treated like
// one that refuses CLIENT TRACKING.
func (n *node) canaryRefused(reply string, err error) {
	n.suspect = slices.Contains(elsewhere, codeOf(reply))
	n.refuse("redis refuses the canary that proves its invalidations; memory keeps nothing longer than memory.untracked_ttl until it does not", refusalOf(reply, err))
}

// trackingRefused notes that Redis refuses CLIENT TRACKING.
func (n *node) trackingRefused(err error) {
	n.refuse("redis refuses CLIENT TRACKING; memory keeps nothing longer than memory.untracked_ttl; allow client|tracking and client|caching", err)
}

// refuse begins the time of untracked reads, and logs that once.
func (n *node) refuse(text string, err error) {
	n.refusedAt = time.Now()
	if n.untracked.Load() == nil {
		n.untracked.Store(n.tier.store.NewUntrackedOwner())
		n.log.Error(text, "error", err)
	}
}

// askFor returns the connections, or why the node must not be asked now; with read, for
// what is answered without a mark.
func (n *node) askFor(ctx context.Context, read bool) (*connections, error) {
	if err := n.await(ctx); err != nil {
		return nil, err
	}
	c := n.conns.Load() // before the look at the hold: it has begun when connections to a new server are there
	if read && n.held() {
		return nil, fmt.Errorf("%w: %w", shared.ErrAway, errHeld)
	}
	return c, nil
}

// broke notes that connections of the node broke. Callers wait until they are dialled
// anew. Those that have never been of use wait for the next round: a server that hangs up
// on everybody is not dialled as fast as it does so.
func (n *node) broke(c *connections, err error) {
	if n.conns.Load() == c && !c.over.Swap(true) && c.proved.Load() {
		n.interrupt(err)
		n.ProbeNow()
	}
}

// noteFailure turns the error of a command into the tier's. An error reply shows
// that Redis is there: it concerns this command and its key alone. One slow answer
// is no outage, either; the keeper's own reads decide that. A broken connection
// stops all callers of the node until the keeper has reached it again.
func (n *node) noteFailure(c *connections, err error) error {
	if err == nil {
		return nil
	}
	if reply := errorReply(err); reply != "" {
		return refusalOf(reply, err)
	}
	if isDeadline(err) {
		n.ProbeNow()
		return fmt.Errorf("%w: %w", shared.ErrAway, err)
	}
	if !errors.Is(err, errReplaced) {
		n.broke(c, err)
	}
	return fmt.Errorf("%w: %w", shared.ErrInterrupted, err)
}

// looks are the requests to look whether the node's address leads elsewhere by now.
type looks struct {
	mu    sync.Mutex
	asked chan struct{} // closed when the look is over; nil: none is asked for
	last  time.Time     // when the latest ended
}

// begin tells whether a look is asked for.
func (l *looks) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked != nil
}

// end tells those who asked that the look is over.
func (l *looks) end(done bool) {
	if !done {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.asked)
	l.asked, l.last = nil, time.Now()
}

// ask returns what is closed when the look is over, nil if the latest was within recent.
func (l *looks) ask(recent time.Duration) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil && time.Since(l.last) < recent {
		return nil
	}
	if l.asked == nil {
		l.asked = make(chan struct{})
	}
	return l.asked
}

// lookNow asks the keeper to dial the node's address anew. It waits for nothing.
func (n *node) lookNow() {
	n.looks.ask(0)
	n.ProbeNow()
}

// leadsElsewhere asks the keeper to dial the node's address anew, and tells whether c was
// replaced. A server that goes on refusing is not dialled more often than links are
// proved.
func (n *node) leadsElsewhere(ctx context.Context, c *connections) bool {
	over := n.looks.ask(n.tier.cfg.LinkTimeout / 4)
	if over == nil {
		return n.conns.Load() != c
	}
	n.ProbeNow()
	select {
	case <-over:
	case <-ctx.Done():
	case <-n.ended:
	}
	return n.conns.Load() != c
}
