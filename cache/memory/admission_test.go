package memory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// filler keeps records and asks for their admission as reads do.
type filler struct {
	*Store
	t  *testing.T
	sh *Shape
	o  *Owner
}

// newFull returns a store that had to make room just now.
func newFull(t *testing.T) *filler {
	t.Helper()
	f := &filler{t: t, Store: New(Config{Budget: 1 << 20, LinkTimeout: testTimeout}), sh: NewShape("")}
	f.o = f.NewOwner(true)
	for i := 0; f.Evictions() == 0; i++ {
		if key := fmt.Sprint("first:", i); !f.read(key) {
			t.Fatalf("%s is not admitted, and nothing was evicted yet", key)
		}
	}
	return f
}

// read does what a read does that memory cannot answer, and tells whether it was kept.
func (f *filler) read(key string) (admitted bool) {
	f.t.Helper()
	if f.Peek(f.sh, []byte(key)).Found() {
		f.t.Fatalf("%s is in memory", key)
	}
	admitted = f.Admits(key)
	if admitted && !f.Keep(NewEntry(f.sh, key, []byte(`"some data of a record, not much of it"`), 0), f.o, f.o.Epoch(), Never, Never) {
		f.t.Fatalf("%s is admitted and not kept", key)
	}
	return admitted
}

func (f *filler) has(key string) bool {
	defer f.Pin(0).Release()
	return f.Peek(f.sh, []byte(key)).Found()
}

func TestAKeyThatWasMissedTwiceIsKept(t *testing.T) {
	t.Parallel()
	f := newFull(t)
	if f.read("twice") {
		t.Error("a key that was never missed before is admitted to a full memory")
	}
	for i := range 100 {
		f.read(fmt.Sprint("once:", i))
	}
	if !f.read("twice") || !f.has("twice") {
		t.Error("a key that was missed a hundred misses ago is not admitted")
	}
	if f.NotAdmitted() < 100 {
		t.Errorf("%d reads were counted as not admitted, want a hundred and more", f.NotAdmitted())
	}
}

// TestAScanOfAFullMemoryEvictsNothing: however long it is.
func TestAScanOfAFullMemoryEvictsNothing(t *testing.T) {
	t.Parallel()
	f := newFull(t)
	admitted := 0
	const scan = 200_000
	for i := range scan {
		if f.Admits(fmt.Sprint("scan:", i)) {
			admitted++
		}
	}
	// Four fingerprints are compared with each of its keys.
	if admitted > scan/1000 {
		t.Errorf("%d of %d keys that come once are admitted, want one in 16,000", admitted, scan)
	}
}

// TestWhatWasMissedLongAgoIsForgotten: as many misses as there are records are remembered,
// give or take.
func TestWhatWasMissedLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFull(t)
	records := int(f.Sizes().Entries)
	known := func(what string, misses int) (known int) {
		for i := range 500 {
			f.Admits(fmt.Sprint(what, i))
		}
		for i := range misses {
			f.Admits(fmt.Sprint(what, "between:", i))
		}
		for i := range 500 {
			if f.Admits(fmt.Sprint(what, i)) {
				known++
			}
		}
		return known
	}
	if got := known("a", records/4); got < 450 {
		t.Errorf("after a quarter as many misses as records %d of 500 are known, want nearly all", got)
	}
	if got := known("b", records*4); got > 50 {
		t.Errorf("after four times as many misses as records %d of 500 are known, want hardly any", got)
	}
}

// TestAChangedRecordFindsItsPlaceAgain: a write must not cost two reads of the shared tier.
func TestAChangedRecordFindsItsPlaceAgain(t *testing.T) {
	t.Parallel()
	f := newFull(t)
	f.read("hot")
	f.read("hot")
	for range 10 {
		f.Drop("hot", nil)
		if !f.read("hot") {
			t.Fatal("a record that was dropped because it has changed is not kept again")
		}
	}
	f.Drop("never there", nil)
	if f.read("never there") {
		t.Error("a write to a key that was not in memory has it admitted")
	}
}

// TestAMemoryThatIsNotFullKeepsAll: not any more, or not yet again.
func TestAMemoryThatIsNotFullKeepsAll(t *testing.T) {
	t.Parallel()
	keepsAll := func(what string, want bool, change func(f *filler)) {
		t.Helper()
		f := newFull(t)
		change(f)
		if got := f.read("new"); got != want {
			t.Errorf("%s: what is new is admitted %v, want %v", what, got, want)
		}
	}
	dropShare := func(nth int) func(f *filler) {
		return func(f *filler) {
			var keys []string
			f.Each(func(v View) bool {
				keys = append(keys, string(v.r.key()))
				return true
			})
			for i, key := range keys {
				if i%nth == 0 {
					f.Drop(key, nil)
				}
			}
		}
	}
	keepsAll("nothing happened", false, func(*filler) {})
	keepsAll("a few records have changed", false, dropShare(50))
	keepsAll("half of the records have changed", true, dropShare(2))
	keepsAll("the budget is a little larger", true, func(f *filler) { f.Resize(1<<20+1<<18, 0) })
	keepsAll("the budget is much larger", true, func(f *filler) { f.Resize(64<<20, 0) })
	keepsAll("the budget is smaller", false, func(f *filler) { f.Resize(1<<19+1<<18, 0) })
}

// TestFingerprintsAreWithinTheBudget, and as many as records, when these become smaller.
func TestFingerprintsAreWithinTheBudget(t *testing.T) {
	t.Parallel()
	s := New(Config{Budget: 1 << 20, LinkTimeout: testTimeout})
	o, sh := s.NewOwner(true), NewShape("")
	p := s.entries.now.Load().all[0]
	for i, size := range []int{1300, 20, 400} { // none is compressed
		for n := range 10_000 {
			key := fmt.Sprint(i, ":", n)
			s.Admits(key)
			s.Keep(NewEntry(sh, key, []byte(fmt.Sprintf(`"%0*d"`, size, n)), 0), o, o.Epoch(), Never, Never)
			if p.taken > p.budget {
				t.Fatalf("record %d of %d bytes: %d bytes are taken of %d", n, size, p.taken, p.budget)
			}
		}
		if got, want := p.admission.bytes(), int64(2*p.count); got < want/2-64 || got > want*3/2+256 {
			t.Errorf("%d records of %d bytes: fingerprints take %d bytes, want two each", p.count, size, got)
		}
	}
}

// TestWhatIsRememberedMovesAlong when the fingerprints become more, or fewer.
func TestWhatIsRememberedMovesAlong(t *testing.T) {
	t.Parallel()
	for _, records := range []int{4000, 8000, 13_000, 3000} {
		var a admission
		a.fit(4000)
		rnd := rand.New(rand.NewPCG(1, 1))
		hashes := make([]uint64, 500)
		for i := range hashes {
			hashes[i] = rnd.Uint64()
			a.miss(hashes[i])
		}
		if grown := a.fit(records); grown != int64(2*records-2*4000) {
			t.Errorf("from 4000 to %d: grown by %d bytes", records, grown)
		}
		known := 0
		for _, h := range hashes {
			if a.miss(h) {
				known++
			}
		}
		if known < 500*min(records, 4000)/4000*7/10 {
			t.Errorf("from 4000 to %d: %d of 500 keys are still known, want most of those that there is room for", records, known)
		}
	}
}

// TestManyMissOneKeyAtATime: one of them is the first.
func TestManyMissOneKeyAtATime(t *testing.T) {
	t.Parallel()
	f := newFull(t)
	for i := range 200 {
		key := fmt.Sprint("together:", i)
		var refused atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if !f.Admits(key) {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if got := refused.Load(); got > 1 {
			t.Fatalf("%s was missed by four and refused %d times, want once", key, got)
		}
	}
}

func BenchmarkAdmits(b *testing.B) {
	s := New(Config{Budget: 16 << 20, LinkTimeout: testTimeout})
	o, sh := s.NewOwner(true), NewShape("")
	for i := 0; s.Evictions() == 0; i++ {
		s.Keep(NewEntry(sh, fmt.Sprint("first:", i), []byte(`"data"`), 0), o, o.Epoch(), Never, Never)
	}
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%09d", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(keys)); pb.Next(); i++ {
			s.Admits(keys[i%len(keys)])
		}
	})
}
