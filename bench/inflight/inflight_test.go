package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
)

// TestMain lets this program be the bare handler, which the runner starts from
// its own binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// TestSmoke measures a moment of a few connections. It asserts that the runner works
// and every request is counted once, and nothing about speed. On a busy machine wrk may
// see an error, which the runner rightly refuses; so there are a few tries.
func TestSmoke(t *testing.T) {
	testkit.Need(t, "wrk", []string{"wrk"})
	const tries = 3
	for range tries {
		var stdout, stderr bytes.Buffer
		args := []string{"-rounds", "1", "-seconds", "1", "-connections", "200", "-held", "3s", "-repo", "../.."}
		if program.Status(t.Context(), args, &stdout, &stderr) == 0 {
			for _, want := range []string{"# 200 requests in flight", "| bare | ", "| hearth | ", "Ratio of requests per second"} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("the report lacks %q:\n%s", want, stdout.String())
				}
			}
			return
		}
		t.Logf("%s; it printed:\n%s", stderr.String(), stdout.String())
	}
	t.Errorf("none of %d tries was a measurement", tries)
}

func TestArguments(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := program.Status(t.Context(), args, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit status %d, %q, want 1 and %q", args, code, stderr.String(), want)
		}
	}
	f("not defined", "-nonsense")
	f("out of range", "-rounds", "0")
	f("out of range", "-connections", "50")
	f("out of range", "-held", "11s")
	f("out of range", "unknown")
	f("building hearth", "-repo", t.TempDir())
}

func TestPlausible(t *testing.T) {
	f := func(want string, numbers ...int64) {
		t.Helper()
		err := plausible(numbers, 10)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v after 10: got %v, want %q", numbers, err, want)
		}
	}
	f("", 11, 12, 13)
	f("", 13, 13, 13)
	f("there are 10", 10, 12, 13)
	f("there are 14", 11, 12, 14)
	f("the highest answer is 12", 11, 12, 12)
}

func TestBound(t *testing.T) {
	f := func(want string, ratios ...float64) {
		t.Helper()
		r := result{Bound: least}
		for i, ratio := range ratios {
			r.Samples = append(r.Samples, sample{Round: i, Server: "bare", Rate: 1000}, sample{Round: i, Server: "hearth", Rate: 1000 * ratio})
		}
		dir := t.TempDir()
		if err := r.write(dir); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "0001-01-01-0000-inflight.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got result
		if err := json.Unmarshal(text, &got); err != nil || got.Verdict != want || len(got.Samples) != 2*len(ratios) {
			t.Errorf("%v: got %q and %d turns, %v, want %q", ratios, got.Verdict, len(got.Samples), err, want)
		}
	}
	f("met", 0.5, 0.65, 0.9)
	f("met within the spread", 0.5, 0.6, 0.7)
	f("missed", 0.5, 0.6, 0.64)
}
