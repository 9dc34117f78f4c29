package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// programOf unpacks a package and returns the path of the program in it.
func programOf(tb testing.TB, deb string) string {
	tb.Helper()
	return filepath.Join(unpack(tb, deb), "usr/bin/hearth")
}

// heightOf reads a place, and returns its height, -1 where there is none.
func heightOf(tb testing.TB, in *launch.Instance, path string) int {
	tb.Helper()
	got := in.Get(path)
	if got.Code == http.StatusNotFound {
		return -1
	}
	var place struct{ Height int }
	if err := json.Unmarshal([]byte(got.Body), &place); err != nil || got.Code != http.StatusOK || !got.Unmarked() {
		tb.Fatalf("%s is answered %v", path, got)
	}
	return place.Height
}

// TestNeighbouringVersionsShareOneRedis serves the same resources by the last release and
// by this one, over one Redis and one database: what either writes, the other answers with,
// and what a third program writes, both do.
func TestNeighbouringVersionsShareOneRedis(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	sqlite := testkit.Need(t, "sqlite3", []string{"sqlite3"})
	redis := testkit.Redis(t)
	database := filepath.Join(t.TempDir(), "places.db")
	config := strings.Replace(upgradeConfig, "/var/lib/hearth/places.db", database, 1)
	output(t, sqlite, database, placesTable)
	var pair [2]*launch.Instance
	for i, deb := range []string{released(t), newer(t)} {
		path := programOf(t, deb)
		in := launch.Program{Path: path, Config: config, Env: []string{"HEARTH_REDIS_URL=" + redis.URL()}}.Start(t)
		if i == 0 {
			install := exec.Command(path, "-config", in.File, "feed", "install", "-apply")
			if out, err := install.CombinedOutput(); err != nil {
				t.Fatalf("installing the feed: %v\n%s", err, out)
			}
		}
		pair[i] = in
	}
	for _, in := range pair {
		in.AwaitReady()
	}

	const rounds = 100
	seen := func(in *launch.Instance, path string, want, before int) {
		t.Helper()
		testkit.Eventually(t, patience, fmt.Sprintf("%s is %d", path, want), func() bool {
			got := heightOf(t, in, path)
			if got != want && got != before {
				t.Fatalf("%s is %d, after %d it was to be %d", path, got, before, want)
			}
			return got == want
		})
	}
	ask := func(in *launch.Instance, method, path, body string) {
		t.Helper()
		if got := in.Ask(method, path, body); got.Code/100 != 2 {
			t.Fatalf("%s %s is answered %v", method, path, got)
		}
	}
	before := 1000
	for n := range rounds {
		writer, reader := pair[n%2], pair[(n+1)%2]
		seen(reader, "/place/1", before, before) // from memory, which the write has to empty
		ask(writer, http.MethodPut, "/place/1", fmt.Sprintf(`{"name":"written","height":%d}`, n))
		seen(writer, "/place/1", n, n)
		seen(reader, "/place/1", n, before)
		before = n

		gone := fmt.Sprintf("/place/%d", 1000+n)
		seen(reader, gone, -1, -1)
		ask(writer, http.MethodPut, gone, `{"name":"written","height":1}`)
		seen(reader, gone, 1, -1)
		ask(reader, http.MethodDelete, gone, "")
		seen(writer, gone, -1, 1)

		ask(writer, http.MethodPost, "/batch_process", fmt.Sprintf(`[{"id":"a","height":%d}]`, n+1))
		testkit.Eventually(t, patience, "the item of the other version", func() bool { return heightOf(t, reader, "/item/a") == n+1 })

		if got := writer.Get("/visits"); got.Body != fmt.Sprintf(`{"current_requests":%d}`, n+1) {
			t.Fatalf("the counter says %v, want %d", got, n+1)
		}
	}
	raise := func(height int, seers ...*launch.Instance) {
		t.Helper()
		output(t, sqlite, "-cmd", ".timeout 20000", database, fmt.Sprintf("UPDATE places SET height = %d WHERE id = 2", height))
		for _, in := range seers {
			testkit.Eventually(t, patience, "what a third program has written", func() bool { return heightOf(t, in, "/place/2") == height })
		}
	}
	for n := range rounds {
		raise(n, pair[:]...)
	}
	for _, in := range pair {
		if got := in.Metric("hearth_feed_live"); got != 1 {
			t.Errorf("hearth_feed_live is %v", got)
		}
		for line := range strings.Lines(in.AskAdmin(http.MethodGet, "/metrics", "").Body) {
			if strings.HasPrefix(line, "hearth_audit_stale_total{") && !strings.HasSuffix(line, " 0\n") {
				t.Errorf("the audit has found copies that are not true: %s", line)
			}
		}
	}
	// The older instance, which was first and drains the outbox, leaves; then the other does.
	for i, in := range pair {
		in.Stop()
		raise(rounds+i, pair[1-i])
		pair[i] = in.Again()
		pair[i].AwaitReady()
		raise(2*rounds+i, pair[:]...)
	}
}
