package app

import (
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// TestAViewThatReadsMore: somebody alters a view so that it reads a table that is not
// watched. Nobody would be told of its changes, so the feed counts as lost for the resource
// until that is mended.
func TestAViewThatReadsMore(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pg.Exec(shopTables)
	cfg := shop(t, pg.URL(), [3]string{"people", "SELECT id, email FROM people WHERE id = {id}", watch("users", `key = { id = "id" }`)})
	tool, err := OpenFeedTool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	if _, err := tool.Install(t.Context(), FeedInstall{Apply: true}); err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	a := newApp(cfg, Process{Log: NewLog(cfg.Log, &out)})
	g := &generation{cfg: cfg, log: a.log}
	if faults := g.prepareSources(nothing); len(faults) > 0 {
		t.Fatal(faultsError(faults))
	}
	defer a.stop(nil)
	defer func() { g.minus(nothing).close(a.log) }()
	a.current.Store(g)
	a.changes.outbox = tool.outbox
	if err := g.db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	sets, _ := wantedSets(cfg)
	var p watchProbe
	f := func(want string) {
		t.Helper()
		p.next = time.Time{}
		a.probeWatches(&p)
		faults, err := judgedOutbox{tool.outbox, a}.Faults(t.Context(), sets)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(faults) == 0 {
			return
		}
		if len(faults) != 1 || want == "" || !faults[0].Lost || faults[0].Set.Meanings[0].Resource != "people" || !strings.Contains(faults[0].Text, want) {
			t.Errorf("got %+v, want a fault of people with %q", faults, want)
		}
	}
	f("")
	pg.Exec("CREATE OR REPLACE VIEW people AS SELECT u.id, u.email FROM users u JOIN orders o ON o.user_id = u.id")
	f(`reads the table "public.orders", which is not watched`)
	pg.Exec("CREATE OR REPLACE VIEW people AS SELECT id, email FROM users")
	f("")
	pg.Exec("DROP VIEW people; ALTER TABLE users ALTER COLUMN id TYPE text; CREATE VIEW people AS SELECT id, email FROM users")
	if f(""); !strings.Contains(out.String(), "has the type text") {
		t.Errorf("the log does not doubt the column's type: %s", out.String())
	}
}
