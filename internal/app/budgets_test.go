package app

import (
	"testing"
	"time"

	"hearth/internal/limit"
)

// TestBudgetsAreOneForTheProcess: every generation takes from the same, which the
// budget of the latest sizes, and a limit that has changed counts on.
func TestBudgetsAreOneForTheProcess(t *testing.T) {
	lines := func(budget, rate string) []string {
		return []string{`[memory]`, `budget = "` + budget + `"`, `[[limit]]`, `name = "api"`, `paths = ["/*"]`, `by = "header:X-Key"`, `rate = "` + rate + `"`}
	}
	a := openApp(t, nil, lines("64MiB", "3/h")...)
	hour := func() int64 { return time.Now().Unix() / 3600 }
	began := hour()
	take := func(l *limit.Limiter, times int) (admitted int) {
		for range times {
			if l.Take(t.Context(), []byte("somebody")).Outcome == limit.Admitted {
				admitted++
			}
		}
		return admitted
	}
	first := a.current.Load()
	if n := take(first.limits[0], 5); n != 3 {
		t.Fatalf("%d were admitted, want 3", n)
	}
	taken, size := a.budgets.limitBytes()
	if taken == 0 || a.budgets.subjects.Taken() == 0 || a.budgets.counts.Taken() == 0 || size != 4<<20 {
		t.Errorf("%d of %d bytes are taken for one subject, want some of both rooms, and of 4 MiB", taken, size)
	}
	if a.cache.Budget() != a.budgets.answers || a.budgets.answers.Size() != 32<<20 || a.budgets.bodies.Size() != 32<<20 {
		t.Errorf("answers have %d bytes and bodies %d, want 4 of the largest bodies for a small budget", a.budgets.answers.Size(), a.budgets.bodies.Size())
	}
	next, err := a.assemble(load(t, lines("1GiB", "5/h")...), first)
	if err != nil {
		t.Fatal(err)
	}
	defer next.minus(first).close(a.log)
	a.budgets.resize(next.cfg)
	if n := take(next.limits[0], 9); n != 2 && hour() == began {
		t.Errorf("%d more were admitted by a higher rate, want 2", n)
	}
	if _, size := a.budgets.limitBytes(); size != 64<<20 || a.budgets.answers.Size() != 256<<20 {
		t.Errorf("of a budget of 1 GiB limits have %d bytes and answers %d", size, a.budgets.answers.Size())
	}
}
