package feed

import (
	"sync"
	"time"

	"hearth/internal/source/outbox"
)

// The feed is live for a resource while its triggers are known to stand and somebody
// has drained the outbox wholly within feed.degraded_after. Every instance judges that
// for itself, by the leader's notes: it stamps, on its own clock, when it last saw the
// count of drains grow, from the moment at which it asked. So no two clocks are
// compared, and a leader that hangs is found out like one that is dead.
//
// A feed that is lost is lost since the last complete drain: what was committed after
// that may be in no memory.

// observed is what an instance has seen of the feed.
type observed struct {
	mu      sync.Mutex
	began   time.Time
	holder  string    // of the lease, when last seen
	note    Note      // likewise
	drained time.Time // when the count was last seen to grow; zero: never
	live    bool
	looked  map[string]time.Time // by resource, when its triggers were last known to stand
	faults  map[string]string    // by resource, what is wrong with them
	odd     map[string]bool      // what is not as it has to be, although changes are told
	asked   bool                 // the faults are those of the sets that are wanted now
	lost    map[string]bool      // by resource, whether it was told so
}

// forget is for other sets: nothing is known of their triggers.
func (o *observed) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = false
	o.lost = map[string]bool{} // every resource is told anew: it may be another
}

// observe looks at the leader's notes until the feed ends.
func (f *Feed) observe() {
	for ok := true; ok; ok = f.pause(renewEvery) {
		f.look()
		f.judge()
	}
}

// look reads the leader's note.
func (f *Feed) look() {
	at := f.now()
	ctx, cancel := f.within()
	defer cancel()
	lease, err := f.cfg.Cache.Peek(ctx, LeaderKey)
	if err != nil || lease == nil {
		return
	}
	holder, note, ok := ReadNote(lease)
	if !ok {
		return
	}
	o := &f.state
	o.mu.Lock()
	defer o.mu.Unlock()
	// Of another leader any count is news but zero: it has not drained anything yet.
	if note.Drained > 0 && (holder != o.holder || note.Drained != o.note.Drained) {
		o.drained = at.Add(-time.Duration(note.AgeMS) * time.Millisecond)
	}
	o.holder, o.note = holder, note
}

// noteFaults takes what was found of the triggers of sets at a moment.
func (f *Feed) noteFaults(at time.Time, sets []outbox.Set, faults []outbox.Fault) {
	o := &f.state
	o.mu.Lock()
	defer o.mu.Unlock()
	now, odd := map[string]string{}, map[string]bool{}
	for _, fault := range outbox.Standing(faults) {
		if !fault.Lost {
			if odd[fault.Text] = true; !o.odd[fault.Text] {
				f.cfg.Log.Warn("the change feed tells changes, and something is not as it has to be", "because", fault.Text)
			}
			continue
		}
		for _, m := range fault.Set.Meanings {
			if now[m.Resource] == "" {
				now[m.Resource] = fault.Text
			}
		}
	}
	for name, text := range now {
		if o.faults[name] != text {
			f.cfg.Log.Error("the change feed does not tell the changes of a resource", "resource", name, "because", text)
		}
	}
	for name := range o.faults {
		if now[name] == "" {
			f.cfg.Log.Info("the change feed tells the changes of a resource again", "resource", name)
		}
	}
	if o.looked == nil {
		o.looked = map[string]time.Time{}
	}
	for _, s := range sets {
		for _, m := range s.Meanings {
			if now[m.Resource] == "" {
				o.looked[m.Resource] = at
			}
		}
	}
	o.faults, o.odd, o.asked = now, odd, true
}

// judge decides for each resource whether the feed is live, and tells its copies.
func (f *Feed) judge() {
	now := f.now()
	s, w, o := f.settings.Load(), f.wanted.Load(), &f.state
	o.mu.Lock()
	defer o.mu.Unlock()
	since, live := o.drained, !o.drained.IsZero() && now.Sub(o.drained) < s.DegradedAfter
	if o.drained.IsZero() {
		// Nothing is known of the time before this process. For as long as a leader may
		// take to show itself nothing is said; then all copies are suspect at once.
		if now.Sub(o.began) < s.DegradedAfter {
			return
		}
		since = o.began.Add(-s.DegradedTTL)
	}
	if live != o.live {
		o.live = live
		if live {
			f.cfg.Log.Info("the change feed is live", "leader", o.note.Instance)
		} else {
			f.cfg.Log.Warn("the change feed is not live: what others change in the database is seen later, and copies live shorter until it is", "since", since)
		}
	}
	if o.lost == nil {
		o.lost = map[string]bool{}
	}
	for _, r := range w.resources {
		if !r.Watched {
			continue
		}
		lost, at := !live, since
		if text := o.faults[r.Name]; text != "" {
			if looked := o.looked[r.Name]; live || looked.Before(at) {
				at = looked
			}
			if at.IsZero() {
				at = o.began.Add(-s.DegradedTTL)
			}
			lost = true
		} else if live && !o.asked && !o.lost[r.Name] {
			continue // whether its triggers stand is about to be known
		}
		switch {
		case lost:
			r.Degrade(at)
		case o.lost[r.Name] || o.asked:
			r.Restore()
		}
		o.lost[r.Name] = lost
	}
}

// Status is how the feed is, as this instance knows it.
type Status struct {
	Live    bool              `json:"live"`
	Leader  string            `json:"leader"` // "" if there is none
	Backlog int64             `json:"backlog"`
	LagMS   int64             `json:"lag_ms"`
	Drained time.Time         `json:"drained"` // when it was last seen to be complete
	Lost    map[string]string `json:"lost"`    // resources that are degraded, and why
}

// Status tells how the feed is.
func (f *Feed) Status() Status {
	o := &f.state
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Status{Live: o.live, Leader: o.note.Instance, Backlog: o.note.Backlog, LagMS: o.note.LagMS, Drained: o.drained, Lost: map[string]string{}}
	for name, lost := range o.lost {
		if lost {
			s.Lost[name] = o.faults[name]
		}
	}
	return s
}
