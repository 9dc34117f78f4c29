package main

import (
	"fmt"
	"io"
	"time"
)

// section is what the report says of one scenario. It is used by one goroutine.
type section struct {
	title  string
	lines  []string
	missed int // bounds
}

// figure notes what was measured.
func (s *section) figure(name, format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("  %-26s %s", name, fmt.Sprintf(format, args...)))
}

// bound notes whether a bound was held.
func (s *section) bound(held bool, format string, args ...any) {
	mark := "ok  "
	if !held {
		mark = "MISS"
		s.missed++
	}
	s.lines = append(s.lines, "  "+mark+" "+fmt.Sprintf(format, args...))
}

// times notes quantiles of a class of answers.
func (s *section) times(name string, l *latencies) {
	s.figure(name, "p50 %v, p99 %v, longest %v", brief(l.quantile(0.5)), brief(l.quantile(0.99)), brief(l.worst))
}

func (s *section) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n", s.title)
	for _, line := range s.lines {
		fmt.Fprintln(out, line)
	}
}

// brief is a time with as many digits as say something.
func brief(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for unit < d/1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// ratio is how many times longer one time is than another.
func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// tiers notes where answers came from, and those that had no record.
func (s *section) tiers(t *tally) {
	text := ""
	for i, n := range t.ok {
		if n > 0 {
			text += fmt.Sprintf("%d %s, ", n, tierNames[i])
		}
	}
	text += fmt.Sprintf("%d refused, %d failed", t.refused, t.failed)
	if t.absent > 0 {
		text += fmt.Sprintf(", %d absent", t.absent)
	}
	s.figure("answers", "%s", text)
}
