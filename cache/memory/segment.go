package memory

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// segment is a piece of memory that records are written into one behind the other. It lies
// outside of the Go heap, so the collector neither marks it nor counts it, and is freed
// whole, when all records have left it. All fields belong to the partition's lock.
type segment struct {
	base   unsafe.Pointer
	number int    // in partition.segments
	turn   uint64 // when it was opened: records move only to segments of a later turn
	used   int    // bytes written so far
	live   int    // bytes of records that the index shows
	from   int    // where the eviction goes on
	since  uint64 // phase of the pins when its last record left it
}

// A segment begins with a few bytes that no record uses: place 0 is no place.
const segmentHead = 8

// at is the record that begins off bytes into the segment.
func (s *segment) at(off int) *record { return (*record)(unsafe.Add(s.base, off)) }

// arena gives memory for segments of one size. It asks the system for many at a time, so
// that mappings stay few, and gives back what is unused for good only at its end. What was
// not written to yet takes no memory. It belongs to the lock of its partition.
type arena struct {
	size   int // of a segment
	unused []unsafe.Pointer
	chunks *chunks
}

// chunks are the mappings of an arena, which end with it: no goroutine owns a store, so the
// collector tells when nobody has it any more.
type chunks struct{ all [][]byte }

func newArena(size int) *arena {
	a := &arena{size: size, chunks: &chunks{}}
	runtime.AddCleanup(a, func(c *chunks) {
		for _, chunk := range c.all {
			freeChunk(chunk)
		}
	}, a.chunks)
	return a
}

// take returns memory for one segment, nil if the system has none. want is how many the
// caller may need in all.
func (a *arena) take(want int) unsafe.Pointer {
	if len(a.unused) == 0 {
		n := max(1, min(chunkBytes/a.size, want))
		chunk := newChunk(n * a.size)
		if chunk == nil {
			return nil
		}
		a.chunks.all = append(a.chunks.all, chunk)
		for i := n - 1; i >= 0; i-- {
			a.unused = append(a.unused, unsafe.Pointer(&chunk[i*a.size]))
		}
	}
	p := a.unused[len(a.unused)-1]
	a.unused = a.unused[:len(a.unused)-1]
	return p
}

// give takes memory back that nobody reads any more, and lets the system have it.
func (a *arena) give(p unsafe.Pointer) {
	releasePages(unsafe.Slice((*byte)(p), a.size))
	a.unused = append(a.unused, p)
}

// overwrite fills what nobody must be reading any more, so that a test sees who does.
func (s *segment) overwrite(size int, with byte) {
	b := unsafe.Slice((*byte)(s.base), size)
	for i := range b {
		b[i] = with
	}
}

// bases are where the segments of a partition lie, by number. A reader takes the address
// of a segment only for a place that the index shows, which is stored after it.
type bases = atomic.Pointer[[]unsafe.Pointer]
