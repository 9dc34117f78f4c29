package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hearth/internal/testkit"
)

const clientsToken = "0123456789abcdef0123456789abcdef"

// generator runs the programs that scripts/install-test-clients has installed, in a
// directory with a server's document and the code that uses what is made of it.
type generator struct {
	*testing.T
	tools string // where they are
	dir   string
	url   string // of the server
}

// newGenerator starts a server with the demo's configuration and a token, and takes
// its document. Further configuration is added to it.
func newGenerator(t *testing.T, more string) *generator {
	t.Helper()
	testkit.Need(t, "nodejs", []string{"node"})
	tools, err := exec.Command("scripts/install-test-clients", "where").Output()
	if err != nil {
		t.Fatal("generators of clients are not installed; run scripts/install-test-clients")
	}
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{T: t, tools: strings.TrimSpace(string(tools)), dir: t.TempDir()}
	if err := os.CopyFS(g.dir, os.DirFS(filepath.Join("internal", "openapi", "testdata", "clients"))); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	g.url = "http://" + address
	in := launch(t, string(manual)+"\n[[auth.token]]\nname = \"clients\"\nscopes = [\"write\"]\ntoken = \""+clientsToken+"\"\n"+more, "HEARTH_SERVER_LISTEN="+address)
	in.awaitReady()
	resp, err := http.Get(g.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var document json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{".", "typescript"} {
		if err := os.WriteFile(filepath.Join(g.dir, dir, "openapi.json"), document, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(g.tools, "node_modules"), filepath.Join(g.dir, "typescript", "node_modules")); err != nil {
		t.Fatal(err)
	}
	return g
}

// run runs a program in a directory below and returns what it printed; that it
// fails fails the test.
func (g *generator) run(dir, program string, args ...string) string {
	g.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.Join(g.dir, dir)
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CI=true", "NO_COLOR=1", "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (g *generator) node(name string) string {
	return filepath.Join(g.tools, "node_modules", ".bin", name)
}

// makeGo generates both clients in Go and builds with the given arguments. What a
// test before has built of the same document comes out of Go's cache.
func (g *generator) makeGo(arguments ...string) {
	g.Helper()
	for _, dir := range []string{"oapi", "ogen"} {
		if err := os.Mkdir(filepath.Join(g.dir, dir), 0o700); err != nil {
			g.Error(err)
			return
		}
	}
	g.run(".", filepath.Join(g.tools, "bin", "oapi-codegen"), "-generate", "types,client", "-package", "oapi", "-o", "oapi/client.go", "openapi.json")
	g.run(".", filepath.Join(g.tools, "bin", "ogen"), "--target", "ogen", "--package", "ogen", "--loglevel", "error", "openapi.json")
	g.run(".", "go", append([]string{"build", "-trimpath"}, arguments...)...)
}

// makeTypeScript generates the types of one and checks the given files against them.
func (g *generator) makeTypeScript(args ...string) {
	g.Helper()
	g.run("typescript", g.node("openapi-typescript"), "openapi.json", "--output", "schema.d.ts")
	g.run("typescript", g.node("tsc"), args...)
}

// lint holds the document against what redocly and spectral recommend: no warning
// either.
func (g *generator) lint() {
	g.Helper()
	var report struct {
		Totals struct{ Errors, Warnings int }
	}
	out := g.run("typescript", "sh", "-c", g.node("redocly")+" lint --extends=recommended --format=json openapi.json 2>/dev/null")
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Totals.Errors+report.Totals.Warnings > 0 {
		g.Errorf("redocly: %v\n%s", err, out)
	}
	g.run("typescript", g.node("spectral"), "lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint", "openapi.json")
}

// awkward are names that a configuration may give to resources and that generators
// give to types of their own, or read as the same name. The short form takes a few,
// since compiling takes the longest.
func awkward() []string {
	if !testkit.Long() {
		return []string{"client", "not_found"}
	}
	return []string{
		"client", "not_found", "opt_string", "user_answer", "server", "handler", "retry_after", "error", "type", "string", "bad_request", "any",
		"interface", "get", "get_item", "get_many_item", "service", "counters", "a1", "a_1", "etag", "request", "response", "default", "refused", "problem",
		"post_batch", "nil", "route", "news", "with", "security_handler", "middleware", "bearer",
	}
}

// everyKind is configuration with awkward names and every kind of resource.
func everyKind() string {
	var more strings.Builder
	for i, name := range awkward() {
		fmt.Fprintf(&more, `
[[resource]]
name = %[1]q
path = "/r%[2]d/{id:int}"
key = "r%[2]d:{id}"
envelope = "data"
select = "SELECT {id} AS id"
upsert = "INSERT INTO users (id, name, city) VALUES ({id}, {body.type}, {body.a.b?})"
delete = "DELETE FROM users WHERE id = {id}"
`, name, i)
	}
	more.WriteString(`
[[resource]]
name = "line"
path = "/order/{order:uuid}/line/{line:string}"
key = "line:{order}:{line}"
envelope = ""
select = "SELECT {order} AS id, {line} AS name"
upsert = "INSERT INTO users (id, name) VALUES ({order}, {line})"

[[resource]]
name = "lines"
path = "/lines/{order:int}"
key = "lines:{order}"
rows = "many"
select = "SELECT id FROM users WHERE id < {order}"

[[limit]]
name = "api"
paths = ["/*"]
by = "client"
rate = "100000/s"
`)
	return more.String()
}

// TestGeneratedClients makes typed clients of the server's own document and plays
// them against it: reads, validators, many-reads, writes, batches, counters, errors.
func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, everyKind())
	var all sync.WaitGroup
	all.Go(g.lint)
	all.Go(func() {
		g.makeTypeScript("--project", ".")
		g.run("typescript", "node", "built/play.js", g.url, clientsToken)
	})
	all.Go(func() {
		g.makeGo("-o", "built", "./play")
		g.run(".", filepath.Join(g.dir, "built"), g.url, clientsToken)
	})
	all.Wait()
}
