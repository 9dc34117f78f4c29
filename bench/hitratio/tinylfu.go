package main

// wTinyLFU is W-TinyLFU (Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache
// admission policy", 2017) as Caffeine has it without its hill climber: a window of 1 %,
// a main space in two parts, probation and protection (80 %), and a sketch of 4-bit
// counters that are halved after ten times as many requests as memory holds keys.
type wTinyLFU struct {
	window, probation, protection *ring
	capacity, windowed, protected int
	where                         []uint8
	counts                        *counters
}

const (
	inWindow = 1 + iota
	inProbation
	inProtection
)

func newWTinyLFU(capacity, keys int) policy {
	windowed := max(capacity/100, 1)
	return &wTinyLFU{
		newRing(keys), newRing(keys), newRing(keys),
		capacity, windowed, (capacity - windowed) * 8 / 10,
		make([]uint8, keys), newCounters(capacity),
	}
}

func (p *wTinyLFU) request(key uint32) bool {
	p.counts.add(hash(key))
	switch p.where[key] {
	case inWindow:
		p.window.remove(key)
		p.window.push(key)
		return true
	case inProbation:
		p.probation.remove(key)
		p.where[key] = inProtection
		p.protection.push(key)
		if p.protection.count > p.protected {
			p.moveTo(p.probation, inProbation, p.protection.pop())
		}
		return true
	case inProtection:
		p.protection.remove(key)
		p.protection.push(key)
		return true
	}
	p.moveTo(p.window, inWindow, key)
	if p.window.count <= p.windowed {
		return false
	}
	candidate := p.window.pop()
	if p.probation.count+p.protection.count < p.capacity-p.windowed {
		p.moveTo(p.probation, inProbation, candidate)
		return false
	}
	from := p.probation
	if from.count == 0 {
		from = p.protection
	}
	if from.count == 0 || p.counts.estimate(hash(candidate)) <= p.counts.estimate(hash(from.oldest())) {
		p.where[candidate] = 0
		return false
	}
	p.where[from.pop()] = 0
	p.moveTo(p.probation, inProbation, candidate)
	return false
}

func (p *wTinyLFU) moveTo(r *ring, place uint8, key uint32) {
	p.where[key] = place
	r.push(key)
}

// counters is Caffeine's sketch: four rows of 4-bit counters, four for each key that
// memory holds and more for the power of two, all halved after ten requests for each.
type counters struct {
	rows        [4][]uint8
	mask        uint64
	added, most int
}

func newCounters(capacity int) *counters {
	width := 8
	for width < 4*capacity {
		width *= 2
	}
	c := &counters{mask: uint64(width - 1), most: 10 * capacity}
	for i := range c.rows {
		c.rows[i] = make([]uint8, width)
	}
	return c
}

func (c *counters) at(h uint64, row int) uint64 {
	return (h * (2*uint64(row) + 0x9e3779b97f4a7c15) >> 20) & c.mask
}

func (c *counters) add(h uint64) {
	added := false
	for i := range c.rows {
		if n := &c.rows[i][c.at(h, i)]; *n < 15 {
			*n++
			added = true
		}
	}
	if !added {
		return
	}
	if c.added++; c.added < c.most {
		return
	}
	for _, row := range c.rows {
		for i := range row {
			row[i] /= 2
		}
	}
	c.added /= 2
}

func (c *counters) estimate(h uint64) uint8 {
	least := uint8(15)
	for i := range c.rows {
		least = min(least, c.rows[i][c.at(h, i)])
	}
	return least
}
