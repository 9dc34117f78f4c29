package limit

import (
	"context"
	"maps"
	"time"
)

// sweepEvery is how often idle tokens are looked for.
const sweepEvery = 100 * time.Millisecond

// forgetEvery is how often buckets are forgotten whose windows are over.
const forgetEvery = 10 * time.Second

// hold notes that a bucket may have tokens to give back.
func (l *Limiter) hold(b *bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holders[b] = struct{}{}
}

// sweep gives back what is not used, forgets who is gone, and looks for a store
// that is away, until the limiter is closed.
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
		l.giveBack(l.life, now, false)
		if now-forgot > int64(forgetEvery) {
			l.forget(now)
			forgot = now
		}
		l.cfg.Local.expire()
		if l.fall.isAway() && now-probed > int64(time.Second) {
			probed = now
			l.probe()
		}
	}
}

// probe asks the store whether it counts again.
func (l *Limiter) probe() {
	ctx, cancel := context.WithTimeout(l.life, takeWithin)
	defer cancel()
	if _, err := l.fall.cfg.Store.TakePermits(ctx, l.prefix+"}", l.cfg.Rate, l.cfg.Burst, 0); err == nil {
		l.fall.found(l.now())
	}
}

// giveBack returns tokens that have not been touched since the sweep before,
// or all of them. They are taken from the bucket first: what is on its way back
// must not be spent here.
func (l *Limiter) giveBack(ctx context.Context, now int64, all bool) {
	for _, b := range l.idle(now, all) {
		g := b.grant.Load()
		tokens := g.tokens.Swap(0)
		if tokens <= 0 || now >= g.until || g.store == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, takeWithin)
		_ = g.store.ReturnPermits(ctx, b.key, g.rate, g.window, int(tokens)) // lost is lost: the window is short
		cancel()
	}
}

// idle picks the holders whose tokens lie still, and drops those that hold
// nothing any more.
func (l *Limiter) idle(now int64, all bool) (idle []*bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range l.holders {
		g := b.grant.Load()
		tokens := g.tokens.Load()
		if tokens <= 0 || now >= g.until {
			delete(l.holders, b)
			continue
		}
		b.mu.Lock()
		still := b.same == g && b.seen == tokens
		b.same, b.seen = g, tokens
		b.mu.Unlock()
		if still || all {
			idle = append(idle, b)
			delete(l.holders, b)
		}
	}
	return idle
}

// returnAll gives everything back, at the end.
func (l *Limiter) returnAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.giveBack(ctx, l.now(), true)
}

// forget removes buckets whose windows are over. A map keeps the memory of all
// that was ever in it, so one that was much larger is made anew.
func (l *Limiter) forget(now int64) {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for hash, b := range sh.buckets {
			if g := b.grant.Load(); now >= g.ends && now >= g.denied && b.fetching.Load() == nil {
				delete(sh.buckets, hash)
				l.cfg.Room.Return(bucketBytes)
			}
		}
		if len(sh.buckets) < (sh.most+3)/4 {
			left := make(map[uint64]*bucket, len(sh.buckets))
			maps.Copy(left, sh.buckets)
			sh.buckets, sh.most = left, len(left)
		}
		sh.mu.Unlock()
	}
}

// forgetAll gives the room of all buckets back, at the end. Requests that come
// late find none, and none is made.
func (l *Limiter) forgetAll() {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		l.cfg.Room.Return(bucketBytes * int64(len(sh.buckets)))
		sh.buckets = nil
		sh.mu.Unlock()
	}
}
