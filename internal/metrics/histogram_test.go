package metrics_test

import (
	"math"
	"sort"
	"strconv"
	"testing"
	"time"

	"hearth/internal/metrics"
)

func TestBoundsAreLogSpacedAndExact(t *testing.T) {
	bounds := metrics.Bounds()
	if got, want := bounds[0], 512*time.Nanosecond; got != want {
		t.Errorf("first bound = %v, want %v", got, want)
	}
	if got, want := bounds[len(bounds)-1], time.Duration(1<<34); got != want {
		t.Errorf("last bound = %v, want %v", got, want)
	}
	for i, b := range bounds {
		if i > 0 {
			if ratio := float64(b) / float64(bounds[i-1]); ratio != 1.5 && math.Abs(ratio-4.0/3) > 1e-9 {
				t.Errorf("bound %v is %v times the one before, want 3/2 or 4/3", b, ratio)
			}
		}
		text := strconv.FormatFloat(b.Seconds(), 'f', -1, 64)
		back, err := strconv.ParseFloat(text, 64)
		if err != nil || math.Round(back*1e9) != float64(b) || len(text) > len("0.000000000")+2 {
			t.Errorf("bound %v is written %q, want its exact decimal", b, text)
		}
	}
}

func TestBucketMatchesASearch(t *testing.T) {
	bounds := metrics.Bounds()
	f := func(ns uint64) {
		t.Helper()
		want := sort.Search(len(bounds), func(i int) bool { return uint64(bounds[i]) >= ns })
		if got := metrics.BucketOf(ns); got != want {
			t.Errorf("bucket of %d ns = %d, want %d", ns, got, want)
		}
	}
	f(0)
	f(math.MaxUint64)
	f(math.MaxInt64)
	for i := range bounds {
		f(metrics.BoundOf(i) - 1)
		f(metrics.BoundOf(i))
		f(metrics.BoundOf(i) + 1)
	}
}

func FuzzBucket(f *testing.F) {
	f.Add(uint64(0))
	f.Add(uint64(512))
	f.Add(uint64(1<<34 + 1))
	bounds := metrics.Bounds()
	f.Fuzz(func(t *testing.T, ns uint64) {
		want := sort.Search(len(bounds), func(i int) bool { return uint64(bounds[i]) >= ns })
		if got := metrics.BucketOf(ns); got != want {
			t.Errorf("bucket of %d ns = %d, want %d", ns, got, want)
		}
	})
}

func TestNegativeDurationCountsAsZero(t *testing.T) {
	h := metrics.New("test").Histogram("h_seconds", "H.")
	h.Observe(-time.Second)
	if got := h.Count(); got != 1 {
		t.Errorf("count = %d, want 1", got)
	}
	if got := h.Sum(); got != 0 {
		t.Errorf("sum = %v, want 0", got)
	}
}
