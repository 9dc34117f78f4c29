package limit

import (
	"context"
	"time"
)

// fetch is one request for tokens. Everybody who needs some meanwhile waits for
// it instead of asking, too.
type fetch struct {
	done  chan struct{}
	grant *grant // valid once done is closed
	rest  int64  // tokens of the window that nobody holds
}

// takeWithin bounds one request to the store: a limiter that waits longer for
// its count than the work would take is worse than one that counts by itself.
const takeWithin = 250 * time.Millisecond

// attempts bounds how often one request asks for tokens that others then get.
const attempts = 16

// Take decides, asking the store if need be. It waits for at most a few round
// trips, and no longer than ctx. It keeps nothing of subject.
func (l *Limiter) Take(ctx context.Context, subject []byte) Decision {
	b := l.bucketOf(subject)
	for range attempts {
		if d := l.try(b); d.Outcome != Undecided {
			return l.counted(d)
		}
		b.waiting.Add(1)
		f := l.refill(b)
		var err error
		select {
		case <-f.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		b.waiting.Add(-1)
		if err != nil {
			return l.counted(Decision{Outcome: Denied, Retry: time.Second})
		}
		if d := l.try(b); d.Outcome != Undecided {
			if d.Outcome == Admitted && d.grant == f.grant {
				d.Remaining += f.rest // as of this very moment
			}
			return l.counted(d)
		}
	}
	return l.counted(Decision{Outcome: Denied, Retry: 10 * time.Millisecond})
}

func (l *Limiter) counted(d Decision) Decision {
	if d.Outcome == Denied {
		l.cfg.Denied.Add(1)
	}
	return d
}

// prefetch asks for more before a bucket is empty.
func (l *Limiter) prefetch(b *bucket, g *grant) {
	if b.fetching.Load() == nil && b.grant.Load() == g {
		l.refill(b)
	}
}

// refill returns the request for tokens that is under way, or begins one, on a
// goroutine that Close joins: whoever waits may give up before it ends.
func (l *Limiter) refill(b *bucket) *fetch {
	f := &fetch{done: make(chan struct{})}
	for !b.fetching.CompareAndSwap(nil, f) {
		if other := b.fetching.Load(); other != nil {
			return other
		}
	}
	if l.life.Err() != nil { // closing: nothing is begun any more
		b.fetching.Store(nil)
		f.grant = b.grant.Load()
		close(f.done)
		return f
	}
	l.running.Go(func() {
		defer close(f.done)
		defer b.fetching.Store(nil)
		l.ask(b, f)
	})
	return f
}

// ask asks the store that counts now and makes the bucket hold what it grants.
func (l *Limiter) ask(b *bucket, f *fetch) {
	sent := l.now()
	store, rate, burst, from := l.fall.counting(sent)
	if store == nil { // the store has gone, and counting here begins at the next edge
		f.grant = b.deny(from)
		return
	}
	want := b.want(sent, l.horizon(rate), rate.Count)
	ctx, cancel := context.WithTimeout(l.life, takeWithin)
	defer cancel()
	g, err := store.TakePermits(ctx, b.key, rate, burst, want)
	if err != nil {
		f.grant = b.deny(l.fall.lost(l.now(), err))
		return
	}
	if g.Common {
		l.cfg.Common.Add(1)
	}
	f.grant = b.accept(g, store, rate, want, sent)
	f.rest = int64(g.Remaining) - f.grant.rest
	if g.Permits > 1 {
		l.hold(b)
	}
}

// horizon is how long a chunk should last: a fortieth of the window, so that
// a subject costs some forty round trips a window at most, however busy it is.
func (l *Limiter) horizon(r Rate) int64 { return int64(r.Window) / 40 }

// want sizes the next chunk by how long the last one has lasted: a subject that
// comes often doubles it, one that does not halves it. Who waits already is
// counted in.
func (b *bucket) want(now, horizon int64, most int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch since := now - b.fetched; {
	case b.fetched == 0:
	case since < horizon:
		b.chunk *= 2
	case since > 4*horizon:
		b.chunk = max(1, b.chunk/4)
	case since > 2*horizon:
		b.chunk = max(1, b.chunk/2)
	}
	b.chunk = min(max(b.chunk, int(b.waiting.Load())), most)
	b.fetched = now
	return b.chunk
}

// deny makes the bucket refuse until the given time, but for tokens it holds.
func (b *bucket) deny(until int64) *grant {
	old := b.grant.Load()
	next := &grant{until: old.until, ends: max(old.ends, until), denied: until, window: old.window, store: old.store, rate: old.rate, rest: old.rest}
	next.tokens.Store(max(0, old.tokens.Swap(0)))
	b.grant.Store(next)
	return next
}
