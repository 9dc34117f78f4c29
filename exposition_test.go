package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// A strict reader of the Prometheus text format, version 0.0.4. Prometheus
// itself forgives much of what is refused here, other scrapers do not.

// exposed is one family of metrics as a page of /metrics has it.
type exposed struct {
	name, help, kind string
	samples          []sample
}

type sample struct {
	name   string
	labels []label // in the order of the page
	value  float64
}

type label struct{ name, value string }

// without returns the sample's labels but one, as text.
func (s sample) without(name string) string {
	var b strings.Builder
	for _, l := range s.labels {
		if l.name != name {
			fmt.Fprintf(&b, "%s=%q,", l.name, l.value)
		}
	}
	return b.String()
}

func (s sample) label(name string) (string, bool) {
	i := slices.IndexFunc(s.labels, func(l label) bool { return l.name == name })
	if i < 0 {
		return "", false
	}
	return s.labels[i].value, true
}

// labelNames are the names of the labels of a family's series, sorted, without
// those of the format. All series have to have the same.
func (f *exposed) labelNames() []string {
	var names []string
	for _, l := range f.samples[0].labels {
		if l.name != "le" && l.name != "quantile" {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	return names
}

var (
	metricName = regexp.MustCompile(`\A[a-zA-Z_:][a-zA-Z0-9_:]*\z`)
	sampleLine = regexp.MustCompile(`\A([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\z`)
	labelPair  = regexp.MustCompile(`\A([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"`)
	helpText   = regexp.MustCompile(`\A(?:[^\\]|\\[\\n])+\z`)
)

// parseExposition reads a page, and returns its families in their order.
func parseExposition(page string) ([]*exposed, error) {
	if !utf8.ValidString(page) {
		return nil, errors.New("it is not UTF-8")
	}
	if !strings.HasSuffix(page, "\n") {
		return nil, errors.New("its last line has no end")
	}
	var all []*exposed
	known := map[string]bool{}
	for number, line := range strings.Split(strings.TrimSuffix(page, "\n"), "\n") {
		var now *exposed
		if len(all) > 0 {
			now = all[len(all)-1]
		}
		var err error
		switch name, text, _ := strings.Cut(strings.TrimPrefix(line, "# HELP "), " "); {
		case strings.HasPrefix(line, "# HELP "):
			if known[name] {
				err = fmt.Errorf("a second HELP of %s", name)
			} else if !metricName.MatchString(name) || !helpText.MatchString(text) {
				err = errors.New("no HELP")
			}
			known[name] = true
			all = append(all, &exposed{name: name, help: text})
		case now == nil:
			err = errors.New("no HELP before it")
		case strings.HasPrefix(line, "# TYPE "):
			err = now.readType(strings.TrimPrefix(line, "# TYPE "))
		default:
			err = now.readSample(line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", number+1, line, err)
		}
	}
	for _, f := range all {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return all, nil
}

func (f *exposed) readType(text string) error {
	name, kind, _ := strings.Cut(text, " ")
	switch {
	case name != f.name || f.kind != "" || len(f.samples) > 0:
		return errors.New("TYPE belongs behind the HELP of its family")
	case !slices.Contains([]string{"counter", "gauge", "histogram", "summary"}, kind):
		return fmt.Errorf("no type: %q", kind)
	}
	f.kind = kind
	return nil
}

func (f *exposed) readSample(line string) error {
	parts := sampleLine.FindStringSubmatch(line)
	if parts == nil {
		return errors.New("no sample")
	}
	if f.kind == "" {
		return errors.New("a sample before the TYPE of its family")
	}
	s := sample{name: parts[1]}
	for rest := parts[2]; rest != ""; {
		pair := labelPair.FindStringSubmatch(rest)
		if pair == nil {
			return fmt.Errorf("no label: %q", rest)
		}
		if _, twice := s.label(pair[1]); twice || strings.HasPrefix(pair[1], "__") {
			return fmt.Errorf("a label that may not be there: %q", pair[1])
		}
		s.labels = append(s.labels, label{pair[1], strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(pair[2])})
		rest = rest[len(pair[0]):]
		if rest != "" && (rest[0] != ',' || rest == ",") {
			return fmt.Errorf("no comma between labels: %q", rest)
		}
		rest = strings.TrimPrefix(rest, ",")
	}
	value, err := strconv.ParseFloat(parts[3], 64)
	if err != nil || strings.ContainsAny(parts[3], "xXpP_") {
		return fmt.Errorf("no number: %q", parts[3])
	}
	s.value = value
	f.samples = append(f.samples, s)
	return nil
}

// check holds a family against what its type promises.
func (f *exposed) check() error {
	if len(f.samples) == 0 {
		return errors.New("it has no samples")
	}
	seen := map[string]bool{}
	for _, s := range f.samples {
		names := (&exposed{samples: []sample{s}}).labelNames()
		if !slices.Equal(names, f.labelNames()) {
			return fmt.Errorf("one series has the labels %q, another one %q", f.labelNames(), names)
		}
		key := s.name + "{" + s.without("") + "}"
		if seen[key] {
			return fmt.Errorf("twice the series %s", key)
		}
		seen[key] = true
		_, le := s.label("le")
		_, quantile := s.label("quantile")
		counts := f.kind == "counter" || f.kind == "histogram"
		switch suffix := strings.TrimPrefix(s.name, f.name); {
		case !strings.HasPrefix(s.name, f.name),
			(f.kind == "counter" || f.kind == "gauge") && suffix != "",
			f.kind == "histogram" && suffix != "_bucket" && suffix != "_sum" && suffix != "_count",
			f.kind == "summary" && suffix != "" && suffix != "_sum" && suffix != "_count":
			return fmt.Errorf("the sample %s is none of a %s", s.name, f.kind)
		case le != (f.kind == "histogram" && suffix == "_bucket"), quantile != (f.kind == "summary" && suffix == ""):
			return fmt.Errorf("the sample %s has labels of another type", s.name)
		case counts && (math.IsNaN(s.value) || s.value < 0):
			return fmt.Errorf("a count of %v", s.value)
		}
	}
	if f.kind == "counter" && !strings.HasSuffix(f.name, "_total") {
		return errors.New("the name of a counter ends in _total")
	}
	if f.kind == "histogram" {
		return f.checkHistogram()
	}
	return nil
}

// checkHistogram wants each series complete, its buckets in order and each at
// least as full as the one before.
func (f *exposed) checkHistogram() error {
	type series struct {
		bound, full float64
		sum, count  *float64
	}
	all := map[string]*series{}
	for _, s := range f.samples {
		key := s.without("le")
		h := all[key]
		if h == nil {
			h = &series{bound: math.Inf(-1)}
			all[key] = h
		}
		switch s.name {
		case f.name + "_sum":
			h.sum = &s.value
		case f.name + "_count":
			h.count = &s.value
		default:
			text, _ := s.label("le")
			bound, err := strconv.ParseFloat(text, 64)
			if err != nil || bound <= h.bound {
				return fmt.Errorf("bucket le=%q of {%s} does not follow %v", text, key, h.bound)
			}
			if s.value < h.full {
				return fmt.Errorf("bucket le=%q of {%s} holds %v, less than the one before it", text, key, s.value)
			}
			h.bound, h.full = bound, s.value
		}
	}
	for key, h := range all {
		if !math.IsInf(h.bound, 1) || h.sum == nil || h.count == nil || *h.count != h.full {
			return fmt.Errorf("{%s} lacks the bucket +Inf, _sum, or a _count that agrees", key)
		}
	}
	return nil
}

// TestExpositionIsReadStrictly shows that the reader can refuse.
func TestExpositionIsReadStrictly(t *testing.T) {
	const head = "# HELP a_total A.\n# TYPE a_total counter\n"
	const histogram = "# HELP h H.\n# TYPE h histogram\n"
	good := func(page string) {
		t.Helper()
		if _, err := parseExposition(page); err != nil {
			t.Errorf("%q: %v", page, err)
		}
	}
	bad := func(page, want string) {
		t.Helper()
		if _, err := parseExposition(page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", page, err, want)
		}
	}
	good(head + "a_total{x=\"a\\\\b\\\"c\\nd{}, \"} 1\na_total{x=\"\"} 2.5e3\n")
	good(histogram + "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n")
	good("# HELP g G \\\\ \\n.\n# TYPE g gauge\ng NaN\n")
	good("# HELP s S.\n# TYPE s summary\ns{quantile=\"0\"} 1\ns_sum 1\ns_count 2\n")
	bad(head+"a_total 1", "no end")
	bad(head+"a_total \xff\n", "UTF-8")
	bad("a_total 1\n", "no HELP")
	bad("# HELP a_total A.\na_total 1\n", "before the TYPE")
	bad(head, "no samples")
	bad(head+"\na_total 1\n", "no sample")
	bad(head+"# a comment\na_total 1\n", "no sample")
	bad(head+"a_total 1 1700000000\n", "no sample")
	bad(head+"a_total 1\n"+head+"a_total 1\n", "second HELP")
	bad(head+"a_total 1\n# TYPE a_total counter\n", "TYPE belongs")
	bad("# HELP a_total A.\n# TYPE b_total counter\n", "TYPE belongs")
	bad("# HELP a A.\n# TYPE a thing\na 1\n", "no type")
	bad("# HELP a \\x\n# TYPE a gauge\na 1\n", "no HELP")
	bad("# HELP a\n# TYPE a gauge\na 1\n", "no HELP")
	bad(head+"a_total 1\na_total 1\n", "twice")
	bad(head+"a_total{x=\"1\"} 1\na_total{y=\"1\"} 1\n", "another one")
	bad(head+"a_total{x=\"1\",x=\"2\"} 1\n", "may not be there")
	bad(head+"a_total{__x=\"1\"} 1\n", "may not be there")
	bad(head+"a_total{x=\"\\t\"} 1\n", "no label")
	bad(head+"a_total{x=\"1\" y=\"1\"} 1\n", "no comma")
	bad(head+"a_total{x=\"1\",} 1\n", "no comma")
	bad(head+"a_total{x=1} 1\n", "no label")
	bad(head+"a_total -1\n", "a count of")
	bad(head+"a_total NaN\n", "a count of")
	bad(head+"a_total 0x1p3\n", "no number")
	bad(head+"a_total one\n", "no number")
	bad(head+"b_total 1\n", "none of a counter")
	bad(head+"a_total{le=\"1\"} 1\n", "labels of another type")
	bad("# HELP a A.\n# TYPE a counter\na 1\n", "ends in _total")
	bad(histogram+"h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 1\n", "agrees")
	bad(histogram+"h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", "lacks the bucket")
	bad(histogram+"h_bucket{le=\"+Inf\"} 2\nh_count 2\n", "lacks")
	bad(histogram+"h_bucket{le=\"2\"} 2\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", "does not follow")
	bad(histogram+"h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", "less than the one before")
	bad(histogram+"h_bucket 2\nh_sum 1\nh_count 2\n", "labels of another type")
}
