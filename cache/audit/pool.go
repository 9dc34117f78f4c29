package audit

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"hearth/cache/memory"
)

// Pool has the keys of samples that came since some of them were last taken. It is bounded:
// of more keys than it has room for each is as likely to be in it. It is safe for concurrent
// use.
type Pool struct {
	room int

	mu     sync.Mutex
	picks  []Pick
	places map[string]int // in picks, by key
	seen   int            // keys since picks were last taken; one that went and came again counts twice
	shed   int64          // keys that went, or found no room, ever
	turn   bool           // the next odd one is by key
}

// Pick is a key that is to be checked, with what the latest sample of it tells: that is
// likeliest to be what memory holds still.
type Pick struct {
	Key   string
	Shape *memory.Shape
	ETag  [15]byte // of what was answered
	Epoch uint32
	Bytes int
	At    int64  // clock time of the hit
	Hits  uint64 // that all samples of the key stand for

	due float64 // see Take
}

// NewPool returns a pool with room for so many keys.
func NewPool(room int) *Pool { return &Pool{room: room, places: map[string]int{}} }

// Offer notes a sample, of which it keeps copies. It tells whether the pool was empty.
func (p *Pool) Offer(s *memory.Sample) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pick := Pick{Shape: s.Shape, ETag: s.ETag, Epoch: s.Epoch, Bytes: s.Bytes, At: s.At, Hits: uint64(s.For)}
	if i, there := p.places[string(s.Key)]; there {
		was := &p.picks[i]
		pick.Key, pick.Hits = was.Key, was.Hits+pick.Hits
		*was = pick
		return false
	}
	p.seen++
	pick.Key = string(s.Key)
	if len(p.picks) < p.room {
		p.places[pick.Key] = len(p.picks)
		p.picks = append(p.picks, pick)
		return len(p.picks) == 1
	}
	p.shed++
	if i := rand.IntN(p.seen); i < p.room {
		delete(p.places, p.picks[i].Key)
		p.places[pick.Key], p.picks[i] = i, pick
	}
	return false
}

// Take takes n keys at most, each once, and forgets the others. Half of them are drawn by
// their hits, which is what clients see: of what is asked for often a wrong answer does most
// harm. The other half is drawn by key: else one hot key would be all that is ever checked,
// and what is wrong with a slot, a node or a resource whose keys are asked for now and then
// would not be found.
func (p *Pool) Take(n int) []Pick {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n <= 0 || len(p.picks) == 0 {
		return nil
	}
	all := p.picks
	p.picks, p.seen = nil, 0
	clear(p.places)
	if n >= len(all) {
		return all
	}
	byHits := n / 2
	if n%2 == 1 {
		if p.turn = !p.turn; p.turn {
			byHits++
		}
	}
	// The least of exponentially distributed times, at rates in proportion to the hits, are
	// a sample in proportion to them without repetition (Efraimidis and Spirakis, 2006).
	for i := range all {
		all[i].due = rand.ExpFloat64() / math.Max(float64(all[i].Hits), 1)
	}
	slices.SortFunc(all, func(a, b Pick) int { return cmp.Compare(a.due, b.due) })
	rest := all[byHits:]
	rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return all[:n]
}

// Len is how many keys there are.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.picks)
}

// Shed is how many keys were not kept until somebody could take them, ever.
func (p *Pool) Shed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shed
}
