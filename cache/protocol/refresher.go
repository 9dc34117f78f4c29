package protocol

// refresher emits the steps of a refresh: one load that renews a value which
// readers go on being answered with.
func (x expansion) refresher(n int) {
	p, i := x.s.Processes[n], x.m.Processes[n].Instance
	if !x.m.asks(x.s, i) && p.Phase != Loading {
		return
	}
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
		if *x.s.sibling(i) != int8(n) || !x.unchanged(i, p.Saw) {
			st.Refused = true
			x.emit(st)
			return
		}
		st.After.write(i, x.value(i, p.Value))
		*st.After.sibling(i) = NoProcess
		x.emit(st)
	}
}

// takeRefreshLease puts the lease in the sibling key: the value goes on standing.
func (x expansion) takeRefreshLease(n int) {
	i := x.m.Processes[n].Instance
	saw := x.s.at(i)
	if *x.s.sibling(i) != NoProcess || x.hasOpenWrite(i) {
		return
	}
	if !saw.IsValue() {
		memory := x.s.Instances[i].Memory
		if x.m.Rules.Refresh != RefreshRemembered || memory == NoVersion {
			return
		}
		saw = Content{State: Value, Version: memory}
	}
	st := x.advance(TakesRefreshLease, n, Loading)
	st.Content = saw
	st.After.Processes[n].Saw = saw
	*st.After.sibling(i) = int8(n)
	x.emit(st)
}

// unchanged tells whether the value that a refresh has seen still stands.
func (x expansion) unchanged(i int, saw Content) bool {
	r := x.s.at(i)
	if !r.IsValue() || r.Version%2 != saw.Version%2 {
		return false
	}
	return x.m.Rules.Unchanged == UnchangedBytes || r.State == saw.State && r.Tag == saw.Tag
}
