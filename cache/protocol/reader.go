package protocol

// reader emits the steps of a reader.
func (x expansion) reader(n int) {
	i := x.m.Processes[n].Instance
	p, r := x.s.Processes[n], x.s.at(i)
	if !x.m.asks(x.s, i) && p.Phase != Loading && p.Phase != Asking {
		return
	}
	if x.m.Processes[n].Versed && p.Phase == Idle {
		x.versed(n, i)
		return
	}
	if (p.Phase == Idle || p.Phase == Waiting || p.Phase == Following) && x.hasOpenWrite(i) {
		x.pass(PassesOpenWrite, n)
		return
	}
	switch p.Phase {
	case Idle:
		if x.s.Instances[i].Memory == NoVersion {
			x.read(n, i)
		}
	case Asking:
		x.takePlainReply(n, i)
	case Following:
		x.readTracked(n, i)
	case Waiting:
		switch {
		case r.State == Nothing || r.IsValue():
			x.read(n, i)
		case r.IsGuard():
			x.pass(PassesGuard, n)
		}
	case Acquiring:
		x.acquire(n, i)
	case Loading:
		st := x.advance(Loads, n, Filling)
		st.Version = x.s.DB
		st.After.Processes[n].Value, st.After.Processes[n].Flight = x.s.DB, p.Flight
		x.emit(st)
	case Filling:
		x.fill(n, i)
	case Passing:
		st := x.advance(AnswersPass, n, Done)
		st.Version = p.Value
		x.confirmWritesPassed(&st.After, i, p.Value)
		x.answered(&st.After, n, p.Value)
		x.emit(st)
	}
}

// pass loads past both tiers. What it brings is answered and stored nowhere.
func (x expansion) pass(a Act, n int) {
	st := x.advance(a, n, Passing)
	st.Version = x.s.DB
	st.After.Processes[n].Value, st.After.Processes[n].Saw = x.s.DB, x.s.at(x.m.Processes[n].Instance)
	x.emit(st)
}

// read begins to ask Redis.
func (x expansion) read(n, i int) {
	if x.m.Processes[n].Plain {
		x.readPlain(n, i)
		return
	}
	x.readTracked(n, i)
}

// readTracked begins a flight, unless there is one to be joined.
func (x expansion) readTracked(n, i int) {
	for _, msg := range x.s.Instances[i].channel {
		if msg.Type == Replied && x.s.Processes[msg.Process].Flight == Open {
			return
		}
	}
	st := x.advance(ReadsTracked, n, Reading)
	st.After.Processes[n].Flight = Open
	st.After.Instances[i].Tracked = true
	st.After.Instances[i].send(Message{Type: Replied, Process: uint8(n), Content: x.s.at(i)})
	x.emit(st)
}

// acquire is SET NX GET: the lease, or what stands there instead. That was not read
// tracked, so it may be answered and not kept.
func (x expansion) acquire(n, i int) {
	r := x.s.at(i)
	if r.State == Nothing {
		st := x.advance(TakesLease, n, Loading)
		st.After.write(i, LeaseOf(n))
		switch x.m.Rules.Join {
		case JoinUntilWritten, JoinUntilTold:
			st.After.Processes[n].Flight = Open
		case JoinRearmed: // SET NX and a tracked read of the lease in one pipeline
			st.After.Instances[i].Tracked = true
			st.After.Instances[i].send(Message{Type: Armed, Process: uint8(n)})
		}
		x.emit(st)
		return
	}
	to := Waiting
	if r.IsValue() {
		to = Done
	}
	st := x.advance(MeetsContent, n, to)
	st.Content = r
	if to == Done {
		x.answered(&st.After, n, r.memory())
	}
	if x.m.Rules.Keep == KeepFound && r.IsValue() {
		st.After.Instances[i].Memory = r.Version
	}
	x.emit(st)
}

// fill stores what was loaded if the lease still stands: any write or deletion of the key
// since has taken it away.
func (x expansion) fill(n, i int) {
	v := x.s.Processes[n].Value
	st := x.advance(Fills, n, Done)
	st.Version = v
	x.answered(&st.After, n, v)
	if x.m.Rules.Fill != FillBlind && x.s.at(i) != LeaseOf(n) {
		st.Refused = true
		x.emit(st)
		return
	}
	st.After.write(i, x.value(i, v))
	*st.After.sibling(i) = NoProcess
	if x.m.Rules.Keep == KeepFilled {
		st.After.Instances[i].Memory = v
	}
	x.emit(st)
}
