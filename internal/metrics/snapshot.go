package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// Snapshot is what the series of a Set stood at, read one after the other: of two of them the
// later one may know of a request of which the earlier does not, as on a page of
// WritePrometheus.
type Snapshot struct{ families map[string][]reading }

// reading is one series. Value is the sum of a histogram in seconds.
type reading struct {
	labels  []Label
	value   float64
	buckets []uint64 // of a histogram, not cumulated; see Bounds
}

// readable is a collector that tells numbers without rendering them.
type readable interface {
	read(dst []reading, labels []Label) []reading
}

func (c *Counter) read(dst []reading, labels []Label) []reading {
	return append(dst, reading{labels: labels, value: float64(c.Value())})
}

func (f *function) read(dst []reading, labels []Label) []reading {
	return append(dst, reading{labels: labels, value: (*f.call.Load())()})
}

func (c changing) read(dst []reading, _ []Label) []reading {
	for value, n := range c.values() {
		dst = append(dst, reading{labels: shown([]Label{{c.label, value}}), value: n})
	}
	return dst
}

func (h *Histogram) read(dst []reading, labels []Label) []reading {
	all := h.load()
	return append(dst, reading{labels: labels, value: h.Sum().Seconds(), buckets: all[:]})
}

// Snapshot reads everything registered, and the numbers of the runtime and the process. It
// costs a fraction of WritePrometheus, since nothing is rendered.
func (s *Set) Snapshot() (Snapshot, error) {
	process, err := s.process.Gather()
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading the numbers of the process: %w", err)
	}
	all := map[string][]reading{}
	for _, f := range s.index() {
		readings := make([]reading, 0, len(f.series))
		for _, one := range f.series {
			readings = one.read(readings, one.labels)
		}
		all[f.name] = readings
	}
	for _, f := range process {
		for _, m := range f.GetMetric() {
			if v, ok := plainValue(f.GetType(), m); ok && len(m.GetLabel()) == 0 {
				all[f.GetName()] = []reading{{value: v}}
			}
		}
	}
	return Snapshot{all}, nil
}

// plainValue is the number of a counter or gauge.
func plainValue(t dto.MetricType, m *dto.Metric) (v float64, ok bool) {
	switch t {
	case dto.MetricType_COUNTER:
		return m.GetCounter().GetValue(), true
	case dto.MetricType_GAUGE:
		return m.GetGauge().GetValue(), true
	}
	return 0, false
}

// index is a copy of the index, so that functions which read numbers run without the lock. What
// it has of series is theirs alone: later ones are appended behind that.
func (s *Set) index() []family {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]family, 0, len(s.families))
	for _, f := range s.families {
		all = append(all, *f)
	}
	return all
}

// Sum adds up those series of a name on the page that have the labels; a value that ends with
// "*" stands for all that begin so. A name that is not there is 0, and NaN counts for nothing.
func (s Snapshot) Sum(name string, labels ...Label) (sum float64) {
	add := func(r reading) {
		if !math.IsNaN(r.value) {
			sum += r.value
		}
	}
	if base, found := strings.CutSuffix(name, "_count"); found && s.families[base] != nil {
		name, add = base, func(r reading) {
			for _, n := range r.buckets {
				sum += float64(n)
			}
		}
	} else if base, found := strings.CutSuffix(name, "_sum"); found && s.families[base] != nil {
		name = base
	}
	s.each(name, labels, add)
	return sum
}

// Buckets adds up the buckets of those series of a histogram that have the labels, not
// cumulated; nil if there is none. The caller owns them.
func (s Snapshot) Buckets(name string, labels ...Label) (sum []uint64) {
	s.each(name, labels, func(r reading) {
		if sum == nil {
			sum = make([]uint64, len(r.buckets))
		}
		for i, n := range r.buckets {
			sum[i] += n
		}
	})
	return sum
}

// By is the sum of a metric by the value of one label.
func (s Snapshot) By(name, label string) map[string]float64 {
	all := map[string]float64{}
	for _, r := range s.families[name] {
		if value, ok := labelOf(r.labels, label); ok {
			all[value] += r.value
		}
	}
	return all
}

func (s Snapshot) each(name string, labels []Label, f func(reading)) {
	for _, r := range s.families[name] {
		if hasAll(r.labels, labels) {
			f(r)
		}
	}
}

func hasAll(there, wanted []Label) bool {
	for _, l := range wanted {
		value, ok := labelOf(there, l.Name)
		prefix, open := strings.CutSuffix(l.Value, "*")
		if !ok || value != l.Value && !(open && strings.HasPrefix(value, prefix)) {
			return false
		}
	}
	return true
}

// labelOf finds the value of a label.
func labelOf(there []Label, name string) (value string, ok bool) {
	for _, l := range there {
		if l.Name == name {
			return l.Value, true
		}
	}
	return "", false
}

// shown are labels as the page shows their values.
func shown(labels []Label) []Label {
	all := slices.Clone(labels)
	for i := range all {
		all[i].Value = strings.ToValidUTF8(all[i].Value, "\uFFFD")
	}
	return all
}
