package protocol

import "slices"

// Result is what became of an exploration.
type Result struct {
	States    int        // how many different ones were reached
	Violation *Violation // the first that was met; nil: the setup holds
	Trace     Trace      // a shortest way to it
}

// Explore walks through all states that can be reached, nearest first, so that
// the way to the first violation is a shortest one.
func (m *Model) Explore() Result {
	found := search(m.Initial(), func(s State, emit func(State)) {
		m.expand(s, func(st Step) { emit(st.After) })
	}, m.Check)
	r := Result{States: found.states, Violation: found.violation}
	if r.Violation == nil {
		return r
	}
	r.Trace = Trace{Model: m, Start: m.Initial()}
	at := r.Trace.Start
	for _, choice := range found.choices {
		step := m.Next(at, nil)[choice]
		r.Trace.Steps = append(r.Trace.Steps, step)
		at = step.After
	}
	return r
}

// found is what a search has found: how many states, and which of the steps lead from
// the first one to a violation.
type found struct {
	states    int
	violation *Violation
	choices   []int8
}

// search walks through all states that expand leads to from start, nearest first, until
// check finds a violation.
//
// A state is kept only as a key of the set of those seen. The way to it is kept
// as the number of the state it was reached from and which of the steps there
// it was: a trace is found by taking those steps again.
func search[S comparable](start S, expand func(S, func(S)), check func(S) *Violation) found {
	seen := map[S]struct{}{start: {}}
	ways := ways{{}}
	var violation *Violation
	level, next := []S{start}, []S(nil)
	for first := 0; len(level) > 0; level, next = next, level[:0] {
		for i := range level {
			choice := int8(-1)
			expand(level[i], func(s S) {
				choice++
				if violation != nil {
					return
				}
				if seen[s] = struct{}{}; len(seen) == len(ways) {
					return // it was there before
				}
				ways = append(ways, way{from: int32(first + i), choice: choice})
				next = append(next, s)
				violation = check(s)
			})
			if violation != nil {
				return found{len(seen), violation, ways.toLast()}
			}
		}
		first += len(level)
	}
	return found{states: len(seen)}
}

// way is how a state was reached first.
type way struct {
	from   int32
	choice int8
}

// ways has one for each state, in the order of discovery.
type ways []way

// toLast returns the steps to the state discovered last.
func (w ways) toLast() []int8 {
	var choices []int8
	for n := int32(len(w) - 1); n > 0; n = w[n].from {
		choices = append(choices, w[n].choice)
	}
	slices.Reverse(choices)
	return choices
}
