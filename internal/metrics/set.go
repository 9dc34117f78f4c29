package metrics

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Set is the metrics of one process. All methods are safe for concurrent use.
// Registering is for start and reload: it locks and allocates; what it returns
// is for the hot path. There is no default Set, so that two servers in one
// test do not add up.
type Set struct {
	stripes *stripes
	process *prometheus.Registry // go_* and process_*

	mu       sync.Mutex
	families map[string]*family
}

// family is all series of one name.
type family struct {
	name, help string
	typ        metricType
	known      map[string]collector // by rendered labels
	series     []series             // the same in the order of registering; grows only
}

// series is a collector with its labels: rendered for the page, and in parts for a Snapshot, which
// asks for them each second.
type series struct {
	rendered string
	labels   []Label
	collector
}

// collector writes the lines of one series.
type collector interface {
	appendText(dst []byte, name, labels string) []byte
	readable
}

// function is a number that another package owns, read at each scrape.
type function struct {
	call atomic.Pointer[func() float64]
}

func newFunction(read func() float64) *function {
	f := &function{}
	f.call.Store(&read)
	return f
}

func (f *function) appendText(dst []byte, name, labels string) []byte {
	dst = appendName(dst, name, "", labels, "", "")
	return append(appendFloat(dst, (*f.call.Load())()), '\n')
}

// changing are gauges that come and go, one for each value of a label.
type changing struct {
	label  string
	values func() map[string]float64
}

func (c changing) appendText(dst []byte, name, _ string) []byte {
	all := c.values()
	for _, value := range slices.Sorted(maps.Keys(all)) {
		dst = appendName(dst, name, "", renderLabels(name, []Label{{c.label, value}}), "", "")
		dst = append(appendFloat(dst, all[value]), '\n')
	}
	return dst
}

// New makes an empty Set. Version is the program's, for hearth_build_info.
func New(version string) *Set {
	s := &Set{
		stripes:  newStripes(runtime.GOMAXPROCS(0)),
		process:  prometheus.NewRegistry(),
		families: map[string]*family{},
	}
	s.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.GaugeFunc("hearth_build_info", "The constant 1; its labels say which build is running.",
		func() float64 { return 1 }, Label{"version", version}, Label{"goversion", runtime.Version()})
	return s
}

// Stripe is a hint for AddAt and ObserveAt of this Set's metrics: the stripe
// of the processor that the caller is running on. It stays valid, only less
// useful, when the goroutine moves on.
func (s *Set) Stripe() Stripe { return s.stripes.pick() }

// Counter returns the counter of that name and those labels, and makes it when
// there is none yet. So a component that is built anew at a reload goes on
// counting where its predecessor stopped. By convention the name ends in
// _total. A name that stands for another type or help is a bug and panics.
func (s *Set) Counter(name, help string, labels ...Label) *Counter {
	return register(s, name, help, typeCounter, labels, func() *Counter { return newCounter(s.stripes) })
}

// Histogram is Counter for a histogram. By convention the name ends in
// _seconds.
func (s *Set) Histogram(name, help string, labels ...Label) *Histogram {
	return register(s, name, help, typeHistogram, labels, func() *Histogram { return newHistogram(s.stripes) })
}

// GaugeFunc exports a number that goes up and down. Read is called at each
// scrape, by any goroutine, and must not block. Registering the same name and
// labels again replaces it: after a reload the newest owner answers.
func (s *Set) GaugeFunc(name, help string, read func() float64, labels ...Label) {
	s.registerFunc(name, help, typeGauge, labels, read)
}

// GaugesFunc is GaugeFunc for numbers that come and go, one for each value of label:
// what read returns. The values must be few.
func (s *Set) GaugesFunc(name, help, label string, read func() map[string]float64) {
	register(s, name, help, typeGauge, nil, func() changing { return changing{label, read} })
}

// CounterFunc is GaugeFunc for a number that only grows and is counted
// elsewhere.
func (s *Set) CounterFunc(name, help string, read func() float64, labels ...Label) {
	s.registerFunc(name, help, typeCounter, labels, read)
}

func (s *Set) registerFunc(name, help string, t metricType, labels []Label, read func() float64) {
	f := register(s, name, help, t, labels, func() *function { return newFunction(read) })
	f.call.Store(&read)
}

func register[C collector](s *Set, name, help string, t metricType, labels []Label, build func() C) C {
	key := renderLabels(name, labels)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.familyLocked(name, help, t)
	if old, ok := f.known[key]; ok {
		c, ok := old.(C)
		if !ok {
			panic(fmt.Sprintf("BUG: metric %s{%s} is counted and read from a function", name, key))
		}
		return c
	}
	c := build()
	f.known[key] = c
	f.series = append(f.series, series{key, shown(labels), c})
	return c
}

func (s *Set) familyLocked(name, help string, t metricType) *family {
	f := s.families[name]
	if f == nil {
		checkName(name)
		f = &family{name: name, help: help, typ: t, known: map[string]collector{}}
		s.families[name] = f
	}
	if f.typ != t || f.help != help {
		panic(fmt.Sprintf("BUG: metric %s is registered as %s %q and as %s %q", name, f.typ, f.help, t, help))
	}
	return f
}

// WritePrometheus writes everything registered, and the numbers of the runtime
// and the process, in one Write: families by name, series by labels. The media
// type is ContentType.
func (s *Set) WritePrometheus(w io.Writer) error {
	process, err := s.process.Gather()
	if err != nil {
		return fmt.Errorf("reading the numbers of the process: %w", err)
	}
	families := s.registered()
	for _, f := range process {
		var text bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return fmt.Errorf("writing metric %s: %w", f.GetName(), err)
		}
		families[f.GetName()] = text.Bytes()
	}
	if _, err := w.Write(joinByName(families)); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}

// registered renders what is registered, by name.
func (s *Set) registered() map[string][]byte {
	all := s.index()
	texts := make(map[string][]byte, len(all))
	for _, f := range all {
		text := appendHeader(nil, f.name, f.help, f.typ)
		for _, one := range slices.SortedFunc(slices.Values(f.series), func(a, b series) int { return strings.Compare(a.rendered, b.rendered) }) {
			text = one.appendText(text, f.name, one.rendered)
		}
		texts[f.name] = text
	}
	return texts
}

func joinByName(families map[string][]byte) []byte {
	var page []byte
	for _, name := range slices.Sorted(maps.Keys(families)) {
		page = append(page, families[name]...)
	}
	return page
}
