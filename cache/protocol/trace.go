package protocol

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
)

// Trace is one order of events.
type Trace struct {
	Model *Model
	Start State
	Steps []Step
}

// String has a line for each step: what happens, and what there is then in the
// database, in Redis and in each memory, with what is on the way to it.
func (t Trace) String() string {
	var b strings.Builder
	line := func(what string, s *State) { fmt.Fprintf(&b, "    %-48s %s\n", what, t.Model.DescribeState(s)) }
	line("start", &t.Start)
	for i := range t.Steps {
		line(t.Model.DescribeStep(&t.Steps[i]), &t.Steps[i].After)
	}
	return b.String()
}

// Walk takes up to most steps at random and stops earlier where nothing is
// possible any more. weight says how often a step is taken in relation to the
// others that are possible in the same state, 0 for never; nil treats all
// alike. The same rng walks the same way.
func (m *Model) Walk(rng *rand.Rand, most int, weight func(State, *Step) int) Trace {
	t := Trace{Model: m, Start: m.Initial()}
	at := t.Start
	var steps []Step
	for range most {
		steps = m.Next(at, steps[:0])
		k := choose(rng, at, steps, weight)
		if k < 0 {
			break
		}
		t.Steps = append(t.Steps, steps[k])
		at = steps[k].After
	}
	return t
}

// choose returns the place of one of the steps, -1 if none may be taken.
func choose(rng *rand.Rand, at State, steps []Step, weight func(State, *Step) int) int {
	sums, sum := make([]int, len(steps)), 0
	for i := range steps {
		w := 1
		if weight != nil {
			w = weight(at, &steps[i])
		}
		sum += w
		sums[i] = sum
	}
	if sum == 0 {
		return -1
	}
	return sort.SearchInts(sums, 1+rng.IntN(sum))
}
