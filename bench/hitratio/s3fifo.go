package main

// s3fifo is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction",
// SOSP '23): a small queue of a tenth for what is new, a main queue, and a ghost queue
// with the names of as many as the main queue holds.
type s3fifo struct {
	small, main, ghost *ring
	capacity           int
	where              []uint8
	reads              []uint8
}

// Places of a key.
const (
	outside = iota
	inSmall
	inMain
	inGhost
)

func newS3FIFO(capacity, keys int) policy {
	return &s3fifo{newRing(keys), newRing(keys), newRing(keys), capacity, make([]uint8, keys), make([]uint8, keys)}
}

func (p *s3fifo) request(key uint32) bool {
	at := p.where[key]
	if at == inSmall || at == inMain {
		p.reads[key] = min(p.reads[key]+1, 3)
		return true
	}
	for p.small.count+p.main.count >= p.capacity {
		p.evict()
	}
	p.reads[key] = 0
	if at == inGhost {
		p.ghost.remove(key)
		p.where[key] = inMain
		p.main.push(key)
	} else {
		p.where[key] = inSmall
		p.small.push(key)
	}
	return false
}

func (p *s3fifo) evict() {
	for p.small.count > 0 && p.small.count >= max(p.capacity/10, 1) {
		key := p.small.pop()
		if p.reads[key] > 1 {
			p.reads[key] = 0
			p.where[key] = inMain
			p.main.push(key)
			continue
		}
		if p.ghost.count > 0 && p.ghost.count >= p.capacity*9/10 {
			p.where[p.ghost.pop()] = outside
		}
		p.where[key] = inGhost
		p.ghost.push(key)
		return
	}
	for p.main.count > 0 {
		key := p.main.pop()
		if p.reads[key] == 0 {
			p.where[key] = outside
			return
		}
		p.reads[key]--
		p.main.push(key)
	}
}
