package protocol

import "fmt"

// Share is which readers may wait for a plain read that another has begun. Nobody tells
// when it is out of date: it is not tracked.
type Share uint8

const (
	// ShareBefore is those that came before it was sent: none, once it is under way.
	ShareBefore Share = iota
	// ShareUntilWritten is all, until an own write. Other instances write, too.
	ShareUntilWritten
	// ShareUntilTold is all, until an own write or an invalidation, which comes if another
	// read has had the key tracked.
	ShareUntilTold
	// ShareAlways is all.
	ShareAlways
	// ShareLeases is all, but for what they wait for: by the lease that it has met they
	// join the load.
	ShareLeases
)

// Wait is what a reader does before it waits for a placeholder that a plain read has met.
type Wait uint8

const (
	// WaitTracked reads it once more, tracked: so the reader is told when it goes.
	WaitTracked Wait = iota
	// WaitAtOnce relies on being told without that.
	WaitAtOnce
	// WaitIfTracked relies on it if the key is tracked already. The invalidation may have
	// overtaken the reply.
	WaitIfTracked
	// WaitByTime looks again by a timer, plainly. It holds as well, at the price of a read
	// for each look.
	WaitByTime
)

// readPlain sends one GET. Its reply comes on a connection of its own: in no order with
// what the tracked one tells.
func (x expansion) readPlain(n, i int) {
	st := x.advance(ReadsPlain, n, Asking)
	st.Content = x.s.at(i)
	st.After.Processes[n].Saw = st.Content
	if x.m.Rules.Share != ShareBefore {
		st.After.Processes[n].Flight = Open
	}
	x.emit(st)
}

// takePlainReply answers with a value, and keeps nothing.
func (x expansion) takePlainReply(n, i int) {
	found, to := x.s.Processes[n].Saw, Done
	switch {
	case found.State == Nothing:
		to = Acquiring
	case !found.IsValue():
		to = x.afterPlaceholder(i)
	}
	st := x.advance(TakesPlainReply, n, to)
	st.Content = found
	if to == Waiting && x.m.Rules.Wait != WaitByTime {
		st.After.Processes[n].Flight = Open
	}
	if found.IsValue() && x.keepsPlain(i) {
		st.After.Instances[i].Memory = found.memory()
	}
	x.emit(st)
}

// afterPlaceholder is how a plain read goes on that has met a placeholder.
func (x expansion) afterPlaceholder(i int) Phase {
	switch x.m.Rules.Wait {
	case WaitTracked:
		return Following
	case WaitIfTracked:
		if !x.s.Instances[i].Tracked {
			return Following
		}
	}
	return Waiting
}

// keepsPlain tells whether memory keeps what a plain read has brought.
func (x expansion) keepsPlain(i int) bool {
	in := &x.s.Instances[i]
	if x.m.Rules.Reply == ReplyOfPlain {
		for _, msg := range in.Channel() {
			if msg.Type == Replied && x.s.Processes[msg.Process].Flight == Open {
				return true
			}
		}
	}
	return x.m.Rules.Keep == KeepPlain || x.m.Rules.Keep == KeepPlainTracked && in.Tracked
}

// wake lets those look again that wait on instance i, which has just been told of a change.
func (x expansion) wake(s *State, i int) {
	if !x.m.watched {
		return
	}
	for n := range x.m.Processes {
		p := &s.Processes[n]
		if told := p.Phase == Waiting || p.Phase == Asking && x.m.Rules.Share == ShareUntilTold; told && x.isReaderAt(n, i) {
			p.Flight = NoFlight
		}
	}
}

// checkWaits looks at the readers of instance i that rely on being told: what they wait for
// stands and is tracked, or an invalidation is on its way.
func (m *Model) checkWaits(s State, i int) *Violation {
	in, c := &s.Instances[i], s.at(i)
	if !m.watched || in.isTold() || in.Tracked && (c.State == Lease || c.IsGuard()) {
		return nil
	}
	for n, p := range m.Processes {
		if p.Role == Reader && p.Instance == i && s.Processes[n].Phase == Waiting && s.Processes[n].Flight == Open {
			return &Violation{Woken, fmt.Sprintf("%s waits on instance %d, and nobody will tell it", p.Name, i)}
		}
	}
	return nil
}

// checkShared looks at what a reader would get from the plain read of process n, if it came
// now and might join it.
func (m *Model) checkShared(s State, n int, o offers) *Violation {
	p, rule := s.Processes[n], m.Rules.Share
	if p.Phase != Asking || rule == ShareBefore || p.Flight != Open && rule != ShareAlways {
		return nil
	}
	i := m.Processes[n].Instance
	switch {
	case p.Saw.State == Value && rule != ShareLeases:
		return o.judge(i, "a plain read in flight", p.Saw.Version, o.excused)
	case p.Saw.State == Lease:
		k := int(p.Saw.Tag)
		if load := s.Processes[k]; m.Processes[k].Instance == i && load.Phase == Filling && load.Flight != Poisoned {
			return o.judge(i, "a load that a plain read has met", load.Value, o.acked)
		}
	}
	return nil
}

// describePlain prints the replies to plain reads that are on their way to instance i.
func (m *Model) describePlain(s *State, i int) (text string) {
	for n, p := range m.Processes {
		if p.Instance == i && s.Processes[n].Phase == Asking {
			text += fmt.Sprintf(" <~ %s to %s", m.Describe(s.Processes[n].Saw), p.Name)
		}
	}
	return text
}
