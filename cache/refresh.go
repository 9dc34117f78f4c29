package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// A hot record is loaded anew before its copy in the shared tier expires, so
// that no reader ever waits for it. When, is drawn for each copy in each
// memory: some multiple of the load time before the end, the multiple
// exponentially distributed (Vattani, Chierichetti and Lowenstein, Optimal
// Probabilistic Cache Stampede Prevention, 2015). The first of the fleet to
// find its copy due loads; the others learn of the new value by its
// invalidation, mostly before their own time has come.

// took notes how long a load was. A source that becomes slow is believed at
// once, for a refresh that comes too late makes readers wait; one that becomes
// fast bit by bit.
func (r *Resource) noteLoadTime(d time.Duration) {
	was := r.loadTime.Load()
	r.loadTime.Store(max(int64(d), was-was/8)) // of two at once one may get lost
}

// lead draws how long before its end a copy is due. Two load times at least,
// or the load could come too late; a load counts as a fiftieth of the lifetime
// where it takes less, for readers of a key that is just hot come no oftener.
// Half a lifetime at most.
func (r *Resource) refreshAhead(missing bool) time.Duration {
	life := r.TTL.Hot
	if missing {
		life = r.TTL.Missing
	}
	d := max(time.Duration(r.loadTime.Load()), life/50)
	return min(2*d+time.Duration(rand.ExpFloat64()*float64(d)), life/2)
}

// dueAt draws when a copy that was read at sent and ends at ends is due. It is
// left alone for half of what it had left, if that leaves time for a load: its
// lifetime may be another program's choice, and much shorter than ours.
func (r *Resource) dueAt(sent, ends int64, missing bool) int64 {
	half := min(sent+(ends-sent)/2, ends-2*r.loadTime.Load())
	return max(half, ends-int64(r.refreshAhead(missing)))
}

// TakeRefresh tells whether the caller, who found its entry due, is to call
// Refresh: the record is hot, and nobody in this process has been told so just
// now. It does not allocate.
func (c *Cache) TakeRefresh(r *Resource, e *Entry) bool {
	if r.Records == nil || c.store.RateOf(e) <= c.settings.Load().HotRate {
		return false
	}
	// Who moves the time on has the task. Should it fail, here or on an
	// instance that has died over it, the next try comes after that time.
	now := c.store.Now()
	return e.TakeDue(now, now+int64(jitter(c.cfg.Lease/2)))
}

// Refresh loads the record of e anew in the background, as TakeRefresh has
// allowed. It returns at once, and does nothing if another instance is at it
// or the source is busy: nobody waits for it. key and args are kept.
func (c *Cache) Refresh(r *Resource, key string, args source.Args, e *Entry) {
	if c.writes.has(key) {
		return
	}
	was := e.Data()
	c.running.Go(func() { c.refreshNow(c.life, r, key, args, was) })
}

// refreshNow runs one refresh of the value was.
func (c *Cache) refreshNow(ctx context.Context, r *Resource, key string, args source.Args, was []byte) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Lease*9/10)
	defer cancel()
	g := c.gateOf(r)
	if !g.tryEnter() {
		c.numbers.refreshes[refreshSkipped].Add(1)
		return
	}
	result, err := c.refresh(ctx, g, r, key, args, was)
	c.numbers.refreshes[result].Add(1)
	if err != nil {
		c.cfg.Log.Debug("a record was not refreshed", "resource", r.Name, "error", err)
	}
}

// refresh claims the key, loads and stores. It leaves the gate.
func (c *Cache) refresh(ctx context.Context, g *gate, r *Resource, key string, args source.Args, was []byte) (refreshResult, error) {
	token := shared.NewToken()
	expires, ok, err := c.tier.Claim(ctx, key, token, was)
	if err != nil || !ok {
		g.leave(errNotLoaded)
		return refreshSkipped, err
	}
	records, err := c.ask(ctx, g, r, []source.Args{args})
	if otherName(err) { // the row has another name by now, and the copy none
		return refreshFailed, errors.Join(err, c.Invalidate(ctx, []string{key}))
	}
	value, missing := memory.Null, true
	if err == nil && records[0] != nil {
		value, missing = records[0], false
	}
	if err != nil || missing && !c.missing.allow(c.store.Now()) {
		return refreshFailed, errors.Join(err, c.disclaim(ctx, key, token))
	}
	stored, err := c.tier.Refresh(ctx, key, token, was, expires, value, c.lifetime(r, key, missing))
	switch {
	case err != nil:
		return refreshFailed, fmt.Errorf("storing: %w", err)
	case !stored:
		return refreshSuperseded, nil
	}
	return refreshStored, nil
}

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

// RefreshResults are the values of the label result of hearth_refreshes_total.
var RefreshResults = [...]string{"stored", "superseded", "failed", "skipped"}
