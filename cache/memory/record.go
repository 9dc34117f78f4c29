package memory

import (
	"bytes"
	"sync/atomic"
	"time"
	"unsafe"
)

// record is one finished answer as it lies in a segment: a head, and behind it
//
//	key | bare data | length of the gzip variant, gzip variant (only with recordGzip)
//
// The envelope is not stored: it is the same for all records of a Shape, and is put around
// the data when an answer is copied. With recordHeap the data is the number of a heap
// object in partition.heap: values that are too large for a segment stay Go objects.
//
// A record is immutable from the moment the index shows it, but for expiry, which only goes
// down, due, and the state in word. Those are read and written atomically, by readers
// under a pin and by writers under the partition's lock. A record that is moved meanwhile
// may lose what a reader wrote: a reference, or who has taken the refresh. Nothing that
// must not get lost is written by readers: Age holds the lock.
//
// Its address is a multiple of 4. The struct has a byte more than the head.
type record struct {
	expiry  uint32 // tick from which on the record is not fresh
	ends    uint32 // tick at which the shared tier's copy expires; noTick: never
	due     uint32 // tick from which on a hot record is loaded anew; noTick: never
	epoch   uint32 // the Owner's epoch in which it was read
	word    uint32 // shape | flags | state, see below
	dataLen uint16
	keyLen  uint16
	etag    [etagBytes]byte
}

const (
	recordHead  = int(unsafe.Offsetof(record{}.etag)) + etagBytes
	recordAlign = 4
)

// The parts of record.word.
const (
	recordRead  = 3      // how often it was read since the eviction last passed, up to 3
	recordAged  = 1 << 2 // to be loaded anew whether it is hot or not
	recordHeap  = 1 << 3 // the data names a heap object
	recordFlags = 4      // where the flags of an Entry begin
	recordGzip  = 1 << 8
	recordShape = 10 // where the identity of the shape begins

	// shapeMask: a process makes one shape per resource and reload. An identity comes
	// again after four million of them, when no record of the first is left.
	shapeMask = 1<<(32-recordShape) - 1
)

// bytesAt returns n bytes that begin off bytes behind the head.
func (r *record) bytesAt(off, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r), recordHead+off)), n)
}

func (r *record) key() []byte { return r.bytesAt(0, int(r.keyLen)) }

func (r *record) hasKey(key []byte) bool {
	return int(r.keyLen) == len(key) && bytes.Equal(r.key(), key)
}

// data is the bare data; of a heap object its number.
func (r *record) data() []byte { return r.bytesAt(int(r.keyLen), int(r.dataLen)) }

// gzip is the compressed answer, nil for none.
func (r *record) gzip() []byte {
	if atomic.LoadUint32(&r.word)&recordGzip == 0 {
		return nil
	}
	at := int(r.keyLen) + int(r.dataLen)
	n := r.bytesAt(at, 2)
	return r.bytesAt(at+2, int(n[0])|int(n[1])<<8)
}

// size is how many bytes of its segment the record takes.
func (r *record) size() int {
	gzip := -1
	if atomic.LoadUint32(&r.word)&recordGzip != 0 {
		gzip = len(r.gzip())
	}
	return recordSize(int(r.keyLen), int(r.dataLen), gzip)
}

// recordSize is the size of a record with so many bytes of key, data and gzip variant; -1:
// no such variant.
func recordSize(key, data, gzip int) int {
	n := recordHead + key + data
	if gzip >= 0 {
		n += 2 + gzip
	}
	return (n + recordAlign - 1) &^ (recordAlign - 1)
}

func (r *record) onHeap() bool { return atomic.LoadUint32(&r.word)&recordHeap != 0 }

func (r *record) shapeID() uint32 { return atomic.LoadUint32(&r.word) >> recordShape }

func (r *record) flags() uint8 { return uint8(atomic.LoadUint32(&r.word)>>recordFlags) & 0xf }

// touch counts a read. It writes only while the count is not full, so that a hot record's
// cache line stays shared between the cores. Of two readers at once one may be lost.
func (r *record) touch() {
	if w := atomic.LoadUint32(&r.word); w&recordRead != recordRead {
		atomic.CompareAndSwapUint32(&r.word, w, w+1)
	}
}

// write makes the record of e, for its partition only: nobody sees it yet. data is what
// lies behind the key.
func (r *record) write(e *Entry, now int64, key string, data []byte, state uint32) {
	r.expiry = tickOf(e.expiry.Load(), now)
	r.ends, r.due = tickOrNever(e.sharedExpiry, now), tickOrNever(e.refreshAt.Load(), now)
	r.epoch = e.epoch
	r.dataLen, r.keyLen = uint16(len(data)), uint16(len(key))
	r.etag = e.etag
	copy(r.bytesAt(0, len(key)), key)
	copy(r.bytesAt(len(key), len(data)), data)
	word := (e.shape&shapeMask)<<recordShape | uint32(e.flags)<<recordFlags | state
	if e.state.Load()&stateAged != 0 {
		word |= recordAged
	}
	if gz := e.Gzip(); gz != nil && state&recordHeap == 0 {
		word |= recordGzip
		at := len(key) + len(data)
		b := r.bytesAt(at, 2+len(gz))
		b[0], b[1] = byte(len(gz)), byte(len(gz)>>8)
		copy(b[2:], gz)
	}
	r.word = word
}

// copyFrom makes r another copy of from, of so many bytes. Readers may write to from
// meanwhile.
func (r *record) copyFrom(from *record, size int) {
	r.expiry, r.ends, r.due = atomic.LoadUint32(&from.expiry), from.ends, atomic.LoadUint32(&from.due)
	r.epoch, r.word = from.epoch, atomic.LoadUint32(&from.word)
	const fixed = int(unsafe.Offsetof(record{}.dataLen))
	n := size - fixed
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(r), fixed)), n), unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(from), fixed)), n))
}

// Times in a record are ticks of 2^20 ns, about a millisecond, of the store's clock, in 32
// bits: they wrap after 52 days, and are read as the time within 26 days of now. So none
// may lie further away: one in the future is brought near when it is written, and records
// that expired long ago are swept out; see Store.sweep. Ticks are rounded down: a record is
// rather not fresh a millisecond too early.

const (
	tickShift = 20
	noTick    = uint32(0)
	// farthest is how far ahead a time in a record may lie, in ns: 24 days.
	farthest = int64(24 * 24 * time.Hour)
)

func tickOf(at, now int64) uint32 {
	at = min(max(at, now-farthest), now+farthest)
	if t := uint32(at >> tickShift); t != noTick {
		return t
	}
	return ^uint32(0) // a tick earlier
}

func tickOrNever(at, now int64) uint32 {
	if at == Never {
		return noTick
	}
	return tickOf(at, now)
}

// timeOf is the clock time of a tick.
func timeOf(tick uint32, now int64) int64 {
	if tick == noTick {
		return Never
	}
	base := now >> tickShift
	return (base + int64(int32(tick-uint32(base)))) << tickShift
}
