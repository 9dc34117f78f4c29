package app

import (
	"slices"
	"sync/atomic"

	"hearth/cache"
	"hearth/cache/redis"
	"hearth/handlers"
	"hearth/internal/budget"
	"hearth/internal/metrics"
)

// numbers are those that no package below owns.
type numbers struct {
	reloads, reloadsFailed *metrics.Counter
	// sourceSilent says why the database is down, in words for anybody.
	sourceSilent atomic.Pointer[string]
	// loaded is when the configuration was read, in Unix seconds.
	loaded atomic.Int64
	// denied counts what limits refuse, shared what they decide by the one count
	// of the subjects beyond their bounds.
	denied, shared byLimit
}

// byLimit are counts by limit: one that a reload has changed goes on counting.
type byLimit map[string]*atomic.Int64

// of is the count of a limit. Only the goroutine that makes a generation calls it.
func (b *byLimit) of(name string) *atomic.Int64 {
	if *b == nil {
		*b = byLimit{}
	}
	if (*b)[name] == nil {
		(*b)[name] = new(atomic.Int64)
	}
	return (*b)[name]
}

// number is a number of the cache as it is exported.
type number struct {
	name, help string
	read       func(cache.Stats) int64
}

// cacheGauges are how much there is of something now.
var cacheGauges = []number{
	{"hearth_memory_bytes", "Bytes of the memory tier, overhead included.", func(s cache.Stats) int64 { return s.MemoryBytes }},
	{"hearth_memory_entries", "Entries of the memory tier, missing records included.", func(s cache.Stats) int64 { return s.MemoryEntries }},
	{"hearth_missing_bytes", "Bytes of the memory tier that missing records take, of the share they have.", func(s cache.Stats) int64 { return s.MissingBytes }},
	{"hearth_memory_budget_bytes", "Bytes that the memory tier may have (memory.budget).", func(s cache.Stats) int64 { return s.MemoryBudget }},
	{"hearth_writes_unconfirmed", "Guards of writes that the shared tier has not confirmed to have removed.", func(s cache.Stats) int64 { return s.Unconfirmed }},
	{"hearth_loads_queued", "Loads and writes that wait for one of load.max_concurrent places.", func(s cache.Stats) int64 { return s.Queued }},
	{"hearth_readers_waiting", "Readers that wait for a load or a write that somebody else has begun.", func(s cache.Stats) int64 { return s.Waiting }},
	{"hearth_readers_waiting_max", "Readers that may wait at a time (load.max_waiting).", func(s cache.Stats) int64 { return s.MaxWaiting }},
	{"hearth_counters_waiting", "Callers that wait for a counter's command.", func(s cache.Stats) int64 { return s.Counting }},
}

// cacheCounters are how often something has happened.
var cacheCounters = []number{
	{"hearth_invalidations_total", "Changes of keys reported by the shared tier.", func(s cache.Stats) int64 { return s.Invalidations }},
	{"hearth_memory_evictions_total", "Records that the memory tier dropped to make room for others.", func(s cache.Stats) int64 { return s.Evictions }},
	{"hearth_memory_not_admitted_total", "Reads whose record the memory tier would not keep, because it is full and the key was not missed before.", func(s cache.Stats) int64 { return s.NotAdmitted }},
	{"hearth_canaries_lost_total", "Canaries whose invalidation did not arrive within memory.link_timeout.", func(s cache.Stats) int64 { return s.LostCanaries }},
	{"hearth_guards_restored_total", "Guards that were lost while the outcome of a COMMIT was not known, and set anew.", func(s cache.Stats) int64 { return s.Restored }},
	{"hearth_lease_waits_total", "Waits for a load or a write that somebody else had begun.", func(s cache.Stats) int64 { return s.LeaseWaits }},
	{"hearth_stale_served_total", "Answers served from memory that nobody vouched for, marked stale.", func(s cache.Stats) int64 { return s.Stale }},
	{"hearth_values_not_json_total", "Values of the shared tier that were no JSON.", func(s cache.Stats) int64 { return s.NotJSON }},
}

// registerMetrics exports what lives as long as the process. What is bounded comes
// with its bound: an alert that repeats a number of the configuration is wrong after
// the next change.
func (a *App) registerMetrics() {
	for _, n := range cacheGauges {
		a.metrics.GaugeFunc(n.name, n.help, func() float64 { return float64(n.read(a.cache.Stats())) })
	}
	for _, n := range cacheCounters {
		a.metrics.CounterFunc(n.name, n.help, func() float64 { return float64(n.read(a.cache.Stats())) })
	}
	// Every result from the start: a series that appears with its first event has no
	// rate for it.
	for i, result := range cache.RefreshResults {
		a.metrics.CounterFunc("hearth_refreshes_total", "Hot records loaded anew before their copy expired, by result.",
			func() float64 { return float64(a.cache.Refreshes(i)) }, metrics.Label{Name: "result", Value: result})
	}
	a.metrics.GaugeFunc("hearth_shared_tier_info", "The constant 1; its label says what the shared tier is.",
		func() float64 { return 1 }, metrics.Label{Name: "tier", Value: a.cache.SharedTier().String()})
	reloads := func(result string) *metrics.Counter {
		return a.metrics.Counter("hearth_reloads_total", "Reloads of the configuration (SIGHUP), by result.", metrics.Label{Name: "result", Value: result})
	}
	a.numbers.reloads, a.numbers.reloadsFailed = reloads("ok"), reloads("failed")
	a.metrics.GaugeFunc("hearth_config_loaded_timestamp_seconds", "When the configuration that is served was read; Unix time.",
		func() float64 { return float64(a.numbers.loaded.Load()) })
	a.registerStates()
	a.registerBudgets()
}

// registerStates exports what is either so or not.
func (a *App) registerStates() {
	state := func(name, help string, is func() bool) {
		a.metrics.GaugeFunc(name, help, func() float64 { return truth(is()) })
	}
	state("hearth_redis_up", "1 if all of the shared tier can be asked: every master of a Cluster; the embedded one can unless its file is gone.", a.sharedUp)
	if a.redis != nil {
		a.registerNodes()
	}
	state("hearth_source_up", "1 if the database answers, or none is configured.",
		func() bool { db := a.current.Load().db; return db == nil || db.Up() })
	state("hearth_source_read_only", "1 if resources write, and the database takes no writes: no server was found that does.",
		func() bool { db := a.current.Load().db; return db != nil && db.ReadOnly() })
	state("hearth_ready", "1 if /readyz says so: not draining, and Redis and the database answer.",
		func() bool { return a.serverState() != handlers.Draining && a.ready() })
	state("hearth_draining", "1 from the signal to stop on.",
		func() bool { return a.serverState() == handlers.Draining })
}

// sharedUp tells whether all of the shared tier can be asked.
func (a *App) sharedUp() bool {
	if a.redis == nil {
		return a.cache.Up() == nil
	}
	nodes := a.redis.State().Nodes
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n redis.NodeState) bool { return n.Serves && !n.Up })
}

// registerNodes exports how each server of Redis is.
func (a *App) registerNodes() {
	each := func(name, help string, of func(redis.NodeState) bool) {
		a.metrics.GaugesFunc(name, help, "node", func() map[string]float64 {
			all := map[string]float64{}
			for _, n := range a.redis.State().Nodes {
				all[n.Name] = truth(of(n))
			}
			return all
		})
	}
	each("hearth_redis_node_up", "1 if this server of Redis can be asked: each master of a Cluster, else redis.", func(n redis.NodeState) bool { return n.Up })
	each("hearth_redis_node_tracked", "1 if it is asked to report changes: it has refused neither CLIENT TRACKING nor the canary.", func(n redis.NodeState) bool { return n.Tracked })
	a.metrics.CounterFunc("hearth_redis_takeovers_total", "How often a server of Redis was found in the place of another, and put right.",
		func() float64 { return float64(a.redis.State().Takeovers) })
}

// registerBudgets exports what is taken of the memory beside the entries.
func (a *App) registerBudgets() {
	a.metrics.GaugeFunc("hearth_limit_bytes", "Bytes that subjects and counts of limits take in this process.",
		func() float64 { taken, _ := a.budgets.limitBytes(); return float64(taken) })
	a.metrics.GaugeFunc("hearth_limit_bytes_max", "Bytes that subjects and counts of limits may take (a share of memory.budget, beside it).",
		func() float64 { _, size := a.budgets.limitBytes(); return float64(size) })
	for kind, r := range map[string]*budget.Budget{"answers": a.budgets.answers, "bodies": a.budgets.bodies} {
		label := metrics.Label{Name: "kind", Value: kind}
		a.metrics.GaugeFunc("hearth_in_flight_bytes", "Bytes of large answers on their way to clients that memory does not keep, and of requests' bodies.",
			func() float64 { return float64(r.Taken()) }, label)
		a.metrics.GaugeFunc("hearth_in_flight_bytes_max", "Bytes that they may take, for all connections together (a share of memory.budget, beside it).",
			func() float64 { return float64(r.Size()) }, label)
		a.metrics.CounterFunc("hearth_in_flight_refused_total", "Requests answered 503 because there was no room for the answer or the body.",
			func() float64 { return float64(r.Refused()) }, label)
	}
}

// registerListeners exports what the listeners count, once they are open.
func (a *App) registerListeners() {
	p := &a.public
	a.metrics.GaugeFunc("hearth_connections_max", "Public connections that may be open at a time.",
		func() float64 { return float64(a.current.Load().maxConnections()) })
	a.metrics.GaugeFunc("hearth_connections_open", "Public connections that are open.", func() float64 { return float64(p.listener.Conns()) })
	a.metrics.CounterFunc("hearth_connections_refused_total", "Public connections refused because as many were open as may be.",
		func() float64 { return float64(p.listener.Refused()) })
	a.metrics.GaugeFunc("hearth_connections_lingering", "Public connections that have had their last answer and whose clients have not ended them yet.",
		func() float64 { return float64(p.listener.Lingering()) })
	a.metrics.CounterFunc("hearth_connections_cut_total", "Public connections cut behind their last answer, because their clients went on sending or did not end them.",
		func() float64 { return float64(p.listener.Cut()) })
	a.metrics.CounterFunc("hearth_accept_waits_total", "Pauses in accepting public connections for want of descriptors or memory.",
		func() float64 { return float64(p.retrying.Waits()) })
	a.metrics.CounterFunc("hearth_requests_crossed_total", "Requests that crossed with the end of their connection, and were not executed.",
		func() float64 { return float64(p.listener.Crossed()) })
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
		label := metrics.Label{Name: "limit", Value: l.Name()}
		a.metrics.CounterFunc("hearth_limited_total", "Requests refused by a limit.",
			func() float64 { return float64(l.Denied()) }, label)
		a.metrics.CounterFunc("hearth_limit_overflow_total", "Questions to a limit for subjects beyond its bounds, decided by the one count that all such subjects share.",
			func() float64 { return float64(l.Common()) }, label)
	}
	for _, name := range g.sources() {
		a.metrics.GaugeFunc("hearth_breaker_open", "1 while loads from a source are refused because it kept failing.",
			func() float64 { return truth(a.breakerOpen(a.current.Load(), name)) }, metrics.Label{Name: "source", Value: name})
	}
	// Functions read through a.current: after a reload they tell of what serves then.
	faults := func(resource string) {
		a.metrics.GaugeFunc("hearth_statement_faults", "Statements that the source refuses until an operator acts, by resource; those of database.init without one.",
			func() float64 { return float64(a.current.Load().refusalsOf(resource)) }, metrics.Label{Name: "resource", Value: resource})
	}
	faults("")
	for _, r := range g.resources {
		name := r.Name // all that these functions hold on to: the resource may go
		faults(name)
		for i, result := range cache.LoadResults {
			a.metrics.CounterFunc("hearth_loads_total", "Loads from the source, by resource and result.",
				func() float64 { return float64(a.cache.Loads(name, i)) },
				metrics.Label{Name: "resource", Value: name}, metrics.Label{Name: "result", Value: result})
		}
		a.metrics.CounterFunc("hearth_loads_unchanged_total", "Loads for which the origin confirmed the copy that was here (304), by resource.",
			func() float64 { return float64(a.cache.Unchanged(name)) }, metrics.Label{Name: "resource", Value: name})
		a.metrics.CounterFunc("hearth_loads_unshared_total", "Loads of which nothing was kept because the origin forbids to share its answer, by resource.",
			func() float64 { return float64(a.cache.Unshared(name)) }, metrics.Label{Name: "resource", Value: name})
	}
}

// breakerOpen tells whether a source of that name, as g has it, is being spared.
func (a *App) breakerOpen(g *generation, name string) bool {
	var opened any
	if i := slices.IndexFunc(g.resources, func(r resource) bool { return r.cached.Source == name }); i >= 0 {
		opened = g.resources[i].cached.Opened
	}
	return a.cache.BreakerOpen(name, opened)
}

// truth is how a metric says yes or no.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
