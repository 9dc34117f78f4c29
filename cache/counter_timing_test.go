package cache

import (
	"context"
	"testing"

	"hearth/internal/testkit"
)

// BenchmarkTally is what one request of a counter asks of the shared tier: it is
// counted and reads the count, by one caller at a time and by many. commands/op
// is how many commands of each kind that takes.
func BenchmarkTally(b *testing.B) {
	c := openRedis(b, testkit.Redis(b))
	p := tolled(c)
	ctx := context.Background()
	call := func() {
		if _, err := c.Increment(ctx, "n"); err != nil {
			b.Error(err)
		}
		if _, err := c.Count(ctx, "n"); err != nil {
			b.Error(err)
		}
	}
	measure := func(name string, run func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := p.adds.Load()
			run(b)
			b.ReportMetric(float64(p.adds.Load()-before)/float64(b.N), "commands/op")
		})
	}
	measure("alone", func(b *testing.B) {
		for b.Loop() {
			call()
		}
	})
	measure("many", func(b *testing.B) {
		b.SetParallelism(500)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call()
			}
		})
	})
}
