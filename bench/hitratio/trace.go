package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// trace is a list of requests, each for a key. Keys below universe are the data, of which
// memory holds a part; a key from universe on is asked for once and belongs to nothing.
type trace struct {
	name     string // as the command's -traces takes it
	about    string // one line for the table
	universe int
	requests []uint32
}

// keys is how many keys the trace knows.
func (t *trace) keys() int { return max(t.universe, int(slices.Max(t.requests))+1) }

// maker makes a trace, the same one every time.
type maker struct {
	name, about string
	make        func(g *generator)
}

// generator draws the requests of one trace.
type generator struct {
	*rand.Rand
	universe int
	length   int // requests to be drawn
	once     int // next key that was never asked for
	out      []uint32
}

// seed is that of all traces.
const seed = 15

func (m maker) trace(universe, requests int) *trace {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(len(m.name)))), universe: universe, length: requests, once: universe, out: make([]uint32, 0, requests)}
	m.make(g)
	return &trace{name: m.name, about: m.about, universe: universe, requests: g.out[:requests]}
}

// more tells whether requests are still to be drawn.
func (g *generator) more() bool { return len(g.out) < g.length }

func (g *generator) ask(key int) { g.out = append(g.out, uint32(key)) }

// askOnce asks for a key that no other request asks for.
func (g *generator) askOnce() {
	g.ask(g.once)
	g.once++
}

// zipf draws ranks below n, rank i with a chance in proportion to (i+1)^-skew. The
// library's generator asks for a skew above 1.
type zipf struct{ sums []float64 }

func newZipf(n int, skew float64) *zipf {
	z := &zipf{sums: make([]float64, n)}
	sum := 0.0
	for i := range z.sums {
		sum += math.Pow(float64(i+1), -skew)
		z.sums[i] = sum
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) int {
	return min(sort.SearchFloat64s(z.sums, r.Float64()*z.sums[len(z.sums)-1]), len(z.sums)-1)
}

// ranked draws keys by a Zipf law whose ranks are spread over the data.
type ranked struct {
	*zipf
	keys []int // by rank
}

func (g *generator) ranked(skew float64) ranked {
	return ranked{newZipf(g.universe, skew), g.Perm(g.universe)}
}

func (r ranked) key(g *generator) int { return r.keys[r.draw(g.Rand)] }

// makers are the traces, in the order of the table.
var makers = []maker{
	{"zipf-0.7", "Zipf 0.7", func(g *generator) { steady(g, 0.7) }},
	{"zipf-0.8", "Zipf 0.8", func(g *generator) { steady(g, 0.8) }},
	{"zipf-0.9", "Zipf 0.9", func(g *generator) { steady(g, 0.9) }},
	{"zipf-1.0", "Zipf 1.0", func(g *generator) { steady(g, 1.0) }},
	{"zipf-1.1", "Zipf 1.1", func(g *generator) { steady(g, 1.1) }},
	{"one-hit", "a third of the requests for keys that come once, the rest Zipf 0.9", oneHit},
	{"scans", "Zipf 0.9, and now and then a walk through a fifth of the data", scans},
	{"shift", "Zipf 0.9, and four times a third of the ranks are dealt anew", shift},
	{"bursts", "half of the requests for keys that come four times in a short while and never again, the rest Zipf 0.8", bursts},
	{"loop-long", "half of the requests a loop over 30 % of the data, the rest Zipf 0.9", func(g *generator) { loop(g, 30) }},
	{"loop-near", "half of the requests a loop over 11 % of the data, the rest Zipf 0.9", func(g *generator) { loop(g, 11) }},
	{"database", "Zipf 0.9 whose hot set moves on; a tenth new records, a tenth a walk through all", database},
}

func steady(g *generator, skew float64) {
	for r := g.ranked(skew); g.more(); {
		g.ask(r.key(g))
	}
}

func oneHit(g *generator) {
	for r := g.ranked(0.9); g.more(); {
		if g.IntN(3) == 0 {
			g.askOnce()
		} else {
			g.ask(r.key(g))
		}
	}
}

// scans has a walk through consecutive keys run over a fifth of the data, three requests
// of four meanwhile, after every half of the data's size in ordinary requests.
func scans(g *generator) {
	r := g.ranked(0.9)
	for at := 0; g.more(); {
		for range g.universe / 2 {
			g.ask(r.key(g))
		}
		for n := g.universe / 5; n > 0; {
			if g.IntN(4) == 0 {
				g.ask(r.key(g))
				continue
			}
			g.ask(at % g.universe)
			at, n = at+1, n-1
		}
	}
}

// shift deals a third of the ranks anew four times.
func shift(g *generator) {
	r := g.ranked(0.9)
	for every := g.length/5 + 1; g.more(); {
		for range every {
			g.ask(r.key(g))
		}
		for range g.universe / 3 {
			i, j := g.IntN(g.universe), g.IntN(g.universe)
			if g.IntN(2) == 0 {
				i = g.IntN(g.universe/100 + 1) // what was hot cools down
			}
			r.keys[i], r.keys[j] = r.keys[j], r.keys[i]
		}
	}
}

// bursts asks for a new key four times within some thousand requests.
func bursts(g *generator) {
	r := g.ranked(0.8)
	type live struct{ key, left int }
	now := make([]live, max(g.universe/200, 1))
	for g.more() {
		if g.IntN(2) == 0 {
			g.ask(r.key(g))
			continue
		}
		b := &now[g.IntN(len(now))]
		if b.left == 0 {
			*b = live{g.once, 4}
			g.once++
		}
		g.ask(b.key)
		b.left--
	}
}

func loop(g *generator, percent int) {
	r := g.ranked(0.9)
	for at, n := 0, max(g.universe*percent/100, 1); g.more(); {
		if g.IntN(2) == 0 {
			g.ask(r.key(g))
			continue
		}
		g.ask(r.keys[g.universe-1-at%n]) // cold by themselves
		at++
	}
}

// database is what a service with a table of records sees: most requests by rank, one of
// ten for a record that was made not long ago, one of ten by a walk, and every now and
// then the ranks move on by some places.
func database(g *generator) {
	z, shifted, at, fresh := newZipf(g.universe, 0.9), 0, 0, 0
	keys := g.Perm(g.universe)
	for i := 0; g.more(); i++ {
		switch d := g.IntN(20); {
		case d < 2:
			age := int(g.ExpFloat64() * float64(g.universe) / 100)
			g.ask(keys[(fresh+g.universe-min(age, g.universe-1))%g.universe])
			if g.IntN(4) == 0 {
				fresh = (fresh + 1) % g.universe
			}
		case d < 4:
			g.ask(at % g.universe)
			at++
		default:
			g.ask(keys[(z.draw(g.Rand)+shifted)%g.universe])
		}
		if i%2000 == 1999 {
			shifted++
		}
	}
}
