package memory

import (
	"fmt"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// TestTheBudgetIsKeptAndUsed fills stores of all sizes with bodies of all sizes: what is
// counted stays within the budget, and when memory is full little of it is left unused.
func TestTheBudgetIsKeptAndUsed(t *testing.T) {
	t.Parallel()
	budgets := []int64{1 << 20, 7 << 20}
	if testkit.Long() {
		budgets = append(budgets, 3<<20, 64<<20, 256<<20)
	}
	mixed := []int{10, 100, 100, 1000, 10, 10_000, 100, 60_000}
	for _, budget := range budgets {
		for _, sizes := range [][]int{{10}, {100}, {1000}, {10_000}, {60_000}, mixed} {
			if !testkit.Long() && budget > 1<<20 && sizes[len(sizes)-1] < 60_000 {
				continue // the race detector makes millions of small records slow
			}
			t.Run(fmt.Sprintf("%d of %d", sizes, budget), func(t *testing.T) {
				t.Parallel()
				fill(t, budget, sizes)
			})
		}
	}
}

// fill keeps twice what there is budget for, and replaces and drops some of it.
func fill(t *testing.T, budget int64, sizes []int) {
	const share = 0.05
	s := New(Config{Budget: budget, MissingShare: share, LinkTimeout: time.Minute})
	o, sh := s.NewOwner(true), NewShape("user")
	missing := int64(float64(budget) * share)
	put := func(key string, size int, flags uint8) {
		e := s.NewAnswer(sh, key, []byte(`"`+babble[:size-2]+`"`), flags) // packing it would take nearly all of the time
		if s.Keep(e, o, o.Epoch(), s.Now()+int64(time.Hour), Never) != (e.Length() <= s.MaxValue()) {
			t.Fatalf("keeping %d bytes in a budget of %d", size, budget)
		}
		got := s.Sizes()
		if got.Bytes > budget+budget/overdraft || got.MissingBytes > missing+max(missing/overdraft, own) {
			t.Fatalf("%d bytes, %d of them for missing records, are taken of %d", got.Bytes, got.MissingBytes, budget)
		}
	}
	kept, n := int64(0), 0
	for ; kept < 2*budget; n++ {
		size := sizes[n%len(sizes)]
		put(fmt.Sprint("k", n), size, 0)
		kept += int64(size) + 60
		switch n % 7 {
		case 3:
			put(fmt.Sprint("k", n-n%5), sizes[n/7%len(sizes)], 0)
		case 5:
			s.Drop(fmt.Sprint("k", n-n%3), nil)
		}
	}
	got := s.Sizes()
	largest := int64(0)
	for _, size := range sizes {
		largest = max(largest, int64(size))
	}
	if got := got.Bytes - got.MissingBytes; largest < s.MaxValue()*9/10 && got < (budget-missing)*19/20 {
		t.Errorf("full, %d bytes are taken of %d", got, budget-missing)
	}
	for i := range int(3 * missing / 60) {
		put(fmt.Sprint("none", i), 10, FlagMissing)
	}
	after := s.Sizes()
	if after.MissingBytes < missing*19/20 {
		t.Errorf("full of missing records, %d bytes are taken of their share of %d", after.MissingBytes, missing)
	}
	if after.Entries-after.MissingEntries != got.Entries {
		t.Errorf("missing records displaced records: %d are left of %d", after.Entries-after.MissingEntries, got.Entries)
	}
}

// TestWhatIsReplacedLeavesRoom replaces, drops and refuses a few records again and again
// while memory is half full of others: what is left behind is used again before anything
// that lives has to go.
func TestWhatIsReplacedLeavesRoom(t *testing.T) {
	t.Parallel()
	rounds := 8_000
	if testkit.Long() {
		rounds = 1_000_000
	}
	const budget = 2 << 20
	s := New(Config{Budget: budget, MissingShare: 0.2, LinkTimeout: time.Minute})
	o, sh := s.NewOwner(true), NewShape("")
	put := func(key string, size int, flags uint8) {
		e := s.NewAnswer(sh, key, []byte(`"`+babble[:size-2]+`"`), flags)
		s.Keep(e, o, o.Epoch(), s.Now()+int64(time.Hour), Never)
	}
	const resting = 2500
	for i := range resting {
		put(fmt.Sprint("resting", i), 200, 0)
	}
	for i := range rounds {
		key := fmt.Sprint("restless", i%7)
		switch i % 10 {
		case 3:
			s.Drop(key, nil)
		case 5:
			put(key, 10, FlagMissing)
		case 7:
			put(key, budget/50, 0) // too large to be kept: what was there goes
		default:
			put(key, 10+i%1000*17, 0)
		}
		if got := s.Sizes(); got.Bytes > budget {
			t.Fatalf("round %d: %d bytes are taken of %d", i, got.Bytes, budget)
		}
	}
	left := 0
	for i := range resting {
		if s.Find(sh, fmt.Append(nil, "resting", i)) != nil {
			left++
		}
	}
	if left != resting {
		t.Errorf("%d of %d records are left, though memory was never full of what lives", left, resting)
	}
	for i := range resting {
		s.Drop(fmt.Sprint("resting", i), nil)
	}
	for i := range 7 {
		s.Drop(fmt.Sprint("restless", i), nil)
	}
	if got := s.Sizes(); got.Entries != 0 || got.MissingEntries != 0 {
		t.Errorf("after everything was dropped, sizes are %+v", got)
	}
}

// TestLargeValuesLeaveOneByOne keeps values that lie outside of segments, more than there
// is room for. Each takes the place of about as much, and what is read all the time stays.
func TestLargeValuesLeaveOneByOne(t *testing.T) {
	t.Parallel()
	const budget = 24 << 20
	s := New(Config{Budget: budget, MissingShare: 0.05, LinkTimeout: time.Minute})
	o, sh := s.NewOwner(true), NewShape("user")
	data := []byte(`"` + babble[:70_000] + `"`)
	const hot, all = 20, 900
	for i := range all {
		e := s.NewAnswer(sh, fmt.Sprint("k", i), data, 0)
		before := s.Sizes().Entries
		if !s.Keep(e, o, o.Epoch(), s.Now()+int64(time.Hour), Never) {
			t.Fatalf("record %d is not kept", i)
		}
		if after := s.Sizes(); after.Entries < before-4 || after.Bytes > budget {
			t.Fatalf("record %d: %d of %d are left, in %d bytes of %d", i, after.Entries, before, after.Bytes, budget)
		}
		for k := range min(hot, i) {
			if s.Find(sh, fmt.Append(nil, "k", k)) == nil {
				t.Fatalf("record %d has displaced record %d, which is read all the time", i, k)
			}
		}
	}
	if got := s.Sizes().Bytes; got < budget*85/100 {
		t.Errorf("full, %d bytes are taken of %d", got, budget)
	}
}
