package memory

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"hearth/internal/testkit"
)

// newTableOf is a table of so many bytes, of a store of its own.
func newTableOf(budget int64) *table {
	s := New(Config{Budget: budget, LinkTimeout: testTimeout})
	s.poison = 0xdb
	return s.entries
}

// newRecord is what a test keeps.
func newRecord(sh *Shape, key, data string) *Entry {
	e := NewEntry(sh, key, []byte(data), 0)
	e.expiry.Store(Never)
	e.sharedExpiry = Never
	e.refreshAt.Store(Never)
	return e
}

// get is the data of a key, "" for none.
func (t *table) get(sh *Shape, key string) string {
	defer t.grace.enter(0).Release()
	r, e := t.lookup(HashKey(key), []byte(key))
	switch {
	case e != nil:
		return string(e.Data())
	case r != nil:
		return string(r.data())
	}
	return ""
}

// check verifies what must hold of a table between two operations.
func (t *table) check(tb testing.TB, budget int64) {
	tb.Helper()
	sum := int64(0)
	for i, p := range t.now.Load().all {
		p.mu.Lock()
		p.check(tb, i)
		sum += p.taken
		p.mu.Unlock()
	}
	if sum > budget {
		tb.Fatalf("the table takes %d bytes of a budget of %d", sum, budget)
	}
}

func (p *partition) check(tb testing.TB, number int) {
	tb.Helper()
	shown, perSegment := 0, map[*segment]int{}
	var heap int64
	for i := range p.index.arrays {
		a, n := p.index.arrays[i].Load(), 0
		for j := range a.slots {
			word := a.slots[j].Load()
			if word == 0 {
				continue
			}
			n++
			place := word & placeMask
			r, s := p.at(place), p.segmentOf(place)
			hash := hashBytes(r.key())
			if arrayOf(hash) != i || tagOf(hash) != word>>placeBits {
				tb.Fatalf("partition %d, array %d, slot %d: the tag is none of key %q", number, i, j, r.key())
			}
			if slot, found := p.find(hash, string(r.key())); slot != j || found != place {
				tb.Fatalf("partition %d: key %q in slot %d is not found there", number, r.key(), j)
			}
			perSegment[s] += r.size()
			if r.onHeap() {
				heap += int64(p.heap.of(r).size)
			}
		}
		if n != p.index.counts[i] || n == len(a.slots) {
			tb.Fatalf("partition %d, array %d: %d of %d slots are taken, %d are counted", number, i, n, len(a.slots), p.index.counts[i])
		}
		shown += n
	}
	var live, used int64
	for _, s := range p.all() {
		if s.live != perSegment[s] || p.segments[s.number] != s {
			tb.Fatalf("partition %d, segment %d: %d bytes are shown, %d are counted", number, s.number, perSegment[s], s.live)
		}
		live, used = live+int64(s.live), used+int64(s.used)
		delete(perSegment, s)
	}
	if len(perSegment) > 0 {
		tb.Fatalf("partition %d: the index shows records of segments that are cleared", number)
	}
	segments := int64(len(p.all())+len(p.ready)+len(p.retired)) * int64(p.arena.size)
	if shown != p.count || live != p.live || used != p.used || p.taken != segments+p.index.bytes()+heap {
		tb.Fatalf("partition %d: %d records, %d live, %d used, %d taken; counted are %d, %d, %d, %d", number,
			shown, live, used, segments+p.index.bytes()+heap, p.count, p.live, p.used, p.taken)
	}
}

func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	const seed = 42
	rnd := rand.New(rand.NewPCG(seed, seed))
	sh, tb, model := NewShape(""), newTableOf(64<<20), map[string]string{}
	for step := range 20_000 {
		key := fmt.Sprint("key:", rnd.IntN(2000))
		switch rnd.IntN(4) {
		case 0, 1:
			data := fmt.Sprintf(`"%0*d"`, rnd.IntN(300)+1, step)
			if step%100 == 0 {
				data = `"` + strings.Repeat("x", 70<<10) + data[1:]
			}
			if !tb.put(newRecord(sh, key, data)) {
				t.Fatalf("step %d of seed %d: %s is not kept", step, seed, key)
			}
			model[key] = data
		case 2:
			tb.drop(HashKey(key), key, nil)
			delete(model, key)
		case 3:
			tb.drop(HashKey(key), key, func(View) bool { return true })
		}
		if got := tb.get(sh, key); got != model[key] {
			t.Fatalf("step %d of seed %d: looking up %s: got %.40q, want %.40q", step, seed, key, got, model[key])
		}
		if step%500 == 0 {
			tb.check(t, 64<<20)
		}
	}
	for key, want := range model {
		if got := tb.get(sh, key); got != want {
			t.Errorf("looking up %s: got %.40q, want %.40q", key, got, want)
		}
	}
	n := 0
	tb.each(func(v View) bool { n++; return true })
	if n != len(model) {
		t.Errorf("each visited %d records, want %d", n, len(model))
	}
}

// TestIndexProbesAcrossTheEnd gives all places of one array few homes, so that probe runs
// are long, wrap around and are mended by removals.
func TestIndexProbesAcrossTheEnd(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var x index
	x.init()
	model := map[uint64]bool{}
	hash := func(n uint64) uint64 { return (1<<tagBits - 1 - n%5) << (56 - tagBits) } // one array, the last homes
	is := func(place uint64) func(uint64) bool { return func(at uint64) bool { return at == place } }
	for step := range 4_000 {
		n := 1 + rnd.Uint64N(40)
		slot, place := x.arrays[0].Load().find(tagOf(hash(n)), is(n))
		if (place != 0) != model[n] {
			t.Fatalf("step %d: %d is found: %v, want %v", step, n, place != 0, model[n])
		}
		switch {
		case rnd.IntN(2) == 0 && place == 0:
			if x.crowded(hash(n)) {
				x.grow(hash(n))
				slot, _ = x.arrays[0].Load().find(tagOf(hash(n)), is(n))
			}
			x.set(hash(n), slot, n, true)
			model[n] = true
		case place != 0:
			x.remove(hash(n), slot)
			delete(model, n)
		}
		for i := uint64(1); i <= 40; i++ {
			if _, got := x.arrays[0].Load().find(tagOf(hash(i)), is(i)); (got != 0) != model[i] {
				t.Fatalf("step %d: %d is found: %v, want %v", step, i, got != 0, model[i])
			}
		}
	}
}

func TestTableKeepsItsBudget(t *testing.T) {
	t.Parallel()
	insertions := 60_000
	if testkit.Long() {
		insertions = 10_000_000
	}
	const budget = 8 << 20
	tb, sh := newTableOf(budget), NewShape("")
	text := strings.Repeat("0123456789", budget/100/10)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(w)))
			for i := range insertions / 4 {
				size := 20 + int(rnd.ExpFloat64()*150)
				if i%100 == 0 {
					size = rnd.IntN(budget/100 - 200) // up to the largest that is kept
				}
				key := strconv.Itoa(rnd.IntN(100_000))
				tb.put(newRecord(sh, key, `"`+text[:min(size, gzipFrom-3)]+`"`))
				if size > gzipFrom {
					e, _ := layOut(sh, key, "", []byte(`"`+text[:size]+`"`), "", nil)
					e.hash = HashKey(key)
					tb.put(e)
				}
				if i%5 == 0 {
					tb.drop(HashKey(key), key, nil)
				}
			}
		})
	}
	all.Wait()
	tb.check(t, budget)
	if got, _ := tb.sizes(); got < budget*8/10 {
		t.Errorf("after churn the table uses only %d bytes of its budget of %d", got, int64(budget))
	}
}

func TestTableReadersMeetWriters(t *testing.T) {
	t.Parallel()
	tb, sh := newTableOf(64<<10), NewShape("")
	key := func(i int) string { return "key:" + strconv.Itoa(i) }
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := key(i % 2000)
				if got := tb.get(sh, k); got != "" && got != `"`+k+`"` {
					t.Errorf("looking up %s finds %q", k, got)
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range 20_000 {
				k := key(rnd.IntN(2000))
				if rnd.IntN(3) == 0 {
					tb.drop(HashKey(k), k, nil)
				} else {
					tb.put(newRecord(sh, k, `"`+k+`"`))
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	tb.check(t, 64<<10)
}

func TestEvictionPrefersWhatIsNotRead(t *testing.T) {
	t.Parallel()
	tb, sh := newTableOf(1<<20), NewShape("")
	hot := func(i int) string { return "hot:" + strconv.Itoa(i) }
	for i := range 200 {
		tb.put(newRecord(sh, hot(i), "1"))
	}
	for i := range 40_000 {
		tb.put(newRecord(sh, "cold:"+strconv.Itoa(i), "1"))
		tb.get(sh, hot(i%200))
	}
	left := 0
	for i := range 200 {
		if tb.get(sh, hot(i)) != "" {
			left++
		}
	}
	if left < 190 {
		t.Errorf("%d of 200 records that were read all the time are left", left)
	}
}

// TestWhatIsReadIsNotDroppedForNewcomers: the oldest segments hold nothing but records that
// are read. A newcomer may find no room for a while, and they stay.
func TestWhatIsReadIsNotDroppedForNewcomers(t *testing.T) {
	t.Parallel()
	tb, sh := newTableOf(1<<20), NewShape("")
	hot := func(i int) string { return "hot:" + strconv.Itoa(i) }
	for i := range 2000 {
		tb.put(newRecord(sh, hot(i), `"some data, some data, some data, some data"`))
		for range 3 {
			tb.get(sh, hot(i))
		}
	}
	kept := 0
	for i := range 40_000 {
		if tb.put(newRecord(sh, "cold:"+strconv.Itoa(i), `"some data, some data, some data, some data"`)) {
			kept++
		}
		for n := range 4 {
			tb.get(sh, hot((4*i+n)%2000))
		}
	}
	left := 0
	for i := range 2000 {
		if tb.get(sh, hot(i)) != "" {
			left++
		}
	}
	if left < 2000 || kept < 30_000 {
		t.Errorf("%d of 2,000 records that are read are left, %d of 40,000 newcomers were kept", left, kept)
	}
}

// TestResize: a budget of another order of size moves the records, as many as there is
// room for, and readers and writers go on.
func TestResize(t *testing.T) {
	t.Parallel()
	sh, tb := NewShape(""), newTableOf(16<<20)
	key := func(n int) string { return "k" + strconv.Itoa(n) }
	for n := range 50_000 {
		tb.put(newRecord(sh, key(n), "1"))
	}
	for _, budget := range []int64{1 << 20, 512 << 20, 300 << 20, 40 << 10, 64 << 20} {
		_, before := tb.sizes()
		tb.resize(budget)
		tb.check(t, budget)
		bytes, kept := tb.sizes()
		if room := budget / 80; kept < min(before, room*8/10) || bytes > budget {
			t.Errorf("of %d records a budget of %d keeps %d, in %d bytes", before, budget, kept, bytes)
		}
		for n := range 20_000 {
			tb.put(newRecord(sh, key(1_000_000+n), "2"))
		}
		tb.check(t, budget)
		if _, kept := tb.sizes(); kept < min(20_000, budget/80)*8/10 {
			t.Errorf("a budget of %d keeps %d of 20,000 new records", budget, kept)
		}
	}
}
