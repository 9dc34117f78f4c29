package audit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"hearth/cache/memory"
)

// TestAtLeast compares with the exact bound as other programs give it.
func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		checks, broken int64
		want           float64
	}{
		{0, 0, 0}, {1, 0, 0.05}, {10, 0, 0.7411344491069478}, {100, 0, 0.9704869503929601}, {360000, 0, 0.9999916785560857},
		{10, 1, 0.6058366975634952}, {100, 3, 0.9242892062501705}, {360000, 1, 0.9999868226670824},
		{10, 9, 0.005116196891823743}, {10, 10, 0}, {3, 4, 0},
	} {
		if got := AtLeast(c.checks, c.broken); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d broken of %d: got %.12f, want %.12f", c.broken, c.checks, got, c.want)
		}
	}
}

// TestAtLeastHolds draws checks of which a known share breaks: the bound may lie above the
// truth in one of twenty, as its confidence says. It is exact, so it is not much rarer either.
func TestAtLeastHolds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, share := range []float64{0.003, 0.02, 0.3} {
		const tries, checks = 2000, 2000
		over := 0
		for range tries {
			broken := int64(0)
			for range checks {
				if rnd.Float64() < share {
					broken++
				}
			}
			if AtLeast(checks, broken) > 1-share {
				over++
			}
		}
		if part := float64(over) / tries; part > 0.065 || part < 0.005 {
			t.Errorf("a share of %v: the bound was too high in %v of all tries, want at most about 0.05", share, part)
		}
	}
}

// TestAtLeastNeverRises goes through many counts: a further break never makes surer, nor does
// any count take the bound out of its range, however many checks there were.
func TestAtLeastNeverRises(t *testing.T) {
	for _, checks := range []int64{1, 7, 1000, 360_000, 5_000_000_000} {
		last := 1.0
		for broken := int64(0); broken <= checks && broken < 1<<20; broken = broken*3/2 + 1 {
			got := AtLeast(checks, broken)
			if !(got >= 0 && got <= last) {
				t.Fatalf("%d broken of %d: %v after %v", broken, checks, got, last)
			}
			if truth := 1 - float64(broken)/float64(checks); got > truth {
				t.Fatalf("%d broken of %d: at least %v, which is more than %v", broken, checks, got, truth)
			}
			last = got
		}
	}
}

func TestTally(t *testing.T) {
	var y Tally
	minute := int64(time.Minute)
	ok := Verdict{Against: Memory, Result: OK, Promised: true}
	for range 10 {
		y.Note(5, ok)
	}
	y.Note(5, Verdict{Against: Memory, Result: Stale, Cause: Removed, Age: AgeOf(3 * time.Second), Promised: true})
	y.Note(6, Verdict{Against: Memory, Result: InFlight, Promised: true})
	y.Note(6, Verdict{Against: Source, Result: OK})
	y.Note(6, Verdict{Against: Source, Result: Stale, Cause: Unwatched, Age: AgeOf(time.Hour)})
	y.Note(6, Verdict{Against: Source, Result: Volatile, Promised: true})

	for what, got := range map[string]int64{
		"ok of memory": y.Checks(Memory, OK) - 9, "in flight": y.Checks(Memory, InFlight), "removed at 3 s": y.Stale(Removed, AgeOf(10*time.Second)),
		"unwatched at an hour": y.Stale(Unwatched, Ages-1), "stale of the source": y.Checks(Source, Stale), "volatile": y.Checks(Source, Volatile),
	} {
		if got != 1 {
			t.Errorf("%s: got %d beside the one that was noted", what, got-1)
		}
	}
	want := Standing{Checks: 11, Broken: 1, AtLeast: AtLeast(11, 1)}
	for _, w := range Windows {
		if got := y.Standing(minute/2, Memory, w); got != want {
			t.Errorf("%v: got %+v, want %+v", w, got, want)
		}
		if got := y.Standing(minute/2, Source, w); got != (Standing{}) {
			t.Errorf("%v: nothing was promised of the source, and %+v says so", w, got)
		}
	}
	// An hour later only what came since counts for it. One minute has the place of the first.
	y.Note(60*minute+1, ok)
	if got := y.Standing(60*minute+2, Memory, Hour); got.Checks != 1 || got.Broken != 0 {
		t.Errorf("the hour has %+v, want the one check of its last minute", got)
	}
	if got := y.Standing(200*minute, Memory, Hour); got.Checks != 0 {
		t.Errorf("hours later the hour has %+v", got)
	}
	if got := y.Standing(200*minute, Memory, Start); got.Checks != 12 || got.Broken != 1 {
		t.Errorf("since the start: %+v, want 12 checks with 1 broken", got)
	}
}

// TestLabels: labels are one for each value, and so closed sets.
func TestLabels(t *testing.T) {
	seen := map[string]bool{}
	add := func(name string) {
		if name == "" || seen[name] {
			t.Errorf("%q is empty or comes twice", name)
		}
		seen[name] = true
	}
	for _, r := range Results {
		add(r.String())
	}
	for _, c := range Causes {
		add(c.String())
	}
	last := time.Duration(0)
	for a := range Ages {
		add(a.String())
		if a < Ages-1 {
			d, err := time.ParseDuration(a.String())
			if err != nil || d <= last || AgeOf(d) != a || AgeOf(d+1) != a+1 {
				t.Errorf("age %v: %v, and an age of so much is called %v, of a little more %v", a, err, AgeOf(d), AgeOf(d+1))
			}
			last = d
		}
	}
}

func sample(key string, hits uint32) *memory.Sample {
	return &memory.Sample{Key: []byte(key), For: hits}
}

// TestPool: a key that has nearly all hits is checked, and so are the others.
func TestPool(t *testing.T) {
	p, checked := NewPool(64), map[string]int{}
	for range 400 {
		for range 200 {
			p.Offer(sample("hot", 1000))
		}
		for i := range 40 {
			p.Offer(sample(fmt.Sprint("rare", i), 1))
		}
		for _, pick := range p.Take(10) {
			checked[pick.Key]++
			if pick.Key == "hot" && pick.Hits != 200_000 {
				t.Fatalf("the hot key stands for %d hits, want those of all its samples", pick.Hits)
			}
		}
	}
	if checked["hot"] < 399 {
		t.Errorf("the hot key was checked %d times in 400 rounds, want each time", checked["hot"])
	}
	for i := range 40 {
		if n := checked[fmt.Sprint("rare", i)]; n < 40 || n > 160 { // 9 of 40, 400 times: about 90
			t.Errorf("rare key %d was checked %d times of 400, want about 90", i, n)
		}
	}
	if p.Shed() != 0 || p.Len() != 0 {
		t.Errorf("%d keys shed, %d left; there was room", p.Shed(), p.Len())
	}
}

// TestPoolIsBounded: of more keys than there is room for each has the same chance.
func TestPoolIsBounded(t *testing.T) {
	const room, keys, rounds = 16, 64, 2000
	p, there := NewPool(room), map[string]int{}
	for range rounds {
		for i := range keys {
			if first := p.Offer(sample(fmt.Sprint(i), 1)); first != (i == 0) {
				t.Fatalf("offering key %d: first is %v", i, first)
			}
		}
		got := p.Take(keys)
		if len(got) != room {
			t.Fatalf("got %d keys, want as many as there is room for", len(got))
		}
		for _, pick := range got {
			there[pick.Key]++
		}
	}
	for i := range keys {
		if n := there[fmt.Sprint(i)]; n < rounds*room/keys*7/10 || n > rounds*room/keys*13/10 {
			t.Errorf("key %d was kept %d times of %d, want about %d", i, n, rounds, rounds*room/keys)
		}
	}
	if p.Shed() != rounds*(keys-room) {
		t.Errorf("%d keys counted as shed, want %d", p.Shed(), rounds*(keys-room))
	}
}

// TestPoolTakesOne: with one check at a time hits and keys have their turns.
func TestPoolTakesOne(t *testing.T) {
	p, hot := NewPool(64), 0
	for range 1000 {
		p.Offer(sample("hot", 1<<20))
		for i := range 20 {
			p.Offer(sample(fmt.Sprint(i), 1))
		}
		if p.Take(1)[0].Key == "hot" {
			hot++
		}
	}
	if hot < 500 || hot > 600 { // each second time, and one of 21 of the others
		t.Errorf("the hot key was taken %d times of 1000, want a little more than half", hot)
	}
}
