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
	g, err := layGround(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.clear(); err != nil {
			t.Error(err)
		}
	}()
	t.Run("witness", func(t *testing.T) { testWitness(t, g.witness) })
	p := plan{size: short, late: 5 * time.Second, seed: uint64(time.Now().UnixNano())}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			sec := s.play(t.Context(), p, g)
			var report strings.Builder
			sec.print(&report)
			t.Log(report.String())
			if sec.missed > 0 {
				t.Errorf("seed %d: %d bounds were missed", p.seed, sec.missed)
			}
		})
	}
}

// testWitness shows that the witness can count: queries that overlap, that share ids,
// and one that was cancelled.
func testWitness(t *testing.T, w witness) {
	query := func(sql string) {
		t.Helper()
		if _, err := w.db.Query(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want account) {
		t.Helper()
		got, err := w.account(t.Context())
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if err := w.reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	check(account{})
	query("SELECT * FROM load_many(ARRAY[1, 2]); SELECT * FROM load_many(ARRAY[2]); SELECT * FROM load_many(ARRAY[]::bigint[])")
	check(account{begun: 3, ended: 3, peak: 1, ids: 2, most: 2})
	query("BEGIN; SELECT * FROM load_many(ARRAY[3]); ROLLBACK")
	check(account{begun: 4, ended: 3, peak: 1, ids: 2, most: 2})
	if err := w.reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	// Three at once: two end when a third begins, in the same microsecond.
	query(`INSERT INTO journal SELECT n, '{}', 'epoch'::timestamptz + a * interval '1 s', 'epoch'::timestamptz + b * interval '1 s'
		FROM (VALUES (1, 0, 4), (2, 1, 5), (3, 5, 6), (4, 4.5, 5.5)) AS v (n, a, b)`)
	check(account{ended: 4, peak: 3})
	between, err := w.intervals(t.Context(), 2)
	if err != nil || between.n != 2 || between.worst != 3500*time.Millisecond {
		t.Errorf("intervals: %d, the longest %v, %v, want 2 and 3.5 s", between.n, between.worst, err)
	}
}

func TestArguments(t *testing.T) {
	f := func(wantCode int, wantText string, args ...string) {
		t.Helper()
		var out, diagnosis bytes.Buffer
		if code := run(t.Context(), args, &out, &diagnosis); code != wantCode || !strings.Contains(diagnosis.String(), wantText) {
			t.Errorf("%q: exit status %d, %q, want %d and %q", args, code, diagnosis.String(), wantCode, wantText)
		}
	}
	f(2, "-nonsense", "-nonsense")
	f(2, "missing closing", "-scenario", "(")
	f(1, "it matches none of [one-load ", "-scenario", "^none$")
	f(1, "building hearth", "-repo", t.TempDir())
}
