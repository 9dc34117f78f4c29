package memory

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// BenchmarkGrowth shows what a hit costs and what an entry weighs as memory
// fills: 100-byte values at 10 thousand and, in the long form, 1 and 5 million
// entries, while one writer keeps replacing them. Beside ns/op it reports live
// and resident bytes per entry, objects per entry, the 99th percentile of
// single hits, and the share of CPU time spent collecting garbage.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000}
	if testkit.Long() {
		sizes = append(sizes, 1_000_000, 5_000_000)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchGrowth(b, n) })
	}
}

func benchGrowth(b *testing.B, n int) {
	before, objects, resident := heap()
	s := New(Config{Budget: 64 << 30, MissingShare: 0.05, LinkTimeout: testTimeout})
	o, sh := s.NewOwner(true), NewShape("user")
	value := []byte(`{"v":"` + strings.Repeat("x", 92) + `"}`)
	put := func(i int) {
		e := NewEntry(sh, "user:"+strconv.Itoa(i), value, 0)
		s.Keep(e, o, o.Epoch(), s.Now()+int64(time.Hour), Never)
	}
	for i := range n {
		put(i)
	}
	after, objectsNow, residentNow := heap()
	counted := s.Sizes().Bytes

	stop := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(runtime.GC) // at this rate of change large heaps collect once a minute: let one fall into the measurement
	churn.Go(func() {    // about 100,000 replacements a second
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for range 100 {
					put(rand.IntN(n))
				}
			}
		}
	})
	gc, total := cpu()
	var slow []time.Duration
	key := make([]byte, 0, 32)
	b.ResetTimer()
	for b.Loop() {
		key = strconv.AppendInt(append(key[:0], "user:"...), int64(rand.IntN(n)), 10)
		began := time.Now()
		if e, _ := s.Hit(sh, key, began); e == nil {
			b.Fatalf("%q is not in memory", key)
		}
		if len(slow) < 4<<20 {
			slow = append(slow, time.Since(began))
		}
	}
	b.StopTimer()
	close(stop)
	churn.Wait()
	runtime.GC() // the runtime sums up its times at the end of a cycle
	gcNow, totalNow := cpu()
	perEntry := func(v int64, unit string) { b.ReportMetric(float64(v)/float64(n), unit) }
	perEntry(after-before, "live-B/entry")
	perEntry(residentNow-resident, "resident-B/entry")
	perEntry(objectsNow-objects, "objects/entry")
	perEntry(counted, "counted-B/entry")
	if totalNow > total {
		b.ReportMetric(100*(gcNow-gc)/(totalNow-total), "gc-%")
	}
	slices.Sort(slow)
	b.ReportMetric(float64(slow[len(slow)*99/100]), "p99-ns")
	b.ReportMetric(float64(slow[len(slow)*9999/10000]), "p99.99-ns")
	runtime.KeepAlive(s)
}

// heap returns live bytes and objects after a collection, and what is resident
// once the rest has been given back.
func heap() (live, objects, resident int64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		panic(err)
	}
	return int64(m.HeapAlloc), int64(m.HeapObjects), pages * int64(os.Getpagesize())
}

// cpu returns the seconds spent collecting, and in all but idling.
func cpu() (gc, total float64) {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64(), s[1].Value.Float64() - s[2].Value.Float64()
}
