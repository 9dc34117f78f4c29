//go:build !race

package metrics_test

import (
	"testing"
	"time"

	"hearth/internal/metrics"
)

// The race detector makes sync.Pool drop items at random, hence the build tag.
func TestObservingAllocatesNothing(t *testing.T) {
	s := metrics.WithProcs(8)
	c := s.Counter("c_total", "C.")
	h := s.Histogram("h_seconds", "H.")
	f := func(name string, observe func()) {
		t.Helper()
		if got := testing.AllocsPerRun(1000, observe); got != 0 {
			t.Errorf("%s allocates %v times, want 0", name, got)
		}
	}
	f("Inc", c.Inc)
	f("Add", func() { c.Add(3) })
	f("AddAt", func() { c.AddAt(s.Stripe(), 3) })
	f("Value", func() { _ = c.Value() })
	f("Observe", func() { h.Observe(time.Millisecond) })
	f("ObserveAt", func() { h.ObserveAt(s.Stripe(), time.Millisecond) })
}
