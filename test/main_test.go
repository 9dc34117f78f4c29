// Package test proves what the whole program does: it is started as an operator
// starts it, and asked as clients ask it, with real servers behind it. What one
// package does by itself is proven beside that package.
//
// A file holds the proof of one thing: recipe_test.go that old clients need not
// change; script_test.go what an operator does; openapi_test.go, docs_test.go,
// readme_test.go and examples_test.go that documents are true and examples run; coherence_test.go and the fleet files that nobody reads what is
// too old; outage_test.go what is answered while a tier is down; the matrix files that all that
// there is to do works over Redis in every form in which it is deployed; the http files which
// bytes are taken, and what a refused client hears; access_test.go who may do and see
// what; the dashboard, explain and top files what operators see; tls_test.go, proxy_test.go and limits_test.go the connections; service_test.go
// and reload_test.go the life of a process; memory_test.go what it takes of the machine; observability_test.go metrics, logs and
// traces. Tests that need several instances share the stage in fleet_test.go.
package test

import (
	"flag"
	"os"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/inside"
	"hearth/internal/testkit/launch"
)

var update = flag.Bool("update", false, "rewrite the expected output in scripts, golden files and docs/http.md")

func TestMain(m *testing.M) { inside.Main(waitingTests{m}) }

// waitingTests are tests that wait for most of their time.
type waitingTests struct{ *testing.M }

func (w waitingTests) Run() int {
	launch.AtATime(4)
	return w.M.Run()
}

// must ends the test on an error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// write writes a file that the program is to read.
func write(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file, []byte(text), 0o600))
}

// await polls a condition, as testkit.Eventually does, for as long as anything in
// these tests is waited for.
func await(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	testkit.Eventually(tb, launch.Patience, what, cond)
}

// awaitNewHour waits for the full hour if that is near: a limit of one request an hour
// admits another one then, in the middle of a test that has used it up.
func awaitNewHour(tb testing.TB) {
	tb.Helper()
	const near = 90 * time.Second
	testkit.Eventually(tb, near+launch.Patience, "the hour is over", func() bool {
		return time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)) > near
	})
}

// demoUsers is configuration with the demo's records under /user/, in files of the
// instance's own. What follows it belongs to the resource.
const demoUsers = `
[embedded]
path = "tier.db"
[database]
url = "sqlite:demo.db"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id FROM users WHERE id = {user_id}"
`
