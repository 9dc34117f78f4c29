package app

import (
	"slices"
	"sync/atomic"

	"hearth/cache"
	"hearth/handlers"
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
		func() float64 { db := a.current.Load().db; return truth(db == nil || db.Up()) })
	gauge("hearth_writes_unconfirmed", "Guards of writes that the shared tier has not confirmed to have removed.",
		func() float64 { return float64(a.cache.Stats().Unconfirmed) })
	gauge("hearth_loads_queued", "Loads and writes that wait for one of load.max_concurrent places.",
		func() float64 { return float64(a.cache.Stats().Queued) })
	counter("hearth_invalidations_total", "Changes of keys reported by the shared tier.",
		func(s cache.Stats) int64 { return s.Invalidations })
	counter("hearth_canaries_lost_total", "Canaries whose invalidation did not arrive within memory.link_timeout.",
		func(s cache.Stats) int64 { return s.LostCanaries })
	counter("hearth_guards_restored_total", "Guards that were lost while the outcome of a COMMIT was not known, and set anew.",
		func(s cache.Stats) int64 { return s.Restored })
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
	for i, result := range cache.RefreshResults {
		a.metrics.CounterFunc("hearth_refreshes_total", "Hot records loaded anew before their copy expired, by result.",
			func() float64 { return float64(a.cache.Refreshes(i)) }, metrics.Label{Name: "result", Value: result})
	}
	a.registerBounds(gauge)
	gauge("hearth_draining", "1 from the signal to stop on.",
		func() float64 { return truth(handlers.State(a.state.Load()) == handlers.Draining) })
	gauge("hearth_config_loaded_timestamp_seconds", "When the configuration that is served was read; Unix time.",
		func() float64 { return float64(a.numbers.loaded.Load()) })
	reloads := func(result string) *metrics.Counter {
		return a.metrics.Counter("hearth_reloads_total", "Reloads of the configuration (SIGHUP), by result.", metrics.Label{Name: "result", Value: result})
	}
	a.numbers.reloads, a.numbers.reloadsFailed = reloads("ok"), reloads("failed")
}

// registerListeners exports what the listeners count, once they are open.
func (a *App) registerListeners() {
	p := &a.public
	a.metrics.GaugeFunc("hearth_connections_open", "Public connections that are open.", func() float64 { return float64(p.watched.Conns()) })
	a.metrics.CounterFunc("hearth_connections_refused_total", "Public connections refused because as many were open as may be.",
		func() float64 { return float64(p.watched.Refused()) })
	a.metrics.GaugeFunc("hearth_connections_lingering", "Public connections that have had their last answer and whose clients have not ended them yet.",
		func() float64 { return float64(p.watched.Lingering()) })
	a.metrics.CounterFunc("hearth_connections_cut_total", "Public connections cut behind their last answer, because their clients went on sending or did not end them.",
		func() float64 { return float64(p.watched.Cut()) })
	a.metrics.CounterFunc("hearth_accept_waits_total", "Pauses in accepting public connections for want of descriptors or memory.",
		func() float64 { return float64(p.retrying.Waits()) })
	a.metrics.CounterFunc("hearth_requests_crossed_total", "Requests that crossed with the end of their connection, and were not executed.",
		func() float64 { return float64(p.watched.Crossed()) })
	if p.proxied != nil {
		a.metrics.CounterFunc("hearth_proxy_refused_total", "Public connections closed for want of a PROXY header, or for a bad one.",
			func() float64 { return float64(p.proxied.Refused()) })
	}
	if p.certs != nil {
		a.metrics.GaugeFunc("hearth_tls_certificate_expiry_timestamp_seconds", "When the certificate in use expires; Unix time.",
			func() float64 { return float64(p.certs.Expiry().Unix()) })
	}
}

// registerGeneration exports what a configuration brings about. What it has no
// more keeps its last numbers.
func (a *App) registerGeneration(g *generation) {
	for _, l := range g.limits {
		a.metrics.CounterFunc("hearth_limited_total", "Requests refused by a limit.",
			func() float64 { return float64(l.Denied()) }, metrics.Label{Name: "limit", Value: l.Name()})
	}
	for _, l := range g.limits {
		a.metrics.CounterFunc("hearth_limit_overflow_total", "Questions to a limit for subjects beyond its bounds, decided by the one count that all such subjects share.",
			func() float64 { return float64(l.Shared()) }, metrics.Label{Name: "limit", Value: l.Name()})
	}
	for _, name := range g.sources() {
		a.metrics.GaugeFunc("hearth_breaker_open", "1 while loads from a source are refused because it kept failing.",
			func() float64 { return truth(a.breakerOpen(a.current.Load(), name)) }, metrics.Label{Name: "source", Value: name})
	}
	faults := func(resource string) {
		a.metrics.GaugeFunc("hearth_statement_faults", "Statements that the source refuses until an operator acts, by resource; those of database.init without one.",
			func() float64 { return float64(a.current.Load().refusalsOf(resource)) }, metrics.Label{Name: "resource", Value: resource})
	}
	faults("")
	for _, k := range g.kinds {
		name := k.Name // all that these functions hold on to: the kind may go
		faults(name)
		for i, result := range cache.LoadResults {
			a.metrics.CounterFunc("hearth_loads_total", "Loads from the source, by resource and result.",
				func() float64 { return float64(a.cache.Loads(name, i)) },
				metrics.Label{Name: "resource", Value: name}, metrics.Label{Name: "result", Value: result})
		}
	}
}

// breakerOpen tells whether a source of that name, as g has it, is being spared.
func (a *App) breakerOpen(g *generation, name string) bool {
	var opened any
	if i := slices.IndexFunc(g.kinds, func(k kind) bool { return k.cached.Source == name }); i >= 0 {
		opened = g.kinds[i].cached.Opened
	}
	return a.cache.BreakerOpen(name, opened)
}

// numbers are those that no package below owns.
type numbers struct {
	reloads, reloadsFailed *metrics.Counter
	sourceSilent           atomic.Pointer[string] // why the database is down, in words for anybody
	loaded                 atomic.Int64           // Unix seconds
	denied, shared         byLimit
}

// byLimit are counts by limit: one that a reload has changed goes on counting.
type byLimit map[string]*atomic.Int64

func (b *byLimit) of(name string) *atomic.Int64 {
	if *b == nil {
		*b = byLimit{}
	}
	if (*b)[name] == nil {
		(*b)[name] = new(atomic.Int64)
	}
	return (*b)[name]
}

// deniedBy is the count of a limit's refusals, sharedBy that of what was decided
// by the count that subjects beyond its bounds share. Only for whoever makes a
// generation.
func (n *numbers) deniedBy(name string) *atomic.Int64 { return n.denied.of(name) }

func (n *numbers) sharedBy(name string) *atomic.Int64 { return n.shared.of(name) }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
