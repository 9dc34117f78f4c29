package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearth/cache/gate"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// TakeRefresh tells whether the caller, which has found the entry due, is to call
// Refresh: the record is hot, or was aged by the loss of its feed, and no other reader in this process was told so just
// now. It does not allocate and takes no lock.
func (c *Cache) TakeRefresh(r *Resource, key []byte, v View) bool {
	if r.Records == nil || c.store.RateOf(key) <= c.settings.Load().HotRate && !(v.Aged() && r.Degraded()) {
		return false
	}
	// The reader that moves the time on has the task. Should the refresh fail, here or
	// on an instance that dies over it, the next try comes after that time.
	now := c.store.Now()
	return v.TakeRefresh(now, now+int64(shared.Jitter(c.cfg.Lease/2)))
}

// Refresh loads the record of e anew in the background, as TakeRefresh has allowed. It
// returns at once, and does nothing if another instance refreshes the key or the
// source is busy: no reader waits for it. Close joins it. key and args are kept.
func (c *Cache) Refresh(r *Resource, key string, args source.Args, e *Entry) {
	claimable := !e.Aged() || e.SharedExpiry() != memory.Never && shared.SiblingOf(key) != ""
	c.refreshInBackground(r, key, args, e, claimable)
}

// refreshInBackground is Refresh. A copy that cannot be claimed is replaced while its feed
// is lost, and else left alone.
func (c *Cache) refreshInBackground(r *Resource, key string, args source.Args, e *Entry, claimable bool) {
	if c.writes.has(key) {
		return
	}
	c.running.Go(func() {
		if !claimable && r.Degraded() {
			c.noteRefresh(r, func() (refreshResult, error) { return c.replace(r, key, args, e) })
			return
		}
		c.refreshNow(c.life, r, key, args, e.Data())
	})
}

// refreshNow runs one refresh of the value was.
func (c *Cache) refreshNow(ctx context.Context, r *Resource, key string, args source.Args, was []byte) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Lease*9/10)
	defer cancel()
	g := c.gateOf(r)
	if !g.TryEnter() {
		c.numbers.refreshes[refreshSkipped].Add(1)
		return
	}
	c.noteRefresh(r, func() (refreshResult, error) { return c.refresh(ctx, g, r, key, args, was) })
}

// noteRefresh counts how a refresh has ended.
func (c *Cache) noteRefresh(r *Resource, refresh func() (refreshResult, error)) {
	result, err := refresh()
	c.numbers.refreshes[result].Add(1)
	if err != nil {
		c.cfg.Log.Debug("a record was not refreshed", "resource", r.Name, "error", err)
	}
}

// refresh claims the key, loads and stores, and leaves the gate. The value may have
// been replaced since it was read, even by the same bytes. So the claim notes the
// expiry of exactly the bytes that stand there, and Refresh stores only while claim,
// bytes and expiry are still the same.
func (c *Cache) refresh(ctx context.Context, g *gate.Gate, r *Resource, key string, args source.Args, was []byte) (refreshResult, error) {
	token := shared.NewToken()
	expires, ok, err := c.tier.Claim(ctx, key, token, was)
	if err != nil || !ok {
		g.Leave(gate.ErrNotAsked)
		return refreshSkipped, err
	}
	got, err := c.ask(ctx, g, r, key, []source.Args{args})
	if err == nil && got.term.Unshared != "" { // by now; a copy of before was allowed, and is out of date
		return refreshFailed, errors.Join(errors.New("the source forbids to keep the record: "+got.term.Unshared), c.Invalidate(ctx, []string{key}))
	}
	if otherName(err) { // the row has another name by now, and the copy none
		return refreshFailed, errors.Join(err, c.Invalidate(ctx, []string{key}))
	}
	value, missing := memory.Null, true
	if err == nil && got.records[0] != nil {
		value, missing = got.records[0], false
	}
	if err != nil || missing && !c.missing.allow(c.store.Now()) {
		return refreshFailed, errors.Join(err, c.disclaim(ctx, key, token))
	}
	c.mark(ctx, r, key, value)
	generation := c.tier.Generation().Number
	stored, err := c.tier.Refresh(ctx, key, token, was, expires, value, got.term.Within(c.lifetime(r, key, missing)))
	switch {
	case err != nil:
		return refreshFailed, fmt.Errorf("storing: %w", err)
	case !stored:
		return refreshSuperseded, nil
	}
	c.loadTimes.note(key, loadTime{asked: got.asked, stored: c.store.Now(), generation: generation})
	return refreshStored, nil
}

// disclaim gives the claim back, so that another instance may try at once.
func (c *Cache) disclaim(ctx context.Context, key, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return c.tier.Disclaim(ctx, key, token)
}

// refreshResult is how a refresh ended.
type refreshResult int

const (
	refreshStored     refreshResult = iota
	refreshSuperseded               // the key was written meanwhile
	refreshFailed                   // the source did not answer, or the shared tier
	refreshSkipped                  // another instance is at it, the value stands no more, or the source is busy
)
