package handlers

import (
	"strconv"
	"sync/atomic"
	"time"

	"hearth/cache"
	"hearth/internal/metrics"
)

// requestMetrics counts the answers of one resource. Its label values are closed
// sets: the resource's name out of the configuration, the tiers, and the status
// codes that this package writes. The series of memory hits exist from the
// start, so that the fast path only adds; the others appear with the first
// answer of their kind, and are then found without a look at their labels.
type requestMetrics struct {
	set      *metrics.Set
	resource string
	memory   [hitOverBudget]*metrics.Counter // by hitCode
	seconds  *metrics.Histogram              // of memory hits

	answers [len(cache.Tiers)][maxStatus]atomic.Pointer[metrics.Counter]
	times   [len(cache.Tiers)]atomic.Pointer[metrics.Histogram]
}

// maxStatus is above every status code that is answered, so that a code is an index.
const maxStatus = 600

// hitCode is how a memory hit is answered. It is an index, so that the fast path
// counts a hit without a look at labels.
type hitCode int

const (
	hitOK hitCode = iota
	hitNotModified
	hitMissing
	hitOverBudget // no answer: see answersOverBudget
)

func (c hitCode) status() int { return [...]int{200, 304, 404}[c] }

// newRequestMetrics returns the metrics of a resource, whose records memory may hold.
func newRequestMetrics(set *metrics.Set, resource string) *requestMetrics {
	m := newColdMetrics(set, resource)
	m.seconds = m.histogram(cache.TierMemory)
	for c := range m.memory {
		m.memory[c] = m.counter(cache.TierMemory, hitCode(c).status())
	}
	return m
}

// newColdMetrics returns requestMetrics for answers that no memory hit can give.
func newColdMetrics(set *metrics.Set, resource string) *requestMetrics {
	return &requestMetrics{set: set, resource: resource}
}

// hits counts n memory hits that took the same time, since they were answered together. The
// stripe keeps processors from sharing a cache line.
func (m *requestMetrics) hits(at metrics.Stripe, c hitCode, n uint64, elapsed time.Duration) {
	m.memory[c].AddAt(at, n)
	m.seconds.ObserveManyAt(at, elapsed, n)
}

// count counts any other answer.
func (m *requestMetrics) count(tier cache.Tier, status int, elapsed time.Duration) {
	m.counter(tier, status).Inc()
	m.histogram(tier).Observe(elapsed)
}

// counter returns the series of a tier and a status. The first answers of a kind may
// race to look it up; the set gives all of them the same one.
func (m *requestMetrics) counter(tier cache.Tier, status int) *metrics.Counter {
	known := &m.answers[tier][status]
	if c := known.Load(); c != nil {
		return c
	}
	c := m.set.Counter("hearth_requests_total", "Requests answered, by resource, the tier that answered and the status code.",
		metrics.Label{Name: "resource", Value: m.resource},
		metrics.Label{Name: "tier", Value: tier.String()},
		metrics.Label{Name: "code", Value: strconv.Itoa(status)})
	known.Store(c)
	return c
}

// histogram returns the series of a tier, likewise.
func (m *requestMetrics) histogram(tier cache.Tier) *metrics.Histogram {
	if h := m.times[tier].Load(); h != nil {
		return h
	}
	h := m.set.Histogram("hearth_request_seconds", "Time from the whole request to the finished answer, without sending it.",
		metrics.Label{Name: "resource", Value: m.resource},
		metrics.Label{Name: "tier", Value: tier.String()})
	m.times[tier].Store(h)
	return h
}
