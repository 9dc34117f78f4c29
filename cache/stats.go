package cache

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of the cache's numbers. Counters only grow.
type Stats struct {
	MemoryBytes    int64 `json:"memory_bytes"`
	MemoryEntries  int64 `json:"memory_entries"`
	MissingEntries int64 `json:"missing_entries"` // of MemoryEntries, the missing records
	Invalidations  int64 `json:"invalidations"`
	LostCanaries   int64 `json:"lost_canaries"` // whose invalidation never came
	LeaseWaits     int64 `json:"lease_waits"`
	Stale          int64 `json:"stale_served"`       // answers served marked stale
	NotJSON        int64 `json:"values_not_json"`    // values of the shared tier that were no JSON
	Unconfirmed    int64 `json:"writes_unconfirmed"` // guards not confirmed removed, now
	Restored       int64 `json:"guards_restored"`    // guards that were lost behind a COMMIT and set anew
	Queued         int64 `json:"loads_queued"`       // loads and writes waiting for a place, now
	Waiting        int64 `json:"readers_waiting"`    // readers waiting for somebody else's load or write, now
	MissingBytes   int64 `json:"missing_bytes"`      // of MemoryBytes, those of missing records
	Counting       int64 `json:"counters_waiting"`   // callers waiting for a counter's command, now

	MemoryBudget int64 `json:"memory_budget"`       // bound of MemoryBytes
	MaxWaiting   int64 `json:"readers_waiting_max"` // bound of Waiting
}

// Stats returns the numbers as they are now.
func (c *Cache) Stats() Stats {
	s, set, sizes := c.store, c.settings.Load(), c.store.Sizes()
	return Stats{
		MemoryBudget: set.Budget, MaxWaiting: int64(set.MaxWaiting),
		MemoryBytes: sizes.Bytes, MemoryEntries: sizes.Entries,
		MissingEntries: sizes.MissingEntries, MissingBytes: sizes.MissingBytes, Invalidations: s.Invalidations.Load(), LostCanaries: s.LostCanaries.Load(),
		LeaseWaits: c.numbers.leaseWaits.Load(), Stale: c.numbers.stale.Load(), NotJSON: c.numbers.notJSON.Load(),
		Unconfirmed: c.writes.unconfirmed.Load(), Restored: c.writes.restored.Load(), Queued: c.queued(), Waiting: c.waiting.Load(),
		Counting: c.counters.waiting.Load(),
	}
}

// queued counts the loads and writes that wait for a place, over all sources.
func (c *Cache) queued() (n int64) {
	c.gates.Range(func(_, g any) bool {
		n += g.(*gate).loads.queued.Load() + g.(*gate).writes.queued.Load()
		return true
	})
	return n
}

// BreakerOpen tells whether loads from a source, as it was opened, are refused for the moment,
// because it kept failing.
func (c *Cache) BreakerOpen(source string, opened any) bool {
	g, ok := c.gates.Load(gateKey{source, opened})
	return ok && g.(*gate).checkBreaker() != nil
}

// numbers are what the cache counts beside the store.
type numbers struct {
	leaseWaits, stale, notJSON atomic.Int64
	refreshes                  [len(RefreshResults)]atomic.Int64
	loads                      sync.Map // resource name → *[loadResults]atomic.Int64
}

// LoadResults are the values of the label result of hearth_loads_total. A load
// that was refused never reached its source.
var LoadResults = [...]string{"ok", "missing", "error", "refused"}

const (
	loadOK = iota
	loadMissing
	loadError
	loadRefused
)

func (n *numbers) of(r *Resource) *[len(LoadResults)]atomic.Int64 {
	counts, ok := n.loads.Load(r.Name)
	if !ok {
		counts, _ = n.loads.LoadOrStore(r.Name, new([len(LoadResults)]atomic.Int64))
	}
	return counts.(*[len(LoadResults)]atomic.Int64)
}

// loaded counts what one call of the source has brought.
func (n *numbers) loaded(r *Resource, records [][]byte, err error) {
	counts := n.of(r)
	switch {
	case otherName(err) && records == nil: // there is no record of that name
		counts[loadMissing].Add(1)
	case err != nil && !otherName(err):
		counts[loadError].Add(1)
	}
	for _, record := range records {
		if record == nil {
			counts[loadMissing].Add(1)
		} else {
			counts[loadOK].Add(1)
		}
	}
}

func (n *numbers) refused(r *Resource) { n.of(r)[loadRefused].Add(1) }

// Loads tells how many loads of a resource ended with LoadResults[result].
func (c *Cache) Loads(resource string, result int) int64 {
	counts, ok := c.numbers.loads.Load(resource)
	if !ok {
		return 0
	}
	return counts.(*[len(LoadResults)]atomic.Int64)[result].Load()
}

// Refreshes tells how many refreshes ended with RefreshResults[result].
func (c *Cache) Refreshes(result int) int64 { return c.numbers.refreshes[result].Load() }

// AppendStatus appends the Cache-Status field (RFC 9211), which lists the
// caches from the origin's side to the client's.
func (a Answer) AppendStatus(dst []byte) []byte {
	switch a.Tier {
	case TierMemory, TierStale:
		dst = append(dst, "Hearth-Memory; hit; ttl="...)
		dst = strconv.AppendInt(dst, seconds(a.TTL), 10)
	case TierRedis, TierEmbedded:
		dst = append(dst, a.Tier.title()...)
		if a.absent {
			dst = append(dst, "; fwd=miss"...)
		} else {
			dst = append(dst, "; hit"...)
		}
		if a.TTL != 0 {
			dst = strconv.AppendInt(append(dst, "; ttl="...), seconds(a.TTL), 10)
		}
		dst = appendForward(append(dst, ", "...), "Hearth-Memory", a.Stored)
	case TierSource:
		if a.Detail == "untracked" { // the shared tier was not asked
			dst = appendForward(dst, "Hearth-Memory", a.Stored)
			break
		}
		dst = appendForward(dst, a.Shared.title(), a.Stored)
		dst = append(dst, ", Hearth-Memory; fwd=miss"...)
	}
	if a.Detail != "" {
		dst = append(append(dst, "; detail="...), a.Detail...)
	}
	return dst
}

func appendForward(dst []byte, cache string, stored bool) []byte {
	dst = append(append(dst, cache...), "; fwd=miss"...)
	if stored {
		dst = append(dst, "; stored"...)
	}
	return dst
}

// seconds rounds towards minus infinity: what expired is never shown fresh.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}
