package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/go-yaml"
)

// ruleFile is deploy/alerts.yml, as Prometheus reads it.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Record, Alert string
	Expr, For     string
	Labels        map[string]string
	Annotations   map[string]string
}

// readRules reads the rules, and refuses what Prometheus would.
func readRules(t *testing.T) (all []rule) {
	t.Helper()
	file, err := os.ReadFile(alertsFile)
	must(t, err)
	var rules ruleFile
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatalf("%s: %v", alertsFile, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: it has a second document, or what is none: %v", alertsFile, err)
	}
	names := map[string]bool{}
	for _, g := range rules.Groups {
		if g.Name == "" || names[g.Name] || len(g.Rules) == 0 {
			t.Errorf("group %q: needs a name of its own, and rules", g.Name)
		}
		names[g.Name] = true
		all = append(all, g.Rules...)
	}
	return all
}

const (
	alertsFile = "alerts.yml"
	// metricsGolden lists all metrics that the program exports.
	metricsGolden = "../test/testdata/metrics.golden"
)

// published are the metrics of testdata/metrics.golden, with their labels; those
// that are listed there by name alone have none.
func published(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.ReadFile(metricsGolden)
	must(t, err)
	line := regexp.MustCompile(`^(\S+)(?: (\S+) \{(\S*)\} .+)?$`)
	all := map[string][]string{"up": {}}
	for text := range strings.Lines(string(file)) {
		parts := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if parts == nil {
			t.Fatalf("%s: cannot read %q", metricsGolden, text)
		}
		name, labels := parts[1], strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' })
		if parts[2] != "histogram" {
			all[name] = labels
			continue
		}
		all[name+"_sum"], all[name+"_count"] = labels, labels
		all[name+"_bucket"] = append([]string{"le"}, labels...)
	}
	return all
}

// checkQuery reads an expression and looks up what it names. It returns the
// labels that its result may have.
func checkQuery(t *testing.T, where, expr string, known map[string][]string) (labels []string) {
	t.Helper()
	q, err := readQuery(expr)
	if err != nil {
		t.Errorf("%s: %v, in %s", where, err, expr)
	}
	labels = []string{"job", "instance"} // which Prometheus adds
	for _, s := range q.selectors {
		own, ok := known[s.metric]
		if !ok {
			t.Errorf("%s: no metric %q is exported (see %s)", where, s.metric, metricsGolden)
		}
		labels = append(labels, own...)
		for _, name := range s.labels {
			if name != "job" && name != "instance" && !slices.Contains(own, name) {
				t.Errorf("%s: %s has the labels %q, no %q", where, s.metric, own, name)
			}
		}
	}
	for _, name := range q.grouping {
		if !slices.Contains(labels, name) {
			t.Errorf("%s: nothing in %s has a label %q", where, expr, name)
		}
	}
	return labels
}

var (
	alertName   = regexp.MustCompile(`^Hearth[A-Z][A-Za-z]+$`)
	recordName  = regexp.MustCompile(`^instance:[a-z_]+:[a-z0-9_]+$`)
	labelOfRule = regexp.MustCompile(`\$labels\.([a-z]+)`)
)

// TestAlerts holds deploy/alerts.yml against the metrics that are exported and
// the pages that say what to do.
func TestAlerts(t *testing.T) {
	known, sections := published(t), runbook(t)
	names := map[string]bool{}
	for _, r := range readRules(t) {
		name := r.Alert + r.Record
		if names[name] {
			t.Errorf("%s: is there twice", name)
		}
		names[name] = true
		labels := checkQuery(t, name, r.Expr, known)
		if r.Record != "" {
			if !recordName.MatchString(r.Record) || r.Alert != "" || r.For != "" || r.Annotations != nil {
				t.Errorf("%s: is no rule that records", name)
			}
			known[r.Record] = []string{}
			continue
		}
		if !alertName.MatchString(name) || !promDuration.MatchString(r.For) {
			t.Errorf("%s: needs a name that begins with Hearth, and for; it has %q", name, r.For)
		}
		if s := r.Labels["severity"]; len(r.Labels) != 1 || s != "critical" && s != "warning" && s != "info" {
			t.Errorf("%s: its labels are %q, want a severity: critical, warning or info", name, r.Labels)
		}
		if len(r.Annotations) != 3 || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: its annotations are %q, want summary, description and runbook_url", name, r.Annotations)
		}
		for _, used := range labelOfRule.FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
			if !slices.Contains(labels, used[1]) {
				t.Errorf("%s: its text names the label %q, which it does not have", name, used[1])
			}
		}
		page, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if page != "docs/operations.md" || sections[anchor] == nil {
			t.Errorf("%s: its runbook_url is no section of \"What to do when …\": %q", name, r.Annotations["runbook_url"])
			continue
		}
		sections[anchor].alerts = append(sections[anchor].alerts, name)
	}
	for anchor, s := range sections {
		s.check(t, anchor)
	}
}

// section is one of the sections of "What to do when …".
type section struct {
	text   string
	alerts []string
}

// check wants a section to be one that helps: with its three parts, and with the
// names of those alerts by which one comes there.
func (s *section) check(t *testing.T, anchor string) {
	t.Helper()
	for _, part := range []string{"**Meaning.**", "**Look at.**", "**Do.**"} {
		if strings.Count(s.text, part) != 1 {
			t.Errorf("docs/operations.md#%s: has no part %s", anchor, part)
		}
	}
	const none = "No alert leads here."
	if len(s.alerts) == 0 != strings.Contains(s.text, none) {
		t.Errorf("docs/operations.md#%s: %q lead there; where none does it says %q", anchor, s.alerts, none)
	}
	for _, alert := range s.alerts {
		if !strings.Contains(s.text, "`"+alert+"`") {
			t.Errorf("docs/operations.md#%s: does not name the alert %s", anchor, alert)
		}
	}
	for _, named := range regexp.MustCompile("`(Hearth[A-Z][A-Za-z]+)`").FindAllStringSubmatch(s.text, -1) {
		if !slices.Contains(s.alerts, named[1]) {
			t.Errorf("docs/operations.md#%s: names the alert %s, which does not lead there", anchor, named[1])
		}
	}
}

// runbook reads the sections of docs/operations.md that alerts may link to, by
// anchor.
func runbook(t *testing.T) map[string]*section {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	must(t, err)
	_, part, ok := strings.Cut(string(page), "\n## What to do when …\n")
	if !ok {
		t.Fatal("docs/operations.md has no part \"What to do when …\"")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	all := map[string]*section{}
	for _, text := range strings.Split(part, "\n### ")[1:] {
		title, _, _ := strings.Cut(text, "\n")
		all[anchorOf(title)] = &section{text: text}
	}
	if len(all) == 0 {
		t.Fatal("the part \"What to do when …\" has no sections")
	}
	return all
}

// anchorOf is how GitHub, and most of what renders Markdown, names a heading.
func anchorOf(title string) string {
	title = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(title, " ", "-")
}

// TestMetricsAreDocumented: docs/operations.md names every metric of ours, and
// none that is not exported.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	must(t, err)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bhearth_[a-z_]+[a-z]\b`).FindAllString(string(page), -1) {
		documented[suffix.ReplaceAllString(name, "")] = true
	}
	exported := map[string]bool{}
	for name := range published(t) {
		if strings.HasPrefix(name, "hearth_") {
			exported[suffix.ReplaceAllString(name, "")] = true
		}
	}
	for name := range exported {
		if !documented[name] {
			t.Errorf("docs/operations.md does not say what %s means", name)
		}
	}
	for name := range documented {
		if !exported[name] {
			t.Errorf("docs/operations.md names %s, which is not exported", name)
		}
	}
}

// TestPrometheusTakesTheAlerts asks Prometheus' own checker, where there is one.
// Without it TestAlerts has to do.
func TestPrometheusTakesTheAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed; the rules were read by TestAlerts only")
		return
	}
	if out, err := exec.Command(promtool, "check", "rules", alertsFile).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
