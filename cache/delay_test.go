package cache

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// BenchmarkInvalidationDelay measures promise C1 where it is kept: the time
// from the moment a foreign client holds the acknowledgement of its SET until
// the entry is gone from memory, idle and while the same connection carries
// tracked reads.
func BenchmarkInvalidationDelay(b *testing.B) {
	for _, load := range []int{0, 50_000} {
		b.Run(fmt.Sprintf("reads=%d", load), func(b *testing.B) { benchDelay(b, load) })
	}
}

func benchDelay(b *testing.B, load int) {
	redis := testkit.Redis(b)
	c := openRedis(b, redis)
	item := NewResource("item", "item", Lifetimes{Stale: time.Minute}, nil)
	stop := make(chan struct{})
	var work sync.WaitGroup
	for range min(load, 64) {
		work.Go(func() { // paced: the load is a rate, not all that fits
			tick := time.NewTicker(time.Second * 64 / time.Duration(load))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-tick.C:
					if _, err := c.Read(b.Context(), item, fmt.Sprintf("item:load:%d", n), nil); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	writer := redis.AdminConn()
	key := []byte("item:1")
	var delays []time.Duration
	for n := 0; b.Loop(); n++ {
		for e, _ := c.Hit(item, key, time.Now()); e == nil; e, _ = c.Hit(item, key, time.Now()) {
			if _, err := c.Read(b.Context(), item, string(key), nil); err != nil {
				b.Fatal(err)
			}
		}
		gone := c.flights.watchKey(string(key))
		writer.Do("SET", string(key), fmt.Sprintf(`{"v":%d}`, n))
		acknowledged := time.Now()
		<-gone.fired // in the step that removes the entry
		delays = append(delays, time.Since(acknowledged))
	}
	close(stop)
	work.Wait()
	slices.Sort(delays)
	at := func(p float64) float64 { return float64(delays[int(p*float64(len(delays)-1))].Nanoseconds()) / 1e3 }
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(at(0.999), "p99.9-µs")
	b.ReportMetric(at(1), "max-µs")
}

// watchKey is woken by the next invalidation of key. Waiting for it leaves the
// processors to those who bring it; looking for the entry in a loop would not.
func (s *Flights) watchKey(key string) *watch {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.watch(key)
}
