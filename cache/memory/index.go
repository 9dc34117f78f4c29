package memory

import (
	"math/bits"
	"sync/atomic"
)

// index maps keys to places of records. It is open-addressing arrays (linear probing) of
// words of 8 bytes without pointers: so an entry costs 9 to 10 bytes of index, and the
// collector does not look inside. Readers take no lock; writers hold that of the partition.
//
// A slot is a tag of 28 bits of the key's hash above a place of 36 bits; 0 is empty. Where a
// slot belongs follows from its tag, so that arrays are rebuilt, and members of a run moved
// back, without a look at the records.
//
// What a reader may see of the array that it has loaded:
//
//	a place of another key     the tags agree: the whole key is compared before a hit
//	a record in two slots      while a removal moves it back: both are the same place
//	no slot of a record that   the reader had passed the new slot before the record was
//	is in the index            moved there: it misses
//	an array that is replaced  it has what was in the index when the reader began
//	a place that the record    the record has moved: the old one is as good until the pin
//	has left                   is released
//
// So a reader may miss what is there, and then asks the next tier. It never finds a record
// under another key. What it finds may have been removed since: whether a record may still
// be answered is decided by its owner and expiry, not by its place here.
type index struct {
	arrays [indexArrays]atomic.Pointer[array]
	counts [indexArrays]int
}

// array is one generation of a part of an index. Parts grow one at a time, and by an eighth:
// doubling would leave a third of the slots empty.
type array struct{ slots []atomic.Uint64 }

const (
	indexArrays = 16
	firstSlots  = 8
	slotBytes   = 8

	placeBits = 36
	placeMask = 1<<placeBits - 1
	tagBits   = 64 - placeBits
)

// Which bits of a hash say what: those of partition and array are none of the tag's.
func partitionOf(hash uint64) int { return int(hash >> 60) }
func arrayOf(hash uint64) int     { return int(hash >> 56 % indexArrays) }
func tagOf(hash uint64) uint64    { return hash >> (56 - tagBits) % (1 << tagBits) }

// home is the slot where a tag belongs in an array of n slots.
func home(tag uint64, n int) int {
	at, _ := bits.Mul64(tag<<placeBits, uint64(n))
	return int(at)
}

func (x *index) init() {
	for i := range x.arrays {
		x.arrays[i].Store(&array{make([]atomic.Uint64, firstSlots)})
	}
}

// bytes is what the arrays take.
func (x *index) bytes() int64 {
	n := 0
	for i := range x.arrays {
		n += len(x.arrays[i].Load().slots)
	}
	return int64(n) * slotBytes
}

// next is the slot behind slot i.
func (a *array) next(i int) int {
	if i++; i < len(a.slots) {
		return i
	}
	return 0
}

// find returns the slot of the record of which is says that it is the one, and its place;
// place 0: there is none, and the slot is the empty one where it belongs.
func (a *array) find(tag uint64, is func(place uint64) bool) (slot int, place uint64) {
	for i := home(tag, len(a.slots)); ; i = a.next(i) {
		got := a.slots[i].Load()
		if got == 0 {
			return i, 0
		}
		if got>>placeBits == tag && is(got&placeMask) {
			return i, got & placeMask
		}
	}
}

// set puts a place into the slot that find has returned for its tag.
func (x *index) set(hash uint64, slot int, place uint64, isNew bool) {
	a := x.arrays[arrayOf(hash)].Load()
	a.slots[slot].Store(tagOf(hash)<<placeBits | place)
	if isNew {
		x.counts[arrayOf(hash)]++
	}
}

// crowded tells whether the array of a hash has to grow before it takes another record.
func (x *index) crowded(hash uint64) bool {
	n := len(x.arrays[arrayOf(hash)].Load().slots)
	return (x.counts[arrayOf(hash)]+1)*10 > n*9
}

// grow makes the array of a hash larger, by an eighth and a few. Readers of the old one end
// their look there.
func (x *index) grow(hash uint64) (bytes int64) {
	old := x.arrays[arrayOf(hash)].Load()
	grown := &array{make([]atomic.Uint64, len(old.slots)+len(old.slots)/8+firstSlots)}
	for i := range old.slots {
		word := old.slots[i].Load()
		if word == 0 {
			continue
		}
		at, _ := grown.find(word>>placeBits, func(uint64) bool { return false })
		grown.slots[at].Store(word)
	}
	x.arrays[arrayOf(hash)].Store(grown)
	return int64(len(grown.slots)-len(old.slots)) * slotBytes
}

// remove empties a slot and moves later members of its run back, so that no tombstones pile
// up under churn.
func (x *index) remove(hash uint64, slot int) {
	a := x.arrays[arrayOf(hash)].Load()
	n := len(a.slots)
	distance := func(from, to int) int { // going forward
		if to -= from; to < 0 {
			to += n
		}
		return to
	}
	for j := a.next(slot); ; j = a.next(j) {
		word := a.slots[j].Load()
		if word == 0 {
			break
		}
		if distance(home(word>>placeBits, n), j) < distance(slot, j) {
			continue // it would land before its home
		}
		a.slots[slot].Store(word)
		slot = j
	}
	a.slots[slot].Store(0)
	x.counts[arrayOf(hash)]--
}
