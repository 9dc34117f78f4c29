package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit/launch"
)

func TestMain(m *testing.M) {
	launch.AtATime(8) // they wait for most of their time
	goleak.VerifyTestMain(m)
}

// TestShort plays each engine for a few rounds, with few clients. Nothing here has a
// bound of time: instances may take as long to be whole as a machine may stall.
func TestShort(t *testing.T) {
	binary := launch.Build(t, "../..")
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			engine := e.make()
			p := plan{reads: 2000, least: 2, limit: 5 * time.Minute, heal: 4 * time.Minute, keys: 40, readers: 1, writers: 2, depth: 4, calm: 30 * time.Millisecond,
				freeze: time.Second, haste: 10, link: time.Second, seed: uint64(time.Now().UnixNano())}
			var out strings.Builder
			if err := play(t, p, engine, binary, &out); err != nil {
				t.Errorf("seed %d: %v", p.seed, err)
			}
			t.Log(out.String())
			if !strings.Contains(out.String(), "violations  0\n") || !strings.Contains(out.String(), "without recovery 0\n") {
				t.Error("the report does not count violations, or rounds without recovery")
			}
			for _, f := range engine.faults() {
				if !strings.Contains(out.String(), f.name) {
					t.Errorf("the report does not name the fault %q", f.name)
				}
			}
		})
	}
}

func TestArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := program.Status(t.Context(), []string{"-nonsense"}, &stdout, &stderr); code != 2 || stderr.Len() == 0 {
		t.Errorf("exit status %d, %q, want 2 and a message", code, stderr.String())
	}
	if code := program.Status(t.Context(), []string{"-engine", "nonsense"}, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "none of all, redis") {
		t.Errorf("exit status %d, %q, want 2 and the names", code, stderr.String())
	}
	if code := program.Status(t.Context(), []string{"-repo", t.TempDir(), "-minutes", "0.1"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "building hearth") {
		t.Errorf("exit status %d, %q, want 1 and the reason", code, stderr.String())
	}
}

// TestCheckKnowsWhatVanishes: from Redis everything may, from the database nothing.
func TestCheckKnowsWhatVanishes(t *testing.T) {
	b := newRecords(plan{keys: 1, link: time.Second}, 2)
	f := func(resource int, version int64, want bool, change func(r *record)) {
		t.Helper()
		r := b.fresh(resource)
		r.Acknowledge(2*time.Minute, 2*time.Minute+1, 0)
		change(r)
		was := b.checker.Violations()
		b.check(r, b.checker.Ask(r.Record, 0), version, "")
		if got := b.checker.Violations().Own > was.Own; got != want {
			t.Errorf("%s, version %d: violation %v, want %v", r.Name, version, got, want)
		}
	}
	removed := func(at time.Duration) func(r *record) { return func(r *record) { r.removed.Store(int64(at)) } }
	f(free, 1, false, removed(0))
	f(free, 0, true, removed(0))
	f(free, 0, true, removed(2*time.Minute-1)) // written since
	f(free, 0, false, removed(2*time.Minute+5))
	f(free, 0, false, removed(forever))
	f(row, 0, true, removed(forever)) // the database has it
	f(row, 0, false, func(r *record) {
		b.slots[row][0].Store(r)
		b.giveUpAll(row)
	})
	b.wiping()
	f(free, 0, false, removed(0))
	b.wiped()
	b.wipe.ended = 2*time.Minute - 1
	f(free, 0, true, removed(0))
	b.wipe.ended = 2*time.Minute + 1
	f(free, 0, false, removed(0))
	f(row, 0, true, removed(0))
}
