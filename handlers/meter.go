package handlers

import (
	"strconv"
	"time"

	"hearth/cache"
	"hearth/internal/metrics"
)

// meter counts the answers of one resource. Its label values are closed sets:
// the resource's name out of the configuration, the tiers, and the status
// codes that this package writes. The series of memory hits exist from the
// start, so that the fast path only adds; the others appear with the first
// answer of their kind.
type meter struct {
	set      *metrics.Set
	resource string
	memory   [3]*metrics.Counter // by hitCode
	seconds  *metrics.Histogram  // of memory hits
}

// hitCode is what the fast path may answer.
type hitCode int

const (
	hitOK hitCode = iota
	hitNotModified
	hitMissing
)

func (c hitCode) status() int { return [...]int{200, 304, 404}[c] }

func newMeter(set *metrics.Set, resource string) *meter {
	m := &meter{set: set, resource: resource}
	m.seconds = m.histogram(cache.TierMemory)
	for c := range m.memory {
		m.memory[c] = m.counter(cache.TierMemory, hitCode(c).status())
	}
	return m
}

// newBareMeter is a meter for answers that no memory hit can give.
func newBareMeter(set *metrics.Set, resource string) *meter {
	return &meter{set: set, resource: resource}
}

// hit counts an answer of the fast path.
func (m *meter) hit(at metrics.Stripe, c hitCode, took time.Duration) {
	m.memory[c].AddAt(at, 1)
	m.seconds.ObserveAt(at, took)
}

// count counts any other answer.
func (m *meter) count(tier cache.Tier, status int, took time.Duration) {
	m.counter(tier, status).Inc()
	m.histogram(tier).Observe(took)
}

func (m *meter) counter(tier cache.Tier, status int) *metrics.Counter {
	return m.set.Counter("hearth_requests_total", "Requests answered, by resource, the tier that answered and the status code.",
		metrics.Label{Name: "resource", Value: m.resource},
		metrics.Label{Name: "tier", Value: tier.String()},
		metrics.Label{Name: "code", Value: strconv.Itoa(status)})
}

func (m *meter) histogram(tier cache.Tier) *metrics.Histogram {
	return m.set.Histogram("hearth_request_seconds", "Time from the whole request to the finished answer, without sending it.",
		metrics.Label{Name: "resource", Value: m.resource},
		metrics.Label{Name: "tier", Value: tier.String()})
}
