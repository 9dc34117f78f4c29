package cache

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/gate"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// termedLedger is a ledger whose answers come with a term, and which confirms records.
type termedLedger struct {
	*ledger
	term  atomic.Pointer[source.Term]
	known atomic.Int64 // loads whose caller had the record
}

func (l *termedLedger) LoadTermed(ctx context.Context, args source.Args, known []byte) ([]byte, source.Term, error) {
	record, err := l.Load(ctx, args)
	if known != nil && string(known) == string(record) {
		l.known.Add(1)
		record = known
	}
	if t := l.term.Load(); t != nil {
		return record, *t, err
	}
	return record, source.Term{}, err
}

func newTermedDesk(t *testing.T, c *Cache, rows ...string) (*desk, *termedLedger) {
	book := &termedLedger{ledger: newLedger(rows...)}
	d := newDesk(t, c, book.ledger)
	d.r = NewResource("user", "user", testLives, book)
	return d, book
}

// TestWhatMayNotBeSharedIsNotKept: neither here nor in the shared tier, and each reader
// gets an answer of its own, also those that waited for the same load.
func TestWhatMayNotBeSharedIsNotKept(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, book := newTermedDesk(t, open(t), "1", "1")
		book.term.Store(&source.Term{Unshared: "private"})
		const readers = 20
		hold, n := make(chan struct{}), atomic.Int64{}
		book.loaded = func(ctx context.Context, _ string) error {
			if n.Add(1) == 1 {
				<-hold // until the others wait for it
			}
			return nil
		}
		var all sync.WaitGroup
		answers := make(chan Answer, readers)
		for range readers {
			all.Go(func() {
				a, err := d.read("1")
				if err != nil {
					t.Error(err)
					return
				}
				answers <- a
			})
		}
		testkit.Eventually(t, patience, "the others wait", func() bool { return d.Stats().Waiting == readers-1 })
		close(hold)
		all.Wait()
		close(answers)
		for a := range answers {
			if a.Tier != TierSource || a.Stored || a.Detail != detailUnshared {
				t.Errorf("got an answer from %v, stored %v, detail %q", a.Tier, a.Stored, a.Detail)
			}
		}
		if got := book.loads.Load(); got != readers {
			t.Errorf("the source was asked %d times for %d readers", got, readers)
		}
		if d.Unshared("user") != readers {
			t.Errorf("%d loads are counted as unshared", d.Unshared("user"))
		}
		if found, err := d.tier.Get(within(t), d.key("1")); err != nil || found.State != 0 || found.Data != nil {
			t.Errorf("the shared tier has %+v, %v", found, err)
		}
		// A missing record likewise.
		a, err := d.read("none")
		if err != nil || !a.Entry.Missing() || a.Detail != detailUnshared || a.Stored {
			t.Errorf("a missing record: got %+v, %v", a, err)
		}
		// As soon as it may be shared it is kept: the next load but one.
		book.term.Store(nil)
		d.wantRead("1", "1", TierSource)
		if a := d.wantRead("1", "1", TierSource); !a.Stored || a.Detail != "" {
			t.Errorf("a record that may be shared again is not kept: %+v", a)
		}
		d.wantRead("1", "1", d.SharedTier())
	})
}

// TestALifetimeIsBoundedByTheSource: a load and a refresh live no longer than the source
// allows, and a copy of what may not be shared any more is removed.
func TestALifetimeIsBoundedByTheSource(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, book := newTermedDesk(t, open(t, allHot), "1", "1")
		book.term.Store(&source.Term{Most: 20 * time.Second})
		d.wantRead("1", "1", TierSource)
		if a := d.wantRead("1", "1", d.SharedTier()); a.TTL <= 0 || a.TTL > 20*time.Second {
			t.Errorf("it lives for %v more", a.TTL)
		}
		book.write("1", "2")
		book.term.Store(&source.Term{Most: 10 * time.Second})
		d.refresh("1", "1")
		d.wantRefreshes(refreshStored, 1)
		testkit.Eventually(t, patience, "the new record is read", func() bool {
			a, err := d.read("1")
			return err == nil && string(a.Data()) == "2" && a.TTL <= 10*time.Second
		})
		book.term.Store(&source.Term{Unshared: "no-store"})
		d.refresh("1", "2")
		d.wantRefreshes(refreshFailed, 1)
		d.wantRead("1", "2", TierSource)
	})
}

// TestACopyIsConfirmed: where memory has the record still, the source need not send it.
func TestACopyIsConfirmed(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, book := newTermedDesk(t, open(t, allHot), "1", "1")
		d.warm("1", "1")
		d.refresh("1", "1")
		if book.known.Load() != 1 || d.Unchanged("user") != 1 {
			t.Errorf("a refresh: %d were confirmed, %d counted", book.known.Load(), d.Unchanged("user"))
		}
		d.wantRefreshes(refreshStored, 1)
	})
}

// TestASourceIsSpared: one answer that asks for a pause is enough, and nothing is asked
// before it is over.
func TestASourceIsSpared(t *testing.T) {
	d, book := newTermedDesk(t, openFile(t), "1", "1")
	book.loaded = func(context.Context, string) error {
		return &source.SpareError{Err: fmt.Errorf("too many: %w", source.ErrDown), After: time.Hour}
	}
	for i := range 50 {
		if _, err := d.read(strconv.Itoa(i)); err == nil {
			t.Fatal("it was answered")
		}
	}
	if n := book.loads.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	if err := d.gateOf(d.r).Check(); err == nil || !d.BreakerOpen("", nil) {
		t.Errorf("got %v, want %v", err, gate.ErrOpen)
	}
}
