package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hearth/bench/peers"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

// TestMain lets this program be the bare handler, which the runner starts from
// its own binary.
func TestMain(m *testing.M) {
	peers.Main()
	goleak.VerifyTestMain(m)
}

// TestSmoke measures two rows for a moment. It asserts that the runner works and
// never what it measures. On a busy machine a measurement may be disturbed, which the
// runner rightly refuses to count; so there are a few tries.
func TestSmoke(t *testing.T) {
	testkit.Need(t, "wrk", []string{"wrk"})
	const tries = 3
	var stdout, stderr bytes.Buffer
	for range tries {
		stdout.Reset()
		dir := t.TempDir()
		args := []string{"-rounds", "1", "-seconds", "1", "-rows", "^memory/(bare|nginx)$", "-out", dir, "-name", "smoke"}
		if code := program.Status(t.Context(), args, &stdout, &stderr); code != 0 {
			t.Fatalf("exit status %d, %s; it printed:\n%s", code, stderr.String(), stdout.String())
		}
		if checkSmoke(t, dir) {
			return
		}
	}
	t.Errorf("in %d tries a row was not measured; the last one printed:\n%s", tries, stdout.String())
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
	var r result
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

func TestTiersAreChecked(t *testing.T) {
	before := map[string]float64{"memory": 100}
	after := map[string]float64{"memory": 1000, "redis": 95, "other status": 5}
	tiers := parts(before, after)
	want := map[string]float64{"memory": 0.9, "redis": 0.095, "other status": 0.005}
	if diff := cmp.Diff(want, tiers); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	f := func(gets int64, wantErr string, claim ...share) {
		t.Helper()
		c := &runner{group: group{tiers: claim}}
		err := c.checkTiers(sample{Requests: 1000, Gets: gets, Tiers: tiers})
		if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%v: error %v, want %q", claim, err, wantErr)
		}
	}
	f(95, "", share{"memory", 0.89, 0.92}, share{"redis", 0.08, 0.11})
	f(95, "from memory, want", share{"memory", 0.999, 1})
	f(50, "was asked for 0.05", share{"redis", 0.08, 0.11})
}

// TestCommandsPerRead: reads that are kept cost five commands and are taken out where
// most are not.
func TestCommandsPerRead(t *testing.T) {
	f := func(stats string, want float64) {
		t.Helper()
		calls, err := callsIn("# Commandstats\r\n" + strings.ReplaceAll(stats, " ", "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		s := sample{Gets: calls["get"], Tracked: calls["multi"]}
		for _, n := range calls {
			s.Commands += n
		}
		if got := s.commandsPerRead(); got != want {
			t.Errorf("%s: %v commands, want %v", stats, got, want)
		}
	}
	f("cmdstat_get:calls=1000,usec=1 cmdstat_ping:calls=3,usec=1", 1)
	f("cmdstat_get:calls=1000,usec=1 cmdstat_exists:calls=1000,usec=1", 2)
	transaction := func(n string) string {
		return strings.ReplaceAll("cmdstat_client|caching:calls=N,usec=1 cmdstat_multi:calls=N,usec=1 cmdstat_pttl:calls=N,usec=1 cmdstat_exec:calls=N,usec=1", "N", n)
	}
	f("cmdstat_get:calls=1000,usec=1 "+transaction("1000"), 5)
	f("cmdstat_get:calls=1000,usec=1 "+transaction("100"), 1)
	f("", 0)
	if _, err := callsIn("cmdstat_get:calls=x,usec=1"); err == nil {
		t.Error("a number that is none was read")
	}
}

// TestRows: a name chooses one row, and figures are of servers that are started.
func TestRows(t *testing.T) {
	names := map[string]bool{}
	for _, g := range groups(true) {
		for _, w := range g.rows {
			name := g.name + "/" + w.peer
			if names[name] || w.what == "" || w.bound < 0 || (w.figure == nil) != (w.of == "") {
				t.Errorf("row %s: %+v", name, w)
			}
			names[name] = true
		}
		if g.depth < 1 || g.connections < 1 || g.items < 1 {
			t.Errorf("group %s: %+v", g.name, g)
		}
	}
	resident := groups(true)[slices.IndexFunc(groups(true), func(g group) bool { return g.resident })]
	if got := resident.peers(); !slices.Equal(got, []string{"plain"}) || !resident.needsPlain() {
		t.Errorf("the rows of %s need the peers %q", resident.name, got)
	}
}

// TestMissedBoundsAreNamed.
func TestMissedBoundsAreNamed(t *testing.T) {
	r := result{Rows: []finding{{Name: "a/b", Verdict: "met", Bound: 1}, {Name: "c/d", Verdict: report.Missed, Bound: 1}, {Name: "e/f"}}}
	if got := r.table(); !strings.Contains(got, "**Missed: c/d.**") || !strings.Contains(got, "| e/f |  | **0.000** | 0.000–0.000 | – |") {
		t.Errorf("the table is\n%s", got)
	}
}

// TestPlotLeavesOutWhatWasNotMeasured.
func TestPlotLeavesOutWhatWasNotMeasured(t *testing.T) {
	r := result{Rows: []finding{{Work: "a hit", Ratio: report.Spread{Min: 1, Median: 1, Max: 1}, Verdict: "met"}, {Work: "not there", Problem: "it did not start"}}}
	if got := r.plot(); !strings.Contains(got, "a hit") || strings.Contains(got, "not there") {
		t.Errorf("it draws\n%s", got)
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
