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
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// BenchmarkGrowth shows what a hit costs and what an entry weighs as memory fills: 100-byte
// values at 10 thousand and, in the long form, 100 thousand, 1, 5 and 20 million entries,
// while one writer replaces 100,000 of them per second. It needs 4 GB. Beside ns/op it
// reports per entry
//
//	resident-B    what the kernel says that the process takes, wherever it lies
//	counted-B     what the store says of itself
//	heap-B        what of it the collector knows, and objects that it has to mark
//
// and
//
//	gc-%          share of the processor time that the collector takes, one collection included
//	p99-ns        of single hits, with one reading of the clock, and p99.99
//	p99-ratio     to that of a store of 100 thousand entries, hits on which are interleaved
//	              with them, both being written to while they are read
//	kept-%        how much stays resident once the budget is made the smallest one
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000}
	if testkit.Long() {
		sizes = append(sizes, 100_000, 1_000_000, 5_000_000, 20_000_000)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchGrowth(b, n) })
	}
}

// grown is a store with as many entries.
type grown struct {
	s     *Store
	o     *Owner
	sh    *Shape
	n     int
	value []byte
	slow  []time.Duration // single hits
}

func grow(n int) *grown {
	g := &grown{s: New(Config{Budget: 64 << 30, MissingShare: 0.05, LinkTimeout: testTimeout}), sh: NewShape("user"), n: n}
	g.o = g.s.NewOwner(true)
	g.value = []byte(`{"v":"` + strings.Repeat("x", 92) + `"}`)
	g.slow = make([]time.Duration, 0, 2<<20)
	for i := range n {
		g.put(i)
	}
	return g
}

func (g *grown) put(i int) {
	e := g.s.NewKept(g.sh, "user:"+strconv.Itoa(i), g.value, 0)
	g.s.Keep(e, g.o, g.o.Epoch(), g.s.Now()+int64(time.Hour), Never)
}

// hit is one hit as a connection has it: found and copied under a pin.
func (g *grown) hit(buf []byte) ([]byte, bool) {
	buf = strconv.AppendInt(append(buf[:0], "user:"...), int64(rand.IntN(g.n)), 10)
	began := time.Now()
	pin := g.s.Pin(0)
	v, _ := g.s.Look(g.sh, buf, began)
	if !v.Found() {
		pin.Release()
		return buf, false
	}
	head, data, tail, _ := v.Parts(g.sh)
	buf = v.AppendETag(append(append(append(buf[:0], head...), data...), tail...))
	pin.Release()
	if len(g.slow) < cap(g.slow) {
		g.slow = append(g.slow, time.Since(began))
	}
	return buf, true
}

// write replaces 100,000 entries a second of whichever store is read, until stop.
func write(now *atomic.Pointer[grown], stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			for range 100 {
				g := now.Load()
				g.put(rand.IntN(g.n))
			}
		}
	}
}

func benchGrowth(b *testing.B, n int) {
	reference := grow(100_000)
	before := measure()
	g := grow(n)
	after, counted := measure(), g.s.Sizes().Bytes

	var churn sync.WaitGroup
	stop, now := make(chan struct{}), atomic.Pointer[grown]{}
	now.Store(g)
	churn.Go(runtime.GC) // at this rate of change large heaps collect once a minute: let one fall into the measurement
	churn.Go(func() { write(&now, stop) })
	began := cpu()
	buf, i := make([]byte, 0, 256), 0
	b.ResetTimer()
	for b.Loop() {
		if i++; i%32_768 == 0 { // a few tens of milliseconds each
			now.Store(map[*grown]*grown{g: reference, reference: g}[now.Load()])
		}
		var found bool
		if buf, found = now.Load().hit(buf); !found {
			b.Fatal("an entry is not in memory")
		}
	}
	b.StopTimer()
	close(stop)
	churn.Wait()
	runtime.GC() // the runtime sums up its times at the end of a cycle
	ended := cpu()

	perEntry := func(v int64, unit string) { b.ReportMetric(float64(v)/float64(n), unit) }
	perEntry(after.resident-before.resident, "resident-B/entry")
	perEntry(counted, "counted-B/entry")
	perEntry(after.heap-before.heap, "heap-B/entry")
	perEntry(after.objects-before.objects, "objects/entry")
	if ended.total > began.total {
		b.ReportMetric(100*(ended.gc-began.gc)/(ended.total-began.total), "gc-%")
	}
	p99 := percentile(g.slow, 9900)
	b.ReportMetric(p99, "p99-ns")
	b.ReportMetric(percentile(g.slow, 9999), "p99.99-ns")
	if len(reference.slow) > 0 {
		b.ReportMetric(p99/percentile(reference.slow, 9900), "p99-ratio")
	}
	g.s.Resize(1<<20, 0.05)
	b.ReportMetric(100*float64(measure().resident-before.resident)/float64(after.resident-before.resident), "kept-%")
	runtime.KeepAlive(reference)
}

// percentile sorts and gives the share in hundredths of a percent.
func percentile(all []time.Duration, share int) float64 {
	slices.Sort(all)
	return float64(all[len(all)*share/10_000])
}

// taken is what the process takes.
type taken struct{ resident, heap, objects int64 }

// measure says what is taken after a collection, once the heap's free pages are given back.
func measure() taken {
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
	return taken{pages * int64(os.Getpagesize()), int64(m.HeapAlloc), int64(m.HeapObjects)}
}

// spent is seconds of processor time.
type spent struct{ gc, total float64 }

// cpu returns the seconds spent collecting, and in all but idling.
func cpu() spent {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	return spent{s[0].Value.Float64(), s[1].Value.Float64() - s[2].Value.Float64()}
}
