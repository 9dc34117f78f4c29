package protocol

// foreignTag numbers the writes of foreign programs apart from ours.
const foreignTag = 128

// foreign emits the steps of programs that know nothing of the protocol.
func (x expansion) foreign(n int) {
	p, kind := x.s.Processes[n], x.m.Processes[n].Role
	switch {
	case p.Phase == Idle && kind == Changer && x.m.Rules.Tell == TellEarly:
		st := x.advance(FlushesForeign, n, Wrote)
		st.After.Outbox |= 1 << n
		x.emit(st)
	case kind == Changer && !p.Phase.ended():
		x.emit(x.committing(CommitsForeign, n, Done))
	case p.Phase == Idle && kind != Killer:
		x.emit(x.committing(CommitsForeign, n, Wrote))
	case p.Phase.ended():
	case kind == Setter:
		st := x.advance(SetsForeign, n, Done)
		st.Version = p.Value
		st.After.Processes[n].Value = x.m.kept(p.Value)
		st.After.writeAt(x.foreignBehind(), Content{State: ForeignValue, Version: p.Value, Tag: uint8(foreignTag + n)})
		x.emit(st)
	default:
		st := x.advance(DeletesForeign, n, Done)
		st.After.Processes[n].Value = x.m.kept(p.Value)
		st.After.writeAt(x.foreignBehind(), Content{})
		st.After.Acked = max(st.After.Acked, p.Value) // behind a commit, the DEL acknowledges it
		x.emit(st)
	}
}

// connection emits what can happen on the tracked connection of instance i: its
// next message arrives, or it breaks.
func (x expansion) connection(i int) {
	in := x.s.Instances[i]
	if in.queued > 0 {
		switch in.channel[0].Type {
		case Invalidation:
			x.takeInvalidation(i)
		case Replied:
			x.takeReply(i)
		case Armed:
			x.takeArmed(i)
		}
	}
	if x.m.Faults.Links && (in.Tracked || in.queued > 0) {
		x.breakLink(i)
	}
}

// message begins the step in which instance i takes its next message.
func (x expansion) message(a Act, n, i int) Step {
	st := x.step(a, n)
	st.Instance = int8(i)
	st.After.Instances[i].take()
	return st
}

// takeInvalidation drops the copy. Reads still in flight are not concerned: by
// the order of the wire their replies are newer than this message.
func (x expansion) takeInvalidation(i int) {
	st := x.message(TakesInvalidation, NoProcess, i)
	st.After.Instances[i].Memory = NoVersion
	if x.m.Rules.Remember == RememberTold && x.s.Instances[i].Memory != NoVersion {
		x.m.remember(&st.After, i)
	}
	if x.m.Rules.Join == JoinUntilTold || x.m.Rules.Join == JoinRearmed {
		for n := range x.m.Processes {
			p := &st.After.Processes[n]
			if x.isReaderAt(n, i) && p.Phase != Reading && p.Flight == Open {
				p.Flight = NoFlight
			}
		}
	}
	x.wake(&st.After, i)
	x.emit(st)
}

func (x expansion) isReaderAt(n, i int) bool {
	return x.m.Processes[n].Role == Reader && x.m.Processes[n].Instance == i
}

// takeReply hands a reply to its reader, and to memory unless an own write
// came since the read was sent.
func (x expansion) takeReply(i int) {
	first := x.s.Instances[i].channel[0]
	n := int(first.Process)
	st := x.message(TakesReply, n, i)
	st.Content = first.Content
	if x.m.Rules.Reply == ReplyOfNewest {
		n = newestReply(x.s.Instances[i])
		st.Process = int8(n)
		for k, msg := range st.After.Instances[i].channel {
			if msg.Type == Replied && int(msg.Process) == n {
				st.After.Instances[i].channel[k].Process = first.Process
			}
		}
	}
	memory, to := NoVersion, Waiting
	switch {
	case st.Content.IsValue():
		memory, to = st.Content.memory(), Done
	case st.Content.State == Nothing:
		to = Acquiring
		if x.m.Rules.Keep == KeepNil {
			memory = NilVersion
		}
	}
	if memory != NoVersion && x.s.Processes[n].Flight == Open {
		st.After.Instances[i].Memory = memory
		if in := &st.After.Instances[i]; in.Demand > 0 {
			in.Dated = in.Early&(1<<n) == 0
		}
	}
	st.After.Instances[i].Early &^= 1 << n
	if to == Done {
		x.answered(&st.After, n, memory)
	}
	st.After.Processes[n] = Progress{Phase: to, Value: NoVersion}
	if to == Waiting && x.m.watched && x.s.Processes[n].Flight == Open {
		st.After.Processes[n].Flight = Open
	}
	x.emit(st)
}

// newestReply is the process of the last reply under way.
func newestReply(in Instance) int {
	n := 0
	for _, msg := range in.channel {
		if msg.Type == Replied {
			n = int(msg.Process)
		}
	}
	return n
}

// takeArmed: from here on the connection tells of the end of the lease.
func (x expansion) takeArmed(i int) {
	n := int(x.s.Instances[i].channel[0].Process)
	st := x.message(TakesArmed, n, i)
	if p := &st.After.Processes[n]; p.Flight != Poisoned {
		p.Flight = NoFlight
		if p.Phase == Loading || p.Phase == Filling {
			p.Flight = Open
		}
	}
	x.emit(st)
}

// breakLink: this instance is not told of changes any more. Its tracked reads fail; its
// loads go on.
func (x expansion) breakLink(i int) {
	st := x.step(LinkBreaks, NoProcess)
	st.Instance = int8(i)
	x.disconnect(&st.After, i, x.m.Rules.Break != BreakFlights, x.m.Rules.Break != BreakMemory)
	x.emit(st)
}

// disconnect ends the tracked connection of instance i, and with it the trust in memory
// and all joins.
func (x expansion) disconnect(s *State, i int, memory, flights bool) {
	in := &s.Instances[i]
	if memory {
		in.Memory = NoVersion
	}
	in.Tracked = false
	in.SetChannel(nil)
	for n := range x.m.Processes {
		if !x.isReaderAt(n, i) {
			continue
		}
		p := &s.Processes[n]
		switch {
		case p.Phase == Reading:
			*p = Progress{Value: NoVersion}
		case flights:
			p.Flight = Poisoned
		}
	}
}

// expiry: each token of a placeholder has its own deadline. Those of the dead
// pass, unless the database may still commit what they guard.
func (x expansion) expiry() {
	x.expiryAt(false, x.s.Redis, x.s.Refresher)
	if x.s.Promotions > 0 {
		x.expiryAt(true, x.s.Former.Content, x.s.Former.Refresher)
	}
}

func (x expansion) expiryAt(former bool, r Content, refresher int8) {
	for n := range x.m.Processes {
		if r.holders()&(1<<n) == 0 {
			continue
		}
		phase := x.s.Processes[n].Phase
		unkept := phase == Unanswered && x.m.Rules.Renew == RenewForRequest
		if phase.ended() || unkept || x.m.Faults.Expire || phase == Doubt && x.m.Faults.Commit == CommitOutlivesGuard {
			st := x.step(Expires, n)
			st.Content = r
			st.After.writeAt(former, r.without(n))
			x.emit(st)
		}
	}
	if !former && x.s.Mark != 0 && x.m.Faults.Expire {
		st := x.step(MarkExpires, NoProcess)
		st.After.Mark = 0
		x.emit(st)
	}
	if n := refresher; n != NoProcess && (x.m.Faults.Expire || x.s.Processes[n].Phase.resting()) {
		st := x.step(RefreshLeaseExpires, NoProcess)
		if former {
			st.After.Former.Refresher = NoProcess
		} else {
			st.After.Refresher = NoProcess
		}
		x.emit(st)
	}
}
