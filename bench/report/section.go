package report

import (
	"fmt"
	"io"
	"time"
)

// Section is what a report says of one scenario. It is used by one goroutine.
type Section struct {
	Title  string
	Missed int // bounds

	lines []string
}

// Figure notes what was measured.
func (s *Section) Figure(name, format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("  %-26s %s", name, fmt.Sprintf(format, args...)))
}

// Bound notes whether a bound was held.
func (s *Section) Bound(held bool, format string, args ...any) {
	mark := "ok  "
	if !held {
		mark = "MISS"
		s.Missed++
	}
	s.lines = append(s.lines, "  "+mark+" "+fmt.Sprintf(format, args...))
}

// Times notes quantiles of a class of answers.
func (s *Section) Times(name string, l *Latencies) {
	s.Figure(name, "p50 %v, p99 %v, longest %v", Brief(l.Quantile(0.5)), Brief(l.Quantile(0.99)), Brief(l.Longest))
}

// Print writes the section, after an empty line.
func (s *Section) Print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n", s.Title)
	for _, line := range s.lines {
		fmt.Fprintln(out, line)
	}
}

// Brief is a time with as many digits as say something.
func Brief(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for unit < d/1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// Ratio is how many times longer one time is than another.
func Ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
