package metrics

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Set is the metrics of one process. All methods are safe for concurrent use.
// Registering is for start and reload: it locks and allocates; what it returns
// is for the hot path. There is no default Set, so that two servers in one
// test do not add up.
type Set struct {
	stripes *stripes
	process *process
	version string

	mu       sync.Mutex
	families map[string]*family
}

// family is all series of one name.
type family struct {
	name, help string
	kind       kind
	series     map[string]collector // by rendered labels
}

// kind is the word after # TYPE.
type kind string

const (
	kindCounter   kind = "counter"
	kindGauge     kind = "gauge"
	kindHistogram kind = "histogram"
	kindSummary   kind = "summary"
)

// collector writes the lines of one series.
type collector interface {
	appendText(dst []byte, name, labels string) []byte
}

// readFunc is a number that another package owns, read at each scrape.
type readFunc func() float64

func (f readFunc) appendText(dst []byte, name, labels string) []byte {
	dst = appendName(dst, name, "", labels, "", "")
	return append(appendFloat(dst, f()), '\n')
}

// New makes an empty Set. Version is the program's, for hearth_build_info.
func New(version string) *Set {
	return &Set{
		stripes:  newStripes(runtime.GOMAXPROCS(0)),
		process:  openProcess(),
		version:  version,
		families: map[string]*family{},
	}
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
	return register(s, name, help, kindCounter, labels, func() *Counter { return newCounter(s.stripes) })
}

// Histogram is Counter for a histogram. By convention the name ends in
// _seconds.
func (s *Set) Histogram(name, help string, labels ...Label) *Histogram {
	return register(s, name, help, kindHistogram, labels, func() *Histogram { return newHistogram(s.stripes) })
}

// GaugeFunc exports a number that goes up and down. Read is called at each
// scrape, by any goroutine, and must not block. Registering the same name and
// labels again replaces it: after a reload the newest owner answers.
func (s *Set) GaugeFunc(name, help string, read func() float64, labels ...Label) {
	s.registerFunc(name, help, kindGauge, labels, read)
}

// CounterFunc is GaugeFunc for a number that only grows and is counted
// elsewhere.
func (s *Set) CounterFunc(name, help string, read func() float64, labels ...Label) {
	s.registerFunc(name, help, kindCounter, labels, read)
}

func (s *Set) registerFunc(name, help string, k kind, labels []Label, read readFunc) {
	key := renderLabels(name, labels)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.familyLocked(name, help, k)
	if old, ok := f.series[key]; ok {
		if _, ok := old.(readFunc); !ok {
			panic(fmt.Sprintf("BUG: metric %s{%s} is counted and read from a function", name, key))
		}
	}
	f.series[key] = read
}

func register[C collector](s *Set, name, help string, k kind, labels []Label, build func() C) C {
	key := renderLabels(name, labels)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.familyLocked(name, help, k)
	if old, ok := f.series[key]; ok {
		c, ok := old.(C)
		if !ok {
			panic(fmt.Sprintf("BUG: metric %s{%s} is counted and read from a function", name, key))
		}
		return c
	}
	c := build()
	f.series[key] = c
	return c
}

func (s *Set) familyLocked(name, help string, k kind) *family {
	f := s.families[name]
	if f == nil {
		checkName(name)
		f = &family{name: name, help: help, kind: k, series: map[string]collector{}}
		s.families[name] = f
	}
	if f.kind != k || f.help != help {
		panic(fmt.Sprintf("BUG: metric %s is registered as %s %q and as %s %q", name, f.kind, f.help, k, help))
	}
	return f
}

// WritePrometheus writes everything registered, the Go runtime's and the
// process's own numbers in one Write: families by name, series by labels. The
// media type is ContentType.
func (s *Set) WritePrometheus(w io.Writer) error {
	all := append(s.registered(), buildInfo(s.version))
	all = append(all, runtimeFamilies()...)
	all = append(all, s.process.families()...)
	if _, err := w.Write(appendFamilies(nil, all)); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}

// registered copies the index, so that functions which read numbers run
// without the lock and may take their time or register.
func (s *Set) registered() []family {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]family, 0, len(s.families))
	for _, f := range s.families {
		c := *f
		c.series = maps.Clone(f.series)
		all = append(all, c)
	}
	return all
}

func appendFamilies(dst []byte, all []family) []byte {
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	for _, f := range all {
		dst = appendHeader(dst, f.name, f.help, f.kind)
		for _, labels := range slices.Sorted(maps.Keys(f.series)) {
			dst = f.series[labels].appendText(dst, f.name, labels)
		}
	}
	return dst
}
