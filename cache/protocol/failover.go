package protocol

// Standing is where an instance is in a change of masters.
type Standing uint8

const (
	// Settled instances speak to the master.
	Settled Standing = iota
	// Behind instances speak to the former master, which still serves them. What they
	// write there is lost.
	Behind
	// Arrived instances have learned of the promotion and ended their old
	// connections. They ask the new master for nothing yet.
	Arrived
	// Gone instances are dead.
	Gone
	// Unborn instances have not started.
	Unborn
)

// lives tells whether the instance is there.
func (i *Instance) lives() bool { return i.Standing < Gone }

// failover emits the steps of a planned fail-over, which are also those of an unplanned
// one: the replica is promoted first, and the instances learn of it one after the
// other. Until then the former master takes their writes.
func (x expansion) failover() {
	f := x.m.Faults
	if f.Promotions == 0 {
		return
	}
	master := Server{x.s.Redis, x.s.Refresher, x.s.Mark}
	for k := range f.replicas() {
		if x.s.Replicas[k] != master {
			st := x.step(ReplicaCatchesUp, NoProcess)
			st.After.Replicas[k] = master
			x.emit(st)
		}
		if x.s.Promotions < f.Promotions && x.allSettled() {
			x.promote(k)
		}
	}
	for i := range x.s.Instances {
		x.takeOver(i)
	}
}

// promote makes replica k the master, with what it has.
func (x expansion) promote(k int) {
	st := x.step(FailsOver, NoProcess)
	s := &st.After
	s.Former = Server{s.Redis, s.Refresher, s.Mark}
	s.Redis, s.Refresher, s.Mark = s.Replicas[k].Content, s.Replicas[k].Refresher, s.Replicas[k].Mark
	s.Promotions++
	s.Lost |= s.Kept
	s.Kept = 0
	for i := range s.Instances {
		if in := &s.Instances[i]; in.lives() {
			in.Standing = Behind
		}
	}
	x.emit(st)
}

// allSettled tells whether all living instances have taken over.
func (x expansion) allSettled() bool {
	for _, in := range x.s.Instances {
		if in.Standing == Behind || in.Standing == Arrived {
			return false
		}
	}
	return true
}

// takeOver emits what instance i does when the server behind its connection is another.
func (x expansion) takeOver(i int) {
	in, rules := x.s.Instances[i], x.m.Rules
	step := func(a Act) Step {
		st := x.step(a, NoProcess)
		st.Instance = int8(i)
		return st
	}
	switch in.Standing {
	case Behind:
		if x.m.Faults.Prompt && in.isTold() {
			break
		}
		st := step(LearnsOfPromotion)
		ends := rules.TakeOver != TakeOverTrusts
		x.disconnect(&st.After, i, ends, ends)
		st.After.Instances[i].Standing = Arrived
		st.After.Instances[i].Holds = rules.Hold != HoldNothing
		x.emit(st)
	case Arrived:
		st := step(TakesOver)
		st.After.Instances[i].Standing = Settled
		if in.Remembers {
			x.deleteRemembered(&st.After, i)
		}
		x.emit(st)
	case Settled:
		if in.Holds && (rules.Hold == HoldBriefly || x.allSettled()) {
			st := step(EndsHold)
			st.After.Instances[i].Holds = false
			x.emit(st)
		}
	}
	if in.Standing == Unborn {
		st := step(InstanceStarts)
		st.After.Instances[i].Standing = Settled
		st.After.Instances[i].Holds = rules.Birth == BirthHolds && x.s.Promotions > 0
		x.emit(st)
	}
	if x.m.Faults.Death && x.mayDie(i) {
		st := step(InstanceDies)
		st.After.Instances[i] = Instance{Standing: Gone, Memory: NoVersion}
		for n, p := range x.m.Processes {
			if p.Role < Deleter && p.Instance == i {
				st.After.Processes[n] = Progress{Phase: Dead, Value: x.m.kept(x.s.Processes[n].Value)}
			}
		}
		x.emit(st)
	}
}

// isTold tells that an invalidation is on its way.
func (i *Instance) isTold() bool {
	for _, msg := range i.Channel() {
		if msg.Type == Invalidation {
			return true
		}
	}
	return false
}

// deleteRemembered is what a writer does that finds its guard gone.
func (x expansion) deleteRemembered(s *State, i int) {
	content := Content{}
	if s.Redis.IsGuard() && x.m.Rules.TakeOver != TakeOverDeletesGuards {
		content = s.Redis
		if x.m.Rules.TakeOver != TakeOverLeavesGuards {
			content.State = SharedGuard
		}
	}
	s.write(i, content)
	s.Refresher = NoProcess
}

// mayDie tells whether instance i may die: one does, with no write under way. With
// Faults.Prompt it does so when all that it has written is reported to the others.
func (x expansion) mayDie(i int) bool {
	for j := range x.s.Instances {
		other := &x.s.Instances[j]
		if other.Standing == Gone || j == i && !other.lives() {
			return false
		}
		if left := x.s.Promotions > 0 && other.Standing != Behind; x.m.Faults.Prompt && j != i && (left || other.isTold()) {
			return false
		}
	}
	for n, p := range x.m.Processes {
		if p.Role == Writer && p.Instance == i && !x.s.Processes[n].Phase.resting() {
			return false
		}
	}
	return true
}

// asks tells whether instance i asks a server for anything.
func (m *Model) asks(s State, i int) bool {
	switch s.Instances[i].Standing {
	case Settled, Behind:
		return true
	case Arrived:
		return m.Rules.TakeOver == TakeOverAsks
	}
	return false
}

// remember notes that the key was written, removed or reported as changed at instance i.
func (m *Model) remember(s *State, i int) {
	if m.Faults.Promotions > 0 && m.Rules.Remember != RememberNothing {
		s.Instances[i].Remembers = true
	}
}

// replicated emits st once for each way in which the replicas can have confirmed it.
func (x expansion) replicated(st Step, i int) {
	replicas := x.m.Faults.replicas()
	if x.m.Rules.Replicate == ReplicateLater || x.s.Instances[i].Standing == Behind || replicas == 0 {
		x.emit(st) // those who confirm to a former master are not promoted any more
		return
	}
	has := Server{st.After.Redis, st.After.Refresher, st.After.Mark}
	if x.m.Rules.Replicate == ReplicateAll {
		for k := range replicas {
			st.After.Replicas[k] = has
		}
		x.emit(st)
		return
	}
	for k := range replicas {
		one := st
		one.After.Replicas[k] = has
		x.emit(one)
	}
}

// foreignBehind tells whether foreign programs still speak to the former master.
func (x expansion) foreignBehind() bool { return x.m.Faults.Foreign && x.s.Promotions > 0 }
