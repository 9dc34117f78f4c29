package app

import (
	"hearth/handlers"
	"hearth/internal/budget"
	"hearth/internal/metrics"
)

// registerBounds exports what alerts compare the other numbers with: an alert
// that repeats a number of the configuration is wrong after the next change.
func (a *App) registerBounds(gauge func(name, help string, read func() float64)) {
	gauge("hearth_ready", "1 if /readyz says so: not draining, and Redis and the database answer.",
		func() float64 { return truth(handlers.State(a.state.Load()) != handlers.Draining && a.ready()) })
	gauge("hearth_memory_budget_bytes", "Bytes that the memory tier may have (memory.budget).",
		func() float64 { return float64(a.cache.Stats().MemoryBudget) })
	gauge("hearth_readers_waiting_max", "Readers that may wait at a time (load.max_waiting).",
		func() float64 { return float64(a.cache.Stats().MaxWaiting) })
	gauge("hearth_connections_max", "Public connections that may be open at a time.",
		func() float64 { return float64(a.current.Load().maxConnections()) })
	gauge("hearth_limit_bytes", "Bytes that subjects and counts of limits take in this process.",
		func() float64 { taken, _ := a.rooms.limitBytes(); return float64(taken) })
	gauge("hearth_limit_bytes_max", "Bytes that subjects and counts of limits may take (a share of memory.budget, beside it).",
		func() float64 { _, size := a.rooms.limitBytes(); return float64(size) })
	for kind, r := range map[string]*budget.Budget{"answers": a.rooms.answers, "bodies": a.rooms.bodies} {
		label := metrics.Label{Name: "kind", Value: kind}
		a.metrics.GaugeFunc("hearth_in_flight_bytes", "Bytes of large answers on their way to clients that memory does not keep, and of requests' bodies.",
			func() float64 { return float64(r.Taken()) }, label)
		a.metrics.GaugeFunc("hearth_in_flight_bytes_max", "Bytes that they may take, for all connections together (a share of memory.budget, beside it).",
			func() float64 { return float64(r.Size()) }, label)
		a.metrics.CounterFunc("hearth_in_flight_refused_total", "Requests answered 503 because there was no room for the answer or the body.",
			func() float64 { return float64(r.Refused()) }, label)
	}
	a.metrics.GaugeFunc("hearth_shared_tier_info", "The constant 1; its label says what the shared tier is.",
		func() float64 { return 1 }, metrics.Label{Name: "tier", Value: a.cache.SharedTier().String()})
}
