package gate

import (
	"testing"
	"time"
)

// runBreaker plays loads against a breaker: o one that succeeds, x one that
// fails, . a second that passes. It returns what became of each load: the
// letter, or - for one that was refused.
func runBreaker(b *breaker, script string) (got string, now int64) {
	now = int64(time.Hour)
	for _, c := range script {
		switch {
		case c == '.':
			now += int64(time.Second)
			continue
		case !b.allow(now):
			got += "-"
			continue
		case c == 'o':
			b.succeeded(now)
		case c == 'x':
			b.failed(now)
		}
		got += string(c)
	}
	return got, now
}

func TestBreaker(t *testing.T) {
	f := func(name, script, want string) {
		t.Helper()
		if got, _ := runBreaker(new(breaker), script); got != want {
			t.Errorf("%s: of %s came %s, want %s", name, script, got, want)
		}
	}
	f("five failures and nothing else", "xxxxxo", "xxxxx-")
	f("every third fails", "ooxooxooxooxooxooxooxooxooxoox", "ooxooxooxooxooxooxooxooxooxoox")
	f("half fail", "oxoxoxoxoxo", "oxoxoxoxox-")
	f("sixteen in a row after many successes", "oooooooooooooooooooooooooooooooooooooooo"+"xxxxxxxxxxxxxxxxx", "oooooooooooooooooooooooooooooooooooooooo"+"xxxxxxxxxxxxxxxx-")
	f("failures of long ago are forgotten", "xxxx...........xxxxo", "xxxxxxxxo")
	f("one is let through after the pause, and closes it", "xxxxx..ooo", "xxxxxooo")
	f("it fails: the pause doubles", "xxxxx..xo.o..ooo", "xxxxxx--ooo")
	f("a few failures after it has closed do not open it", "xxxxx..oxxxxo", "xxxxxoxxxxo")
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	b := new(breaker)
	_, now := runBreaker(b, "xxxxx..")
	if b.open(now) {
		t.Error("past the pause it says that all is refused")
	}
	if !b.allow(now) || b.allow(now) || !b.open(now) {
		t.Error("past the pause not exactly one load is let through")
	}
	b.skip() // the probe did not ask after all
	if b.open(now) || !b.allow(now) {
		t.Error("the next is not let through")
	}
	if open := b.succeeded(now); open <= 0 || b.until.Load() != 0 {
		t.Errorf("closed after %v, until %d", open, b.until.Load())
	}
}

func TestBreakerOpensOnceAnOutage(t *testing.T) {
	b := new(breaker)
	opened := 0
	for i := range 100 { // all had begun before it opened
		if b.failed(int64(i)) > 0 {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times, want once", opened)
	}
}
