package metrics

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

const buildInfoName = "hearth_build_info"

// buildInfo is the constant 1 whose labels say what is running.
func buildInfo(version string) family {
	labels := renderLabels(buildInfoName, []Label{{"version", version}, {"goversion", runtime.Version()}})
	return family{
		name: buildInfoName, help: "The constant 1; its labels say which build is running.", kind: kindGauge,
		series: map[string]collector{labels: number(1)},
	}
}

// number is a value known already.
type number float64

func (n number) appendText(dst []byte, name, labels string) []byte {
	dst = appendName(dst, name, "", labels, "", "")
	return append(appendFloat(dst, float64(n)), '\n')
}

func single(name, help string, k kind, v float64) family {
	return family{name: name, help: help, kind: k, series: map[string]collector{"": number(v)}}
}

// runtimeMetric derives one family from samples of runtime/metrics: the sum of
// those named.
type runtimeMetric struct {
	name, help string
	kind       kind
	samples    []string
}

// runtimeMetrics lists the families under the names that Prometheus' own Go
// client gave them, because published dashboards ask for those. runtime/metrics
// is read instead of runtime.MemStats since the latter stops the world.
func runtimeMetrics() []runtimeMetric {
	const heap, meta = "/memory/classes/heap/", "/memory/classes/metadata/"
	return []runtimeMetric{
		{"go_goroutines", "Goroutines that exist.", kindGauge, []string{"/sched/goroutines:goroutines"}},
		{"go_threads", "Threads of the operating system that the runtime made.", kindGauge, []string{"/sched/threads/total:threads"}},
		{"go_sched_gomaxprocs_threads", "GOMAXPROCS: threads that run Go code at a time.", kindGauge, []string{"/sched/gomaxprocs:threads"}},
		{"go_gc_gogc_percent", "GOGC, the heap growth that starts a collection.", kindGauge, []string{"/gc/gogc:percent"}},
		{"go_gc_gomemlimit_bytes", "GOMEMLIMIT, the memory limit of the runtime.", kindGauge, []string{"/gc/gomemlimit:bytes"}},
		{"go_memstats_alloc_bytes", "Bytes in heap objects, live or not yet swept.", kindGauge, []string{heap + "objects:bytes"}},
		{"go_memstats_alloc_bytes_total", "Bytes allocated for heap objects since the start.", kindCounter, []string{"/gc/heap/allocs:bytes"}},
		{"go_memstats_sys_bytes", "Bytes obtained from the system.", kindGauge, []string{"/memory/classes/total:bytes"}},
		{"go_memstats_mallocs_total", "Heap objects allocated since the start.", kindCounter, []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
		{"go_memstats_frees_total", "Heap objects freed since the start.", kindCounter, []string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
		{"go_memstats_heap_alloc_bytes", "Bytes in heap objects, live or not yet swept.", kindGauge, []string{heap + "objects:bytes"}},
		{"go_memstats_heap_sys_bytes", "Heap bytes obtained from the system.", kindGauge, []string{heap + "objects:bytes", heap + "unused:bytes", heap + "released:bytes", heap + "free:bytes"}},
		{"go_memstats_heap_idle_bytes", "Heap bytes in spans without objects.", kindGauge, []string{heap + "released:bytes", heap + "free:bytes"}},
		{"go_memstats_heap_inuse_bytes", "Heap bytes in spans with objects.", kindGauge, []string{heap + "objects:bytes", heap + "unused:bytes"}},
		{"go_memstats_heap_released_bytes", "Heap bytes given back to the system.", kindGauge, []string{heap + "released:bytes"}},
		{"go_memstats_heap_objects", "Heap objects, live or not yet swept.", kindGauge, []string{"/gc/heap/objects:objects"}},
		{"go_memstats_stack_inuse_bytes", "Bytes in stacks of goroutines.", kindGauge, []string{heap + "stacks:bytes"}},
		{"go_memstats_stack_sys_bytes", "Stack bytes obtained from the system.", kindGauge, []string{heap + "stacks:bytes", "/memory/classes/os-stacks:bytes"}},
		{"go_memstats_mspan_inuse_bytes", "Bytes of mspan structures in use.", kindGauge, []string{meta + "mspan/inuse:bytes"}},
		{"go_memstats_mspan_sys_bytes", "Bytes of mspan structures obtained from the system.", kindGauge, []string{meta + "mspan/inuse:bytes", meta + "mspan/free:bytes"}},
		{"go_memstats_mcache_inuse_bytes", "Bytes of mcache structures in use.", kindGauge, []string{meta + "mcache/inuse:bytes"}},
		{"go_memstats_mcache_sys_bytes", "Bytes of mcache structures obtained from the system.", kindGauge, []string{meta + "mcache/inuse:bytes", meta + "mcache/free:bytes"}},
		{"go_memstats_buck_hash_sys_bytes", "Bytes of the profiler's hash table.", kindGauge, []string{"/memory/classes/profiling/buckets:bytes"}},
		{"go_memstats_gc_sys_bytes", "Bytes of the collector's metadata.", kindGauge, []string{meta + "other:bytes"}},
		{"go_memstats_other_sys_bytes", "Bytes of other allocations of the runtime.", kindGauge, []string{"/memory/classes/other:bytes"}},
		{"go_memstats_next_gc_bytes", "Heap size at which the next collection ends.", kindGauge, []string{"/gc/heap/goal:bytes"}},
	}
}

// runtimeFamilies reads the runtime's numbers. A sample that this version of
// Go does not have is left out rather than written as zero.
func runtimeFamilies() []family {
	wanted := runtimeMetrics()
	var samples []metrics.Sample
	for _, m := range wanted {
		for _, name := range m.samples {
			samples = append(samples, metrics.Sample{Name: name})
		}
	}
	metrics.Read(samples)
	var all []family
	for _, m := range wanted {
		v, ok := 0.0, true
		for _, s := range samples[:len(m.samples)] {
			ok = ok && s.Value.Kind() == metrics.KindUint64
			if ok {
				v += float64(s.Value.Uint64())
			}
		}
		samples = samples[len(m.samples):]
		if ok {
			all = append(all, single(m.name, m.help, m.kind, v))
		}
	}
	return append(all, pauses()...)
}

// pauses are the collector's. They come from debug.ReadGCStats, which costs a
// lock and no stop of the world, because the histogram of runtime/metrics
// lacks the sum.
func pauses() []family {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	last := 0.0
	if stats.NumGC > 0 {
		last = seconds(uint64(stats.LastGC.UnixNano()))
	}
	version := renderLabels("go_info", []Label{{"version", runtime.Version()}})
	return []family{
		{name: "go_gc_duration_seconds", help: "Pauses of garbage collections.", kind: kindSummary,
			series: map[string]collector{"": gcPauses(stats)}},
		{name: "go_info", help: "The constant 1; its label is the version of Go.", kind: kindGauge,
			series: map[string]collector{version: number(1)}},
		single("go_memstats_last_gc_time_seconds", "When the last collection ended, in seconds since 1970.", kindGauge, last),
	}
}

// gcPauses writes the summary: minimum, quartiles and maximum of the recent
// pauses, sum and count of all.
type gcPauses debug.GCStats

func (p gcPauses) appendText(dst []byte, name, labels string) []byte {
	for i, q := range p.PauseQuantiles {
		at := strconv.FormatFloat(float64(i)/float64(len(p.PauseQuantiles)-1), 'g', -1, 64)
		dst = appendName(dst, name, "", labels, "quantile", at)
		dst = append(appendFloat(dst, q.Seconds()), '\n')
	}
	dst = appendName(dst, name, "_sum", labels, "", "")
	dst = append(appendFloat(dst, p.PauseTotal.Seconds()), '\n')
	dst = appendName(dst, name, "_count", labels, "", "")
	return append(strconv.AppendInt(dst, p.NumGC, 10), '\n')
}
