package memory

import (
	"sync"
	"sync/atomic"
)

// table maps keys to entries within a budget of bytes. Readers take no lock and write
// nothing but a reference bit; writers lock one of many shards.
//
// Each shard is an open-addressing array (linear probing) that is also the ring of a
// CLOCK (second chance) eviction, so an entry costs one heap object plus its slot. A tag
// of 32 hash bits next to the pointer spares a look-up the cache misses of entries that
// it does not want.
//
// What a reader may see, without a lock, of the array that it has loaded:
//
//	a tag without its entry    the reader loads the tag, then a removal clears both: it
//	                           misses. An insertion stores the entry before the tag
//	an entry under a tag that  a removal moves a neighbour here: the whole hash and key
//	is not its own             are compared before a hit, so it misses
//	an entry in two slots      while it moves: both are the same entry
//	no slot of an entry that   the reader had passed the new slot before the entry came
//	is in the table            there: it misses
//	an array that is replaced  it has what was in the table when the reader began
//
// So a reader may miss what is there, and then asks the next tier. It never finds an
// entry under another key. What it finds may have been removed since: whether an entry
// may still be answered is decided by its owner and expiry, not by its place here.
type table struct {
	shards [tableShards]shard
	budget atomic.Int64
	bytes  atomic.Int64 // entries, slots and tags, as the allocator counts them
	count  atomic.Int64
	hand   atomic.Uint32 // next shard to evict from
	large  *LargeAnswers // hears which entries come and go
}

const (
	tableShards = 256
	firstSlots  = 8
	slotBytes   = 8 + 4
)

type shard struct {
	mu    sync.Mutex
	count int
	hand  int // next slot to look at for eviction
	slots atomic.Pointer[slotArray]
	_     [64]byte // shards do not share a cache line
}

// slotArray is one generation of a shard's array. Tag 0 means empty.
type slotArray struct {
	tags    []atomic.Uint32
	entries []atomic.Pointer[Entry]
}

func newTable() *table {
	t := &table{large: newLargeAnswers(nil)}
	for i := range t.shards {
		t.shards[i].slots.Store(newSlotArray(firstSlots))
	}
	t.bytes.Store(tableShards * firstSlots * slotBytes)
	return t
}

func newSlotArray(n int) *slotArray {
	return &slotArray{tags: make([]atomic.Uint32, n), entries: make([]atomic.Pointer[Entry], n)}
}

func slotTagOf(hash uint64) uint32 { return uint32(hash) | 1 }

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>56%tableShards] }

// lookup finds the entry of key, or nil. It takes no lock and does not allocate.
func (t *table) lookup(hash uint64, key []byte) *Entry {
	s := t.shard(hash).slots.Load()
	mask := uint64(len(s.tags) - 1)
	tag := slotTagOf(hash)
	for i, n := hash>>32&mask, 0; n < len(s.tags); i, n = (i+1)&mask, n+1 {
		got := s.tags[i].Load()
		if got == 0 {
			return nil
		}
		if got != tag {
			continue
		}
		if e := s.entries[i].Load(); e != nil && e.hash == hash && e.hasKey(key) {
			e.touch()
			return e
		}
	}
	return nil
}

// insert stores e under its key, in place of what was there. It counts the bytes first
// and evicts until they fit, so that what the table holds never exceeds the budget.
func (t *table) insert(e *Entry) {
	size := int64(e.size)
	t.bytes.Add(size)
	t.evict()
	sh := t.shard(e.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.slots.Load()
	if (sh.count+1)*4 > len(s.tags)*3 {
		s = t.grow(sh, s)
	}
	i, old := s.find(e.hash, e.key())
	t.large.enteredTable(e)
	s.entries[i].Store(e)
	if old == e {
		t.bytes.Add(-size)
		return
	}
	if old != nil {
		t.large.leftTable(old)
		t.bytes.Add(-int64(old.size))
		return
	}
	s.tags[i].Store(slotTagOf(e.hash))
	sh.count++
	t.count.Add(1)
}

// remove drops the entry of key if there is one and keep, if given, does not object. It
// tells whether it did. keep is called under the shard's lock.
func (t *table) remove(hash uint64, key string, keep func(*Entry) bool) bool {
	sh := t.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.slots.Load()
	i, old := s.find(hash, key)
	if old == nil || keep != nil && keep(old) {
		return false
	}
	t.vacate(sh, s, i, old)
	return true
}

// appendAll appends the entries of the shard. The lock is held for as long as it takes to
// copy the pointers: without it an entry that moves to another slot could be missed.
func (sh *shard) appendAll(to []*Entry) []*Entry {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for s, i := sh.slots.Load(), 0; i < len(s.entries); i++ {
		if e := s.entries[i].Load(); e != nil {
			to = append(to, e)
		}
	}
	return to
}

// find returns the slot of key and its entry, or the empty slot where it
// belongs. The shard is locked.
func (s *slotArray) find(hash uint64, key string) (int, *Entry) {
	mask := uint64(len(s.tags) - 1)
	tag := slotTagOf(hash)
	for i := hash >> 32 & mask; ; i = (i + 1) & mask {
		got := s.tags[i].Load()
		if got == 0 {
			return int(i), nil
		}
		if got == tag {
			if e := s.entries[i].Load(); e.hash == hash && e.key() == key {
				return int(i), e
			}
		}
	}
}

// grow doubles the array. Readers of the old one end their look-up there: what they find
// was still in the table when they began.
func (t *table) grow(sh *shard, old *slotArray) *slotArray {
	return t.rebuild(sh, old, 2*len(old.tags))
}

// rebuild gives a shard an array of n slots.
func (t *table) rebuild(sh *shard, old *slotArray, n int) *slotArray {
	s := newSlotArray(n)
	for i := range old.entries {
		if e := old.entries[i].Load(); e != nil {
			at, _ := s.find(e.hash, e.key())
			s.entries[at].Store(e)
			s.tags[at].Store(slotTagOf(e.hash))
		}
	}
	sh.slots.Store(s)
	sh.hand = 0
	t.bytes.Add(int64(n-len(old.tags)) * slotBytes)
	return s
}

// vacate empties slot i and moves later members of its probe run back, so that no
// tombstones pile up under churn.
func (t *table) vacate(sh *shard, s *slotArray, i int, old *Entry) {
	mask := len(s.tags) - 1
	for j := (i + 1) & mask; s.tags[j].Load() != 0; j = (j + 1) & mask {
		e := s.entries[j].Load()
		home := int(e.hash >> 32 & uint64(mask))
		if (j-home)&mask < (j-i)&mask {
			continue // e would land before its home slot
		}
		s.entries[i].Store(e)
		s.tags[i].Store(slotTagOf(e.hash))
		i = j
	}
	s.tags[i].Store(0)
	s.entries[i].Store(nil)
	t.large.leftTable(old)
	sh.count--
	t.count.Add(-1)
	t.bytes.Add(-int64(old.size))
}

// evict removes entries until what is counted fits the budget. It walks the shards in turn
// and takes from each the first entry not read since the hand last passed.
func (t *table) evict() {
	for tries := 0; t.bytes.Load() > t.budget.Load() && tries < 4*tableShards; {
		sh := &t.shards[t.hand.Add(1)%tableShards]
		sh.mu.Lock()
		if sh.count == 0 {
			tries++
		} else {
			t.evictOne(sh)
			tries = 0
		}
		sh.mu.Unlock()
	}
}

// evictOne takes one entry out of a shard, which has one and is locked, and
// returns its size.
func (t *table) evictOne(sh *shard) int64 {
	s := sh.slots.Load()
	for n := 0; n <= 2*len(s.tags); n++ {
		i := sh.hand & (len(s.tags) - 1)
		e := s.entries[i].Load()
		if e != nil && !e.secondChance() {
			t.vacate(sh, s, i, e)
			return int64(e.size)
		}
		sh.hand++
	}
	return 0
}

// resize changes the budget. A smaller one is met by every shard in proportion, its array
// included: arrays do not shrink by themselves, and those of a large table could take
// more than all of a small budget.
func (t *table) resize(budget int64) {
	if was := t.bytes.Load(); budget < was {
		for i := range t.shards {
			t.shrink(&t.shards[i], float64(budget)/float64(was))
		}
	}
	t.budget.Store(budget)
	t.evict() // what came in meanwhile, and what is rounded up
}

// shrink evicts from a shard until its entries have only that part of the bytes
// that they had, and gives it the smallest array for them.
func (t *table) shrink(sh *shard, part float64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.slots.Load()
	sum := int64(0)
	for i := range s.entries {
		if e := s.entries[i].Load(); e != nil {
			sum += int64(e.size)
		}
	}
	for left := int64(part * float64(sum)); sum > left && sh.count > 0; {
		sum -= t.evictOne(sh)
	}
	n := firstSlots
	for (sh.count+1)*4 > n*3 {
		n *= 2
	}
	if n < len(s.tags) {
		t.rebuild(sh, s, n)
	}
}
