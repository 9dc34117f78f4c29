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

// checkTable verifies what must hold of a table between two operations.
func checkTable(t *testing.T, tb *table) {
	t.Helper()
	var count, sizes, slotted int64
	for i := range tb.shards {
		sh := &tb.shards[i]
		sh.mu.Lock()
		s, n := sh.slots.Load(), 0
		slotted += int64(len(s.tags)) * slotBytes
		for j := range s.entries {
			e := s.entries[j].Load()
			if (e == nil) != (s.tags[j].Load() == 0) {
				t.Fatalf("shard %d, slot %d: tag and entry disagree", i, j)
			}
			if e == nil {
				continue
			}
			n++
			sizes += int64(e.size)
			if at, found := s.find(e.hash, e.key()); found != e || at != j {
				t.Fatalf("entry %q in slot %d is not found there", e.key(), j)
			}
		}
		if n != sh.count {
			t.Fatalf("shard %d holds %d entries and counts %d", i, n, sh.count)
		}
		count += int64(n)
		sh.mu.Unlock()
	}
	if got := tb.count.Load(); got != count {
		t.Fatalf("count is %d, the table holds %d", got, count)
	}
	if got := tb.bytes.Load(); got != sizes+slotted {
		t.Fatalf("bytes is %d, the table takes %d", got, sizes+slotted)
	}
}

func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	const seed = 42
	rnd := rand.New(rand.NewPCG(seed, seed))
	r, tb, model := NewShape(""), newTableOf(64<<20), map[string]*Entry{}
	for step := range 20_000 {
		key := fmt.Sprint("key:", rnd.IntN(2000))
		switch rnd.IntN(4) {
		case 0, 1:
			e := NewEntry(r, key, fmt.Appendf(nil, `"%0*d"`, rnd.IntN(300)+1, step), 0)
			tb.insert(e)
			model[key] = e
		case 2:
			got := tb.remove(HashKey(key), key, nil)
			if want := model[key] != nil; got != want {
				t.Fatalf("step %d of seed %d: removing %s said %v, want %v", step, seed, key, got, want)
			}
			delete(model, key)
		case 3:
			if tb.remove(HashKey(key), key, func(*Entry) bool { return true }) {
				t.Fatalf("step %d: an entry was removed though keep objected", step)
			}
		}
		if got := tb.lookup(HashKey(key), []byte(key)); got != model[key] {
			t.Fatalf("step %d of seed %d: looking up %s: got %v, want %v", step, seed, key, got, model[key])
		}
		if step%500 == 0 {
			checkTable(t, tb)
		}
	}
	for key, want := range model {
		if got := tb.lookup(HashKey(key), []byte(key)); got != want {
			t.Errorf("looking up %s: got %v, want %v", key, got, want)
		}
	}
	n := 0
	tb.each(func(e *Entry) bool { n++; return model[e.key()] == e })
	if n != len(model) {
		t.Errorf("each visited %d entries, want %d", n, len(model))
	}
}

// TestTableProbesAcrossTheEnd gives all keys of one shard few home slots, so
// that probe runs are long, wrap around and are mended by removals.
func TestTableProbesAcrossTheEnd(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	r, tb, model := NewShape(""), newTableOf(64<<20), map[string]*Entry{}
	hash := func(key int) uint64 { return uint64(5+key%3)<<32 | uint64(key%2) } // one shard, homes 5 to 7, two tags
	for step := range 4_000 {
		n := rnd.IntN(40)
		key := strconv.Itoa(n)
		if rnd.IntN(2) == 0 {
			e := NewEntry(r, key, []byte("1"), 0)
			e.hash = hash(n)
			tb.insert(e)
			model[key] = e
		} else {
			tb.remove(hash(n), key, nil)
			delete(model, key)
		}
		for i := range 40 {
			if got := tb.lookup(hash(i), []byte(strconv.Itoa(i))); got != model[strconv.Itoa(i)] {
				t.Fatalf("step %d: looking up %d: got %v, want %v", step, i, got, model[strconv.Itoa(i)])
			}
		}
	}
	checkTable(t, tb)
}

func TestTableKeepsItsBudget(t *testing.T) {
	t.Parallel()
	insertions := 60_000
	if testkit.Long() {
		insertions = 10_000_000
	}
	const budget = 8 << 20
	tb, r := newTableOf(budget), NewShape("")
	text := `"` + strings.Repeat("0123456789", budget/100/10) + `"`
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
				tb.insert(NewEntry(r, key, []byte(text[:min(size, gzipFrom-1)]), 0))
				if size > gzipFrom {
					tb.insert(largeEntry(r, key, size))
				}
				if i%5 == 0 {
					tb.remove(HashKey(key), key, nil)
				}
				if got := tb.bytes.Load(); got > budget+budget/20 {
					t.Errorf("the table takes %d bytes of a budget of %d", got, int64(budget))
					return
				}
			}
		})
	}
	all.Wait()
	checkTable(t, tb)
	if got := tb.bytes.Load(); got < budget*8/10 {
		t.Errorf("after churn the table takes only %d bytes of its budget of %d", got, int64(budget))
	}
}

// largeEntry is an entry of about size bytes, made without compressing.
func largeEntry(r *Shape, key string, size int) *Entry {
	return NewEntry(r, key+strings.Repeat("k", min(size, maxKey-len(key))), []byte("1"), 0)
}

func TestTableReadersMeetWriters(t *testing.T) {
	t.Parallel()
	tb, r := newTableOf(1<<20), NewShape("")
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
				k := key(i % 500)
				e := tb.lookup(HashKey(k), []byte(k))
				if e != nil && (e.key() != k || string(e.Data()) != `"`+k+`"`) {
					t.Errorf("looking up %s found %s with %s", k, e.key(), e.Data())
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range 20_000 {
				k := key(rnd.IntN(500))
				if rnd.IntN(3) == 0 {
					tb.remove(HashKey(k), k, nil)
				} else {
					tb.insert(NewEntry(r, k, []byte(`"`+k+`"`), 0))
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	checkTable(t, tb)
}

func TestEvictionPrefersWhatIsNotRead(t *testing.T) {
	t.Parallel()
	tb, r := newTableOf(1<<20), NewShape("")
	hot := func(i int) string { return "hot:" + strconv.Itoa(i) }
	for i := range 200 {
		tb.insert(NewEntry(r, hot(i), []byte("1"), 0))
	}
	for i := range 20_000 {
		tb.insert(NewEntry(r, "cold:"+strconv.Itoa(i), []byte("1"), 0))
		k := hot(i % 200)
		tb.lookup(HashKey(k), []byte(k))
	}
	left := 0
	for i := range 200 {
		if tb.lookup(HashKey(hot(i)), []byte(hot(i))) != nil {
			left++
		}
	}
	if left < 190 {
		t.Errorf("%d of 200 entries that were read all the time are left", left)
	}
}

// each calls f for every entry until it returns false.
func (t *table) each(f func(*Entry) bool) {
	for i := range t.shards {
		s := t.shards[i].slots.Load()
		for j := range s.entries {
			if e := s.entries[j].Load(); e != nil && !f(e) {
				return
			}
		}
	}
}

// TestAMuchSmallerBudgetIsUsed: small entries in numbers need large arrays, which
// must not be all that a small budget has room for afterwards.
func TestAMuchSmallerBudgetIsUsed(t *testing.T) {
	t.Parallel()
	r := NewShape("")
	tb := newTableOf(16 << 20)
	put := func(n int) {
		tb.insert(NewEntry(r, "k"+strconv.Itoa(n), []byte("1"), 0))
	}
	for n := range 50_000 {
		put(n)
	}
	const small = 1 << 20
	tb.resize(small)
	kept := tb.count.Load()
	if tb.bytes.Load() > small || kept == 0 {
		t.Errorf("%d bytes in %d entries", tb.bytes.Load(), kept)
	}
	fresh := newTableOf(small)
	tb, old := fresh, tb
	for n := range 25_000 {
		put(n)
	}
	want := tb.count.Load()
	tb = old
	for n := range 25_000 {
		put(1_000_000 + n)
	}
	if got := tb.count.Load(); got < want*9/10 || tb.bytes.Load() > small {
		t.Errorf("there is room for %d entries, in a table that was never larger for %d", got, want)
	}
	if kept < want/3 {
		t.Errorf("%d of %d were kept", kept, want)
	}
}

// newTableOf is a table of so many bytes.
func newTableOf(budget int64) *table {
	t := newTable()
	t.budget.Store(budget)
	return t
}
