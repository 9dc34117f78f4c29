package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

func TestMain(m *testing.M) {
	launch.AtATime(8) // they wait for most of their time
	goleak.VerifyTestMain(m)
}

func TestArguments(t *testing.T) {
	f := func(wantCode int, wantText string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := program.Status(t.Context(), args, &stdout, &stderr); code != wantCode || !strings.Contains(stderr.String(), wantText) {
			t.Errorf("%q: exit status %d, %q, want %d and %q", args, code, stderr.String(), wantCode, wantText)
		}
	}
	f(2, "-nonsense", "-nonsense")
	f(2, "missing closing", "-scenario", "(")
	f(1, "it matches none of [", "-scenario", "^none$")
	f(1, "building hearth", "-repo", t.TempDir())
}

// TestShort plays the scenarios with few changes. Its bounds are counts and orders of
// events: what is timed is a figure here, for other tests run beside this one.
func TestShort(t *testing.T) {
	binary := launch.Build(t, "../..")
	p := plan{size: short, mode: "outbox", seed: uint64(time.Now().UnixNano())}
	p.lag, p.backends, p.changes, p.bulk, p.dying, p.slack = 100, 5, 500, 20_000, 2000, 20
	p.pace, p.look, p.calm = 5*time.Millisecond, 5*time.Millisecond, 200*time.Millisecond
	for _, s := range scenarios {
		if !slices.Contains(inTests, s.name) && !testkit.Long() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			section := s.play(t, p, binary)
			var text strings.Builder
			section.Print(&text)
			t.Log(text.String())
			if section.Missed > 0 {
				t.Errorf("seed %d: %d bounds were missed", p.seed, section.Missed)
			}
		})
	}
}

// inTests are the scenarios of TestShort. The others are played in its long form, or by
// tests of what they are about.
var inTests = []string{"lag", "kill", "degraded", "gaps", "saved", "engines"}
