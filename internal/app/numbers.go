package app

import (
	"slices"

	"hearth/cache"
	"hearth/internal/metrics"
)

// registerMetrics exports the numbers that the packages own.
func (a *App) registerMetrics() {
	gauge := func(name, help string, read func() float64) { a.metrics.GaugeFunc(name, help, read) }
	counter := func(name, help string, read func(cache.Stats) int64) {
		a.metrics.CounterFunc(name, help, func() float64 { return float64(read(a.cache.Stats())) })
	}
	gauge("hearth_memory_bytes", "Bytes of the memory tier, overhead included.",
		func() float64 { return float64(a.cache.Stats().MemoryBytes) })
	gauge("hearth_memory_entries", "Entries of the memory tier, missing records included.",
		func() float64 { return float64(a.cache.Stats().MemoryEntries) })
	gauge("hearth_redis_up", "1 if the shared tier can be asked; the embedded one always can.",
		func() float64 { return truth(a.cache.Up() == nil) })
	gauge("hearth_source_up", "1 if the database answers, or none is configured.",
		func() float64 { return truth(a.db == nil || a.db.Up()) })
	gauge("hearth_writes_unconfirmed", "Guards of writes that the shared tier has not confirmed to have removed.",
		func() float64 { return float64(a.cache.Stats().Unconfirmed) })
	gauge("hearth_loads_queued", "Loads and writes that wait for one of load.max_concurrent places.",
		func() float64 { return float64(a.cache.Stats().Queued) })
	counter("hearth_invalidations_total", "Changes of keys reported by the shared tier.",
		func(s cache.Stats) int64 { return s.Invalidations })
	counter("hearth_canaries_lost_total", "Canaries whose invalidation did not arrive within memory.link_timeout.",
		func(s cache.Stats) int64 { return s.LostCanaries })
	counter("hearth_lease_waits_total", "Waits for a load or a write that somebody else had begun.",
		func(s cache.Stats) int64 { return s.LeaseWaits })
	counter("hearth_stale_served_total", "Answers served from memory that nobody vouched for, marked stale.",
		func(s cache.Stats) int64 { return s.Stale })
	counter("hearth_values_not_json_total", "Values of the shared tier that were no JSON.",
		func(s cache.Stats) int64 { return s.NotJSON })
	gauge("hearth_readers_waiting", "Readers that wait for a load or a write that somebody else has begun.",
		func() float64 { return float64(a.cache.Stats().Waiting) })
	gauge("hearth_counters_waiting", "Callers that wait for a counter's command.",
		func() float64 { return float64(a.cache.Stats().Counting) })
	gauge("hearth_missing_bytes", "Bytes of the memory tier that missing records take, of the share they have.",
		func() float64 { return float64(a.cache.Stats().MissingBytes) })
	for _, l := range a.limits {
		a.metrics.CounterFunc("hearth_limited_total", "Requests refused by a limit.",
			func() float64 { return float64(l.Denied()) }, metrics.Label{Name: "limit", Value: l.Name()})
	}
	for i, result := range cache.RefreshResults {
		a.metrics.CounterFunc("hearth_refreshes_total", "Hot records loaded anew before their copy expired, by result.",
			func() float64 { return float64(a.cache.Refreshes(i)) }, metrics.Label{Name: "result", Value: result})
	}
	for _, name := range a.sources() {
		a.metrics.GaugeFunc("hearth_breaker_open", "1 while loads from a source are refused because it kept failing.",
			func() float64 { return truth(a.cache.BreakerOpen(name)) }, metrics.Label{Name: "source", Value: name})
	}
	for _, k := range a.kinds {
		for i, result := range cache.LoadResults {
			a.metrics.CounterFunc("hearth_loads_total", "Loads from the source, by resource and result.",
				func() float64 { return float64(a.cache.Loads(k.Name, i)) },
				metrics.Label{Name: "resource", Value: k.Name}, metrics.Label{Name: "result", Value: result})
		}
	}
}

// sources names what the resources load from, each once.
func (a *App) sources() (names []string) {
	for _, k := range a.kinds {
		if name := k.cached.Source; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
