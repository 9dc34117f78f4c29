// Package timeline remembers what the numbers of the server were: the last hour by the
// second, the last day by ten seconds, and what happened meanwhile.
//
// It counts nothing itself. Each second it reads what /metrics would show at that moment,
// once for everybody who watches, so every figure that a dashboard or a terminal shows is
// one that a scrape of the same second has.
package timeline

// Column is one number of a tick: the sum of those series of a metric that have the labels.
type Column struct {
	ID     string            `json:"id"` // such as "requests_memory"; what a page calls it
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels,omitempty"` // those that a series must have
	Kind   string            `json:"kind"`             // "counter" or "gauge"
}

// Tick is one second. It is encoded in 2 kB at most.
type Tick struct {
	At      int64              `json:"at"` // Unix time in ms
	Seq     uint64             `json:"seq"`
	Values  map[string]float64 `json:"values"`  // by Column.ID; counters as they stand, as in /metrics
	Latency [][2]uint32        `json:"latency"` // requests since the tick before, by bucket of hearth_request_seconds: index and count
	Hot     []Hot              `json:"hot"`     // hottest keys, as many as fit
	Events  []Event            `json:"events"`  // since the tick before
	Checks  map[string]string  `json:"checks"`  // as in /readyz
}

// Hot is a hot key: rates are per second, over the last ten seconds or so.
type Hot struct {
	Key      string  `json:"key"`
	Resource string  `json:"resource"`
	Reads    float64 `json:"reads"`  // answered, whatever the tier
	Bytes    float64 `json:"bytes"`  // of records answered
	Misses   float64 `json:"misses"` // of memory
	Loads    float64 `json:"loads"`
	TTL      float64 `json:"ttl"` // what is left in memory, in seconds; negative: not in memory
}

// Event is a change of state: a mark on every plot.
type Event struct {
	At   int64  `json:"at"`   // Unix time in ms
	Kind string `json:"kind"` // "link", "reload", "breaker", "master", "feed", "audit", "source", "drain", "ready"
	Good bool   `json:"good"` // an end of trouble
	Text string `json:"text"` // in words for anybody who may see the dashboard: no inner causes
}

// History is a span for plots: one array per column, the oldest first.
type History struct {
	Columns []Column             `json:"columns"`
	Bounds  []float64            `json:"bounds"` // of latency buckets, in seconds; the last bucket has none
	Step    int64                `json:"step"`   // ms between two points: 1000 or 10000
	End     int64                `json:"end"`    // Unix time in ms of the last point
	Values  map[string][]float32 `json:"values"` // counters as rates per second; null where there was no tick
	Latency [][][2]uint32        `json:"latency"`
	Events  []Event              `json:"events"`
}
