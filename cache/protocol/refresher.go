package protocol

// refresher emits the steps of a refresh: one load that renews a value which
// readers go on being answered with.
func (x expansion) refresher(n int) {
	p := x.s.Processes[n]
	switch p.Phase {
	case Idle:
		x.takeRefreshLease(n)
	case Loading:
		st := x.advance(LoadsToRefresh, n, Storing)
		st.Version = x.s.DB
		st.After.Processes[n].Value, st.After.Processes[n].Saw = x.s.DB, p.Saw
		x.emit(st)
	case Storing:
		st := x.advance(Refreshes, n, Done)
		st.Version = p.Value
		if x.s.Refresher != int8(n) || !x.unchanged(p.Saw) {
			st.Refused = true
			x.emit(st)
			return
		}
		st.After.write(x.value(p.Value))
		st.After.Refresher = NoProcess
		x.emit(st)
	}
}

// takeRefreshLease puts the lease in the sibling key: the value goes on standing.
func (x expansion) takeRefreshLease(n int) {
	saw := x.s.Redis
	if x.s.Refresher != NoProcess || x.hasOpenWrite(x.m.Processes[n].Instance) {
		return
	}
	if !saw.IsValue() {
		memory := x.s.Instances[x.m.Processes[n].Instance].Memory
		if x.m.Rules.Refresh != RefreshRemembered || memory == NoVersion {
			return
		}
		saw = Content{State: Value, Version: memory}
	}
	st := x.advance(TakesRefreshLease, n, Loading)
	st.Content = saw
	st.After.Processes[n].Saw = saw
	st.After.Refresher = int8(n)
	x.emit(st)
}

// unchanged tells whether the value that a refresh has seen still stands.
func (x expansion) unchanged(saw Content) bool {
	r := x.s.Redis
	if !r.IsValue() || r.Version%2 != saw.Version%2 {
		return false
	}
	return x.m.Rules.Unchanged == UnchangedBytes || r.State == saw.State && r.Tag == saw.Tag
}
