package limit

import (
	"context"
	"time"
)

// sweepEvery is how often idle permits are looked for.
const sweepEvery = 100 * time.Millisecond

// forgetEvery is how often buckets are forgotten whose windows are over.
const forgetEvery = 10 * time.Second

// noteHolder notes that a bucket may have permits to return.
func (l *Limiter) noteHolder(b *bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holders[b] = struct{}{}
}

// sweep returns permits that are not used, forgets subjects that do not come any more,
// and looks for a store that is away, until the limiter is closed.
func (l *Limiter) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var forgot, probed int64
	for {
		select {
		case <-l.life.Done():
			return
		case <-tick.C:
		}
		now := l.now()
		l.returnIdle(l.life, now, false)
		if now-forgot > int64(forgetEvery) {
			l.subjects.forget(now)
			forgot = now
		}
		l.cfg.Local.expire()
		if l.stores.isAway() && now-probed > int64(time.Second) {
			probed = now
			l.probe()
		}
	}
}

// probe asks the store whether it counts again.
func (l *Limiter) probe() {
	ctx, cancel := context.WithTimeout(l.life, askTimeout)
	defer cancel()
	if _, err := l.cfg.Store.TakePermits(ctx, l.subjects.keyOf(nil), l.cfg.Rate, l.cfg.Burst, 0); err == nil {
		l.stores.cameBack(l.now())
	}
}

// returnIdle returns permits that have not been touched since the sweep before, or all
// of them. They are taken from the bucket first: a permit on its way back must not be
// spent here.
func (l *Limiter) returnIdle(ctx context.Context, now int64, all bool) {
	for _, b := range l.idle(now, all) {
		g := b.grant.Load()
		permits := g.permits.Swap(0)
		if permits <= 0 || now >= g.spendableUntil || g.store == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		_ = g.store.ReturnPermits(ctx, b.key, g.rate, g.window, int(permits)) // what is lost is lost for one window only
		cancel()
	}
}

// idle picks the holders whose permits lie still, or all, and drops those that hold
// nothing any more.
func (l *Limiter) idle(now int64, all bool) (idle []*bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range l.holders {
		g := b.grant.Load()
		permits := g.permits.Load()
		if permits <= 0 || now >= g.spendableUntil {
			delete(l.holders, b)
			continue
		}
		if b.hasRested(g, permits) || all {
			idle = append(idle, b)
			delete(l.holders, b)
		}
	}
	return idle
}

// returnAll returns everything, at the end.
func (l *Limiter) returnAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.returnIdle(ctx, l.now(), true)
}
