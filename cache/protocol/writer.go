package protocol

// writer emits the steps of a writer: guard, commit, unguard, acknowledgement.
func (x expansion) writer(n int) {
	p := x.s.Processes[n]
	switch p.Phase {
	case Idle:
		x.setGuard(n)
	case Guarded:
		x.commit(n)
	case Doubt:
		st := x.committing(CommitsLate, n, Dead)
		st.After.Processes[n].Value = x.m.kept(st.Version)
		x.emit(st)
	case Sent, Unanswered:
		x.awaitOutcome(n)
	case Resolved:
		x.removeGuard(n)
	case Unguarded:
		x.acknowledge(n)
	case Committed:
		if x.m.Rules.Drop == DropBefore {
			st := x.advance(DropsCopy, n, Dropped)
			st.After.Processes[n].Value = p.Value
			x.m.poison(&st.After, x.m.Processes[n].Instance)
			x.emit(st)
			return
		}
		x.removeGuard(n)
	case Dropped:
		x.removeGuard(n)
	case Confirmed:
		x.acknowledge(n)
	}
}

// setGuard: a writer joins a guard it finds and replaces anything else. What its own
// instance has in memory or in flight is from before the write.
func (x expansion) setGuard(n int) {
	i := x.m.Processes[n].Instance
	if !x.m.asks(x.s, i) || x.m.Rules.Replicate == ReplicateAll && x.s.Instances[i].Standing == Behind {
		return // WAIT counts a replica less once one is promoted
	}
	var others uint8
	if r := x.s.at(i); r.IsGuard() && x.m.Rules.Unguard <= UnguardDeletes {
		others = r.Tag
	}
	guard := GuardOf(others != 0, n)
	guard.Tag |= others
	st := x.advance(SetsGuard, n, Guarded)
	if x.m.Rules.Drop != DropBefore {
		x.m.poison(&st.After, i)
	}
	st.After.write(i, guard)
	*st.After.sibling(i) = NoProcess
	if x.m.Rules.Mark == MarkAtGuard && x.m.fed {
		*st.After.mark(i) = uint8(n + 1)
	}
	x.m.remember(&st.After, i)
	x.replicated(st, i)
}

// commit: it commits, or finds that its guard is gone and rolls back, or dies
// with the COMMIT under way.
func (x expansion) commit(n int) {
	x.emit(x.committing(Commits, n, Committed))
	if i := x.m.Processes[n].Instance; x.m.asks(x.s, i) && !x.s.at(i).guardedBy(n) {
		x.emit(x.advance(Aborts, n, Committed))
	}
	switch x.m.Faults.Commit {
	case CommitAtOnce:
	case CommitUnanswered:
		x.emit(x.advance(SendsCommit, n, Sent))
	default:
		x.emit(x.advance(DiesInCommit, n, Doubt))
	}
}

// awaitOutcome: the database commits at any time, or not at all. Until the writer
// hears of it, or learns it by asking, the guard has to stand.
func (x expansion) awaitOutcome(n int) {
	p := x.s.Processes[n]
	to := func(a Act, phase Phase) Step {
		st := x.advance(a, n, phase)
		st.After.Processes[n].Value = p.Value
		return st
	}
	if p.Value == NoVersion {
		x.emit(x.committing(CommitLands, n, p.Phase))
	}
	if p.Phase == Sent {
		x.emit(to(HearsOutcome, Committed))
		st := to(LosesAnswer, Unanswered)
		x.m.poison(&st.After, x.m.Processes[n].Instance)
		x.emit(st)
	} else {
		x.emit(to(LearnsOutcome, Resolved))
	}
	switch x.m.Rules.Renew {
	case RenewUntilKnown, RenewApart, RenewAlone:
		if i := x.m.Processes[n].Instance; x.m.asks(x.s, i) && !x.s.at(i).guardedBy(n) {
			st := x.step(SetsGuardAnew, n)
			x.setAnew(&st.After, n)
			x.emit(st)
		}
	}
}

// setAnew sets a guard that was lost behind a COMMIT. What stands in its place may have
// been filled from before that.
func (x expansion) setAnew(s *State, n int) {
	i := x.m.Processes[n].Instance
	guard := GuardOf(x.m.Rules.Renew != RenewAlone, n)
	if r := s.at(i); r.IsGuard() {
		guard.State = SharedGuard
		guard.Tag |= r.Tag
	}
	x.m.poison(s, i)
	s.write(i, guard)
	*s.sibling(i) = NoProcess
	x.m.remember(s, i)
}

// hasOpenWrite tells whether a write of instance i is open: its outcome is unknown, or its
// guard not removed yet. Then reads of that instance pass both tiers.
func (x expansion) hasOpenWrite(i int) bool {
	for n, p := range x.m.Processes {
		if p.Role == Writer && p.Instance == i && x.s.Processes[n].Phase >= Unanswered && x.s.Processes[n].Phase <= Unguarded {
			return true
		}
	}
	return false
}

// confirmWritesPassed is what a pass of instance i does before it is answered with v: it
// sets the guards of open writes of unknown outcome anew where they are lost. A client
// that is answered with a commit knows of it, so the commit counts as acknowledged.
func (x expansion) confirmWritesPassed(s *State, i int, v Version) {
	for n, w := range x.m.Processes {
		p := x.s.Processes[n]
		if w.Role != Writer || w.Instance != i || p.Phase < Unanswered || p.Phase > Unguarded {
			continue
		}
		upholds := x.m.Rules.Renew == RenewUntilKnown || x.m.Rules.Renew == RenewAlone
		if upholds && p.Phase != Unguarded && !s.at(i).guardedBy(n) {
			x.setAnew(s, n)
		}
		if p.Value != NoVersion && p.Value <= v {
			s.Acked = max(s.Acked, p.Value)
			s.Instances[i].AckedHere = max(s.Instances[i].AckedHere, p.Value)
		}
	}
}

// removeGuard: the committed record may be put into the key only by a writer whose guard
// was never shared. Of several writers none knows whose commit was last.
func (x expansion) removeGuard(n int) {
	i := x.m.Processes[n].Instance
	if !x.m.asks(x.s, i) || x.m.Rules.Replicate == ReplicateAll && x.s.Instances[i].Standing == Behind {
		return
	}
	p, r := x.s.Processes[n], x.s.at(i)
	rule := x.m.Rules.Unguard
	alone := r == GuardOf(false, n)
	content, writes := Content{}, true
	switch {
	case rule == UnguardFills && p.Phase != Resolved && p.Value != NoVersion && alone:
		content = x.value(i, p.Value)
		if x.m.Faults.Deferred {
			content.Version-- // what was read back is not what was committed
		}
	case rule == UnguardOwn && !alone:
		writes = false
	case rule <= UnguardDeletes && r.IsGuard() && r.Tag&^(1<<n) != 0:
		content = r.without(n)
		if r.Tag&(1<<n) == 0 { // ours was lost: the others must know that they were not alone
			content.State = SharedGuard
		}
	}
	to := Confirmed
	if p.Phase == Resolved {
		to = Unguarded
	}
	st := x.advance(RemovesGuard, n, to)
	st.After.Processes[n].Value = p.Value
	if writes {
		st.After.write(i, content)
	}
	x.markOwn(&st.After, n, content)
	if x.m.Rules.Sibling == SiblingAtUnguard {
		*st.After.sibling(i) = NoProcess
	}
	x.m.remember(&st.After, i)
	x.replicated(st, i)
	if x.m.Rules.Confirm == ConfirmCommit {
		st := x.advance(FailsToRemoveGuard, n, Confirmed)
		st.After.Processes[n].Value = p.Value
		x.emit(st)
	}
}

// acknowledge answers. A read that began before the unguard could have brought
// the old value back since the copy was dropped for the first time.
func (x expansion) acknowledge(n int) {
	v, i := x.s.Processes[n].Value, x.m.Processes[n].Instance
	st := x.advance(Acknowledges, n, Done)
	st.Version = v
	st.After.Processes[n].Value = v
	if x.m.Rules.Drop == DropAfter {
		x.m.poison(&st.After, i)
	}
	st.After.Acked = max(st.After.Acked, v)
	st.After.Instances[i].AckedHere = max(st.After.Instances[i].AckedHere, v)
	x.emit(st)
}

// poison is what an own write does to its instance: the copy goes, and the flights of its
// readers are neither stored nor joined any more.
func (m *Model) poison(s *State, i int) {
	s.Instances[i].Memory = NoVersion
	if m.Rules.Poison == PoisonNothing {
		return
	}
	for n := range m.Processes {
		if m.Processes[n].Role == Reader && m.Processes[n].Instance == i {
			s.Processes[n].Flight = Poisoned
		}
	}
}
