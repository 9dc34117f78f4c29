// Package doctor judges the surroundings of a server: whether Redis, the database, the machine
// and the balancer in front are set up as docs/operations.md asks for, and what to change.
//
// It judges facts that others have gathered, so that each rule can be tried with facts that no
// machine at hand has. A rule says what was found, what is wanted, and why that matters at three
// in the morning; one that cannot be judged says so, and is no fault.
package doctor

import (
	"cmp"
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level string

// The levels. Only a Fault has the program end with 1: what is served would be wrong, refused or
// lost with it. A Warning costs speed or safety under load or failure.
const (
	OK      Level = "ok"
	Unknown Level = "unknown" // could not be looked at
	Warning Level = "warning"
	Fault   Level = "fault"
)

// Finding is what one look has come to.
type Finding struct {
	Level   Level  `json:"level"`
	About   string `json:"about"`          // a server, a file, the machine
	Setting string `json:"setting"`        // as docs/operations.md names it
	Found   string `json:"found"`          // "" where there is nothing to see
	Change  string `json:"change"`         // what to do; "" for OK
	Why     string `json:"why,omitempty"`  // it matters
	Page    string `json:"page,omitempty"` // part of the manual that says more
}

// Findings are all of them.
type Findings []Finding

func (f *Findings) add(x Finding) { *f = append(*f, x) }

// judge adds OK, or what is wrong.
func (f *Findings) judge(ok bool, x Finding) {
	if ok {
		x.Level, x.Change, x.Why = OK, "", ""
	}
	f.add(x)
}

// Sort puts what is worst first, and keeps the order otherwise.
func (f Findings) Sort() {
	rank := []Level{Fault, Warning, Unknown, OK}
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Compare(slices.Index(rank, a.Level), slices.Index(rank, b.Level))
	})
}

// Worst is the worst level among the findings.
func (f Findings) Worst() Level {
	worst := OK
	for _, level := range []Level{Unknown, Warning, Fault} {
		if slices.ContainsFunc(f, func(x Finding) bool { return x.Level == level }) {
			worst = level
		}
	}
	return worst
}

// bytes is a size for people.
func bytes(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
