package metrics_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"hearth/internal/metrics"
)

func TestStripesFollowProcessors(t *testing.T) {
	f := func(procs, want int) {
		t.Helper()
		if got := metrics.StripeCount(metrics.WithProcs(procs)); got != want {
			t.Errorf("stripes for %d processors = %d, want %d", procs, got, want)
		}
	}
	f(0, 1)
	f(1, 1)
	f(2, 8)
	f(3, 16)
	f(16, 64)
	f(64, 64)
	f(500, 64)
}

// TestNothingIsLost adds from many goroutines through every entry point while
// others scrape and register, and expects the exact sums.
func TestNothingIsLost(t *testing.T) {
	for _, procs := range []int{1, 2, 64} {
		s := metrics.WithProcs(procs)
		c := s.Counter("c_total", "C.")
		h := s.Histogram("h_seconds", "H.")
		const workers, rounds = 16, 500
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() {
				for i := range rounds {
					at := s.Stripe()
					c.Inc()
					c.Add(2)
					c.AddAt(at, 3)
					c.AddAt(metrics.Stripe(w*1_000_003+i), 4) // any number is a stripe
					h.Observe(time.Microsecond)
					h.ObserveAt(at, time.Millisecond)
				}
			})
		}
		group.Go(func() {
			for range 20 {
				if err := s.WritePrometheus(io.Discard); err != nil {
					t.Error(err)
				}
				s.Counter("other_total", "O.").Inc()
			}
		})
		group.Wait()
		if got, want := c.Value(), uint64(10*workers*rounds); got != want {
			t.Errorf("%d processors: counter = %d, want %d", procs, got, want)
		}
		if got, want := h.Count(), uint64(2*workers*rounds); got != want {
			t.Errorf("%d processors: observations = %d, want %d", procs, got, want)
		}
		if got, want := h.Sum(), workers*rounds*(time.Microsecond+time.Millisecond); got != want {
			t.Errorf("%d processors: sum = %v, want %v", procs, got, want)
		}
	}
}

// TestScrapeAgreesWithItself reads a histogram while it is written: the count
// must equal the +Inf bucket in each page, and buckets must not fall.
func TestScrapeAgreesWithItself(t *testing.T) {
	s := metrics.WithProcs(4)
	h := s.Histogram("h_seconds", "H.")
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for d := time.Duration(1); ; d = d * 3 % (30 * time.Second) {
				select {
				case <-stop:
					return
				default:
					h.Observe(d)
				}
			}
		})
	}
	for range 50 {
		var page bytes.Buffer
		if err := s.WritePrometheus(&page); err != nil {
			t.Fatal(err)
		}
		got := parse(t, page.Bytes())["h_seconds"].GetMetric()[0].GetHistogram()
		buckets := got.GetBucket()
		for i := 1; i < len(buckets); i++ {
			if buckets[i].GetCumulativeCount() < buckets[i-1].GetCumulativeCount() {
				t.Errorf("bucket %v holds less than the one before", buckets[i].GetUpperBound())
			}
		}
		if last := buckets[len(buckets)-1].GetCumulativeCount(); last != got.GetSampleCount() {
			t.Errorf("+Inf bucket = %d, count = %d, want the same", last, got.GetSampleCount())
		}
	}
	close(stop)
	group.Wait()
}
