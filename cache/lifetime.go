package cache

import (
	"math/rand/v2"
	"time"

	"hearth/cache/shared"
)

// A hot record is loaded anew before its copy in the shared tier expires, so
// that no reader ever waits for it. When, is drawn for each copy in each
// memory: some multiple of the load time before the end, the multiple
// exponentially distributed (Vattani, Chierichetti and Lowenstein, Optimal
// Probabilistic Cache Stampede Prevention, 2015). The first of the fleet to
// find its copy due loads; the others learn of the new value by its
// invalidation, mostly before their own time has come.

// lifetime is how long a loaded record lives in the shared tier.
func (c *Cache) lifetime(r *Resource, key string, missing bool) time.Duration {
	life := r.TTL.Cold
	switch {
	case missing:
		life = r.TTL.Missing
	case c.store.Rate(key) > c.settings.Load().HotRate:
		life = r.TTL.Hot
	}
	return r.lost.Load().within(shared.Jitter(life))
}

// noteLoadTime notes how long a load was. A source that becomes slow is believed at
// once, for a refresh that comes too late makes readers wait; one that becomes
// fast bit by bit.
func (r *Resource) noteLoadTime(d time.Duration) {
	was := r.loadTime.Load()
	r.loadTime.Store(max(int64(d), was-was/8)) // of two at once one may get lost
}

// refreshAhead draws how long before its end a copy is due. Two load times at least,
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
