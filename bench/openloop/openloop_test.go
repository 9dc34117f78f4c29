package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hearth/bench/peers"
	"hearth/internal/testkit/inside"
	"hearth/internal/testkit/launch"
)

// TestMain lets this program be the servers that it starts.
func TestMain(m *testing.M) {
	peers.Main()
	inside.Main(m)
}

// TestSmoke measures two servers for a moment. It asserts that the runner works and never
// what it measures.
func TestSmoke(t *testing.T) {
	hearth, err := exec.LookPath(launch.Name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := []string{"-rounds", "1", "-turn", "100ms", "-connections", "8", "-servers", "^memory/(hearth|nginx)$", "-hearth", hearth, "-out", dir, "-name", "smoke"}
	if code := program.Status(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d, %s; it printed:\n%s", code, stderr.String(), stdout.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "openloop.md")); err == nil {
		t.Error("a run of some servers has written the table of all")
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
	if len(r.Servers) != 2 || len(r.Samples) != 2*len(loads) || len(r.Rows) != 2*len(loads) || len(r.Problems) > 0 {
		t.Fatalf("%s; want two servers, each with %d turns", text, len(loads))
	}
	for _, s := range r.Samples {
		if s.Answered == 0 || s.P50 <= 0 || s.P50 > s.P999 || s.P999 > s.Longest {
			t.Errorf("sample %+v", s)
		}
	}
	for _, want := range []string{"memory: a record of 100 bytes in memory. Capacities in a closed loop: hearth ", "| 50 % of its capacity | nginx | "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout.String())
		}
	}
}

// TestPlotIsOfRatios: of peers, within rounds.
func TestPlotIsOfRatios(t *testing.T) {
	at := loads[0].Of
	r := result{
		Servers: []server{{Group: "memory", What: "a record", Name: "hearth"}, {Group: "memory", What: "a record", Name: "nginx"}, {Group: "memory", What: "a record", Name: "silent"}},
		Samples: []sample{
			{Group: "memory", Server: "hearth", Load: at, Round: 1, P99: 10}, {Group: "memory", Server: "nginx", Load: at, Round: 1, P99: 20},
			{Group: "redis", Server: "hearth", Load: at, Round: 1, P99: 90}, {Group: "memory", Server: "hearth", Load: at, Round: 2, P99: 90},
		},
	}
	if got := r.plot(); strings.Count(got, "<circle") != 1 || !strings.Contains(got, "against nginx") || !strings.Contains(got, ">0.500<") {
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
	f(false, "-rounds", "7", "-turn", "2s", "-servers", "redis/.*", "-connections", "10000")
	f(true, "-rounds", "0")
	f(true, "-turn", "99ms")
	f(true, "-connections", "10001")
	f(true, "-servers", "(")
	f(true, "-name", "../x")
	f(true, "memory")
}
