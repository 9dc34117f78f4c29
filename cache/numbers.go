package cache

import (
	"sync"
	"sync/atomic"

	"hearth/cache/audit"
)

// Stats returns the numbers as they are now.
func (c *Cache) Stats() Stats {
	s, set, sizes := c.store, c.settings.Load(), c.store.Sizes()
	return Stats{
		MemoryBudget: set.Budget, MaxWaiting: int64(set.MaxWaiting),
		MemoryBytes: sizes.Bytes, MemoryEntries: sizes.Entries,
		MissingEntries: sizes.MissingEntries, MissingBytes: sizes.MissingBytes, Invalidations: s.Invalidations.Load(), LostCanaries: s.LostCanaries.Load(),
		Evictions: s.Evictions(), NotAdmitted: s.NotAdmitted(),
		LeaseWaits: c.numbers.leaseWaits.Load(), Stale: c.numbers.stale.Load(), NotJSON: c.numbers.notJSON.Load(),
		Unconfirmed: c.writes.unconfirmed.Load(), Restored: c.writes.restored.Load(), Queued: c.queued(), Waiting: c.waiting.Load(),
		Counting:    c.counters.waiting.Load(),
		AuditChecks: c.auditor.tally.All(audit.Memory), AuditStale: c.auditor.tally.Checks(audit.Memory, audit.Stale),
	}
}

// numbers are what the cache counts beside the store.
type numbers struct {
	leaseWaits, stale, notJSON atomic.Int64
	refreshes                  [len(RefreshResults)]atomic.Int64
	loads                      sync.Map // resource name → *loadCounted
}

const (
	loadOK = iota
	loadMissing
	loadError
	loadRefused
	// Beside one of those above.
	loadUnchanged // the source has confirmed the copy that was here
	loadUnshared  // the source forbids to share what it answered
	loadCounts
)

// loadCounted are how the loads of a resource ended.
type loadCounted [loadCounts]atomic.Int64

// of returns the counts of a resource's loads, by name: a resource that a reload makes
// anew goes on counting.
func (n *numbers) of(r *Resource) *loadCounted {
	counts, ok := n.loads.Load(r.Name)
	if !ok {
		counts, _ = n.loads.LoadOrStore(r.Name, new(loadCounted))
	}
	return counts.(*loadCounted)
}

// loaded counts what one call of the source has brought.
func (n *numbers) loaded(r *Resource, got loaded, err error) {
	counts := n.of(r)
	if got.unchanged {
		counts[loadUnchanged].Add(1)
	}
	if got.term.Unshared != "" {
		counts[loadUnshared].Add(1)
	}
	switch {
	case otherName(err) && got.records == nil: // there is no record of that name
		counts[loadMissing].Add(1)
	case err != nil && !otherName(err):
		counts[loadError].Add(1)
	}
	for _, record := range got.records {
		if record == nil {
			counts[loadMissing].Add(1)
		} else {
			counts[loadOK].Add(1)
		}
	}
}

// refused counts a load that the gate has not let through.
func (n *numbers) refused(r *Resource) { n.of(r)[loadRefused].Add(1) }

// Loads tells how many loads of a resource ended with LoadResults[result].
func (c *Cache) Loads(resource string, result int) int64 { return c.numbers.loadsOf(resource, result) }

// Unchanged tells how many loads of a resource ended with the source confirming the
// copy that was here, Unshared after how many it forbade to keep what it answered.
func (c *Cache) Unchanged(resource string) int64 {
	return c.numbers.loadsOf(resource, loadUnchanged)
}

// Unshared is explained with Unchanged.
func (c *Cache) Unshared(resource string) int64 { return c.numbers.loadsOf(resource, loadUnshared) }

func (n *numbers) loadsOf(resource string, which int) int64 {
	counts, ok := n.loads.Load(resource)
	if !ok {
		return 0
	}
	return counts.(*loadCounted)[which].Load()
}

// Refreshes tells how many refreshes ended with RefreshResults[result].
func (c *Cache) Refreshes(result int) int64 { return c.numbers.refreshes[result].Load() }
