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

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hearth/bench/process"
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

// TestSmoke measures two rows for a moment. It asserts that the runner works and
// never what it measures. On a busy machine a measurement may be disturbed, which the
// runner rightly refuses to count; so there are a few tries.
func TestSmoke(t *testing.T) {
	testkit.NeedRedis(t)
	testkit.NeedNginx(t)
	testkit.Need(t, "wrk", []string{"wrk"})
	const tries = 3
	var out bytes.Buffer
	for range tries {
		out.Reset()
		dir := t.TempDir()
		args := []string{"-rounds", "1", "-seconds", "1", "-rows", "^memory/(bare|nginx)$", "-out", dir, "-name", "smoke"}
		if err := run(args, &out); err != nil {
			t.Fatalf("%v; it printed:\n%s", err, out.String())
		}
		if checkSmoke(t, dir) {
			return
		}
	}
	t.Errorf("in %d tries a row was not measured; the last one printed:\n%s", tries, out.String())
}

// checkSmoke reads the results back and tells whether both rows were measured.
func checkSmoke(t *testing.T, dir string) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "latest.md")); err == nil {
		t.Error("a run of some rows has written the table of all")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*-smoke.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the files of results are %q (error %v), want one", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	measured := true
	for _, f := range r.Rows {
		names = append(names, f.Name)
		measured = measured && f.Problem == ""
	}
	if diff := cmp.Diff([]string{"memory/bare", "memory/nginx"}, names); diff != "" {
		t.Errorf("rows (-want +got)\n%s", diff)
	}
	if measured && (len(r.Samples) != 3 || r.Samples[0].Tiers["memory"] < 0.999) {
		t.Errorf("samples: %+v; want one each of hearth, bare and nginx", r.Samples)
	}
	return measured
}

func TestParseResult(t *testing.T) {
	f := func(out string, want result, wantErr string) {
		t.Helper()
		got, err := parseResult(out)
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: got %v, error %v; want %v, error %q", out, got, err, want, wantErr)
		}
	}
	f("Running 1s\nresult 500 1000000 2500 0 0 0 0 0\n", result{500, time.Second, 2500 * time.Microsecond}, "")
	f("Running 1s\nresult 500 1000000 2500 0 7 0 0 0\n", result{}, `7 errors of the kind "read"`)
	f("Running 1s\nresult 500 1000000 2500 0 0 0 1 0\n", result{}, `"status"`)
	f("Running 1s\nresult 0 1000000 0 0 0 0 0 0\n", result{}, "no answers")
	f("Running 1s\nresult 1 x 0 0 0 0 0 0\n", result{}, `"x"`)
	f("unable to connect", result{}, "no result")
}

func TestTiersAreChecked(t *testing.T) {
	before := parseTiers("hearth_requests_total{code=\"200\",resource=\"user\",tier=\"memory\"} 100\n")
	after := parseTiers(strings.Join([]string{
		"# TYPE hearth_requests_total counter",
		`hearth_requests_total{code="200",resource="user",tier="memory"} 1000`,
		`hearth_requests_total{code="200",resource="user",tier="redis"} 95`,
		`hearth_requests_total{code="404",resource="user",tier="memory"} 5`,
		`hearth_memory_bytes 12345`,
	}, "\n"))
	tiers := parts(before, after)
	want := map[string]float64{"memory": 0.9, "redis": 0.095, "other status": 0.005}
	if diff := cmp.Diff(want, tiers); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	f := func(gets int64, wantErr string, claim ...share) {
		t.Helper()
		c := &cast{group: group{tiers: claim}}
		err := c.checkTiers(sample{Requests: 1000, Gets: gets, Tiers: tiers})
		if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%v: error %v, want %q", claim, err, wantErr)
		}
	}
	f(95, "", share{"memory", 0.89, 0.92}, share{"redis", 0.08, 0.11})
	f(95, "from memory, want", share{"memory", 0.999, 1})
	f(50, "was asked for 0.05", share{"redis", 0.08, 0.11})
}

// TestProcessorTimeCountsChildren looks at a shell whose child does the work.
func TestProcessorTimeCountsChildren(t *testing.T) {
	p, err := process.Start(process.Command{Name: "busy", Dir: t.TempDir(), Logs: t.TempDir(), CPU: process.AnyCPU,
		Argv: []string{"sh", "-c", "sh -c 'while :; do :; done' & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Kill() }()
	testkit.Eventually(t, 30*time.Second, "the child's processor time is seen", func() bool {
		used, err := process.CPUTime(p.PID())
		return err == nil && used >= 5*process.Tick
	})
	if err := p.Stop(stopWithin); err != nil {
		t.Error(err)
	}
	if _, err := process.CPUTime(p.PID()); err == nil {
		t.Error("a process that has ended has processor time")
	}
}

func TestOptions(t *testing.T) {
	f := func(wantErr bool, args ...string) {
		t.Helper()
		if _, err := parseOptions(args, new(bytes.Buffer)); (err != nil) != wantErr {
			t.Errorf("%q: error %v, want one: %v", args, err, wantErr)
		}
	}
	f(false)
	f(false, "-rounds", "7", "-seconds", "2", "-rows", "memory/.*")
	f(true, "-rounds", "0")
	f(true, "-seconds", "61")
	f(true, "-rows", "(")
	f(true, "-name", "../x")
	f(true, "rows")
}
