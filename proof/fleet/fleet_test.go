package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios plays the short form of each. Its bounds are counts and orders of
// events; the one time among them, how late a write may be seen on other instances, is
// as long as a machine may stall that runs other tests beside this one.
func TestScenarios(t *testing.T) {
	on := startServers(t, "../..")
	t.Run("observer", func(t *testing.T) { testObserver(t, on.of(t).observer) })
	p := plan{size: short, late: 5 * time.Second, seed: uint64(time.Now().UnixNano())}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			section := s.play(t, p, on)
			var text strings.Builder
			section.Print(&text)
			t.Log(text.String())
			if section.Missed > 0 {
				t.Errorf("seed %d: %d bounds were missed", p.seed, section.Missed)
			}
		})
	}
}

// testObserver shows that the observer can count: queries that overlap, that share ids,
// and one that was cancelled.
func testObserver(t *testing.T, o observer) {
	check := func(want work) {
		t.Helper()
		if got := o.work(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	o.reset(0)
	check(work{})
	o.db.Exec("SELECT * FROM load_many(ARRAY[1, 2]); SELECT * FROM load_many(ARRAY[2]); SELECT * FROM load_many(ARRAY[]::bigint[])")
	check(work{begun: 3, ended: 3, peak: 1, ids: 2, most: 2})
	o.db.Exec("BEGIN; SELECT * FROM load_many(ARRAY[3]); ROLLBACK")
	check(work{begun: 4, ended: 3, peak: 1, ids: 2, most: 2})
	o.reset(0)
	// Three at once: two end when a third begins, in the same microsecond.
	o.db.Exec(`INSERT INTO journal SELECT n, '{}', 'epoch'::timestamptz + a * interval '1 s', 'epoch'::timestamptz + b * interval '1 s'
		FROM (VALUES (1, 0, 4), (2, 1, 5), (3, 5, 6), (4, 4.5, 5.5)) AS v (n, a, b)`)
	check(work{ended: 4, peak: 3})
	if between := o.intervals(2); between.N != 2 || between.Longest != 3500*time.Millisecond {
		t.Errorf("intervals: %d, the longest %v, want 2 and 3.5 s", between.N, between.Longest)
	}
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
	f(1, "it matches none of [one-load ", "-scenario", "^none$")
	f(1, "building hearth", "-repo", t.TempDir())
}
