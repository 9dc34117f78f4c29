package timeline

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"hearth/internal/metrics"
)

// BenchmarkTick is what a second costs with a hundred resources, each of which has answered from
// every tier and in a handful of ways.
func BenchmarkTick(b *testing.B) {
	set := metrics.New("test")
	label := func(name, value string) metrics.Label { return metrics.Label{Name: name, Value: value} }
	for i := range 100 {
		resource := label("resource", fmt.Sprint("resource_", i))
		for _, tier := range []string{"memory", "redis", "source", "stale", "none"} {
			for _, code := range []string{"200", "304", "404", "503"} {
				set.Counter("hearth_requests_total", "x", resource, label("tier", tier), label("code", code)).Inc()
			}
			set.Histogram("hearth_request_seconds", "x", resource, label("tier", tier)).Observe(time.Millisecond)
		}
		for _, result := range []string{"ok", "missing", "refused", "error"} {
			set.Counter("hearth_loads_total", "x", resource, label("result", result)).Inc()
		}
	}
	t := New(Config{Read: set.Snapshot, Log: slog.New(slog.DiscardHandler)})
	now := time.Now()
	for b.Loop() {
		now = now.Add(time.Second)
		t.take(now)
	}
}
