package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
)

// TestMain lets this program be the bare handler, which the runner starts from
// its own binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		if err := run(os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestSmoke measures a moment of a few connections. It asserts that the runner works
// and every request is counted once, and nothing about speed. On a busy machine wrk may
// see an error, which the runner rightly refuses; so there are a few tries.
func TestSmoke(t *testing.T) {
	testkit.NeedRedis(t)
	testkit.Need(t, "wrk", []string{"wrk"})
	const tries = 3
	var out bytes.Buffer
	for range tries {
		out.Reset()
		err := run([]string{"-rounds", "1", "-seconds", "1", "-connections", "200", "-held", "3s", "-repo", "../.."}, &out)
		if err == nil {
			for _, want := range []string{"# 200 requests in flight", "| bare | ", "| hearth | ", "Ratio of requests per second"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the report lacks %q:\n%s", want, out.String())
				}
			}
			return
		}
		t.Logf("%v; it printed:\n%s", err, out.String())
	}
	t.Errorf("none of %d tries was a measurement", tries)
}

func TestArguments(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if err := run(args, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
	f("not defined", "-nonsense")
	f("out of range", "-rounds", "0")
	f("out of range", "-connections", "50")
	f("out of range", "-held", "11s")
	f("out of range", "unknown")
	f("building hearth", "-repo", t.TempDir())
}

func TestReportOfWrk(t *testing.T) {
	f := func(out, want string) {
		t.Helper()
		r, err := parseReport(out)
		if want == "" {
			if err != nil || r.requests != 12 || r.took != 2*time.Second || r.p50 != 3*time.Millisecond || r.p99 != 4*time.Millisecond {
				t.Errorf("%q: got %+v, %v", out, r, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", out, err, want)
		}
	}
	f("Running …\n\nresult 12 2000000 3000 4000 0 0 0 0 0\n", "")
	f("unable to connect", "no result")
	f("\nresult 12 2000000\n", "no result")
	f("\nresult 12 2000000 3000 4000 0 0 0 0 x\n", "invalid syntax")
	f("\nresult 12 2000000 3000 4000 0 0 0 0 7\n", `7 errors of the kind "timeout"`)
	f("\nresult 12 2000000 3000 4000 0 0 0 1 0\n", `1 errors of the kind "status"`)
	f("\nresult 0 2000000 0 0 0 0 0 0 0\n", "no answers")
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

func TestVerdict(t *testing.T) {
	f := func(want string, ratios ...float64) {
		t.Helper()
		r := report{Bound: least, at: time.Unix(0, 0).UTC()}
		for i, ratio := range ratios {
			r.Turns = append(r.Turns, turn{Round: i, Server: "bare", Rate: 1000}, turn{Round: i, Server: "hearth", Rate: 1000 * ratio})
		}
		dir := t.TempDir()
		if err := r.write(dir); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "1970-01-01-0000-inflight.json"))
		if err != nil {
			t.Fatal(err)
		}
		var got report
		if err := json.Unmarshal(text, &got); err != nil || got.Verdict != want || len(got.Turns) != 2*len(ratios) {
			t.Errorf("%v: got %q and %d turns, %v, want %q", ratios, got.Verdict, len(got.Turns), err, want)
		}
	}
	f("met", 0.5, 0.65, 0.9)
	f("met within the spread", 0.5, 0.6, 0.7)
	f("missed", 0.5, 0.6, 0.64)
}
