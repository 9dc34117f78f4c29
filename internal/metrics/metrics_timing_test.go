package metrics_test

import (
	"testing"
	"time"

	"hearth/internal/metrics"
)

func BenchmarkCounterInc(b *testing.B) {
	c := metrics.New("bench").Counter("c_total", "C.")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Inc()
		}
	})
}

// BenchmarkRequest is what one request costs: a stripe, a counter, a duration.
func BenchmarkRequest(b *testing.B) {
	s := metrics.New("bench")
	c, h := s.Counter("c_total", "C."), s.Histogram("h_seconds", "H.")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for d := time.Duration(1); pb.Next(); d += 1001 {
			at := s.Stripe()
			c.AddAt(at, 1)
			h.ObserveAt(at, d)
		}
	})
}

func BenchmarkWritePrometheus(b *testing.B) {
	s := metrics.New("bench")
	for _, tier := range []string{"memory", "redis", "source"} {
		s.Histogram("h_seconds", "H.", metrics.Label{Name: "tier", Value: tier})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.WritePrometheus(discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
