package feed

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
)

// degradedSince is when a resource was told that the feed is lost; false: it is not.
func (i *instance) degradedSince(resource string) (since time.Time, is bool) {
	since, is = i.degraded[resource]
	return since, is
}

// TestEveryInstanceKnowsWhetherTheFeedIsLive: a leader that dies or hangs is missed
// everywhere, from the last drain on, and its successor is noticed.
func TestEveryInstanceKnowsWhetherTheFeedIsLive(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance("a"), w.instance("b")
	w.settle(a, b)
	if !a.Status().Live || !b.Status().Live || b.Status().Leader != "a" {
		t.Fatalf("with a leader: %+v, %+v", a.Status(), b.Status())
	}
	last := w.clock
	broken := errors.New("the database is away")
	w.fail = func(call string, _ bool) error {
		if call == "Read" {
			return broken
		}
		return nil
	}
	for range 40 {
		w.pass(100 * time.Millisecond)
		_, _ = a.step(), b.step()
	}
	if _, is := b.degradedSince("user"); is || !b.Status().Live {
		t.Error("4 s without a drain: the feed is lost, before degraded_after")
	}
	w.settle(a, b)
	since, is := b.degradedSince("user")
	if !is || since.After(last) || last.Sub(since) > time.Second || b.Status().Live {
		t.Errorf("14 s without a drain: degraded %v since %v, the last drain was before %v", is, since, last)
	}
	w.fail = func(string, bool) error { return nil }
	w.settle(b) // a is dead
	if _, is := b.degradedSince("user"); is || !b.Status().Live || b.Status().Leader != "b" {
		t.Errorf("with another leader: degraded %v, %+v", is, b.Status())
	}
}

// TestNothingIsKnownAtTheStart: an instance that finds nobody who drains suspects all
// copies at once, but gives a leader time to show itself.
func TestNothingIsKnownAtTheStart(t *testing.T) {
	w := newWorld(t)
	w.fail = func(call string, _ bool) error {
		if call == "Read" {
			return errors.New("the database is away")
		}
		return nil
	}
	a := w.instance("a")
	began := w.clock
	for range 20 {
		_ = a.step()
		w.pass(200 * time.Millisecond)
	}
	if _, is := a.degradedSince("user"); is {
		t.Error("degraded before degraded_after")
	}
	w.settle(a)
	if since, is := a.degradedSince("user"); !is || began.Sub(since) < 30*time.Second {
		t.Errorf("degraded %v since %v: copies of before the start are trusted for a while; it began at %v", is, since, began)
	}
}

// TestTriggersThatDoNotTell: the feed is live, and one resource is not told of.
func TestTriggersThatDoNotTell(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	well := w.clock
	w.faults = []outbox.Fault{{Set: orderSet(), Text: "no triggers", Lost: true}, {Set: userSet(), Text: "an old version"}}
	w.settle(a)
	since, is := a.degradedSince("orders")
	if _, other := a.degradedSince("user"); !is || other || !a.Status().Live || a.Status().Lost["orders"] != "no triggers" {
		t.Errorf("orders: %v, user: %v, %+v", is, other, a.Status())
	}
	w.settle(a)
	if n := strings.Count(w.log.String(), "because=\"an old version\""); n != 1 {
		t.Errorf("what is odd is logged %d times:\n%s", n, w.log.String())
	}
	if since.After(well) || well.Sub(since) > faultEvery+time.Second {
		t.Errorf("degraded since %v: they were last known to stand at about %v", since, well)
	}
	w.faults = nil
	w.settle(a)
	if _, is := a.degradedSince("orders"); is {
		t.Error("degraded when the triggers stand again")
	}
}

// TestTheDatabaseGoesBack: it was restored, or failed over without its latest commits.
// Everything that is watched goes, also when the one that finds it out dies over it.
func TestTheDatabaseGoesBack(t *testing.T) {
	for name, back := range map[string]func(*world){
		"the beats go back":      func(w *world) { w.drain.beat -= 3 },
		"another server answers": func(w *world) { w.server = "b" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.instance("a")
			w.settle(a)
			w.copies["user:1"], w.copies["orders:1"], w.copies["item:1"] = 0, 0, 0
			back(w)
			dead := errors.New("dead")
			w.fail = func(call string, after bool) error {
				if call == "Sweep" && !after {
					return dead
				}
				return nil
			}
			drained := a.leadership.note.Drained
			for range 20 {
				_ = a.step()
				w.pass(100 * time.Millisecond)
			}
			if a.leadership.note.Drained > drained+5 {
				t.Error("it is told that all is done before all is removed")
			}
			w.fail = func(string, bool) error { return nil }
			b := w.instance("b")
			w.pass(leaseTTL)
			w.settle(b)
			if len(w.copies) != 1 {
				t.Errorf("what stands in the end: %v, want item:1 alone", w.copies)
			}
			w.copies["user:1"] = 0
			w.settle(b)
			if _, there := w.copies["user:1"]; !there {
				t.Error("everything is removed again and again")
			}
		})
	}
}

// TestServersThatAnswerInTurn: behind a balancer there is no fail-over at each beat.
func TestServersThatAnswerInTurn(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	for n := range 20 {
		w.server = string(rune('a' + n%3))
		for range 11 {
			_ = a.step()
			w.pass(100 * time.Millisecond)
		}
	}
	flushed := a.Flushes.Load()
	if flushed > 6 { // two resources, each time that a server is new
		t.Errorf("%d flushes", flushed)
	}
}

// TestOneOutboxOneFleet: instances with another shared tier must not take rows away.
func TestOneOutboxOneFleet(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	other := newWorld(t) // another shared tier over the same database
	b := other.instance("b")
	b.cfg.Outbox = w
	w.load(1)
	w.commit(1, "")
	for range 80 {
		w.pass(100 * time.Millisecond)
		other.clock = w.clock
		_ = a.step()
		_ = b.step()
	}
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if b.Status().Live || !a.Status().Live {
		t.Errorf("the fleet that has the outbox: %+v, the other: %+v", a.Status(), b.Status())
	}
	// The first one is gone for good.
	for range 80 {
		w.pass(100 * time.Millisecond)
		other.clock = w.clock
		_ = b.step()
	}
	if !b.Status().Live {
		t.Errorf("nobody else is there any more: %+v", b.Status())
	}
}

// TestKeptRowsAreDoneAgain: the shared tier comes back as it was a while ago.
func TestKeptRowsAreDoneAgain(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	s := *a.settings.Load()
	s.Keep = time.Minute
	a.settings.Store(&s)
	w.load(1)
	w.commit(1, "")
	w.settle(a)
	w.copies["user:1"] = 0
	w.generation.Number++
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}

// TestNotes: what stands in the lease is read by others, also of other versions.
func TestNotes(t *testing.T) {
	text, err := json.Marshal(Note{Instance: "host 127.0.0.1:8080", Drained: 3})
	if err != nil {
		t.Fatal(err)
	}
	holder, n, ok := ReadNote(append([]byte("abc "), text...))
	if !ok || holder != "abc" || n.Instance != "host 127.0.0.1:8080" || n.Drained != 3 {
		t.Errorf("%q %+v %v", holder, n, ok)
	}
	for _, text := range []string{"", "abc", "abc x", "abc {"} {
		if _, _, ok := ReadNote([]byte(text)); ok {
			t.Errorf("%q is a note", text)
		}
	}
}

// TestWithoutKeptRows: the shared tier comes back as it was, and nothing was kept. What
// this process remembers is removed again by the shared tier itself; more than that is
// removed as a whole.
func TestWithoutKeptRows(t *testing.T) {
	for name, c := range map[string]struct {
		lose    func(*world, *instance)
		flushed bool
	}{
		"remembered": {func(w *world, _ *instance) { w.generation.Number++ }, false},
		"forgotten":  {func(w *world, _ *instance) { w.generation.Number++; w.generation.Forgotten++ }, true},
		"some beats of a leader of long": {func(w *world, i *instance) {
			w.leases[FleetKey] = lease{i.leadership.fleet + ` {"beat":` + strconv.FormatInt(w.drain.beat-3, 10) + `}`, w.clock.Add(time.Hour)}
		}, false},
		"beats of another leader": {func(w *world, i *instance) {
			w.leases[FleetKey] = lease{i.leadership.fleet + ` {"beat":` + strconv.FormatInt(w.drain.beat-2, 10) + `}`, w.clock.Add(time.Hour)}
			w.drain.beat++
		}, true},
		"more beats than it leads": {func(w *world, i *instance) {
			w.leases[FleetKey] = lease{i.leadership.fleet + ` {"beat":1}`, w.clock.Add(time.Hour)}
			i.leadership.since = w.clock
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.instance("a")
			w.settle(a)
			w.settle(a)
			c.lose(w, a)
			w.settle(a)
			if got := a.Flushes.Load() > 0; got != c.flushed {
				t.Errorf("everything was removed: %v, want %v", got, c.flushed)
			}
		})
	}
}

// TestALateRowIsDoneAgain: a leader has removed copies at the former server of the shared
// tier, and takes their rows out when its successor has done again what was kept.
func TestALateRowIsDoneAgain(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance("a"), w.instance("b")
	for _, i := range []*instance{a, b} {
		s := *i.settings.Load()
		s.Keep = time.Minute
		i.settings.Store(&s)
	}
	w.settle(b)
	w.load(1)
	w.commit(1, "")
	row := w.read(w.rows, 0, 1)[0]
	w.generation.Number++ // the other server has the copy
	if err := b.leadership.ask(w.clock.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	delete(w.rows, row.ID) // which a has done at the former one, …
	for range 10 {
		_ = b.step()
		w.pass(100 * time.Millisecond)
	}
	w.kept[row.ID] = row // … and keeps only now; then it dies
	if stale := w.stale(); stale == nil {
		t.Fatal("the copy is gone, so the order is not the one that is meant")
	}
	w.settle(b)
	w.settle(b)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}

// TestRowsThatWaitToBeTakenOut are done again when the shared tier may have lost it.
func TestRowsThatWaitToBeTakenOut(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	w.locked = true
	w.load(1)
	w.commit(1, "")
	w.settle(a)
	w.copies["user:1"] = 0 // the shared tier is back as it was
	w.generation.Number++
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}
