package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// The recipe is the FastAPI program in bench/recipe that Hearth replaces. Its
// clients must not have to change: what they ask and get is played here
// against that very program and against Hearth, each with a Redis of its own.
// Every expectation is written out and both are held to it, so neither can
// drift alone or together.

// service is a running server of the recipe's requests.
type service struct {
	name  string
	base  string // http://host:port
	redis *testkit.RedisServer
}

// recipeServices starts both. They share the database file, so that their
// records are the same.
func recipeServices(t *testing.T) (hearth, recipe service) {
	t.Helper()
	dir := t.TempDir()
	database := filepath.Join(dir, "demo.db")
	hearth, recipe = service{name: "hearth", redis: testkit.Redis(t)}, service{name: "recipe", redis: testkit.Redis(t)}
	in := launch.Program{
		Config: launch.Demo(t), Public: launch.Port, Here: true,
		Env: []string{"HEARTH_SERVER_DRAIN=0s", "HEARTH_REDIS_URL=" + hearth.redis.URL(), "HEARTH_DATABASE_URL=sqlite:" + database},
	}.Ready(t)
	hearth.base = "http://" + in.Public
	hearth.await(t, "/user/1000", http.StatusOK) // the demo's records are in

	port := fmt.Sprint(testkit.FreePort(t))
	recipe.base = "http://127.0.0.1:" + port
	testkit.Start(t, testkit.Command{
		Name: "recipe", Dir: dir, Env: []string{"REDIS_URL=" + recipe.redis.URL(), "DATABASE=" + database, "PYTHONDONTWRITEBYTECODE=1"},
		Argv: []string{needRecipe(t), "-m", "uvicorn", "--app-dir", filepath.Join(launch.Root(t), "bench", "recipe"), "app:app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"},
	})
	recipe.await(t, "/", http.StatusOK)
	return hearth, recipe
}

// needRecipe returns Debian's Python, or ends the test with the package that the
// recipe lacks.
func needRecipe(t *testing.T) string {
	t.Helper()
	const python = "/usr/bin/python3"
	for _, need := range []struct{ module, debian string }{
		{"sys", "python3"},
		{"fastapi", "python3-fastapi"},
		{"uvicorn", "python3-uvicorn"},
		{"redis.asyncio", "python3-redis"},
	} {
		if out, err := exec.Command(python, "-c", "import "+need.module).CombinedOutput(); err != nil {
			t.Fatalf("importing %q with %s: %v; run scripts/install-test-servers, or apt-get install %s\n%s",
				need.module, python, err, need.debian, out)
		}
	}
	return python
}

func (s service) await(t *testing.T, path string, status int) {
	t.Helper()
	await(t, fmt.Sprintf("the %s answers %s with %d", s.name, path, status), func() bool {
		got, err := s.try(request{method: "GET", path: path})
		return err == nil && got.status == status
	})
}

// request is what a client of the recipe sends.
type request struct {
	method, path string
	header       http.Header
	body         string // sent as JSON
}

// answer is what such a client looks at. body is nil when it is not JSON.
type answer struct {
	status int
	header http.Header
	body   any
}

var recipeClient = &http.Client{
	Timeout:   launch.Patience,
	Transport: &http.Transport{DisableKeepAlives: true},
}

func (s service) try(r request) (answer, error) {
	req, err := http.NewRequest(r.method, s.base+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.method == "POST" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := recipeClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header}
	if json.Unmarshal(raw, &a.body) != nil {
		a.body = nil
	}
	return a, err
}

func (s service) do(t *testing.T, r request) answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatalf("%s: %s %s: %v", s.name, r.method, r.path, err)
	}
	return a
}

// TestRecipe plays every documented request of the recipe.
func TestRecipe(t *testing.T) {
	t.Parallel()
	hearth, recipe := recipeServices(t)
	both := []service{hearth, recipe}
	t.Run("bodies", func(t *testing.T) { testRecipeBodies(t, both) })
	t.Run("refusals", func(t *testing.T) { testRecipeRefusals(t, hearth, recipe) })
	t.Run("keys", func(t *testing.T) { testRecipeKeys(t, both) })
	t.Run("counter", func(t *testing.T) { testRecipeCounter(t, both) })
	t.Run("cors", func(t *testing.T) { testRecipeCORS(t, both) })
	t.Run("docs", func(t *testing.T) { testRecipeDocs(t, both) })
}

// testRecipeBodies compares whole success bodies. Requests are played in order:
// a record comes from the database once and from the cache after that.
func testRecipeBodies(t *testing.T, both []service) {
	f := func(method, path, body, want string) {
		t.Helper()
		var expected any
		must(t, json.Unmarshal([]byte(want), &expected))
		for _, s := range both {
			got := s.do(t, request{method: method, path: path, body: body})
			if got.status != http.StatusOK {
				t.Errorf("%s: %s %s: status %d, want 200", s.name, method, path, got.status)
			}
			if contentType := got.header.Get("Content-Type"); contentType != "application/json" {
				t.Errorf("%s: %s %s: content type %q", s.name, method, path, contentType)
			}
			if object, ok := got.body.(map[string]any); ok && method == "POST" && s.name == "hearth" {
				delete(object, "count") // the one member that Hearth adds
			}
			if diff := cmp.Diff(expected, got.body); diff != "" {
				t.Errorf("%s: %s %s (-want +got)\n%s", s.name, method, path, diff)
			}
		}
	}
	f("GET", "/", "", `{"Hello":"World"}`)
	f("GET", "/user/1", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"db"}`)
	f("GET", "/user/1", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"cache"}`)
	f("GET", "/user/1", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"cache"}`)
	f("GET", "/user/01", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"cache"}`)
	f("GET", "/user/%31", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"cache"}`)
	f("GET", "/user/1?verbose=1", "", `{"user":{"id":1,"name":"张三","city":"北京"},"source":"cache"}`)
	f("POST", "/batch_process", `[{"id":1,"name":"a"},{"id":"x","tags":["ü",1.5,null]}]`, `{"status":"success"}`)
	f("POST", "/batch_process", `[]`, `{"status":"success"}`)
}

// testRecipeRefusals compares status codes. Where FastAPI says 422 to a body that is
// not even JSON, Hearth says 400: only the class has to agree.
func testRecipeRefusals(t *testing.T, hearth, recipe service) {
	f := func(method, path, body string, wantRecipe, wantHearth int) {
		t.Helper()
		r := request{method: method, path: path, body: body}
		if got := recipe.do(t, r).status; got != wantRecipe {
			t.Errorf("recipe: %s %s %q: status %d, want %d", method, path, body, got, wantRecipe)
		}
		got := hearth.do(t, r)
		if got.status != wantHearth {
			t.Errorf("hearth: %s %s %q: status %d, want %d", method, path, body, got.status, wantHearth)
		}
		if contentType := got.header.Get("Content-Type"); contentType != "application/problem+json" {
			t.Errorf("hearth: %s %s %q: content type %q", method, path, body, contentType)
		}
	}
	f("GET", "/user/abc", "", 422, 422)
	f("GET", "/user/1.5", "", 422, 422)
	f("GET", "/user/1a", "", 422, 422)
	f("GET", "/user/1001", "", 404, 404)
	f("GET", "/user/", "", 404, 404)
	f("GET", "/user/1/more", "", 404, 404)
	f("GET", "/nothing", "", 404, 404)
	f("POST", "/", "{}", 405, 405)
	f("PATCH", "/user/1", "", 405, 405)
	f("GET", "/batch_process", "", 405, 405)
	f("DELETE", "/concurrent_test", "", 405, 405)
	f("POST", "/batch_process", `{"id":1}`, 422, 422)
	f("POST", "/batch_process", `[1]`, 422, 422)
	f("POST", "/batch_process", `[{"id":1},"x"]`, 422, 422)
	f("POST", "/batch_process", `[{"id":1}`, 422, 400)
	f("POST", "/batch_process", `[{`, 422, 400)
	f("POST", "/batch_process", `{`, 422, 422) // whatever follows, it is no list
	f("POST", "/batch_process", ``, 422, 400)
}

// testRecipeKeys looks at what other programs see in Redis, and lets one of them
// write what is read next.
func testRecipeKeys(t *testing.T, both []service) {
	for _, s := range both {
		s.do(t, request{method: "GET", path: "/user/2"})
		s.do(t, request{method: "POST", path: "/batch_process", body: `[{"id":7,"v":[1.5,"ü"]},{"id":"b","v":null}]`})
		for key, want := range map[string]string{
			"user:2": `{"id":2,"name":"Anna Müller","city":"Berlin"}`,
			"item:7": `{"id":7,"v":[1.5,"ü"]}`,
			"item:b": `{"id":"b","v":null}`,
		} {
			if got := s.redis.Text("GET", key); got != want {
				t.Errorf("%s: %s holds %q, want %q", s.name, key, got, want)
			}
		}
		// An hour, give or take the tenth that keeps keys from expiring together.
		if ttl := s.redis.Int("TTL", "user:2"); ttl < 3230 || ttl > 3960 {
			t.Errorf("%s: user:2 lives %d s, want about 3600", s.name, ttl)
		}
		if ttl := s.redis.Int("TTL", "item:7"); ttl != -1 {
			t.Errorf("%s: item:7 lives %d s, want for good", s.name, ttl)
		}
		s.redis.Do("SET", "user:5000", `{"id":5000,"name":"Ada"}`, "EX", "3600")
		want := any(map[string]any{"user": map[string]any{"id": 5000.0, "name": "Ada"}, "source": "cache"})
		if diff := cmp.Diff(want, s.do(t, request{method: "GET", path: "/user/5000"}).body); diff != "" {
			t.Errorf("%s: what another program stored (-want +got)\n%s", s.name, diff)
		}
	}
}

// testRecipeCounter asks 50 times at once, so that counting and reading the
// count overlap: every answer lies between one's own number and the last.
func testRecipeCounter(t *testing.T, both []service) {
	const clients = 50
	for _, s := range both {
		want := map[string]any{"current_requests": 1.0}
		if diff := cmp.Diff(any(want), s.do(t, request{method: "GET", path: "/concurrent_test"}).body); diff != "" {
			t.Errorf("%s: the first count (-want +got)\n%s", s.name, diff)
		}
		var all sync.WaitGroup
		answers, errs := make([]answer, clients), make([]error, clients)
		for i := range clients {
			all.Go(func() { answers[i], errs[i] = s.try(request{method: "GET", path: "/concurrent_test"}) })
		}
		all.Wait()
		highest := 0.0
		for i, a := range answers {
			object, _ := a.body.(map[string]any)
			n, ok := object["current_requests"].(float64)
			if errs[i] != nil || a.status != http.StatusOK || !ok || len(object) != 1 || n < 2 || n > clients+1 {
				t.Errorf("%s: error %v, status %d, body %v; want a count between 2 and %d", s.name, errs[i], a.status, a.body, clients+1)
			}
			highest = max(highest, n)
		}
		if highest != clients+1 {
			t.Errorf("%s: the highest count is %v, want %d", s.name, highest, clients+1)
		}
		if got := s.redis.Text("GET", "request_count"); got != fmt.Sprint(clients+1) {
			t.Errorf("%s: request_count is %s, want %d", s.name, got, clients+1)
		}
	}
}

// testRecipeCORS compares what a browser looks at.
func testRecipeCORS(t *testing.T, both []service) {
	for _, s := range both {
		simple := s.do(t, request{method: "GET", path: "/user/1", header: http.Header{"Origin": {"https://shop.example"}}})
		if simple.status != http.StatusOK {
			t.Errorf("%s: simple request: status %d, want 200", s.name, simple.status)
		}
		preflight := s.do(t, request{method: "OPTIONS", path: "/batch_process", header: http.Header{
			"Origin":                         {"https://shop.example"},
			"Access-Control-Request-Method":  {"POST"},
			"Access-Control-Request-Headers": {"content-type,x-custom"},
		}})
		if preflight.status/100 != 2 {
			t.Errorf("%s: preflight: status %d, want 2xx", s.name, preflight.status)
		}
		for _, a := range []answer{simple, preflight} {
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%s: allowed origin %q, want *", s.name, got)
			}
			if got := a.header.Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("%s: allows credentials: %q", s.name, got)
			}
		}
		for name, want := range map[string][]string{
			"Access-Control-Allow-Methods": {"GET", "POST", "PUT", "DELETE"},
			"Access-Control-Allow-Headers": {"content-type", "x-custom"},
			"Access-Control-Max-Age":       {"600"},
		} {
			got := strings.Split(strings.ReplaceAll(preflight.header.Get(name), " ", ""), ",")
			for _, w := range want {
				if !slices.ContainsFunc(got, func(s string) bool { return strings.EqualFold(s, w) }) {
					t.Errorf("%s: %s is %q, lacks %q", s.name, name, got, w)
				}
			}
		}
	}
}

// testRecipeDocs checks that both describe the recipe's requests.
func testRecipeDocs(t *testing.T, both []service) {
	for _, s := range both {
		page := s.do(t, request{method: "GET", path: "/docs"})
		if contentType := page.header.Get("Content-Type"); page.status != http.StatusOK || !strings.HasPrefix(contentType, "text/html") {
			t.Errorf("%s: /docs: status %d, content type %q", s.name, page.status, contentType)
		}
		document, _ := s.do(t, request{method: "GET", path: "/openapi.json"}).body.(map[string]any)
		paths, _ := document["paths"].(map[string]any)
		for path, method := range map[string]string{
			"/": "get", "/user/{user_id}": "get", "/concurrent_test": "get", "/batch_process": "post",
		} {
			operations, _ := paths[path].(map[string]any)
			if operations[method] == nil {
				t.Errorf("%s: openapi.json describes no %s %s", s.name, method, path)
			}
		}
	}
}
