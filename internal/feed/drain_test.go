package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestChangesAreRemoved: the leader removes the copies of what rows name, and then the
// rows.
func TestChangesAreRemoved(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	for id := range 5 {
		w.load(id)
	}
	w.commit(1, "")
	w.commit(3, "")
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if _, there := w.copies["user:2"]; !there {
		t.Error("the copy of a record that did not change is gone")
	}
	if rows := w.read(w.rows, 0, 9); len(rows) > 1 { // a canary may be on its way
		t.Errorf("rows that were handled stand: %v", rows)
	}
}

// TestRowsAreTakenOutLast: a row stays when its copies could not be removed, and when the
// leader dies behind that.
func TestRowsAreTakenOutLast(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance("a"), w.instance("b")
	w.settle(a)
	w.load(1)
	w.commit(1, "")
	dead := errors.New("dead")
	for _, call := range []string{"Sets", "Outdate", "Done"} {
		w.fail = func(name string, after bool) error {
			if name == call && !after {
				return dead
			}
			return nil
		}
		w.pass(lookEvery)
		if err := a.step(); !errors.Is(err, dead) {
			t.Fatalf("%s fails: the round returns %v", call, err)
		}
		if len(w.rows) == 0 {
			t.Errorf("%s fails: the row is gone", call)
		}
	}
	w.fail = func(string, bool) error { return nil }
	w.pass(leaseTTL) // a is dead
	w.settle(b)
	if stale := w.stale(); stale != nil || !b.leadership.held {
		t.Errorf("another instance leads: %v, copies older than the database: %v", b.leadership.held, stale)
	}
}

// TestLateCommits: a row with a lower id appears long after higher ones were handled.
func TestLateCommits(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.load(1)
	late := w.write(1, "")
	for id := 2; id < 3000; id++ {
		w.commit(id, "")
	}
	w.settle(a)
	if a.hint < 1000 {
		t.Fatalf("the hint is %d after 3,000 rows", a.hint)
	}
	w.show(late)
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
}

// TestAnotherInstanceDoesWhatIsLeft: a leader that holds its lease and does nothing.
func TestAnotherInstanceDoesWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance("a"), w.instance("b")
	w.settle(a)
	w.leases[LeaderKey] = lease{w.leases[LeaderKey].text, w.clock.Add(time.Hour)}
	w.load(1)
	w.commit(1, "")
	for range 3 {
		w.pass(lookEvery)
		if err := b.step(); err != nil {
			t.Fatal(err)
		}
	}
	if stale := w.stale(); stale != nil || b.leadership.held {
		t.Errorf("copies older than the database: %v; b holds the lease: %v", stale, b.leadership.held)
	}
}

// TestWhatRowsMean: rows that name no record one by one.
func TestWhatRowsMean(t *testing.T) {
	for name, c := range map[string]struct {
		row  outbox.Row
		left []string // of the copies of user 1 to 3 and orders 1 to 3
	}{
		"a record":                 {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":2}]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1", "user:3"}},
		"as it was and as it is":   {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":2},{"id":3}]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1"}},
		"a number with a fraction": {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":2.00}]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1", "user:3"}},
		"null":                     {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":null}]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1", "user:2", "user:3"}},
		"no key has it":            {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":"x"}]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1", "user:2", "user:3"}},
		"by a query":               {outbox.Row{Set: ordersSet, Data: json.RawMessage(`[{"id":2}]`)}, []string{"orders:1", "user:1", "user:2", "user:3"}},
		"everything":               {outbox.Row{Set: 1}, []string{"orders:1", "orders:2", "orders:3"}},
		"a column that is gone":    {outbox.Row{Set: 1, Data: json.RawMessage(`[{"id":{"gone":true}}]`)}, []string{"orders:1", "orders:2", "orders:3"}},
		"not captured then":        {outbox.Row{Set: 1, Data: json.RawMessage(`[{"other":1}]`)}, []string{"orders:1", "orders:2", "orders:3"}},
		"no JSON":                  {outbox.Row{Set: 1, Data: json.RawMessage(`[{`)}, []string{"orders:1", "orders:2", "orders:3"}},
		"a set that nobody knows":  {outbox.Row{Set: 99, Data: json.RawMessage(`[{"id":2}]`)}, nil},
		"asked by an operator":     {outbox.Row{Set: outbox.Flush, Data: json.RawMessage(`["orders"]`)}, []string{"user:1", "user:2", "user:3"}},
		"a resource nobody knows":  {outbox.Row{Set: outbox.Flush, Data: json.RawMessage(`["x"]`)}, []string{"orders:1", "orders:2", "orders:3", "user:1", "user:2", "user:3"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.instance("a")
			for id := 1; id <= 3; id++ {
				w.load(id)
				w.copies[fmt.Sprint("orders:", id)] = 0
			}
			w.copies["hearth:x"], w.copies["users:1"] = 0, 0
			c.row.ID = w.nextID
			w.nextID++
			w.rows[c.row.ID] = c.row
			w.settle(a)
			delete(w.copies, "hearth:x")
			delete(w.copies, "users:1")
			var left []string
			for key := range w.copies {
				left = append(left, key)
			}
			if slices.Sort(left); !slices.Equal(left, c.left) {
				t.Errorf("left are %v, want %v", left, c.left)
			}
		})
	}
}

// TestOwnWritesAreSpared: an event of one write goes with its token, one of several
// without.
func TestOwnWritesAreSpared(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.commit(1, "T")
	w.load(1)
	w.own["user:1"] = "T"
	w.commit(2, "T")
	w.commit(2, "")
	w.load(2)
	w.own["user:2"] = "T"
	w.settle(a)
	if _, there := w.copies["user:1"]; !there {
		t.Error("the record that a write has put there is gone")
	}
	if _, there := w.copies["user:2"]; there {
		t.Error("a record that another has changed stands")
	}
	if got := a.Own.Load(); got != 1 {
		t.Errorf("%d are counted as spared, want 1", got)
	}
}

// TestLocksOfOthers: rows that are done and cannot be taken out are not done again, and
// the feed stays live.
func TestLocksOfOthers(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	w.locked = true
	for id := range 250 {
		w.commit(id, "")
	}
	w.settle(a)
	asked := len(w.asked)
	w.settle(a)
	for _, o := range w.asked[asked:] {
		if o.Key != canaryKey {
			t.Fatalf("%q was removed again", o.Key)
		}
	}
	w.load(1)
	w.commit(1, "")
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if s := a.Status(); !s.Live {
		t.Errorf("the feed is not live: %+v", s)
	}
	w.locked = false
	w.settle(a)
	if len(w.rows) > 1 {
		t.Errorf("%d rows stand when the lock is gone", len(w.rows))
	}
}

// TestOneMasterIsAway: rows whose copies cannot be removed do not keep those behind them.
func TestOneMasterIsAway(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	w.settle(a)
	w.away = map[string]bool{"user:7": true}
	for range 3 * batchRows {
		w.commit(7, "")
	}
	w.load(1)
	w.commit(1, "")
	drained := a.leadership.note.Drained
	w.settle(a)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if now := a.leadership.note.Drained; now > drained+1 {
		t.Error("it is told that all is done")
	}
	w.away = nil
	w.settle(a)
	if !a.Status().Live || len(w.rows) > 1 {
		t.Errorf("in the end: %+v, %d rows", a.Status(), len(w.rows))
	}
}

// TestTooMuchToLookAt: a backlog is removed as a whole.
func TestTooMuchToLookAt(t *testing.T) {
	w := newWorld(t)
	a := w.instance("a")
	s := *a.settings.Load()
	s.FlushBacklog = 1000
	a.settings.Store(&s)
	for id := range 5000 {
		w.load(id)
		w.commit(id, "")
	}
	w.settle(a)
	if stale := w.stale(); stale != nil || a.Flushes.Load() == 0 {
		t.Errorf("%d copies are older than the database, %d flushes", len(stale), a.Flushes.Load())
	}
	if len(w.rows) > 1 {
		t.Errorf("%d rows stand", len(w.rows))
	}
}

// TestNothingIsLost walks at random: commits that appear late, calls that fail before or
// after their effect, instances that die, a shared tier that comes back old, a database
// that comes back old. When all is quiet no copy is older than the database.
func TestNothingIsLost(t *testing.T) {
	seeds := uint64(30)
	if testkit.Long() {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walkAtRandom(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func walkAtRandom(t *testing.T, random *rand.Rand) {
	w := newWorld(t)
	keep := random.IntN(2) == 0
	start := func() *instance {
		i := w.instance("x")
		if keep {
			s := *i.settings.Load()
			s.Keep = time.Hour
			i.settings.Store(&s)
		}
		return i
	}
	all := []*instance{start(), start(), start()}
	var open []int64
	old := map[string]int{}
	failing := false
	w.fail = func(string, bool) error {
		if failing && random.IntN(12) == 0 {
			return errors.New("broken")
		}
		return nil
	}
	for range 300 {
		switch n := random.IntN(20); {
		case n < 4:
			w.commit(random.IntN(20), "")
		case n < 6:
			open = append(open, w.write(random.IntN(20), ""))
		case n < 8 && len(open) > 0:
			i := random.IntN(len(open))
			w.show(open[i])
			open = slices.Delete(open, i, i+1)
		case n == 8 && random.IntN(20) == 0:
			for range 1200 { // the hint goes on
				w.commit(100, "")
			}
		case n < 11:
			w.load(random.IntN(20))
		case n == 11:
			i := random.IntN(len(all))
			all[i] = start() // the one before is dead
		case n == 12 && keep: // the shared tier is lost, and comes back as it was
			if len(old) == 0 {
				for key, v := range w.copies {
					old[key] = v
				}
			} else {
				clear(w.copies)
				for key, v := range old {
					w.copies[key] = v
				}
				clear(old)
				clear(w.leases)
				w.generation.Number++
			}
		case n == 13:
			failing = !failing
		default:
			i := all[random.IntN(len(all))]
			drained := i.leadership.note.Drained
			_ = i.step()
			// A row that has appeared since the reads began is of the next look.
			if stale := w.stale(); i.leadership.note.Drained > drained && i.looked.Equal(w.clock) && stale != nil {
				t.Fatalf("it is told that all is done, and copies are older than the database: %v", stale)
			}
		}
		w.pass(time.Duration(random.IntN(300)) * time.Millisecond)
	}
	for _, row := range open {
		w.show(row)
	}
	failing = false
	w.settle(all...)
	if stale := w.stale(); stale != nil {
		t.Errorf("copies older than the database: %v", stale)
	}
	if s := all[0].Status(); !s.Live {
		t.Errorf("the feed is not live in the end: %+v", s)
	}
}
