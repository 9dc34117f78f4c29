package memory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// graceModel is the protocol of pins in single steps: readers, each of a stripe, and two
// writers, each of which takes a record out of the index and uses its memory again when
// grace is over. Explored are all orders of their steps. The zero rules are the design, but
// for moves.
type graceModel struct {
	readers    int  // how many there are, at most two
	moves      int  // of the phase until memory may be used again
	pinsLate   bool // a reader looks at the index, and takes its pin then
	sinceEarly bool // a writer reads the phase before it takes its record out
	oneParity  bool // whoever looks at the counters looks at those of parity 0 alone
}

// graceState is one moment. It is compared.
type graceState struct {
	phase   int8
	counts  [2][2]int8 // by stripe and parity
	shown   [2]bool    // records in the index
	reused  [2]bool    // their memory
	readers [2]graceReader
	writers [2]graceWriter
}

// graceReader does pin, look, release. Its parity is that of the phase that it has read.
type graceReader struct {
	at     int8 // how many of its steps are done
	parity int8
	record int8 // that it looks at, and one more; 0: none
}

// graceWriter takes its record out and asks again and again whether grace is over.
type graceWriter struct {
	at    int8 // one of the places below
	since int8
	saw   int8 // the phase, at the beginning of its look
}

const (
	graceIdle   int8 = iota
	graceMarked      // has read the phase early (sinceEarly)
	graceTaken       // has taken its record out
	graceAsks        // whether the phase has moved far enough
	graceLooks0      // at the counters of stripe 0
	graceLooks1      // at those of stripe 1
	graceMoves1      // has seen zeros, to move the phase on
	graceUses        // the memory again
)

// expand emits the states that one step leads to.
func (m graceModel) expand(s graceState, emit func(what string, after graceState)) {
	for i := range m.readers {
		m.read(s, i, emit)
	}
	for i := range s.writers {
		m.write(s, i, emit)
	}
}

// read is a step of a reader: the phase, the count, the look, the end. Between any two of
// them it may stand still.
func (m graceModel) read(s graceState, i int, emit func(string, graceState)) {
	r := s.readers[i]
	steps := []string{"reads the phase", "counts itself", "looks", "releases"}
	if m.pinsLate {
		steps = []string{"looks", "reads the phase", "counts itself", "releases"}
	}
	if int(r.at) == len(steps) {
		return
	}
	what := steps[r.at]
	r.at++
	after := s
	switch what {
	case "reads the phase":
		r.parity = s.phase & 1
	case "counts itself":
		after.counts[i][r.parity]++
	case "releases":
		after.counts[i][r.parity]--
		r.record = 0
	case "looks":
		for k, shown := range s.shown {
			if shown {
				found, one := after, r
				one.record = int8(k + 1)
				found.readers[i] = one
				emit(fmt.Sprintf("reader %d finds record %d", i, k), found)
			}
		}
	}
	after.readers[i] = r
	emit(fmt.Sprintf("reader %d %s", i, what), after)
}

// write is a step of a writer: partition.retire and grace.over.
func (m graceModel) write(s graceState, i int, emit func(string, graceState)) {
	w, after := s.writers[i], s
	next := &after.writers[i]
	say := func(format string, args ...any) {
		emit(fmt.Sprintf("writer %d %s", i, fmt.Sprintf(format, args...)), after)
	}
	parity := (w.saw + 1) & 1
	if m.oneParity {
		parity = 0
	}
	switch w.at {
	case graceIdle:
		if m.sinceEarly {
			next.at, next.since = graceMarked, s.phase
			say("reads phase %d", s.phase)
			return
		}
		fallthrough
	case graceMarked:
		next.at, after.shown[i] = graceTaken, false
		say("takes its record out")
	case graceTaken:
		next.at = graceAsks
		if !m.sinceEarly {
			next.since = s.phase
		}
		say("waits from phase %d on", next.since)
	case graceAsks:
		if int(s.phase) >= int(w.since)+m.moves {
			next.at, after.reused[i] = graceUses, true
			say("uses the memory again")
			return
		}
		next.at, next.saw = graceLooks0, s.phase
		say("sees phase %d", s.phase)
	case graceLooks0, graceLooks1:
		next.at++
		if s.counts[w.at-graceLooks0][parity] != 0 {
			next.at = graceAsks // and asks again later
		}
		say("looks at stripe %d, parity %d", w.at-graceLooks0, parity)
	case graceMoves1:
		next.at = graceAsks
		if s.phase == w.saw {
			after.phase = w.saw + 1
		}
		say("moves the phase to %d", after.phase)
	}
}

// explore returns how many states there are, and the steps of a shortest way to one in which
// a reader looks at memory that is used again; nil: there is none.
func (m graceModel) explore() (states int, way []string) {
	type from struct {
		before graceState
		what   string
	}
	start := graceState{shown: [2]bool{true, true}}
	seen := map[graceState]from{start: {}}
	for level := []graceState{start}; len(level) > 0; {
		var next []graceState
		for _, s := range level {
			for i := range s.readers {
				if k := s.readers[i].record; k != 0 && s.reused[k-1] {
					for s != start {
						way = append(way, seen[s].what)
						s = seen[s].before
					}
					slices.Reverse(way)
					return len(seen), way
				}
			}
			m.expand(s, func(what string, after graceState) {
				if _, ok := seen[after]; !ok {
					seen[after] = from{s, what}
					next = append(next, after)
				}
			})
		}
		level = next
	}
	return len(seen), nil
}

// TestGrace: in no order of their steps does a reader look at memory that is used again.
// Each rule of the protocol has a variant that does not keep this.
func TestGrace(t *testing.T) {
	f := func(name string, m graceModel, steps int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, way := m.explore()
			if len(way) != steps {
				t.Errorf("after %d of %d states a way has %d steps, want %d:\n%s", states, states, len(way), steps, strings.Join(way, "\n"))
			}
			if testing.Verbose() {
				t.Logf("%d states\n%s", states, strings.Join(way, "\n"))
			}
		})
	}
	f("the design", graceModel{readers: 1, moves: graceMoves}, 0)
	if testkit.Long() {
		f("the design, two readers", graceModel{readers: 2, moves: graceMoves}, 0)
	}
	f("one move less, two writers", graceModel{readers: 1, moves: graceMoves - 1}, 20)
	f("one move: only the other parity was seen", graceModel{readers: 1, moves: 1}, 10)
	f("one parity is looked at", graceModel{readers: 1, moves: graceMoves, oneParity: true}, 24)
	f("the pin is taken behind the look", graceModel{readers: 1, moves: graceMoves, pinsLate: true}, 16)
	f("the phase is read before the record is taken out", graceModel{readers: 1, moves: graceMoves, sinceEarly: true}, 22)
}

// TestGraceRestsOnNoOldLook plays the way of "one move less" with the real counters: a look
// from before the record was taken out moves the phase behind it.
func TestGraceRestsOnNoOldLook(t *testing.T) {
	var g grace
	stopped := &g.stripes[7].counts[g.phase.Load()&1] // a reader that has read the phase, and not counted itself
	g.phase.Store(1)
	var since uint64
	g.looked = func() {
		g.looked = nil
		stopped.Add(1)         // the reader goes on, and finds the record
		since = g.phase.Load() // which a writer takes out then
	}
	g.over(1) // somebody else's, whose look was over before
	if g.over(since) {
		t.Fatalf("grace is over in phase %d since phase %d, and a reader of before has not released its pin", g.phase.Load(), since)
	}
	stopped.Add(-1)
	if !g.over(since) {
		t.Errorf("grace is not over in phase %d since phase %d, and nobody has a pin", g.phase.Load(), since)
	}
}
