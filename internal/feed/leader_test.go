package feed

import (
	"strconv"
	"testing"
	"time"
)

// TestTheFleetIsNamedAnew: the shared tier is lost with the fleet's name, and an instance
// that knows none is the first to give it one. The outbox is still this fleet's.
func TestTheFleetIsNamedAnew(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance("a"), w.instance("b")
	w.settle(a, b)
	clear(w.leases)
	fresh := w.instance("fresh")
	for range 30 { // less than another fleet is waited for
		for _, i := range []*instance{fresh, a, b} {
			_ = i.step()
		}
		w.pass(100 * time.Millisecond)
	}
	drained := a.leadership.note.Drained + b.leadership.note.Drained + fresh.leadership.note.Drained
	w.load(1)
	w.commit(1, "")
	for range 10 {
		for _, i := range []*instance{fresh, a, b} {
			_ = i.step()
		}
		w.pass(100 * time.Millisecond)
	}
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if now := a.leadership.note.Drained + b.leadership.note.Drained + fresh.leadership.note.Drained; now == drained {
		t.Error("nobody drains the outbox to its end")
	}
}

// TestIdsAreGivenAgain: the outbox was removed and installed anew, so ids begin at one. What
// an instance has once handled says nothing of them.
func TestIdsAreGivenAgain(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	w.locked = true
	w.load(1)
	w.commit(1, "")
	row := w.read(w.rows, 0, 1)[0].ID
	w.settle(a)
	if !a.pending[row] {
		t.Fatal("the row is not done, or was taken out")
	}
	w.locked = false
	w.leases[LeaderKey] = lease{"another {}", w.clock.Add(time.Second)}
	w.pass(lookEvery)
	_ = a.step() // learns that it leads no more
	clear(w.rows)
	w.nextID = row
	w.load(2)
	w.commit(2, "")
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}

// TestALossOlderThanWhatIsKept: the shared tier comes back as it was an hour ago.
func TestALossOlderThanWhatIsKept(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	s := *a.settings.Load()
	s.Keep = time.Minute
	a.settings.Store(&s)
	w.load(1)
	w.settle(a)
	w.commit(1, "")
	w.settle(a)
	w.drain.beat += 3600
	a.leadership.known.Beat = w.drain.beat
	clear(w.kept)
	w.copies["user:1"] = 0
	w.leases[FleetKey] = lease{a.leadership.fleet + ` {"beat":` + strconv.FormatInt(w.drain.beat-3600, 10) + `}`, w.clock.Add(time.Hour)}
	w.generation.Number++
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}

// TestAProcessThatStoodStill takes no row out behind the removal of its copies.
func TestAProcessThatStoodStill(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	w.load(1)
	w.commit(1, "")
	frozen := false
	w.fail = func(call string, after bool) error {
		if call == "Done" && !frozen {
			t.Error("a row was taken out")
		}
		return nil
	}
	real := a.now
	a.Feed.now = func() time.Time {
		if !frozen && a.removed.Equal(w.clock) && len(w.stale()) == 0 {
			w.pass(lateAfter) // it stands still between the removal and the next look at the clock
		}
		return real()
	}
	w.pass(lookEvery)
	_ = a.step()
	frozen = true
	w.settle(a)
	if len(w.rows) > 1 {
		t.Errorf("%d rows stand in the end", len(w.rows))
	}
}
