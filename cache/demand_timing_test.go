package cache

import (
	"testing"
	"time"

	"hearth/internal/testkit"
)

// BenchmarkDemandsMetByMemory is the way of a demand that memory meets.
func BenchmarkDemandsMetByMemory(b *testing.B) {
	c := openRedis(b, testkit.Redis(b))
	r := NewResource("user", "user", testLives, newLedger("1", `{"id":1}`))
	version := []byte(c.NewVersion("k"))
	f := func(name string, demand func() Demand) {
		b.Run(name, func(b *testing.B) {
			testkit.Eventually(b, patience, "memory meets it", func() bool {
				a, err := c.ReadFresh(b.Context(), r, "k", []any{"1"}, demand())
				return err == nil && a.Tier == TierMemory
			})
			b.ReportAllocs()
			for b.Loop() {
				if a, err := c.ReadFresh(b.Context(), r, "k", nil, demand()); err != nil || a.Tier != TierMemory {
					b.Fatal(a.Tier, err)
				}
			}
		})
	}
	f("max-age", func() Demand { return Demand{Aged: true, MaxAge: time.Hour} })
	f("a version", func() Demand {
		since, _ := c.SinceOf(version, "k")
		return Demand{Since: since}
	})
}
