package deploy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// dashboard is the part of deploy/grafana.json that is looked at.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	ID            *int
	Panels        []panel
	Annotations   struct{ List []annotation }
	Templating    struct{ List []variable }
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	Panels      []panel
	Targets     []struct{ Expr, RefID, LegendFormat string }
}

type annotation struct {
	Name, Expr string
	Datasource struct{ UID string }
}

type variable struct {
	Name, Type, Definition, AllValue string
	Query                            json.RawMessage
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	file, err := os.ReadFile("grafana.json")
	must(t, err)
	var d dashboard
	decoder := json.NewDecoder(bytes.NewReader(file))
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("deploy/grafana.json: %v", err)
	}
	if decoder.More() {
		t.Fatal("deploy/grafana.json: something follows the dashboard")
	}
	return d
}

// TestDashboard holds deploy/grafana.json against the metrics that are exported,
// and against what Grafana wants of a file to import.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	// An id belongs to one Grafana; a file that names one cannot be imported elsewhere.
	if d.Title == "" || d.UID == "" || d.ID != nil || d.SchemaVersion < 39 {
		t.Errorf("title %q, uid %q, id %v, schema %d", d.Title, d.UID, d.ID, d.SchemaVersion)
	}
	known := published(t)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if p.ID <= 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d, %q: needs an id of its own and a title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if len(p.Panels) > 0 {
			t.Errorf("row %q: is folded, so its panels were not looked at", p.Title)
		}
		p.check(t, known)
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			checkQuery(t, "annotation "+a.Name, a.Expr, known)
		}
	}
	checkGrid(t, d.Panels)
	checkVariables(t, d.Templating.List, known)
	checkRows(t, d.Panels)
}

// check looks at what a panel asks for.
func (p panel) check(t *testing.T, known map[string][]string) {
	t.Helper()
	if p.Type == "row" {
		return
	}
	if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("panel %q: asks %q for %d queries, want ${datasource}", p.Title, p.Datasource.UID, len(p.Targets))
	}
	letters := map[string]bool{}
	legend := regexp.MustCompile(`\{\{([a-z]+)\}\}`)
	for _, q := range p.Targets {
		if q.RefID == "" || letters[q.RefID] {
			t.Errorf("panel %q: the letter %q is there twice", p.Title, q.RefID)
		}
		letters[q.RefID] = true
		labels := strings.Join(checkQuery(t, "panel "+p.Title, q.Expr, known), " ")
		for _, name := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
			if !strings.Contains(labels, name[1]) {
				t.Errorf("panel %q: its legend names the label %q, of %s", p.Title, name[1], labels)
			}
		}
		if !strings.Contains(q.Expr, `instance=~"$instance"`) {
			t.Errorf("panel %q: is not about the instances chosen: %s", p.Title, q.Expr)
		}
	}
}

// checkGrid wants all panels within the 24 columns, and none over another.
func checkGrid(t *testing.T, panels []panel) {
	t.Helper()
	taken := map[[2]int]string{}
	for _, p := range panels {
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q: lies at %+v, outside of the grid", p.Title, g)
			continue
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Errorf("panel %q: lies over %q at %d, %d", p.Title, other, x, y)
					return
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// checkVariables wants the three that the queries use, which find their values
// among our metrics.
func checkVariables(t *testing.T, list []variable, known map[string][]string) {
	t.Helper()
	types := map[string]string{}
	values := regexp.MustCompile(`^label_values\((.+), ([a-z]+)\)$`)
	for _, v := range list {
		types[v.Name] = v.Type
		if v.Type != "query" {
			continue
		}
		parts := values.FindStringSubmatch(v.Definition)
		if parts == nil || !strings.Contains(string(v.Query), `label_values(`) || v.AllValue != ".*" {
			t.Errorf("variable %s: its values are %q, and all of them %q", v.Name, v.Definition, v.AllValue)
			continue
		}
		if labels := strings.Join(checkQuery(t, "variable "+v.Name, parts[1], known), " "); !strings.Contains(labels, parts[2]) {
			t.Errorf("variable %s: of the labels %s it wants %q", v.Name, labels, parts[2])
		}
	}
	for name, kind := range map[string]string{"datasource": "datasource", "instance": "query", "resource": "query"} {
		if types[name] != kind {
			t.Errorf("variable %s: is of the type %q, want %q", name, types[name], kind)
		}
	}
}

// checkRows wants the dashboard to be in the order in which one looks.
func checkRows(t *testing.T, panels []panel) {
	t.Helper()
	var rows []string
	for _, p := range panels {
		if p.Type == "row" {
			rows = append(rows, p.Title)
		}
	}
	got, want := strings.Join(rows, ", "), "Overview, Traffic, Latency, Coherence, Feed, Audit, Loads, Overload, Memory, Process"
	if got != want {
		t.Errorf("rows: got %s, want %s", got, want)
	}
}
