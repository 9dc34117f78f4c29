package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// The link keeper is one goroutine. It alone dials, replaces clients and finds out what
// Redis as a whole can do:
//
//	can it be asked?   a round of proofs that Redis answers ends an outage; a command
//	                   whose connection breaks may begin one at any time
//	does it track?     refused with CLIENT TRACKING or with the canary: reads become
//	                   untracked, and the reader is dialled anew every retrackEvery
//	does it report?    a canary that is lost: the reader is replaced at once
//
// A reader that is replaced is closed after the change. A tracked read that has taken it
// before meets errReplaced, which counts as no outage.

const (
	retrackEvery = 30 * time.Second // how often a Redis that refuses tracking is asked again
	relistEvery  = 5 * time.Second  // how often the nodes of a Cluster are listed
)

// keepLinks connects, proves every link four times per link_timeout, and replaces the
// tracked reader when one of its links is silent, until ctx ends.
func (t *Tier) keepLinks(ctx context.Context) {
	var links []*link
	round := t.cfg.LinkTimeout / 4
	tick := time.NewTicker(round)
	defer tick.Stop()
	var listed time.Time // when the nodes were last listed, or tracking was last refused
	attempted := sync.OnceFunc(func() { close(t.firstAttempt) })
	defer attempted()
	defer time.AfterFunc(t.timeout, attempted).Stop() // a Redis that says nothing delays callers no longer
	// In each round: connect, or try tracking again; list the nodes; prove their links;
	// judge what came of it.
	for ctx.Err() == nil {
		t.store.NoticeSleep()
		var err error
		if t.clients.Load() == nil {
			err = t.connect(ctx)
		}
		if t.untracked.Load() != nil && time.Since(listed) > retrackEvery {
			t.replaceReader()
			listed, links = time.Now(), nil
		}
		if c := t.clients.Load(); c != nil && t.untracked.Load() == nil && (err == nil && len(links) == 0 || time.Since(listed) > relistEvery) {
			links, err = t.linksOf(ctx, c, links)
			listed = time.Now()
		}
		if err == nil {
			err = t.prove(ctx, links, round/2)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			t.recovered()
		case errors.Is(err, errSilent):
			t.replaceSilentReader(err)
			links = nil
		case t.refusesCanary(err):
			t.recovered()
			listed, links = time.Now(), nil
		default:
			t.markAway(err)
		}
		attempted()
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-t.probe:
		}
	}
}

// prove runs one round of proofs; while Redis refuses tracking, a ping.
func (t *Tier) prove(ctx context.Context, links []*link, round time.Duration) error {
	if t.untracked.Load() == nil {
		return proveAll(ctx, links, round)
	}
	c := t.clients.Load()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return c.plain.Do(ctx, c.plain.B().Ping().Build()).Error()
}

// refusesCanary tells whether Redis answers and only refuses the proof: an account
// without a right to the canary's key, no memory left for it (then MULTI, and so every
// tracked read, is refused, too, while a plain GET is not), no disk to write to. Its
// keys can be read, but nothing shows that it reports changes. So it is treated like
// one that refuses CLIENT TRACKING.
func (t *Tier) refusesCanary(err error) bool {
	reply := errorReply(err)
	if t.clients.Load() == nil || reply == "" || slices.Contains(unusable, codeOf(reply)) {
		return false
	}
	if t.untracked.Load() == nil {
		t.untracked.Store(t.store.NewUntrackedOwner())
		t.cfg.Log.Error("redis refuses the canary that proves its invalidations; memory keeps nothing longer than memory.untracked_ttl until it does not", "error", refusalOf(reply, err))
	}
	return true
}

// replaceSilentReader replaces the tracked reader after err. It answers, so Redis is
// up, and what it reads may be answered; until a connection proves itself, nothing
// read on it lives longer than memory.untracked_ttl.
func (t *Tier) replaceSilentReader(err error) {
	t.cfg.Log.Error("invalidations do not arrive; memory keeps nothing longer than memory.untracked_ttl until they do", "error", err)
	t.replaceReader()
}

// replaceReader dials a new tracked reader in place of the present one.
func (t *Tier) replaceReader() {
	c := t.clients.Load()
	fresh, err := t.dialTracked()
	if err != nil {
		t.markAway(err)
		return
	}
	t.clients.Store(&clients{tracked: fresh, plain: c.plain})
	c.tracked.Close()
}

// connect reaches Redis for the first time.
func (t *Tier) connect(ctx context.Context) error {
	plain, err := t.dialPlain()
	if err != nil {
		return err
	}
	err = supported(ctx, plain, t.timeout)
	var tracked rueidis.Client
	if err == nil {
		tracked, err = t.dialTracked()
	}
	if err != nil {
		plain.Close()
		return err
	}
	t.clients.Store(&clients{tracked: tracked, plain: plain})
	return nil
}

func (t *Tier) dialPlain() (rueidis.Client, error) {
	o, err := t.cfg.options(t.timeout, nil)
	if err != nil {
		return nil, err
	}
	return dial(o)
}

// dialTracked dials the tracked reader. Where Redis refuses CLIENT TRACKING (some
// managed services, an ACL) it is a plain one: everything works, and memory keeps
// nothing longer than memory.untracked_ttl.
func (t *Tier) dialTracked() (rueidis.Client, error) {
	o, err := t.cfg.options(t.timeout, t.newConnection)
	if err != nil {
		return nil, err
	}
	c, err := dial(o)
	if !errors.Is(err, rueidis.ErrNoCache) {
		if err == nil {
			t.untracked.Store(nil)
		}
		return c, err
	}
	t.cfg.Log.Error("redis refuses CLIENT TRACKING; memory keeps nothing longer than memory.untracked_ttl; allow client|tracking and client|caching", "error", err)
	if c, err = t.dialPlain(); err == nil && t.untracked.Load() == nil {
		t.untracked.Store(t.store.NewUntrackedOwner())
	}
	return c, err
}
