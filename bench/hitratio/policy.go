package main

// policy is what decides which keys memory holds.
type policy interface {
	// request tells whether memory has the key, and what a policy does on a hit or a miss
	// is done.
	request(key uint32) (hit bool)
}

// hash spreads a key over 64 bits, as the hash of its name would be (splitmix64).
func hash(key uint32) uint64 {
	h := uint64(key) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// ring is a list of keys in order of age, by links that are indexed by key.
type ring struct {
	next, prev []uint32 // of a key, shifted by one: 0 is the head
	count      int
}

func newRing(keys int) *ring {
	return &ring{next: make([]uint32, keys+1), prev: make([]uint32, keys+1)}
}

// push makes key the youngest.
func (r *ring) push(key uint32) {
	k := key + 1
	youngest := r.prev[0]
	r.next[youngest], r.prev[k] = k, youngest
	r.next[k], r.prev[0] = 0, k
	r.count++
}

func (r *ring) remove(key uint32) {
	k := key + 1
	r.next[r.prev[k]], r.prev[r.next[k]] = r.next[k], r.prev[k]
	r.count--
}

// oldest is the key that is longest in the ring, which has one.
func (r *ring) oldest() uint32 { return r.next[0] - 1 }

// pop removes the oldest key.
func (r *ring) pop() uint32 {
	key := r.oldest()
	r.remove(key)
	return key
}

// lru drops what was not asked for the longest.
type lru struct {
	*ring
	capacity int
	in       []bool
}

func newLRU(capacity, keys int) policy {
	return &lru{newRing(keys), capacity, make([]bool, keys)}
}

func (p *lru) request(key uint32) bool {
	if p.in[key] {
		p.remove(key)
		p.push(key)
		return true
	}
	if p.count == p.capacity {
		p.in[p.pop()] = false
	}
	p.in[key] = true
	p.push(key)
	return false
}

// fifo drops what came first. With most above 0 it is CLOCK: what was asked for meanwhile
// stays for another turn, for each time that it was, up to most.
type fifo struct {
	*ring
	capacity int
	most     uint8
	in       []bool
	reads    []uint8
}

func newFIFO(most uint8) func(capacity, keys int) policy {
	return func(capacity, keys int) policy {
		return &fifo{newRing(keys), capacity, most, make([]bool, keys), make([]uint8, keys)}
	}
}

func (p *fifo) request(key uint32) bool {
	if p.read(key) {
		return true
	}
	for p.count == p.capacity {
		p.turn()
	}
	p.keep(key)
	return false
}

// read counts a read of what is there.
func (p *fifo) read(key uint32) bool {
	if p.in[key] {
		p.reads[key] = min(p.reads[key]+1, p.most)
	}
	return p.in[key]
}

func (p *fifo) keep(key uint32) {
	p.in[key], p.reads[key] = true, 0
	p.push(key)
}

// turn drops the oldest key, or has it be the youngest with a read less.
func (p *fifo) turn() {
	key := p.pop()
	if p.reads[key] == 0 {
		p.in[key] = false
		return
	}
	p.reads[key]--
	p.push(key)
}
