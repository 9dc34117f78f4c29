package peers

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/inside"
	"hearth/internal/testkit/launch"
)

// TestMain lets this program be the servers that it starts.
func TestMain(m *testing.M) {
	Main()
	inside.Main(m)
}

// TestPeersAnswer starts every peer for every pattern that it is measured with, and
// it gives the right answer, or says which package it lacks. Adding one waits for it.
func TestPeersAnswer(t *testing.T) {
	hearth, err := exec.LookPath(launch.Name)
	if err != nil {
		t.Fatal(err)
	}
	root := launch.Root(t)
	paths := &Paths{Root: root, Hearth: hearth, Plain: BuildPlain(t, root)}
	f := func(work Work, names ...string) {
		t.Run(work.Pattern, func(t *testing.T) {
			t.Parallel()
			s := Start(t, "peers", work, paths)
			for _, name := range names {
				err := testkit.Try(t, func(tb testkit.TB) { s.Add(tb, name) })
				if err != nil && !strings.Contains(err.Error(), "apt-get install") {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := testkit.Try(t, func(tb testkit.TB) { s.Add(tb, "nobody") }); err == nil {
				t.Error("a peer that does not exist was started")
			}
			for _, p := range s.Peers { // for a moment each, what is sent by connections of our own
				if work.hot() && work.Pattern != Many {
					plan := s.Plan(p)
					plan.Connections, plan.For = 2, 10*time.Millisecond
					if _, err := plan.Run(); err != nil {
						t.Errorf("%s: %v", p.Name, err)
					}
				}
			}
		})
	}
	f(Work{Pattern: One, Keys: 1}, "bare", "nginx", "lua", "memcached", "webdis", "plain", "get", "get-one")
	f(Work{Pattern: Unchanged, Keys: 1}, "bare", "varnish")
	f(Work{Pattern: Many, Keys: ManyItems * ManyLists}, "plain")
	f(Work{Pattern: Spread, Keys: 1000, Memory: Smallest, Size: 4 << 10}, "bare", "plain")
}

// TestWrongAnswersAreNoticed: a server that answers something else is not measured.
func TestWrongAnswersAreNoticed(t *testing.T) {
	hearth, err := exec.LookPath(launch.Name)
	if err != nil {
		t.Fatal(err)
	}
	s := Start(t, "wrong", Work{Pattern: One, Keys: 1}, &Paths{Root: launch.Root(t), Hearth: hearth})
	p := s.Peers[0]
	p.body = "something else"
	if err := s.verify(t, p); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("got %v", err)
	}
	p.body, p.Tag = Record(1, 0), `"no tag of it"`
	if err := s.verify(t, p); err == nil || !strings.Contains(err.Error(), "want 304") {
		t.Errorf("got %v", err)
	}
}

func TestRecords(t *testing.T) {
	for _, size := range []int{100, 4 << 10, 64 << 10} {
		if got := Record(1_000_000, size); len(got) != size || !json.Valid([]byte(got)) {
			t.Errorf("a record of %d bytes has %d, or is no JSON: %.200s", size, len(got), got)
		}
	}
	if got := Record(7, 0); len(got) < 90 || len(got) > 120 || Record(8, 0) == got {
		t.Errorf("a record of about a hundred bytes is %q", got)
	}
}
