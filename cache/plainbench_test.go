package cache

import (
	"context"
	"strconv"
	"testing"

	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

type instantTier struct {
	SharedTier
	raw []byte
}

func (s *instantTier) Value(context.Context, string) (shared.Content, error) {
	return shared.Parse(s.raw, 0), nil
}

func BenchmarkPlainInstant(b *testing.B) {
	srv := testkit.Redis(b)
	fake := &instantTier{raw: []byte(`{"id":399999,"name":"name of user 399999","city":"Shanghai","email":"user399999@example.com","pad":"x"}`)}
	c := openRedis(b, srv, func(c *setup) {
		c.around = func(t SharedTier) SharedTier { fake.SharedTier = t; return fake }
	})
	c.admits = keepNothing
	r := NewResource("user", "user", testLives, newLedger())
	ctx := context.Background()
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
	}
	args := source.Args{int64(1)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := c.Read(ctx, r, keys[i&(1<<16-1)], args); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkPlainParse(b *testing.B) {
	raw := []byte(`{"id":399999,"name":"name of user 399999","city":"Shanghai","email":"user399999@example.com","pad":"x"}`)
	b.ReportAllocs()
	for b.Loop() {
		shared.Parse(raw, 0)
	}
}

func BenchmarkPlainEntry(b *testing.B) {
	raw := []byte(`{"id":399999,"name":"name of user 399999","city":"Shanghai","email":"user399999@example.com","pad":"x"}`)
	c := cacheOn(memoryOf(16 << 20))
	r := NewResource("user", "user", testLives, nil)
	b.ReportAllocs()
	for b.Loop() {
		c.store.NewAnswer(r.Shape, "user:399999", raw, 0)
	}
}
