package protocol

import "fmt"

// Invariant is one of the promises that every state has to keep.
type Invariant uint8

// The invariants, in the order in which they are looked at.
const (
	// Agreement (I1): with nothing under way and no placeholder left, Redis
	// holds nothing, the database's value, or what a foreign SET put there.
	Agreement Invariant = iota + 1
	// SharedTier (I2): a value in Redis is never older than the last
	// acknowledged write.
	SharedTier
	// ReadYourWrites (I3): on the instance that acknowledged a write neither
	// memory nor a flight that a reader may join offers anything older.
	ReadYourWrites
	// OnTheWire (I4): on any other instance the same, except while an
	// invalidation is on its way there.
	OnTheWire
	// MemoryAgreement (I5): with nothing under way and empty channels, memory holds
	// nothing or what Redis holds.
	MemoryAgreement
	// Woken (I6): a reader that waits for the end of a placeholder, and relies on being
	// told, is told.
	Woken
	// ReadVersions (I7): a reader that brings the version of a write is answered with
	// nothing older, on any instance.
	ReadVersions
)

func (i Invariant) String() string { return fmt.Sprintf("I%d", uint8(i)) }

// Violation is an invariant that a state breaks.
type Violation struct {
	Invariant Invariant
	Text      string
}

func (v *Violation) Error() string { return fmt.Sprintf("%v: %s", v.Invariant, v.Text) }

// Check returns the first invariant that s breaks, nil if there is none.
func (m *Model) Check(s State) *Violation {
	calm := !m.fed || m.drained(&s)
	for n := range m.Processes {
		calm = calm && s.Processes[n].Phase.resting()
	}
	if v := m.checkVersions(s); v != nil {
		return v
	}
	for i := range s.Instances {
		in := s.Instances[i]
		calm = calm && in.Standing != Behind && in.Standing != Arrived
		if v := m.checkServer(s, i); v != nil && !m.AtRest {
			return v
		}
	}
	if v := s.Redis.Version; s.Redis.State == Value && calm && v != s.DB {
		return &Violation{Agreement, fmt.Sprintf("Redis keeps %d, the database has %d", v, s.DB)}
	}
	for i := range s.Instances {
		in := s.Instances[i]
		if !in.lives() {
			continue
		}
		if v := m.checkOffers(s, i); v != nil && !m.AtRest {
			return v
		}
		if v := m.checkWaits(s, i); v != nil {
			return v
		}
		if !calm || in.queued > 0 || in.Memory == NoVersion {
			continue
		}
		if r := s.Redis; r.State == Nothing || r.IsValue() && in.Memory != r.memory() {
			return &Violation{MemoryAgreement, fmt.Sprintf("memory of instance %d keeps %s, Redis holds %s", i, describeMemory(in.Memory), m.Describe(r))}
		}
	}
	return nil
}

// checkServer looks at what a read of instance i that began now would find at its server.
// A change of masters excuses all others but the instance that has acknowledged: one that
// has not learned of it cannot know better, and one that holds marks its answers.
func (m *Model) checkServer(s State, i int) *Violation {
	in, c := s.Instances[i], s.at(i)
	if c.State != Value || !m.asks(s, i) {
		return nil
	}
	switch v := c.Version; {
	case v < s.Acked && in.Standing == Settled && !in.Holds:
		return &Violation{SharedTier, fmt.Sprintf("Redis answers %d after %d was acknowledged", v, s.Acked)}
	case v < in.AckedHere:
		return &Violation{ReadYourWrites, fmt.Sprintf("instance %d: Redis answers %d after %d was acknowledged there", i, v, in.AckedHere)}
	}
	return nil
}

// checkOffers looks at all that a read which began now could be answered with
// on instance i without asking Redis for the value.
func (m *Model) checkOffers(s State, i int) *Violation {
	in := s.Instances[i]
	o := offers{here: in.AckedHere, acked: s.Acked, excused: s.Acked}
	if in.Standing != Settled || in.Holds {
		o.acked, o.excused = in.AckedHere, in.AckedHere
	}
	for _, msg := range in.channel {
		if msg.Type == Invalidation {
			o.excused = min(o.excused, msg.Content.Version)
		}
	}
	if in.Memory >= 0 || in.Memory == NilVersion {
		if v := o.judge(i, "memory", in.Memory, o.excused); v != nil {
			return v
		}
	}
	always := m.Rules.Join == JoinAlways
	for _, msg := range in.channel {
		open := msg.Type == Replied && msg.Content.State == Value && (s.Processes[msg.Process].Flight == Open || always)
		if !open {
			continue
		}
		if v := o.judge(i, "a read in flight", msg.Content.Version, o.excused); v != nil {
			return v
		}
	}
	for n := range m.Processes {
		if m.Processes[n].Instance != i {
			continue
		}
		p := s.Processes[n]
		if m.joinable(s, n) {
			least := o.excused
			if m.Rules.Join == JoinByToken { // a reader that joins has asked Redis since it began: nothing excuses it
				least = o.acked
			}
			if v := o.judge(i, "a load in flight", p.Value, least); v != nil {
				return v
			}
		}
		if v := m.checkShared(s, n, o); v != nil {
			return v
		}
		if p.Phase == Passing && m.Rules.Pass == PassSameGuard && s.at(i) == p.Saw {
			if v := o.judge(i, "a pass of the guard", p.Value, o.acked); v != nil {
				return v
			}
		}
	}
	return nil
}

// joinable tells whether a reader may wait for what process n has loaded.
func (m *Model) joinable(s State, n int) bool {
	p := s.Processes[n]
	if m.Processes[n].Role != Reader || p.Phase != Filling || !m.asks(s, m.Processes[n].Instance) {
		return false
	}
	switch m.Rules.Join {
	case JoinByToken:
		return s.at(m.Processes[n].Instance) == LeaseOf(n)
	case JoinAlways:
		return true
	}
	return p.Flight == Open
}

// offers are judged by what had been acknowledged when the oldest invalidation
// under way was sent: until it arrives, this instance cannot know better.
type offers struct{ here, acked, excused Version }

func (o offers) judge(i int, what string, v, least Version) *Violation {
	if v < o.here {
		return &Violation{ReadYourWrites, fmt.Sprintf("instance %d: %s offers %d after %d was acknowledged there", i, what, v, o.here)}
	}
	if v < least {
		return &Violation{OnTheWire, fmt.Sprintf("instance %d: %s offers %d after %d was acknowledged, no invalidation on the way", i, what, v, o.acked)}
	}
	return nil
}
