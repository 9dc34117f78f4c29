package metrics_test

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"hearth/internal/metrics"
)

var update = flag.Bool("update", false, "write golden files anew")

func parse(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("Prometheus' parser refuses the page: %v\n%s", err, page)
	}
	return families
}

func page(t *testing.T, s *metrics.Set) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFormat(t *testing.T) {
	s := metrics.New("test")
	s.Counter("hearth_requests_total", "Requests answered.",
		metrics.Label{Name: "tier", Value: "redis"}, metrics.Label{Name: "code", Value: "200"}).Add(7)
	s.Counter("hearth_requests_total", "Requests answered.",
		metrics.Label{Name: "code", Value: "200"}, metrics.Label{Name: "tier", Value: "memory"}).Add(math.MaxUint64)
	s.Counter("hearth_plain_total", "Back\\slash and\nnew line and \"quote\".").Inc()
	s.Counter("hearth_odd_total", "Odd values.", metrics.Label{Name: "v", Value: "a\\b\n\"c\"\xff张三"}).Inc()
	s.CounterFunc("hearth_elsewhere_total", "Counted elsewhere.", func() float64 { return 1.5 })
	for name, v := range map[string]float64{"inf": math.Inf(1), "minus_inf": math.Inf(-1), "nan": math.NaN(), "tiny": 1e-9, "big": 1 << 53} {
		s.GaugeFunc("hearth_gauge", "Floats.", func() float64 { return v }, metrics.Label{Name: "v", Value: name})
	}
	h := s.Histogram("hearth_request_seconds", "Time to answer.", metrics.Label{Name: "resource", Value: "user"})
	for _, d := range []time.Duration{0, 512, 513, 1024, time.Millisecond, time.Second, time.Minute} {
		h.Observe(d)
	}

	got := metrics.AppendRegistered(s)
	golden := filepath.Join("testdata", "format.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("page differs from %s (-want +got):\n%s", golden, diff)
	}
	checkFormat(t, parse(t, got))
}

// checkFormat reads the page of TestFormat with Prometheus' own parser.
func checkFormat(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	odd := families["hearth_odd_total"].GetMetric()[0].GetLabel()[0].GetValue()
	if want := "a\\b\n\"c\"\uFFFD张三"; odd != want {
		t.Errorf("label value = %q, want %q", odd, want)
	}
	if got, want := families["hearth_plain_total"].GetHelp(), "Back\\slash and\nnew line and \"quote\"."; got != want {
		t.Errorf("help = %q, want %q", got, want)
	}
	if got := len(families["hearth_requests_total"].GetMetric()); got != 2 {
		t.Errorf("series of hearth_requests_total = %d, want 2", got)
	}
	h := families["hearth_request_seconds"].GetMetric()[0].GetHistogram()
	if got := h.GetSampleCount(); got != 7 {
		t.Errorf("count = %d, want 7", got)
	}
	if got, want := h.GetSampleSum(), 61.001002049; math.Abs(got-want) > 1e-12 {
		t.Errorf("sum = %v, want %v", got, want)
	}
	bounds := metrics.Bounds()
	if got, want := len(h.GetBucket()), len(bounds)+1; got != want {
		t.Fatalf("buckets = %d, want %d", got, want)
	}
	for i, b := range bounds {
		if got, want := h.GetBucket()[i].GetUpperBound(), b.Seconds(); math.Abs(got-want) > 1e-15*float64(b) {
			t.Errorf("bound %d = %v, want %v", i, got, want)
		}
	}
}

func TestRuntimeAndProcess(t *testing.T) {
	runtime.GC()
	s := metrics.New("v1.2.3")
	families := parse(t, page(t, s))
	info := families["hearth_build_info"].GetMetric()[0]
	labels := map[string]string{}
	for _, l := range info.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	want := map[string]string{"version": "v1.2.3", "goversion": runtime.Version()}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("labels of hearth_build_info (-want +got):\n%s", diff)
	}
	for _, name := range []string{
		"go_goroutines", "go_threads", "go_memstats_alloc_bytes", "go_memstats_sys_bytes", "go_memstats_heap_inuse_bytes",
		"go_memstats_next_gc_bytes", "go_memstats_last_gc_time_seconds", "go_gc_gomemlimit_bytes",
		"process_resident_memory_bytes", "process_virtual_memory_bytes",
		"process_open_fds", "process_max_fds", "process_start_time_seconds",
	} {
		if got := families[name].GetMetric(); len(got) != 1 || got[0].GetGauge().GetValue() <= 0 {
			t.Errorf("%s = %v, want one gauge above zero", name, got)
		}
	}
	for _, name := range []string{"process_cpu_seconds_total", "go_memstats_mallocs_total", "go_memstats_alloc_bytes_total"} {
		if got := families[name].GetMetric(); len(got) != 1 || got[0].GetCounter().GetValue() <= 0 {
			t.Errorf("%s = %v, want one counter above zero", name, got)
		}
	}
	gc := families["go_gc_duration_seconds"].GetMetric()[0].GetSummary()
	if gc.GetSampleCount() < 1 || gc.GetSampleSum() <= 0 || len(gc.GetQuantile()) != 5 {
		t.Errorf("go_gc_duration_seconds = %v, want five quantiles, a sum and a count", gc)
	}
	started := families["process_start_time_seconds"].GetMetric()[0].GetGauge().GetValue()
	if age := time.Since(time.Unix(0, int64(started*1e9))); age < 0 || age > time.Hour {
		t.Errorf("process started %v ago, want a moment of this test run", age)
	}
	fds := families["process_open_fds"].GetMetric()[0].GetGauge().GetValue()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := parse(t, page(t, s))["process_open_fds"].GetMetric()[0].GetGauge().GetValue(); got != fds+1 {
		t.Errorf("open descriptors = %v after opening one, want %v", got, fds+1)
	}
}

func TestFamiliesAreSortedAndDescribedOnce(t *testing.T) {
	s := metrics.New("test")
	s.Counter("hearth_z_total", "Z.", metrics.Label{Name: "a", Value: "2"}).Inc()
	s.Counter("hearth_z_total", "Z.", metrics.Label{Name: "a", Value: "1"}).Inc()
	s.Counter("hearth_a_total", "A.").Inc()
	var last string
	seen := map[string]bool{}
	for line := range strings.Lines(string(page(t, s))) {
		name, found := strings.CutPrefix(line, "# TYPE ")
		if !found {
			continue
		}
		name, _, _ = strings.Cut(name, " ")
		if name <= last || seen[name] {
			t.Errorf("family %s comes after %s, want each once and in order", name, last)
		}
		last, seen[name] = name, true
	}
}

func TestSameNameAndLabelsIsTheSameMetric(t *testing.T) {
	s := metrics.New("test")
	a := s.Counter("c_total", "C.", metrics.Label{Name: "x", Value: "1"}, metrics.Label{Name: "y", Value: "2"})
	b := s.Counter("c_total", "C.", metrics.Label{Name: "y", Value: "2"}, metrics.Label{Name: "x", Value: "1"})
	if a != b {
		t.Error("two counters for one name and labels, want one")
	}
	if s.Counter("c_total", "C.") == a {
		t.Error("one counter for different labels, want two")
	}
	h := s.Histogram("h_seconds", "H.")
	if again := s.Histogram("h_seconds", "H."); again != h {
		t.Error("two histograms for one name, want one")
	}
	s.GaugeFunc("g", "G.", func() float64 { return 1 })
	s.GaugeFunc("g", "G.", func() float64 { return 2 })
	if got := parse(t, page(t, s))["g"].GetMetric()[0].GetGauge().GetValue(); got != 2 {
		t.Errorf("gauge = %v, want 2 of the later function", got)
	}
}

func TestBugsPanic(t *testing.T) {
	f := func(name string, register func(s *metrics.Set)) {
		t.Helper()
		defer func() {
			if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: ") {
				t.Errorf("%s: panic %q, want one that begins with BUG:", name, got)
			}
		}()
		s := metrics.New("test")
		s.Counter("c_total", "C.")
		register(s)
	}
	f("other type", func(s *metrics.Set) { s.GaugeFunc("c_total", "C.", nil) })
	f("other help", func(s *metrics.Set) { s.Counter("c_total", "D.") })
	f("function over counter", func(s *metrics.Set) { s.CounterFunc("c_total", "C.", nil) })
	f("counter over function", func(s *metrics.Set) { s.CounterFunc("d_total", "D.", nil); s.Counter("d_total", "D.") })
	f("no name", func(s *metrics.Set) { s.Counter("", "C.") })
	f("bad name", func(s *metrics.Set) { s.Counter("1c", "C.") })
	f("reserved name", func(s *metrics.Set) { s.Counter("go_x_total", "C.") })
	f("bad label", func(s *metrics.Set) { s.Counter("d_total", "D.", metrics.Label{Name: "a-b"}) })
	f("colon label", func(s *metrics.Set) { s.Counter("d_total", "D.", metrics.Label{Name: "a:b"}) })
	f("reserved label", func(s *metrics.Set) { s.Histogram("d_seconds", "D.", metrics.Label{Name: "le"}) })
	f("twice a label", func(s *metrics.Set) {
		s.Counter("d_total", "D.", metrics.Label{Name: "a"}, metrics.Label{Name: "a"})
	})
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteErrorIsReturned(t *testing.T) {
	broken := errors.New("pipe is gone")
	if err := metrics.New("test").WritePrometheus(brokenWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("error = %v, want %v", err, broken)
	}
}
