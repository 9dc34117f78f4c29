package memory

import (
	"bytes"
	"hash/maphash"
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// Entry is one finished answer in one heap object, on its way: what readers get, and what
// memory keeps a copy of. Values that are too large for a segment are kept as they are. The
// struct is only the head of that object; key, body and gzip variant follow it in the same
// allocation:
//
//	head | key | {"user": | data | ,"source":"cache"} | gzip variant
//	           └───────────────── body ─────────────┘
//
// It holds no pointer, so the garbage collector marks an entry without looking inside.
//
// An entry is immutable once Keep has stored it, but for state, refreshAt and expiry, which
// only goes down, and safe for concurrent use. Its memory belongs to the garbage collector
// and is never reused, so Body and Gzip may be handed to a connection (fasthttp's SetBodyRaw)
// and outlive the entry's place in the table.
type Entry struct {
	hash         uint64       // of the key, by the table's seed
	expiry       atomic.Int64 // clock ns from which on the entry is not fresh
	sharedExpiry int64        // clock ns at which the shared tier's copy expires; never
	refreshAt    atomic.Int64 // clock ns from which on a hot record is loaded anew; Never before the first decision
	bodyLen      uint32
	gzipLen      uint32
	size         uint32        // bytes the allocator gave for the whole object
	epoch        uint32        // the epoch of the connection that it was read on; 0: none
	shape        uint32        // id of the Shape it was made for
	state        atomic.Uint32 // whether it is kept, and how many answers are on their way; see largeanswers.go
	keyLen       uint16
	dataOff      uint16 // where the bare data begins in the body; 0: it is the body
	etag         [etagBytes]byte
	flags        uint8
}

// The parts of Entry.state.
const (
	stateKept    = 1 << iota // in a table
	stateAged                // to be loaded anew whether it is hot or not
	stateSending             // one answer on its way; they add up
)

// Flags of NewEntry.
const (
	FlagMissing      = 1 << iota // "no such record"
	FlagUntracked                // read while no change would have been reported
	FlagSourced                  // the record has a source, from which it can be loaded again
	flagCompressible             // large enough for a gzip variant, and not too large to be kept
)

// Never is a clock time that does not come.
const Never int64 = math.MaxInt64

const headBytes = int(unsafe.Sizeof(Entry{}))

// maxKey is the longest key in bytes that memory keeps, if its segments are not smaller
// still. The entry of a longer one is made without its key: it answers, and Keep refuses it.
const maxKey = 4 << 10

// NewEntry makes the entry of a record that may be of any size. data must be
// valid JSON; it is copied, and so is key. A missing record has no body.
func NewEntry(sh *Shape, key string, data []byte, flags uint8) *Entry {
	return buildEntry(sh, key, data, flags, math.MaxInt64, true)
}

// buildEntry builds the object: with a gzip variant, if pack says so, where that
// pays and the whole has no more than most bytes.
func buildEntry(sh *Shape, key string, data []byte, flags uint8, most int64, pack bool) *Entry {
	if len(key) > maxKey {
		key = ""
	}
	var head, tail string
	var gz []byte
	if flags&FlagMissing == 0 {
		head, tail = sh.head, sh.tail()
	} else {
		data = nil
	}
	bodyLen := len(head) + len(data) + len(tail)
	size := headBytes + len(key) + bodyLen
	if flags&FlagMissing == 0 && bodyLen >= gzipFrom && int64(size) <= most {
		flags |= flagCompressible
		if pack {
			gz = compress(head, data, tail)
		}
		if int64(size+len(gz)) > most {
			gz = nil
		}
	}
	e, tagged := layOut(sh, key, head, data, tail, gz)
	e.hash, e.flags = HashKey(key), flags
	e.etag = etagOf(tagged)
	return e
}

// layOut makes the object. tagged is what its validator is a hash of.
func layOut(sh *Shape, key, head string, data []byte, tail string, gz []byte) (e *Entry, tagged []byte) {
	// append, unlike make, tells by its capacity what the allocator really
	// spends, and that is what the budget has to count.
	bodyLen := len(head) + len(data) + len(tail)
	object := append([]byte(nil), make([]byte, headBytes+len(key)+bodyLen+len(gz))...)
	e = (*Entry)(unsafe.Pointer(unsafe.SliceData(object)))
	e.bodyLen, e.gzipLen, e.size = uint32(bodyLen), uint32(len(gz)), uint32(cap(object))
	e.keyLen, e.dataOff = uint16(len(key)), uint16(len(head))
	e.shape = sh.id
	unwritten := object[headBytes:]
	unwritten = unwritten[copy(unwritten, key):]
	tagged = unwritten[:copy(unwritten, head)+copy(unwritten[len(head):], data)]
	unwritten = unwritten[len(head)+len(data):]
	unwritten = unwritten[copy(unwritten, tail):]
	copy(unwritten, gz)
	return e, tagged
}

// Length is the bytes of the object without what the allocator rounds up.
func (e *Entry) Length() int64 {
	return int64(headBytes) + int64(e.keyLen) + int64(e.bodyLen) + int64(e.gzipLen)
}

// largeBytes is the size from which on entries are counted. A smaller one has mostly
// left with a single write.
const largeBytes = 64 << 10

// Large tells whether answers with the entry have to be counted by BeginSend.
func (e *Entry) Large() bool { return e.size >= largeBytes }

// Size is the bytes that the entry takes.
func (e *Entry) Size() int64 { return int64(e.size) }

// bytesAt returns n bytes that begin off bytes behind the head.
func (e *Entry) bytesAt(off, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(e), headBytes+off)), n)
}

func (e *Entry) hasKey(key []byte) bool {
	return int(e.keyLen) == len(key) && bytes.Equal(e.bytesAt(0, len(key)), key)
}

// key aliases the entry.
func (e *Entry) key() string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(e), headBytes)), int(e.keyLen))
}

// Body is the finished answer of a cached record; nil for a missing one.
func (e *Entry) Body() []byte {
	if e.bodyLen == 0 {
		return nil
	}
	return e.bytesAt(int(e.keyLen), int(e.bodyLen))
}

// LoadedBody is the finished answer as a load gives it, which names another
// source, in two parts, of which the first is the entry's own bytes: nothing is
// copied. Both are nil for a missing record.
func (e *Entry) LoadedBody() (front, back []byte) {
	body := e.Body()
	if e.dataOff == 0 {
		return body, nil
	}
	return body[:len(body)-len(tailCached)], tailLoaded
}

// Data is the record's bare JSON, "null" for a missing one.
func (e *Entry) Data() []byte {
	if e.Missing() {
		return Null
	}
	tail := 0
	if e.dataOff > 0 {
		tail = len(tailCached)
	}
	return e.bytesAt(int(e.keyLen)+int(e.dataOff), int(e.bodyLen)-int(e.dataOff)-tail)
}

// Gzip is the compressed body, or nil where compressing does not pay.
func (e *Entry) Gzip() []byte {
	if e.gzipLen == 0 {
		return nil
	}
	return e.bytesAt(int(e.keyLen)+int(e.bodyLen), int(e.gzipLen))
}

// Compressible tells whether answers with this record have a gzip variant to choose, if
// it saves enough, once they come from memory.
func (e *Entry) Compressible() bool { return e.flags&flagCompressible != 0 }

// RefreshDue tells whether a read that found ttl left of the entry's life came late
// enough for a refresh. It costs one comparison.
func (e *Entry) RefreshDue(ttl time.Duration) bool {
	return e.expiry.Load()-int64(ttl) >= e.refreshAt.Load()
}

// Sourced tells whether the record has a source.
func (e *Entry) Sourced() bool { return e.flags&FlagSourced != 0 }

// Missing tells that the record does not exist.
func (e *Entry) Missing() bool { return e.flags&FlagMissing != 0 }

// ETag is the validator (RFC 9110, 8.8.3), with quotes.
func (e *Entry) ETag() string { return string(e.AppendETag(nil)) }

// AppendETag appends the validator of the plain answer to dst. It is a strong
// one where answers have no envelope, and so the same bytes from every tier; with
// one they also tell the tier, and the validator is weak.
func (e *Entry) AppendETag(dst []byte) []byte { return appendETag(dst, &e.etag, e.dataOff > 0) }

// AppendGzipETag appends the validator of the gzip variant: other bytes, and
// so another validator where it is a strong one.
func (e *Entry) AppendGzipETag(dst []byte) []byte {
	return appendGzipETag(e.AppendETag(dst), e.dataOff > 0)
}

// GzipSuffix ends a strong validator of a gzip variant.
const GzipSuffix = "-gzip"

// Null is the data of a missing record.
var Null = []byte("null")

// seed of the key hashes. One per process spares look-ups the load of a field.
var seed = maphash.MakeSeed()

func hashBytes(key []byte) uint64 { return maphash.Bytes(seed, key) }

// HashKey is the hash of a key in this process.
func HashKey(key string) uint64 { return maphash.String(seed, key) }

// Untracked tells that the record was read while no change would have been reported.
func (e *Entry) Untracked() bool { return e.flags&FlagUntracked != 0 }

// TTL is what is left of the entry's own lifetime at clock time now.
func (e *Entry) TTL(now int64) time.Duration { return time.Duration(e.expiry.Load() - now) }

// SharedExpiry is the clock time at which the shared tier's copy expires; Never.
func (e *Entry) SharedExpiry() int64 { return e.sharedExpiry }

// RefreshAt is the clock time from which on a hot record is loaded anew; Never.
func (e *Entry) RefreshAt() int64 { return e.refreshAt.Load() }

// SetRefreshAt says from which clock time on the record is to be loaded anew.
func (e *Entry) SetRefreshAt(at int64) { e.refreshAt.Store(at) }

// TakeRefresh tells whether the record is due to be loaded anew at clock time now, and by
// the caller: of several callers the one that moves the time on to next has the task.
func (e *Entry) TakeRefresh(now, next int64) bool {
	due := e.refreshAt.Load()
	return now >= due && e.refreshAt.CompareAndSwap(due, next)
}

// Aged tells whether the entry was aged since it is kept.
func (e *Entry) Aged() bool { return e.state.Load()&stateAged != 0 }

// Epoch is that of the connection that the entry was read on, 0 if it was never kept.
func (e *Entry) Epoch() uint32 { return e.epoch }
