package protocol

// The change feed. Whoever changes the record in the database leaves a row in the outbox,
// in the same transaction: so the row can be read when the commit is visible, and not
// earlier. A row is named after the process whose commit it tells of, which commits once.
// There may be several drainers at a time, and one that has stood still for long goes on
// where it was.

// committing begins the step in which process n commits, and leaves its row.
func (x expansion) committing(a Act, n int, to Phase) Step {
	st := x.advance(a, n, to)
	st.Version = x.s.DB + 1
	st.After.DB = st.Version
	st.After.Processes[n].Value = st.Version
	if x.m.fed && x.m.Rules.Tell != TellEarly {
		st.After.Outbox |= 1 << n
	}
	return st
}

// kept is what stays known of a commit when its process has ended: the feed tells of it.
func (m *Model) kept(v Version) Version {
	if m.fed {
		return v
	}
	return NoVersion
}

// markOwn marks the record that writer n has just put in the key, in the same step: the
// feed will tell of that write by its token, which is no reason to remove the record.
func (x expansion) markOwn(s *State, n int, content Content) {
	put := content.State == Value
	if x.m.fed && (x.m.Rules.Mark == MarkAlways || put && x.m.Rules.Mark != MarkNothing) {
		*s.mark(x.m.Processes[n].Instance) = uint8(n + 1)
	}
}

// drainer emits the steps of a feed: read, outdate, take out.
func (x expansion) drainer(n int) {
	p, i := x.s.Processes[n], x.m.Processes[n].Instance
	if !x.m.asks(x.s, i) {
		return
	}
	row := int(p.Saw.Tag)
	switch p.Phase {
	case Idle:
		for _, row := range members(x.m.readable(&x.s, n)) {
			st := x.ofRow(ReadsRow, n, row, Draining)
			if x.m.Rules.Find == FindBehind {
				st.After.Processes[n].Value = Version(row)
			}
			if x.m.Rules.Take == TakeFirst {
				st.After.Outbox &^= 1 << row
			}
			x.emit(st)
		}
		x.replay(n, i)
	case Draining:
		x.outdate(n, i, row)
	case Told:
		st := x.ofRow(TakesRowOut, n, row, Idle)
		st.After.Processes[n].Saw, st.After.Processes[n].Value = Content{}, p.Value
		x.takeOut(&st.After, row, uint8(p.Saw.Version) < x.s.Promotions)
		x.emit(st)
	}
}

// readable is what drainer n may read.
func (m *Model) readable(s *State, n int) uint8 {
	if last := s.Processes[n].Value; m.Rules.Find == FindBehind && last != NoVersion {
		return s.Outbox >> (last + 1) << (last + 1)
	}
	return s.Outbox
}

// drained tells whether no drainer has anything to do any more.
func (m *Model) drained(s *State) bool {
	left := uint8(0)
	for n, p := range m.Processes {
		if p.Role == Drainer {
			left |= m.readable(s, n)
		}
	}
	return left == 0 && m.replayed(s)
}

// ofRow begins a step that a drainer takes for a row.
func (x expansion) ofRow(a Act, n, row int, to Phase) Step {
	st := x.advance(a, n, to)
	st.Content.Tag = uint8(row)
	st.After.Processes[n].Saw.Tag = uint8(row)
	return st
}

// outdate is one script: a guard of others stays, marked as shared, and anything else
// goes. What the row's own writer has put stays, and so does its guard as it is.
func (x expansion) outdate(n, i, row int) {
	rules := x.m.Rules
	if rules.Replicate == ReplicateAll && x.s.Instances[i].Standing == Behind {
		return // WAIT counts a replica less once one is promoted
	}
	st := x.ofRow(Outdates, n, row, Told)
	st.After.Processes[n].Value = x.s.Processes[n].Value
	st.After.Processes[n].Saw.Version = x.served(i)
	s, r := &st.After, x.s.at(i)
	v := x.s.Processes[row].Value
	if rules.Outdate != OutdateLeavesSibling {
		*s.sibling(i) = NoProcess
	}
	own := x.m.Processes[row].Role == Writer && rules.Mark != MarkNothing && (!x.m.Faults.Deferred || rules.Mark == MarkDeferred)
	mark := int(*s.mark(i)) - 1
	switch {
	case mark >= 0 && (own && mark == row || rules.Mark == MarkBelieved):
		*s.mark(i) = 0
		st.Spared = true
	case own && r.guardedBy(row) && (r.State == SharedGuard || r == GuardOf(false, row)):
	case r.IsGuard() && rules.Outdate == OutdateLeavesGuards:
	case r.IsGuard() && rules.Outdate != OutdateDeletes:
		r.State = SharedGuard
		s.write(i, r)
	case r.State != Nothing:
		s.write(i, Content{})
	}
	if !st.Spared {
		x.m.poison(s, i)
	}
	x.m.remember(s, i)
	if v != NoVersion {
		s.Acked = max(s.Acked, v)
	}
	if rules.Await == AwaitNothing {
		x.emit(st)
		return
	}
	x.replicated(st, i)
}

// takeOut takes the row out of the outbox that was read, and no other. former tells that
// its step was done at a former master.
func (x expansion) takeOut(s *State, row int, former bool) {
	switch {
	case x.m.Rules.Take == TakeAll:
		s.Outbox = 0
	case x.m.Rules.Rows == RowsRenumbered && s.Outbox != 0 && s.Outbox&(1<<row) == 0:
		s.Outbox &= s.Outbox - 1 // another one that has its number
	default:
		s.Outbox &^= 1 << row
	}
	switch {
	case x.m.Rules.Kept == KeptNot:
	case former:
		s.Lost |= 1 << row
	default:
		s.Kept |= 1 << row
	}
}

// served is the number of the promotion that made the server of instance i the master.
func (x expansion) served(i int) Version {
	if x.s.Instances[i].Standing == Behind {
		return Version(x.s.Promotions) - 1
	}
	return Version(x.s.Promotions)
}

// replayed tells whether all is done again that has to be.
func (x expansion) replayed() bool { return x.m.replayed(&x.s) }

func (m *Model) replayed(s *State) bool {
	if m.Rules.Kept == KeptOnce {
		return s.Replayed == s.Promotions
	}
	return s.Lost == 0
}

// replay does again what was kept, when another server answers, or the same one with
// less than it had.
func (x expansion) replay(n, i int) {
	if x.s.Instances[i].Standing != Settled || x.replayed() {
		return
	}
	st := x.step(ReplaysKept, n)
	st.After.Outbox |= x.s.Lost
	st.After.Lost, st.After.Replayed = 0, x.s.Promotions
	x.emit(st)
}
