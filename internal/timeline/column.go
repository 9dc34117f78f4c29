package timeline

import (
	"maps"
	"slices"

	"hearth/internal/metrics"
)

// Column is one number of a tick: the sum of those series of a metric that have the labels.
type Column struct {
	ID     string            `json:"id"` // what a page calls it
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels,omitempty"` // a value that ends with * stands for all that begin so
	Kind   string            `json:"kind"`             // "counter" or "gauge"
	Kept   bool              `json:"kept"`             // there is a history of it

	want []metrics.Label
}

const (
	counter = "counter"
	gauge   = "gauge"
)

// columns are all of them, the most telling ones first: what has no room in a tick is left
// out from the end.
var columns = slices.Concat(
	kept(
		count("requests_memory", "hearth_requests_total", "tier", "memory"),
		count("requests_redis", "hearth_requests_total", "tier", "redis"),
		count("requests_embedded", "hearth_requests_total", "tier", "embedded"),
		count("requests_source", "hearth_requests_total", "tier", "source"),
		count("requests_stale", "hearth_requests_total", "tier", "stale"),
		count("requests_none", "hearth_requests_total", "tier", "none"),
		count("answers_5xx", "hearth_requests_total", "code", "5*"),
		count("limited", "hearth_limited_total"),
		level("memory_bytes", "hearth_memory_bytes"),
		count("invalidations", "hearth_invalidations_total"),
		count("delay_seconds", "hearth_invalidation_delay_seconds_sum"),
		count("delay_count", "hearth_invalidation_delay_seconds_count"),
		level("feed_oldest", "hearth_feed_oldest_seconds"),
		count("feed_lag_seconds", "hearth_feed_lag_seconds_sum"),
		count("feed_lag_count", "hearth_feed_lag_seconds_count"),
		count("loads", "hearth_loads_total"),
		level("readers_waiting", "hearth_readers_waiting"),
		level("connections", "hearth_connections_open"),
		count("audit_checks", "hearth_audit_checks_total"),
		count("audit_stale", "hearth_audit_stale_total"),
		count("cpu_seconds", "process_cpu_seconds_total"),
	),
	[]Column{ // those first by which a page tells whether all is well
		level("started", "process_start_time_seconds"),
		level("ready", "hearth_ready"),
		level("draining", "hearth_draining"),
		level("redis_up", "hearth_redis_up"),
		level("source_up", "hearth_source_up"),
		level("source_read_only", "hearth_source_read_only"),
		level("breakers_open", "hearth_breaker_open"),
		level("feed_live", "hearth_feed_live"),
		level("feed_degraded", "hearth_feed_degraded"),
		level("statement_faults", "hearth_statement_faults"),
		level("writes_unconfirmed", "hearth_writes_unconfirmed"),
		count("answers_503", "hearth_requests_total", "code", "503"),
		level("audit_ratio", "hearth_audit_consistency_ratio", "against", "memory", "window", "hour"),
		level("audit_window", "hearth_audit_window_checks", "against", "memory", "window", "hour"),
		level("memory_budget", "hearth_memory_budget_bytes"),
		level("memory_entries", "hearth_memory_entries"),
		level("readers_waiting_max", "hearth_readers_waiting_max"),
		level("connections_max", "hearth_connections_max"),
		level("feed_leader", "hearth_feed_leader"),
		level("feed_backlog", "hearth_feed_backlog"),
		count("feed_errors", "hearth_feed_errors_total"),
		count("canaries_lost", "hearth_canaries_lost_total"),
		count("takeovers", "hearth_redis_takeovers_total"),
		level("missing_bytes", "hearth_missing_bytes"),
		count("evictions", "hearth_memory_evictions_total"),
		count("not_admitted", "hearth_memory_not_admitted_total"),
		count("answers_304", "hearth_requests_total", "code", "304"),
		count("answers_4xx", "hearth_requests_total", "code", "4*"),
		count("answers_429", "hearth_requests_total", "code", "429"),
		count("loads_error", "hearth_loads_total", "result", "error"),
		count("loads_missing", "hearth_loads_total", "result", "missing"),
		count("loads_refused", "hearth_loads_total", "result", "refused"),
		level("loads_queued", "hearth_loads_queued"),
		count("refreshes", "hearth_refreshes_total"),
		count("lease_waits", "hearth_lease_waits_total"),
		count("stale_served", "hearth_stale_served_total"),
		level("audit_source_ratio", "hearth_audit_consistency_ratio", "against", "source", "window", "hour"),
		level("audit_source_window", "hearth_audit_window_checks", "against", "source", "window", "hour"),
		count("limit_overflow", "hearth_limit_overflow_total"),
		level("limit_bytes", "hearth_limit_bytes"),
		level("limit_bytes_max", "hearth_limit_bytes_max"),
		count("in_flight_refused", "hearth_in_flight_refused_total"),
		count("connections_refused", "hearth_connections_refused_total"),
		count("reloads_ok", "hearth_reloads_total", "result", "ok"),
		count("reloads_failed", "hearth_reloads_total", "result", "failed"),
		level("config_loaded", "hearth_config_loaded_timestamp_seconds"),
		level("resident_bytes", "process_resident_memory_bytes"),
		level("goroutines", "go_goroutines"),
		level("open_fds", "process_open_fds"),
	},
)

// Columns are the columns of every tick. The caller must not change them.
func Columns() []Column { return columns }

func kept(all ...Column) []Column {
	for i := range all {
		all[i].Kept = true
	}
	return all
}

func count(id, metric string, labels ...string) Column { return newColumn(id, metric, counter, labels) }
func level(id, metric string, labels ...string) Column { return newColumn(id, metric, gauge, labels) }

// newColumn makes a column of a metric, with names and values of labels in turn.
func newColumn(id, metric, kind string, labels []string) Column {
	c := Column{ID: id, Metric: metric, Kind: kind}
	for i := 0; i+1 < len(labels); i += 2 {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels[labels[i]] = labels[i+1]
		c.want = append(c.want, metrics.Label{Name: labels[i], Value: labels[i+1]})
	}
	return c
}

// group is a metric by one of its labels: how many there are depends on the configuration, or
// on what stands around the server. There is no history of them.
type group struct{ id, metric, label string }

var groups = []group{
	{"node_up", "hearth_redis_node_up", "node"},
	{"node_tracked", "hearth_redis_node_tracked", "node"},
	{"breaker", "hearth_breaker_open", "source"},
	{"limited", "hearth_limited_total", "limit"},
}

// numbers are what one moment's snapshot says.
type numbers struct {
	values  []float64 // by column
	groups  []map[string]float64
	latency []uint64 // buckets of hearth_request_seconds, as they stand
	delay   []uint64 // of hearth_invalidation_delay_seconds
	lag     []uint64 // of hearth_feed_lag_seconds
}

func read(s metrics.Snapshot) *numbers {
	n := &numbers{values: make([]float64, len(columns))}
	for i, c := range columns {
		n.values[i] = s.Sum(c.Metric, c.want...)
	}
	for _, g := range groups {
		n.groups = append(n.groups, s.By(g.metric, g.label))
	}
	n.latency, n.delay, n.lag = s.Buckets("hearth_request_seconds"), s.Buckets("hearth_invalidation_delay_seconds"), s.Buckets("hearth_feed_lag_seconds")
	return n
}

// indexOf finds a column; one that is not there is a bug.
func indexOf(id string) int {
	i := slices.IndexFunc(columns, func(c Column) bool { return c.ID == id })
	if i < 0 {
		panic("BUG: there is no column " + id)
	}
	return i
}

// value is what a column stood at.
func (n *numbers) value(id string) float64 { return n.values[indexOf(id)] }

// grown is by how much each bucket has grown since before: index and count of those that have.
func grown(before, now []uint64) (sparse [][2]uint32) {
	for i, n := range now {
		was := uint64(0)
		if i < len(before) {
			was = before[i]
		}
		if n > was {
			sparse = append(sparse, [2]uint32{uint32(i), uint32(min(n-was, 1<<32-1))})
		}
	}
	return sparse
}

// names are the keys of a map in order.
func names[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
