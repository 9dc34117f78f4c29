package main

import "math/bits"

// hearth is what the memory tier does, in the simulator's words: a queue of segments whose
// records keep a count of up to three reads, and an admission that keeps a new record,
// once memory has been full, only when its key was missed not long ago. See
// cache/memory/admission.go; the policy "store" is the tier itself.
type hearth struct {
	*fifo
	segment int      // keys that are gone through at a time
	missed  []uint64 // four fingerprints of 16 bits each, the latest lowest
	full    bool
}

func newHearth(capacity, keys int) policy {
	return &hearth{
		fifo:    newFIFO(3)(capacity, keys).(*fifo),
		segment: max(capacity/64, 1),
		missed:  make([]uint64, max(capacity/4, 1)),
	}
}

func (p *hearth) request(key uint32) bool {
	if p.read(key) {
		return true
	}
	p.full = p.full || p.count == p.capacity
	if known := p.miss(hash(key)); p.full && !known {
		return false
	}
	for p.count == p.capacity {
		for range p.segment {
			p.turn()
		}
	}
	p.keep(key)
	return false
}

// miss notes that a key was missed, and tells whether that was noted already.
func (p *hearth) miss(h uint64) bool {
	bucket, _ := bits.Mul64(h, uint64(len(p.missed)))
	print, word := max(h>>16&0xffff, 1), p.missed[bucket]
	for w := word; w != 0; w >>= 16 {
		if w&0xffff == print {
			return true
		}
	}
	p.missed[bucket] = word<<16 | print
	return false
}
