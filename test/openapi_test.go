package test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// document is as much of OpenAPI as playing its examples needs.
type document struct {
	Paths map[string]map[string]documentOperation `json:"paths"`
}

type documentOperation struct {
	OperationID string              `json:"operationId"`
	Parameters  []documentParameter `json:"parameters"`
	RequestBody documentBody        `json:"requestBody"`
	Responses   map[string]struct {
		Content map[string]documentMedia `json:"content"`
	} `json:"responses"`
}

type documentParameter struct {
	Name    string          `json:"name"`
	In      string          `json:"in"`
	Example json.RawMessage `json:"example"`
}

type documentBody struct {
	Content map[string]documentMedia `json:"content"`
}

type documentMedia struct {
	Examples map[string]struct {
		Value json.RawMessage `json:"value"`
		Exact bool            `json:"x-hearth-exact"`
	} `json:"examples"`
}

// playCommand sends every request that the served OpenAPI document gives as an
// example, twice, and compares the second answer with the examples of answers
// that claim to be exact: play N, where N is how many answers have to be
// compared at least.
func playCommand(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ask := func(r httpRequest) (status, body string) {
		r.network, r.addr = "unix", ts.MkAbs("public.sock")
		out, err := r.do(ctx)
		ts.Check(err)
		head, body, _ := strings.Cut(out, "\n\n")
		status, _, _ = strings.Cut(strings.TrimPrefix(head, "HTTP "), "\n")
		return status, strings.TrimSuffix(body, "\n")
	}
	_, text := ask(httpRequest{method: "GET", target: "/openapi.json", header: http.Header{}})
	var doc document
	ts.Check(json.Unmarshal([]byte(text), &doc))
	compared := 0
	for _, ex := range requests(doc) {
		ask(ex.httpRequest)
		status, body := ask(ex.httpRequest)
		answer, documented := ex.op.Responses[status]
		if !documented {
			ts.Fatalf("%s: %s %s answered %s, which is not documented: %s", ex.op.OperationID, ex.method, ex.target, status, body)
		}
		var claimed []string
		for _, media := range answer.Content {
			for _, e := range media.Examples {
				if e.Exact {
					claimed = append(claimed, compact(e.Value))
				}
			}
		}
		if len(claimed) == 0 || ex.method == "HEAD" {
			continue
		}
		if !slices.Contains(claimed, body) {
			ts.Fatalf("%s: %s %s answered\n%s\nwhere the document promises one of\n%s", ex.op.OperationID, ex.method, ex.target, body, strings.Join(claimed, "\n"))
		}
		compared++
	}
	fmt.Fprintf(ts.Stdout(), "%d answers compared\n", compared)
	if want := args[0]; fmt.Sprint(compared) != want {
		ts.Fatalf("%d answers were compared, want %s", compared, want)
	}
}

// example is a request out of the document.
type example struct {
	httpRequest
	op documentOperation
}

// requests lists one request per operation and kind of body: batches first,
// for others read what they store, deletions last.
func requests(doc document) []example {
	var all []example
	for path, operations := range doc.Paths {
		for method, op := range operations {
			ex := example{httpRequest{method: strings.ToUpper(method), header: http.Header{}}, op}
			ex.target = target(path, op.Parameters)
			if len(op.RequestBody.Content) == 0 {
				all = append(all, ex)
			}
			for contentType, media := range op.RequestBody.Content {
				for _, e := range media.Examples {
					with := ex
					with.header = http.Header{"Content-Type": {contentType}}
					with.body = compact(e.Value)
					if contentType != "application/json" {
						_ = json.Unmarshal(e.Value, &with.body) // NDJSON stands in a string
					}
					all = append(all, with)
				}
			}
		}
	}
	order := map[string]int{"POST": 1, "GET": 2, "HEAD": 3, "PUT": 4, "DELETE": 5}
	slices.SortFunc(all, func(a, b example) int {
		return cmp.Or(cmp.Compare(order[a.method], order[b.method]), cmp.Compare(a.target, b.target))
	})
	return all
}

func target(path string, parameters []documentParameter) string {
	query := url.Values{}
	for _, p := range parameters {
		var list []json.RawMessage
		if json.Unmarshal(p.Example, &list) != nil {
			list = []json.RawMessage{p.Example}
		}
		for _, v := range list {
			text := strings.Trim(string(v), `"`)
			switch {
			case len(v) == 0: // nothing to try by default
			case p.In == "path":
				path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
			case p.In == "query":
				query.Add(p.Name, text)
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func compact(value []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return string(value)
	}
	return b.String()
}

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
	root := launch.Root(t)
	tools, err := exec.Command(filepath.Join(root, "scripts", "install-test-clients"), "where").Output()
	if err != nil {
		t.Fatal("generators of clients are not installed; run scripts/install-test-clients")
	}
	g := &generator{T: t, tools: strings.TrimSpace(string(tools)), dir: t.TempDir()}
	must(t, os.CopyFS(g.dir, os.DirFS(filepath.Join(root, "internal", "openapi", "testdata", "clients"))))
	in := launch.Program{
		Config: launch.Demo(t) + "\n[[auth.token]]\nname = \"clients\"\nscopes = [\"write\"]\ntoken = \"" + clientsToken + "\"\n" + more,
		Public: launch.Port,
	}.Ready(t)
	g.url = "http://" + in.Public
	document := in.Get("/openapi.json")
	if document.Code != http.StatusOK || !json.Valid([]byte(document.Body)) {
		t.Fatalf("/openapi.json answered %v", document)
	}
	for _, dir := range []string{".", "typescript"} {
		write(t, filepath.Join(g.dir, dir, "openapi.json"), document.Body)
	}
	must(t, os.Symlink(filepath.Join(g.tools, "node_modules"), filepath.Join(g.dir, "typescript", "node_modules")))
	return g
}

// run runs a program in a directory below and returns what it printed; that it
// fails fails the test.
func (g *generator) run(dir, program string, args ...string) string {
	g.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.Join(g.dir, dir)
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOWORK=off", "CI=true", "NO_COLOR=1", "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
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
	g.run(".", "go", append([]string{"build"}, arguments...)...)
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

// allResources is configuration with awkward names and every kind of resource.
func allResources() string {
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
	if !testkit.Long() {
		return // the generators alone take longer to build than Hearth
	}
	t.Parallel()
	g := newGenerator(t, allResources())
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
