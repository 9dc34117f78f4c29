package cache

import (
	"context"
	"errors"
	"sync"
	"testing"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// misspelling makes the ledger find the row of Ann by any other spelling of it.
func misspelling(l *ledger) {
	l.loaded = func(_ context.Context, id string) error {
		if id == "ann" || id == "ANN" {
			return &source.SpellingError{Args: source.Args{"Ann"}}
		}
		return nil
	}
}

func wantOther(t *testing.T, err error) {
	t.Helper()
	var other *source.SpellingError
	if !errors.As(err, &other) || len(other.Args) != 1 || other.Args[0] != "Ann" || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want the name that the row goes by", err)
	}
}

// TestNothingIsKeptUnderAnotherName: a load that finds another record's row
// leaves neither a copy nor a lease, and all who waited for it hear the same.
func TestNothingIsKeptUnderAnotherName(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("Ann", "1"))
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error {
			<-gate
			return &source.SpellingError{Args: source.Args{"Ann"}}
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := d.read("ann")
				wantOther(t, err)
			})
		}
		testkit.Eventually(t, patience, "one loads and the others wait", func() bool {
			return d.book.loads.Load() == 1 && d.Stats().Waiting >= 9
		})
		close(gate)
		all.Wait()
		loads := d.book.loads.Load()
		if loads > 5 { // one may have seen the lease too early to join, and looks for itself
			t.Errorf("%d loads for 10 readers who came together", loads)
		}
		fixture{d.Cache, t, d.key("ann")}.want("nothing")
		if e := d.store.Find(d.r.Shape, []byte(d.key("ann"))); e != nil {
			t.Errorf("memory keeps %s", e.Data())
		}
		if missing, failed := d.Loads("user", loadMissing), d.Loads("user", loadError); missing != loads || failed != 0 {
			t.Errorf("counted %d missing and %d failed, want it as missing", missing, failed)
		}
		misspelling(d.book)
		d.wantRead("Ann", "1", TierSource)

		// A write is undone.
		d.book.begun = func() error { return &source.SpellingError{Args: source.Args{"Ann"}} }
		_, err := d.put("ANN", "2")
		wantOther(t, err)
		fixture{d.Cache, t, d.key("ANN")}.want("nothing")
		d.warm("Ann", "1")
	})
}

// TestManyReadsOfOtherNames: one of several is another's, and the rest are good.
func TestManyReadsOfOtherNames(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, _ := newShelf(t, open(t), 3)
		s.write("Ann", `"it"`)
		misspelling(s.ledger)
		for range 3 {
			answers, err := d.readMany("0", "ann", "Ann", "ANN", "2")
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{"0", "null", `"it"`, "null", "2"} {
				if got := string(answers[i].Data()); got != want {
					t.Errorf("answer %d: got %s, want %s", i, got, want)
				}
			}
		}
		fixture{d.Cache, t, d.key("ann")}.want("nothing")
		fixture{d.Cache, t, d.key("Ann")}.want(`"it"`)
	})
}

// TestRefreshOfAnotherName: a copy whose row has another name by now goes.
func TestRefreshOfAnotherName(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, allHot), newLedger("ann", "1"))
		d.warm("ann", "1")
		misspelling(d.book)
		d.refresh("ann", "1")
		d.wantRefreshes(refreshFailed, 1)
		fixture{d.Cache, t, d.key("ann")}.want("nothing")
		_, err := d.read("ann")
		wantOther(t, err)
	})
}

// TestAnotherNameWithoutASharedTier: untracked loads are judged, too.
func TestAnotherNameWithoutASharedTier(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("Ann", "1"))
	misspelling(d.book)
	srv.Stop()
	testkit.Eventually(t, patience, "Redis is known to be away", func() bool { return d.Up() != nil })
	_, err := d.read("ann")
	wantOther(t, err)
	if e := d.store.Find(d.r.Shape, []byte(d.key("ann"))); e != nil {
		t.Errorf("memory keeps %s", e.Data())
	}
}
