package audit

import (
	"sync"
	"time"
)

// Tally counts checks. The zero value is ready to use. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	checks [len(Againsts)][len(Results)]int64
	stale  [len(Causes)][Ages]int64
	kept   [len(Againsts)]promise
}

// promise is how often one was found kept.
type promise struct {
	always  counts
	minutes [windowMinutes]minute
}

// minute is the part of one minute; another one's takes its place an hour later.
type minute struct {
	number int64
	counts
}

type counts struct{ checks, broken int64 }

func (c *counts) add(o counts) { c.checks, c.broken = c.checks+o.checks, c.broken+o.broken }

const windowMinutes = 60

// Window is over which time a promise is looked at.
type Window uint8

// The windows.
const (
	Hour  Window = iota // the last hour, to within a minute
	Start               // since the process began
)

// Windows are both.
var Windows = [...]Window{Hour, Start}

func (w Window) String() string { return [...]string{"hour", "start"}[w] }

// Note counts how a check ended at a clock time, in ns.
func (t *Tally) Note(at int64, v Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks[v.Against][v.Result]++
	one := counts{checks: 1}
	switch v.Result {
	case OK:
	case Stale:
		t.stale[v.Cause][v.Age]++
		one.broken = 1
	default:
		return // it says nothing
	}
	if !v.Promised {
		return
	}
	p := &t.kept[v.Against]
	p.always.add(one)
	number := at / int64(time.Minute)
	m := &p.minutes[number%windowMinutes]
	if m.number != number {
		*m = minute{number: number}
	}
	m.add(one)
}

// Checks is how many checks ended so.
func (t *Tally) Checks(a Against, r Result) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checks[a][r]
}

// All is how many checks there were.
func (t *Tally) All(a Against) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ended := range t.checks[a] {
		n += ended
	}
	return n
}

// Stale is how many copies were found stale for a cause at an age.
func (t *Tally) Stale(c Cause, a Age) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stale[c][a]
}

// Standing is what checks say of a promise.
type Standing struct {
	Checks  int64   `json:"checks"`   // that could tell
	Broken  int64   `json:"broken"`   // of them
	AtLeast float64 `json:"at_least"` // share of all answers for which it was kept, with Confidence; 0 without checks
}

// Standing is what the checks of a window say at a clock time, in ns.
func (t *Tally) Standing(at int64, a Against, w Window) Standing {
	t.mu.Lock()
	p := &t.kept[a]
	sum := p.always
	if w == Hour {
		sum = counts{}
		number := at / int64(time.Minute)
		for _, m := range p.minutes {
			if m.number > number-windowMinutes && m.number <= number {
				sum.add(m.counts)
			}
		}
	}
	t.mu.Unlock()
	return Standing{Checks: sum.checks, Broken: sum.broken, AtLeast: AtLeast(sum.checks, sum.broken)}
}

// Summary is all that a Tally has counted, by name.
type Summary struct {
	Checks map[string]map[string]int64            `json:"checks"` // by what was audited, by result
	Stale  map[string]map[string]map[string]int64 `json:"stale"`  // by what was audited, by cause, by age
	Kept   map[string]map[string]Standing         `json:"consistency"`
	Shed   int64                                  `json:"samples_shed"`
}

// Summary is what was counted up to a clock time, in ns.
func (t *Tally) Summary(at int64) Summary {
	s := Summary{Checks: map[string]map[string]int64{}, Stale: map[string]map[string]map[string]int64{}, Kept: map[string]map[string]Standing{}}
	for _, a := range Againsts {
		name := a.String()
		s.Checks[name], s.Stale[name], s.Kept[name] = map[string]int64{}, map[string]map[string]int64{}, map[string]Standing{}
		for _, r := range Results {
			if r.Of(a) {
				s.Checks[name][r.String()] = t.Checks(a, r)
			}
		}
		for _, w := range Windows {
			s.Kept[name][w.String()] = t.Standing(at, a, w)
		}
	}
	for _, c := range Causes {
		byAge := map[string]int64{}
		for age := range Ages {
			byAge[age.String()] = t.Stale(c, age)
		}
		s.Stale[c.Against().String()][c.String()] = byAge
	}
	return s
}
