package cache

import (
	"fmt"
	"testing"
	"time"

	"hearth/internal/source"
)

// BenchmarkMemoryMany is a many-read of a hundred records that memory has in whole, with as
// many samples as the cache takes.
func BenchmarkMemoryMany(b *testing.B) {
	cfg := testConfig()
	cfg.Embedded = b.TempDir() + "/tier.db"
	c := open(b, cfg)
	r := NewResource("user", "user", testLives, newLedger())
	keys, args := make([]string, 100), make([]source.Args, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("many:", i)
		c.store.Keep(c.store.NewAnswer(r.Shape, keys[i], []byte(`{"id":1}`), 0), c.local, c.local.Epoch(), c.store.Now()+int64(time.Hour), c.store.Now()+int64(time.Hour))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.MemoryMany(r, keys, args, false); !ok {
			b.Fatal("memory has not all of them")
		}
	}
}
