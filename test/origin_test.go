package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// forwarding is a resource whose writes go on to an origin.
const forwarding = `
[server]
drain = "0s"
[load]
lease = "3s"
[[resource]]
name = "far"
path = "/far/{id:string}"
key = "far:{id}"
origin = "%s/r/{id}"
origin_writes = ["PUT", "DELETE"]
timeout = "2500ms"
`

// answered is an HTTP answer of an origin.
func answered(status int, body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s", status, strings.Join(append(fields, ""), "\r\n"), len(body), body)
}

// TestWritesGoOnToAnOrigin: nobody who asks here after the answer gets what was before,
// whatever the origin said.
func TestWritesGoOnToAnOrigin(t *testing.T) {
	t.Parallel()
	origin := testkit.StartOrigin(t)
	in := launch.Ready(t, fmt.Sprintf(forwarding, origin.URL()), "HEARTH_REDIS_URL="+testkit.Redis(t).URL())
	get := func(want string, code int) {
		t.Helper()
		got := in.Get("/far/a")
		if got.Code != code || want != "" && !strings.Contains(got.Body, want) {
			t.Errorf("reading: got %d %s, want %d %s", got.Code, got.Body, code, want)
		}
	}
	now := func(record string) { origin.Answer("GET /r/a", answered(200, record, `ETag: "`+record[1:2]+`"`)) }
	now(`{"v":1}`)
	get(`{"v":1}`, 200)
	get(`{"v":1}`, 200)
	asked := origin.Asked("GET", "/r/a")
	// The answer of the PUT is no record: the record is what a read finds.
	origin.Play("PUT /r/a", func(x *testkit.Exchange) { now(`{"v":2}`); x.Send(answered(200, `{"status":"ok"}`)) })
	if got := in.Ask("PUT", "/far/a", `{"v":"two"}`); got.Code != 200 || got.Body != `{"far":{"v":2},"source":"db"}` {
		t.Errorf("PUT: got %d %s", got.Code, got.Body)
	}
	get(`{"v":2}`, 200)
	if n := origin.Asked("GET", "/r/a") - asked; n != 1 {
		t.Errorf("after the PUT the record was read %d times, want once: what it has left is kept", n)
	}
	for status, code := range map[int]int{400: 422, 401: 500, 404: 404, 409: 409, 412: 412, 413: 413, 422: 422, 428: 428, 307: 500, 408: 503} {
		origin.Answer("PUT /r/a", answered(status, "secret", "Location: /r/b"))
		got := in.Ask("PUT", "/far/a", `{"v":3}`)
		if got.Code != code || strings.Contains(got.Body, "secret") {
			t.Errorf("PUT, answered with %d: got %d %s, want %d", status, got.Code, got.Body, code)
		}
		get(`{"v":2}`, 200)
	}
	origin.Play("DELETE /r/a", func(x *testkit.Exchange) {
		origin.Answer("GET /r/a", answered(404, ""))
		x.Send(answered(204, ""))
	})
	if got := in.Ask("DELETE", "/far/a", ""); got.Code != 204 {
		t.Errorf("DELETE: got %d %s", got.Code, got.Body)
	}
	get("", 404)
	origin.Answer("DELETE /r/a", answered(404, ""))
	if got := in.Ask("DELETE", "/far/a", ""); got.Code != 404 {
		t.Errorf("DELETE of what is not there: got %d %s", got.Code, got.Body)
	}
	// What cannot be read after the write is not answered and not kept.
	origin.Play("PUT /r/a", func(x *testkit.Exchange) {
		origin.Answer("GET /r/a", answered(500, ""))
		x.Send(answered(201, ""))
	})
	if got := in.Ask("PUT", "/far/a", `{"v":6}`); got.Code != 204 || got.Body != "" {
		t.Errorf("PUT that cannot be read: got %d %s", got.Code, got.Body)
	}
	now(`{"v":6}`)
	get(`{"v":6}`, 200)
	if got := in.Ask("PUT", "/far/..%2Fa", `{}`); got.Code != 422 {
		t.Errorf("PUT to another place: got %d %s", got.Code, got.Body)
	}
	if got := in.Get("/openapi.json"); !strings.Contains(got.Body, "The body goes on to the source") {
		t.Error("/openapi.json does not describe the write")
	}
	// Done, or not: nobody knows. What is read here is what the origin has by now.
	origin.Play("PUT /r/a", func(x *testkit.Exchange) { now(`{"v":4}`); x.Reset() })
	if got := in.Ask("PUT", "/far/a", `{"v":4}`); got.Code != 504 || !strings.Contains(got.Body, "outcome unknown") {
		t.Errorf("PUT without an answer: got %d %s", got.Code, got.Body)
	}
	now(`{"v":5}`)
	get(`{"v":5}`, 200)
	origin.Close()
	if got := in.Ask("PUT", "/far/b", `{"v":7}`); got.Code != 503 {
		t.Errorf("PUT to nobody: got %d %s", got.Code, got.Body)
	}
}

// TestConditionsAreKeptAtAnOrigin: by the origin's own tag, so also against writers
// that do not come this way.
func TestConditionsAreKeptAtAnOrigin(t *testing.T) {
	t.Parallel()
	origin := testkit.StartOrigin(t)
	in := launch.Ready(t, fmt.Sprintf(forwarding, origin.URL()))
	origin.Answer("GET /r/a", answered(200, `{"v":1}`, `ETag: "one"`))
	origin.Play("PUT /r/a", func(x *testkit.Exchange) {
		if x.Header.Get("If-Match") != `"one"` {
			x.Send(answered(500, ""))
			return
		}
		x.Send(answered(412, "")) // another writer was faster
	})
	tag := in.Get("/far/a").Header.Get("ETag")
	if got := in.Ask("PUT", "/far/a", `{}`, "If-Record-Match: "+tag); got.Code != 412 {
		t.Errorf("a write in between: got %d %s", got.Code, got.Body)
	}
	asked := origin.Asked("PUT", "/r/a")
	if got := in.Ask("PUT", "/far/a", `{}`, `If-Record-Match: "other"`); got.Code != 412 || origin.Asked("PUT", "/r/a") != asked {
		t.Errorf("another state: got %d %s", got.Code, got.Body)
	}
}

// TestWhatAnOriginForbidsToShare is in no tier, and says so to caches in front.
func TestWhatAnOriginForbidsToShare(t *testing.T) {
	t.Parallel()
	origin := testkit.StartOrigin(t)
	redis := testkit.Redis(t)
	in := launch.Ready(t, fmt.Sprintf(forwarding, origin.URL()), "HEARTH_REDIS_URL="+redis.URL())
	for _, field := range []string{"Cache-Control: private", "Cache-Control: no-store", "Set-Cookie: a=b", "Vary: Cookie", "Vary: *"} {
		for _, status := range []int{200, 404} {
			origin.Answer("GET /r/a", answered(status, `{"v":1}`, field))
			before := origin.Asked("GET", "/r/a")
			for range 3 {
				got := in.Get("/far/a")
				if got.Code != status || got.Header.Get("Cache-Control") != "no-store" || !strings.HasSuffix(got.Tiers, "detail=unshared") || got.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s: got %d %v", field, got.Code, got.Header)
				}
			}
			if n := origin.Asked("GET", "/r/a") - before; n != 3 {
				t.Errorf("%s, %d: three readers have asked %d times", field, status, n)
			}
			if n := redis.Int("EXISTS", "far:a"); n != 0 {
				t.Errorf("%s, %d: Redis has a copy", field, status)
			}
		}
	}
	if n := in.Metric(`hearth_loads_unshared_total{resource="far"}`); n != 30 {
		t.Errorf("%v loads are counted as unshared, want 30", n)
	}
	if !strings.Contains(in.Logs(), "the source forbids to share") {
		t.Error("the log does not say why nothing is kept")
	}
}

// TestWhatAnOriginSendsTooMuch is of nobody: neither the next reader gets it, nor the log.
func TestWhatAnOriginSendsTooMuch(t *testing.T) {
	t.Parallel()
	origin := testkit.StartOrigin(t)
	in := launch.Ready(t, fmt.Sprintf(forwarding, origin.URL()))
	origin.Answer("GET /r/a", strings.Replace(answered(200, `{"v":1}`), "Content-Length: 7", "Content-Length: 4", 1)+answered(200, `{"secret":1}`))
	origin.Answer("GET /r/b", answered(200, `{"v":2}`))
	if got := in.Get("/far/a"); got.Code != 502 {
		t.Errorf("a length that is a lie: got %d %s", got.Code, got.Body)
	}
	if got := in.Get("/far/b"); got.Code != 200 || got.Body != `{"far":{"v":2},"source":"db"}` {
		t.Errorf("behind it: got %d %s", got.Code, got.Body)
	}
	if strings.Contains(in.Logs(), "secret") {
		t.Errorf("the log has what nobody asked for: %s", in.Logs())
	}
}

// TestHearthBeforeTheRecipe runs examples/fastapi: the program of the tutorials as it
// is, and Hearth before it.
func TestHearthBeforeTheRecipe(t *testing.T) {
	t.Parallel()
	python, redis, port := needRecipe(t), testkit.Redis(t), fmt.Sprint(testkit.FreePort(t))
	recipe := service{name: "recipe", base: "http://127.0.0.1:" + port}
	process := testkit.Start(t, testkit.Command{
		Name: "recipe", Dir: t.TempDir(), Env: []string{"REDIS_URL=" + redis.URL(), "PYTHONDONTWRITEBYTECODE=1"},
		Argv: []string{python, "-m", "uvicorn", "--app-dir", filepath.Join(launch.Root(t), "bench", "recipe"), "app:app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"},
	})
	recipe.await(t, "/", http.StatusOK)
	config, err := os.ReadFile(filepath.Join(launch.Root(t), "examples", "fastapi", "config.toml"))
	must(t, err)
	in := launch.Ready(t, strings.Replace(string(config), "127.0.0.1:8000", "127.0.0.1:"+port, 1), "HEARTH_REDIS_URL="+redis.URL(), "HEARTH_SERVER_DRAIN=0s")

	const user = `{"user":{"id":1,"name":"张三","city":"北京"},"source":"db"}`
	for i, tier := range []string{"fwd=miss; stored", "Hearth-Redis; hit", "Hearth-Memory; hit"} {
		if got := in.Get("/user/1"); got.Code != 200 || got.Body != user || !strings.Contains(got.Tiers, tier) {
			t.Errorf("reader %d: got %d %s from %s", i, got.Code, got.Body, got.Tiers)
		}
	}
	if redis.Text("GET", "user:1") == "" || redis.Text("GET", "front:user:1") != user {
		t.Error("each of the two has a copy of its own")
	}
	if got := in.Get("/user/2"); got.Code != 404 {
		t.Errorf("a user that is not there: got %d %s", got.Code, got.Body)
	}
	if got := in.Get("/user/x"); got.Code != 422 {
		t.Errorf("no number: got %d %s", got.Code, got.Body)
	}
	// What the recipe stores is found here, and the other way round.
	if _, err := recipe.try(request{method: "POST", path: "/batch_process", header: http.Header{"Content-Type": {"application/json"}}, body: `[{"id":7,"name":"lamp"}]`}); err != nil {
		t.Error(err)
	}
	if got := in.Get("/item/7"); got.Code != 200 || !strings.Contains(got.Body, "lamp") {
		t.Errorf("an item of the recipe: got %d %s", got.Code, got.Body)
	}
	if _, err := recipe.try(request{method: "GET", path: "/concurrent_test"}); err != nil {
		t.Error(err)
	}
	if got := in.Get("/concurrent_test"); got.Body != `{"current_requests":2}` {
		t.Errorf("the common count: got %s", got.Body)
	}
	process.Stop()
	if got := in.Get("/user/1"); got.Code != 200 || got.Body != user {
		t.Errorf("without the recipe: got %d %s", got.Code, got.Body)
	}
	if got := in.Get("/user/3"); got.Code != 503 {
		t.Errorf("without the recipe and a copy: got %d %s", got.Code, got.Body)
	}
}
