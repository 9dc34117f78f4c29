package protocol

import "fmt"

// Versions is what a reader takes for new enough that brings the version of a write.
type Versions struct {
	Count CountVersion
	Token Token
}

// CountVersion is which reads count for a reader that brings a version.
type CountVersion uint8

const (
	// CountSentSince is those that were sent since the version was first seen on the
	// instance: its own, and what memory has from such a one.
	CountSentSince CountVersion = iota
	// CountMemory is also whatever memory has: the invalidation may be on the wire.
	CountMemory
	// CountJoined is also a read that is on the wire already.
	CountJoined
	// CountArrived is also what memory has from a reply that came since, whenever its read
	// was sent.
	CountArrived
)

// Token is when a version is given out.
type Token uint8

const (
	// TokenAcknowledged is with the acknowledgement: the guard is out.
	TokenAcknowledged Token = iota
	// TokenCommitted is with the commit. A guard that was lost has let somebody fill the key from
	// before it, until it is taken out.
	TokenCommitted
)

// versed emits the steps of a reader that brings a version, and has nothing under way.
func (x expansion) versed(n, i int) {
	in := &x.s.Instances[i]
	if in.Demand == 0 {
		if v := x.given(); v > 0 {
			st := x.advance(BringsVersion, n, Idle)
			st.Version = v
			after := &st.After.Instances[i]
			after.Demand, after.Dated = v, false
			for k := range x.m.Processes {
				if x.isReaderAt(k, i) && x.s.Processes[k].Phase == Reading && x.m.Rules.Versions.Count != CountArrived {
					after.Early |= 1 << k
				}
			}
			x.emit(st)
		}
		return
	}
	if x.hasOpenWrite(i) {
		x.pass(PassesOpenWrite, n)
		return
	}
	if in.Memory != NoVersion && (in.Dated || x.m.Rules.Versions.Count == CountMemory) {
		x.answerVersed(n, i, AnswersMemory, in.Memory)
		return
	}
	if x.m.Rules.Versions.Count == CountJoined {
		for _, msg := range in.Channel() {
			if msg.Type == Replied && msg.Content.IsValue() && x.s.Processes[msg.Process].Flight == Open {
				x.answerVersed(n, i, JoinsRead, msg.Content.memory())
			}
		}
	}
	x.readTracked(n, i)
}

// given is the newest version that a client can have.
func (x expansion) given() Version {
	v := x.s.Acked
	if x.m.Rules.Versions.Token == TokenCommitted {
		for n := range x.m.Processes {
			if p := x.s.Processes[n]; x.m.Processes[n].Role == Writer && (p.Phase == Committed || p.Phase == Confirmed) {
				v = max(v, p.Value)
			}
		}
	}
	return v
}

func (x expansion) answerVersed(n, i int, a Act, v Version) {
	st := x.advance(a, n, Done)
	st.Version = v
	x.answered(&st.After, n, v)
	x.emit(st)
}

// answered notes that process n was answered with v. What a foreign SET brought is promised to
// nobody.
func (x expansion) answered(s *State, n int, v Version) {
	if p := x.m.Processes[n]; p.Versed && (v >= 0 || v == NilVersion) && v < s.Instances[p.Instance].Demand {
		s.Instances[p.Instance].Short = true
	}
}

// checkVersions looks at what readers were answered that brought a version.
func (m *Model) checkVersions(s State) *Violation {
	for i := range s.Instances {
		if in := &s.Instances[i]; in.Short {
			return &Violation{ReadVersions, fmt.Sprintf("instance %d has answered a reader that brought version %d with an older one", i, in.Demand)}
		}
	}
	return nil
}
