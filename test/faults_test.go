package test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hearth/internal/testkit/launch"
)

// kindsOfFaults are those that each engine has rows for in the table of docs/operations.md.
var kindsOfFaults = map[string][]string{
	"Redis":      {"dies", "freezes", "fails over", "moves", "forgets", "refuses", "comes back different"},
	"Sentinel":   {"dies", "fails over"},
	"Cluster":    {"dies", "freezes", "fails over", "moves", "refuses"},
	"embedded":   {"dies", "refuses", "comes back different"},
	"PostgreSQL": {"dies", "freezes", "fails over", "refuses", "conflicts", "comes back different"},
	"PgBouncer":  {"dies", "freezes", "refuses", "forgets"},
	"MariaDB":    {"dies", "freezes", "fails over", "refuses", "conflicts", "comes back different"},
	"SQLite":     {"dies", "refuses", "conflicts", "comes back different"},
	"origin":     {"dies", "freezes", "moves", "refuses", "conflicts", "forgets"},
	"feed":       {"dies", "forgets", "refuses", "conflicts", "moves", "comes back different"},
}

// noFaults are scenarios of proofs in which nothing is hurt.
var noFaults = []string{"feed lag", "feed saved", "feed kinds", "feed engines", "feed cost"}

const faultsHeader = "| engine | fault | a reader sees | a writer sees | time to heal | metric | alarm | played by |"

// faultRow is a row of that table.
type faultRow struct{ engine, fault, reader, writer, heals, metrics, alarms, plays string }

// readFaults reads the table.
func readFaults(t *testing.T, root string) (all []faultRow) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	must(t, err)
	_, rest, found := strings.Cut(string(page), faultsHeader+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no table with the header %s", faultsHeader)
	}
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		switch {
		case strings.HasPrefix(line, "|---"):
			continue
		case !strings.HasPrefix(line, "| "):
			return all
		case len(cells) != 8:
			t.Fatalf("a row of the table of faults has %d cells, want 8: %s", len(cells), line)
		}
		for i := range cells {
			if cells[i] = strings.Trim(cells[i], "| "); cells[i] == "" {
				t.Errorf("a row of the table of faults has an empty cell: %s", line)
			}
		}
		all = append(all, faultRow{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7]})
	}
	return all
}

// TestFaultTable holds the table of faults in docs/operations.md against what there is: a
// test that plays each row, a metric that shows it, an alarm that tells of it; and each
// engine has a row for every kind of fault that it can have.
func TestFaultTable(t *testing.T) {
	t.Parallel()
	root := launch.Root(t)
	tests, metrics, alarms := testsOf(t, root), namesIn(t, root, `(?m)^(\S+)`, "test/testdata/metrics.golden"), namesIn(t, root, `(?m)^ +- alert: (\w+)`, "deploy/alerts.yml")
	metrics["up"] = true
	for proof, file := range map[string]string{"chaos": "proof/chaos/engine.go", "failover": "proof/failover/scenario.go", "feed": "proof/feed/scenario.go"} {
		for name := range namesIn(t, root, `(?m)^\t\{"([\w-]+)", `, file) {
			tests[proof+" "+name] = ""
		}
	}
	unplayed := maps.Clone(tests)
	maps.DeleteFunc(unplayed, func(name, _ string) bool { return !strings.Contains(name, " ") || slices.Contains(noFaults, name) })
	kinds := map[string][]string{}
	for _, row := range readFaults(t, root) {
		where := row.engine + ", " + row.fault
		kind := regexp.MustCompile(`^\*\*([a-z ]+)\*\*`).FindStringSubmatch(row.fault)
		if kind == nil || !slices.Contains(kindsOfFaults[row.engine], kind[1]) {
			t.Errorf("%s: kindsOfFaults has no such engine, or no such kind for it", where)
			continue
		}
		kinds[row.engine] = append(kinds[row.engine], kind[1])
		for _, name := range quoted(t, where, row.metrics) {
			if name, _, _ = strings.Cut(name, "{"); !metrics[name] {
				t.Errorf("%s: no metric %s is exported", where, name)
			}
		}
		for _, name := range quoted(t, where, row.alarms) {
			if !alarms[name] {
				t.Errorf("%s: deploy/alerts.yml has no alarm %s", where, name)
			}
		}
		for _, name := range quoted(t, where, row.plays) {
			delete(unplayed, name)
			test, part, _ := strings.Cut(name, "/")
			if text, ok := tests[test]; !ok || !strings.Contains(text, part) {
				t.Errorf("%s: there is no test or proof %s", where, name)
			}
		}
	}
	for engine, want := range kindsOfFaults {
		for _, kind := range want {
			if !slices.Contains(kinds[engine], kind) {
				t.Errorf("the table of faults says nothing of a %s that %s", engine, kind)
			}
		}
	}
	if len(unplayed) > 0 {
		t.Errorf("the table of faults does not name %v", slices.Sorted(maps.Keys(unplayed)))
	}
}

// quoted are the names of a cell, which has nothing else.
func quoted(t *testing.T, where, cell string) (names []string) {
	t.Helper()
	for name := range strings.SplitSeq(cell, ", ") {
		if len(name) < 3 || name[0] != '`' || name[len(name)-1] != '`' {
			t.Errorf("%s: want names in backticks with commas between them, not %s", where, cell)
			return nil
		}
		names = append(names, strings.Trim(name, "`"))
	}
	return names
}

// namesIn are what a file has for a pattern.
func namesIn(t *testing.T, root, pattern, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	must(t, err)
	names := map[string]bool{}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		names[match[1]] = true
	}
	if len(names) == 0 {
		t.Fatalf("%s has nothing for %s", file, pattern)
	}
	return names
}

// testsOf are all tests of the module by name, each with the text of its file.
func testsOf(t *testing.T, root string) map[string]string {
	t.Helper()
	tests := map[string]string{}
	begin := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range begin.FindAllStringSubmatch(string(text), -1) {
			tests[match[1]] += string(text)
		}
		return err
	}))
	return tests
}
