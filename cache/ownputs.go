package cache

import (
	"hash/maphash"
	"sync/atomic"

	"hearth/cache/memory"
)

// ownPuts are the records that this process was last about to put into the shared tier: of a
// value that stands there it tells whether Hearth has put it, or another program, whose value
// is nobody's copy of a source.
//
// The table is of a fixed size, and keys that fall on one place take it from each other: of a
// key that is forgotten nothing is known.
type ownPuts [1 << 14]atomic.Uint64

var ownSeed = maphash.MakeSeed()

func (o *ownPuts) note(key string, record []byte) {
	at, hash := o.place(key, record)
	at.Store(hash)
}

// has tells whether record is what was last put into key.
func (o *ownPuts) has(key string, record []byte) bool {
	at, hash := o.place(key, record)
	return at.Load() == hash
}

// place is where what was put into a key is noted, and how.
func (o *ownPuts) place(key string, record []byte) (at *atomic.Uint64, hash uint64) {
	of := memory.HashKey(key)
	return &o[of%uint64(len(o))], maphash.Comparable(ownSeed, [2]uint64{of, maphash.Bytes(ownSeed, record)})
}
