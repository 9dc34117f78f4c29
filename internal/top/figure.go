package top

import (
	"fmt"
	"math"
)

// figure is a number with its name. A wrong one is marked.
type figure struct {
	name, text string
	wrong      bool
}

// requests are the counters of all that was asked for.
var requests = []string{"requests_memory", "requests_redis", "requests_embedded", "requests_source", "requests_stale", "requests_none"}

// hitRatio is what memory has answered, of all: NaN of nothing.
func (m *model) hitRatio() float64 { return m.rate("requests_memory") / m.rates(requests...) }

// figures are all of them, the most telling ones first. Rates are of the last second,
// distributions of the last ten.
func (m *model) figures() []figure {
	spread := m.of(latency)
	some := func(name, id string, wrong bool) figure {
		rate := m.rate(id)
		return figure{name, perSecond(rate), wrong && rate > 0}
	}
	shared := some("from redis", "requests_redis", false)
	if m.last != nil && m.value("requests_redis") == 0 && m.last.Groups["node_up"] == nil {
		shared = some("from file", "requests_embedded", false)
	}
	waiting, places := m.value("readers_waiting"), m.value("readers_waiting_max")
	return []figure{
		{"requests", perSecond(m.rates(requests...)), false},
		{"hit ratio", percent(m.hitRatio()), false},
		some("errors 5xx", "answers_5xx", true),

		{"p99", span(spread.quantile(0.99)), false},
		{"p50", span(spread.quantile(0.5)), false},
		some("limited", "limited", false),

		some("from memory", "requests_memory", false),
		shared,
		some("from source", "requests_source", false),

		some("stale", "requests_stale", true),
		some("other", "requests_none", false),
		some("4xx", "answers_4xx", false),

		some("loads", "loads", false),
		some("load errors", "loads_error", true),
		{"waiting", short(waiting) + " readers", places > 0 && waiting > 0.8*places},

		m.delayFigure(),
		m.feedFigure(),
		m.auditFigure(),

		m.memoryFigure(),
		{"entries", short(m.value("memory_entries")), false},
		some("evictions", "evictions", false),

		some("invalidated", "invalidations", false),
		{"connections", short(m.value("connections")), false},
		{"processor", percent(m.rate("cpu_seconds")), false},
	}
}

// delayFigure is C1: how long invalidations take, measured by canaries.
func (m *model) delayFigure() figure {
	d := m.of(delay)
	if p99 := d.quantile(0.99); !math.IsNaN(p99) {
		return figure{"delay (C1)", span(p99), false}
	}
	return figure{"delay (C1)", unknown, false}
}

// feedFigure is C7: how old the oldest change is that was not told yet.
func (m *model) feedFigure() figure {
	const name = "feed (C7)"
	switch {
	case m.last == nil:
		return figure{name, unknown, false}
	case m.value("feed_degraded") != 0:
		return figure{name, "LOST", true}
	case m.value("feed_live") == 0:
		return figure{name, "off", false}
	}
	if p99 := m.of(lag).quantile(0.99); !math.IsNaN(p99) {
		return figure{name, span(max(p99, m.value("feed_oldest"))), false}
	}
	return figure{name, "live, " + span(m.value("feed_oldest")), false}
}

// auditFigure is what the audit's checks of the last hour prove, in nines.
func (m *model) auditFigure() figure {
	checks, ratio := m.value("audit_window"), m.value("audit_ratio")
	wrong := m.last != nil && m.happened("audit")
	switch {
	case m.last == nil:
		return figure{"audit", unknown, false}
	case wrong:
		return figure{"audit", "STALE FOUND", true}
	case checks == 0:
		return figure{"audit", "no checks yet", false}
	case ratio >= 1:
		return figure{"audit", "∞ nines", false}
	}
	return figure{"audit", digits(-math.Log10(1-ratio), 1) + " nines", false}
}

func (m *model) memoryFigure() figure {
	used, budget := m.value("memory_bytes"), m.value("memory_budget")
	text := bytesOf(used)
	if budget > 0 {
		text = fmt.Sprintf("%s, %.0f %%", text, 100*used/budget)
	}
	return figure{"memory", text, false}
}
