package protocol

// Result is what became of an exploration.
type Result struct {
	States    int        // how many different ones were reached
	Violation *Violation // the first that was met; nil: the setup holds
	Trace     Trace      // a shortest way to it
}

// Explore walks through all states that can be reached, nearest first, so that
// the way to the first violation is a shortest one.
//
// A state is kept only as a key of the set of those seen. The way to it is kept
// as the number of the state it was reached from and which of the steps there
// it was: a trace is found by taking those steps again.
func (m *Model) Explore() Result {
	initial := m.Initial()
	seen := map[State]struct{}{initial: {}}
	ways := ways{{}}
	var violation *Violation
	level, next := []State{initial}, []State(nil)
	for first := 0; len(level) > 0; level, next = next, level[:0] {
		for i := range level {
			choice := int8(-1)
			m.expand(level[i], func(st Step) {
				choice++
				if violation != nil {
					return
				}
				if seen[st.After] = struct{}{}; len(seen) == len(ways) {
					return // it was there before
				}
				ways = append(ways, way{from: int32(first + i), choice: choice})
				next = append(next, st.After)
				violation = m.Check(st.After)
			})
			if violation != nil {
				return Result{States: len(seen), Violation: violation, Trace: ways.trace(m)}
			}
		}
		first += len(level)
	}
	return Result{States: len(seen)}
}

// way is how a state was reached first.
type way struct {
	from   int32
	choice int8
}

// ways has one for each state, in the order of discovery.
type ways []way

// trace returns the steps to the state discovered last.
func (w ways) trace(m *Model) Trace {
	var choices []int8
	for n := int32(len(w) - 1); n > 0; n = w[n].from {
		choices = append(choices, w[n].choice)
	}
	t := Trace{Model: m, Start: m.Initial()}
	at := t.Start
	for i := len(choices) - 1; i >= 0; i-- {
		step := m.Next(at, nil)[choices[i]]
		t.Steps = append(t.Steps, step)
		at = step.After
	}
	return t
}
