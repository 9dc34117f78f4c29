package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/cache/audit"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// shelf is a ledger that reads many records with one call.
type shelf struct {
	*ledger
	calls atomic.Int64
	fails error
}

func (s *shelf) LoadMany(ctx context.Context, args []source.Args) ([][]byte, error) {
	s.calls.Add(1)
	records, others := make([][]byte, len(args)), source.SpellingErrors{}
	for i, a := range args {
		record, err := s.Load(ctx, a)
		var other *source.SpellingError
		if errors.As(err, &other) {
			others[i] = other
			continue
		}
		if err != nil && !errors.Is(err, source.ErrNoRecord) {
			return nil, err
		}
		records[i] = record
	}
	if len(others) > 0 {
		return records, others
	}
	return records, s.fails
}

func newShelf(t *testing.T, c *Cache, n int) (*desk, *shelf, []string) {
	s := &shelf{ledger: newLedger()}
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint(i))
		s.write(ids[i], ids[i])
	}
	d := newDesk(t, c, s.ledger)
	d.r = NewResource("user", "user", testLives, s)
	return d, s, ids
}

func TestAManyReadLoadsWithOneCall(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 50)
		d.wantRead("0", "0", TierSource)
		ids = append(ids, "absent", "49")
		for _, tier := range []Tier{TierSource, d.SharedTier(), TierMemory} {
			answers, err := d.readMany(ids...)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				want := ids[i]
				if want == "absent" {
					want = "null"
				}
				if string(a.Data()) != want || a.Tier != tier && ids[i] != "0" {
					t.Errorf("%s: got %s from %v, want it from %v", ids[i], a.Data(), a.Tier, tier)
				}
				if tier == TierSource && a.Tier == tier && !a.Stored {
					t.Errorf("%s was not stored", ids[i])
				}
			}
		}
		if calls, loads := s.calls.Load(), s.loads.Load(); calls != 1 || loads != 51 {
			t.Errorf("%d calls loaded %d records, want one for the 50 that were missing", calls, loads)
		}
		if ok, missing := d.Loads("user", loadOK), d.Loads("user", loadMissing); ok != 50 || missing != 1 {
			t.Errorf("counted %d records and %d missing ones, want 50 and 1", ok, missing)
		}
		fixture{d.Cache, t, d.key("7")}.want("7")
		fixture{d.Cache, t, d.key("absent")}.want("null")
	})
}

// TestManyReadsThatOverlap: what one loads the other waits for, also where
// they run on different instances.
func TestManyReadsThatOverlap(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 60)
		other := d
		if d.SharedTier() == TierRedis {
			other = newDesk(t, open(t), s.ledger)
			other.r = NewResource("user", "user", testLives, s)
		}
		gate := make(chan struct{})
		var once sync.Map
		s.loaded = func(_ context.Context, id string) error {
			if _, twice := once.LoadOrStore(id, true); twice {
				t.Errorf("%s is loaded twice", id)
			}
			<-gate
			return nil
		}
		var all sync.WaitGroup
		read := func(d *desk, ids []string) {
			all.Go(func() {
				answers, err := d.readMany(ids...)
				if err != nil {
					t.Error(err)
					return
				}
				for i, a := range answers {
					if string(a.Data()) != ids[i] {
						t.Errorf("%s: got %s", ids[i], a.Data())
					}
				}
			})
		}
		read(d, ids[:40])
		testkit.Eventually(t, patience, "the first loads", func() bool { return s.calls.Load() == 1 })
		read(other, ids[20:])
		all.Go(func() {
			if a, err := other.read("0"); err != nil || string(a.Data()) != "0" {
				t.Errorf("reading one of them: got %v, %v", a, err)
			}
		})
		testkit.Eventually(t, patience, "the second loads, and waits", func() bool {
			return s.calls.Load() == 2 && other.Stats().Waiting >= 20
		})
		close(gate)
		all.Wait()
		if n := s.loads.Load(); n != 60 {
			t.Errorf("%d records were loaded, want each of the 60 once", n)
		}
	})
}

func TestAManyReadThatFails(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 10)
		s.fails = errBroken
		if _, err := d.readMany(ids...); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errBroken) {
			t.Errorf("got %v, want ErrUnavailable with its cause", err)
		}
		for _, id := range ids {
			fixture{d.Cache, t, d.key(id)}.want("nothing") // no lease is left
		}
		s.fails = nil
		s.loaded = func(context.Context, string) error { panic("boom") }
		if _, err := d.readMany(ids...); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a panic: got %v, want ErrUnavailable", err)
		}
		s.loaded = nil
		if answers, err := d.readMany(ids...); err != nil || len(answers) != 10 || answers[9].Tier != TierSource {
			t.Errorf("afterwards: got %v, %v", answers, err)
		}
	})
}

// TestAManyReadWhoseKeysChange: a write between the load and the fill of some
// keys voids the leases of those, and of those only.
func TestAManyReadWhoseKeysChange(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 4)
		other := newDesk(t, d.Cache, s.ledger)
		s.loaded = func(_ context.Context, id string) error {
			switch id {
			case "1":
				other.mustPut("1", `"put"`)
			case "2":
				fixture{d.Cache, t, d.key("2")}.remove()
			case "3":
				fixture{d.Cache, t, d.key("3")}.set(`"set"`)
			}
			return nil
		}
		answers, err := d.readMany(ids...)
		if err != nil {
			t.Fatal(err)
		}
		for i, stored := range []bool{true, false, false, false} {
			if a := answers[i]; a.Stored != stored || string(a.Data()) != ids[i] {
				t.Errorf("%d: got %s, stored %v, want what was loaded, stored %v", i, a.Data(), a.Stored, stored)
			}
		}
		for i, want := range []string{"0", `"put"`, "nothing", `"set"`} {
			fixture{d.Cache, t, d.key(ids[i])}.want(want)
		}
	})
}

// TestManyReadsAreSampled: what memory answers of them is found among the hot keys and audited,
// whether it answers the whole of a many-read or a part.
func TestManyReadsAreSampled(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, _, ids := newShelf(t, open(t, func(c *setup) { c.Audit.Rate = 1000 }), 2)
		d.Serve([]Served{{Resource: d.r}})
		whole, part := d.key(ids[0]), d.key(ids[1])
		for range 2 { // from the source, and into memory
			if _, err := d.readMany(ids...); err != nil {
				t.Fatal(err)
			}
		}
		cold := 0
		testkit.Eventually(t, patience, "hits of both are seen", func() bool {
			if _, ok := d.MemoryMany(d.r, []string{whole}, []source.Args{{ids[0]}}, false); !ok {
				t.Fatal("memory has not the whole")
			}
			cold++
			if _, err := d.readMany(ids[1], fmt.Sprint("cold", cold)); err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, hot := range d.HotKeys(HotByReads, 2) {
				if (hot.Key == whole || hot.Key == part) && hot.Reads > 2*hot.Misses && hot.Bytes > 0 {
					seen++
				}
			}
			return seen == 2 && d.AuditChecks(audit.Memory, audit.OK) > 0
		})
	})
}
