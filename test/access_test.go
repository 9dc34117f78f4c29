package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	writeToken   = "write-write-write-write"
	adminToken   = "admin-admin-admin-admin"
	metricsToken = "metrics-metrics-metrics"
)

// tokens are the keys of a configuration with a token of each scope.
const tokens = `
[[auth.token]]
name = "app"
scopes = ["write"]
token = "` + writeToken + `"
[[auth.token]]
name = "ops"
scopes = ["admin"]
token = "` + adminToken + `"
[[auth.token]]
name = "prom"
scopes = ["metrics"]
token = "` + metricsToken + `"
`

// strangers are fields that must open nothing that takes a token of scope own;
// the status says why not.
func strangers(own ...string) map[int][]string {
	all := map[int][]string{401: {
		"", "Authorization:", "Authorization: Bearer", "Authorization: Bearer nobody-nobody-nobody",
		"Authorization: Basic " + writeToken, "Authorization: " + writeToken,
	}}
	for _, token := range own {
		all[401] = append(all[401], "Authorization: Bearer "+token+"\r\nAuthorization: Bearer "+token,
			"Authorization: Bearer x\r\nauthorization: Bearer "+token, "Authorization: Bearer "+token[1:],
			"X-Authorization: Bearer "+token, "Proxy-Authorization: Bearer "+token, "Cookie: Authorization=Bearer "+token)
	}
	for _, token := range []string{writeToken, adminToken, metricsToken} {
		if !strings.Contains(fmt.Sprint(own), token) {
			all[403] = append(all[403], "Authorization: Bearer "+token)
		}
	}
	return all
}

// TestTokensGuardTheProgram asks the program itself: each operation of its own
// OpenAPI document, and each path of the admin listener.
func TestTokensGuardTheProgram(t *testing.T) {
	t.Parallel()
	l := listenWith(t, launch.Demo(t)+tokens)
	ask := func(listener, method, path, field string) int {
		t.Helper()
		if field != "" {
			field += "\r\n"
		}
		got, err := l.try(listener, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"+
			"Content-Type: application/json\r\n"+field+"Content-Length: 2\r\n\r\n[]")
		if err != nil {
			t.Fatalf("%s %s with %q: %v", method, path, field, err)
		}
		return got.StatusCode
	}
	guarded := func(listener, method, path string, own ...string) {
		t.Helper()
		for status, fields := range strangers(own...) {
			for _, field := range fields {
				if got := ask(listener, method, path, field); got != status {
					t.Errorf("%s %s %s with %q: got %d, want %d", listener, method, path, field, got, status)
				}
			}
		}
		for _, token := range own {
			if got := ask(listener, method, path, "authorization: bearer "+token); got == 401 || got == 403 || got >= 500 {
				t.Errorf("%s %s %s with its token: got %d, want it let in", listener, method, path, got)
			}
		}
	}
	writes, reads := l.operations(t)
	for _, w := range writes {
		guarded("public", w[0], w[1], writeToken)
	}
	for _, r := range reads {
		if got := ask("public", r[0], r[1], ""); got >= 400 && got != 404 && got != 422 {
			t.Errorf("%s %s without a token: got %d, want it open", r[0], r[1], got)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if got := ask("admin", "GET", path, ""); got != 200 {
			t.Errorf("%s without a token: got %d, want 200", path, got)
		}
	}
	for _, path := range []string{"/", "/debug/pprof/", "/debug/pprof/goroutine", "/nothing"} {
		guarded("admin", "GET", path, adminToken)
		guarded("admin", "DELETE", path, adminToken)
	}
	guarded("admin", "POST", "/api/invalidate", adminToken)
	guarded("admin", "PUT", "/api/invalidate", adminToken)
	for _, path := range []string{"/metrics", "/api/stats"} {
		guarded("admin", "GET", path, adminToken, metricsToken)
	}
}

// operations lists method and path of every operation that the program
// documents. Only GET and HEAD count as reads.
func (l listeners) operations(t *testing.T) (writes, reads [][2]string) {
	t.Helper()
	var doc document
	must(t, json.Unmarshal([]byte(l.Get("/openapi.json").Body), &doc))
	for path, operations := range doc.Paths {
		for method, op := range operations {
			method = strings.ToUpper(method)
			o := [2]string{method, target(path, op.Parameters)}
			if method == http.MethodGet || method == http.MethodHead {
				reads = append(reads, o)
			} else {
				writes = append(writes, o)
			}
		}
	}
	if len(writes) < 3 || len(reads) < 5 {
		t.Fatalf("the document has %d writes and %d reads, want those of the demo", len(writes), len(reads))
	}
	return writes, reads
}

// TestReboundPagesMustNotWrite asks as a web page does whose host name has been made to
// resolve to 127.0.0.1 (DNS rebinding).
func TestReboundPagesMustNotWrite(t *testing.T) {
	t.Parallel()
	l := listenWith(t, strings.Replace(launch.Demo(t), "admin_hosts = []", `admin_hosts = ["app.test"]`, 1))
	for _, c := range []struct {
		fields string
		status int
	}{
		{"Host: evil.test\r\nOrigin: http://evil.test", 403},
		{"Host: evil.test", 200},
		{"Host: app.test\r\nOrigin: http://app.test", 200},
		{"Host: localhost:1\r\nOrigin: http://localhost:1", 200},
		{"Host: " + l.Public + "\r\nOrigin: http://" + l.Public, 200},
	} {
		got, err := l.try("public", "POST /batch_process HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n"+c.fields+"\r\n\r\n[]")
		if err != nil || got.StatusCode != c.status {
			t.Errorf("with %q: got %v, %v, want %d", c.fields, got, err, c.status)
		}
	}
}

// TestNothingIsInjected sends line breaks wherever a request may carry them,
// escaped, and looks for them where they would do harm: in the answer's header,
// in the log, among the commands that reach Redis.
func TestNothingIsInjected(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	l := listenWith(t, strings.Replace(launch.Demo(t), `origins = ["*"]`, `origins = ["https://app.test"]`, 1),
		"HEARTH_REDIS_URL="+redis.URL(), "HEARTH_LOG_ACCESS_SAMPLE=1")
	const breaks = "a%0d%0aX-Injected:%201%0d%0a%0d%0aSET%20owned%201%0d%0a"
	for _, request := range []string{
		"GET /item/" + breaks + " HTTP/1.1\r\n",
		"GET /user/" + breaks + " HTTP/1.1\r\n",
		"GET /item?id=" + breaks + "&id=1 HTTP/1.1\r\n",
		"GET /user?user_id=" + breaks + " HTTP/1.1\r\n",
		"GET /" + breaks + " HTTP/1.1\r\n",
		"GET /item/b%250d%250aX-Injected:1 HTTP/1.1\r\n", // decoded once, it is harmless and found nowhere
		"GET /user/1?" + breaks + " HTTP/1.1\r\nX-Request-Id: " + breaks + "\r\n",
		"GET /user/1 HTTP/1.1\r\nOrigin: https://app.test%0d%0aX-Injected: 1\r\n",
		"OPTIONS /user/1 HTTP/1.1\r\nOrigin: https://app.test\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: " + breaks + "\r\n",
		"POST /batch_process HTTP/1.1\r\nContent-Length: 52\r\n\r\n" + `[{"id":"c\r\nSET owned 1\r\n"},{"id":"x\u000d\u000a"}]`,
		"POST /batch_process HTTP/1.1\r\nContent-Length: 32\r\n\r\n" + `[{"id":"d%0d%0aSET owned 1%0d"}]`,
		"BREW%0d%0aX-Injected:1 /user/1 HTTP/1.1\r\n",
	} {
		line, rest, _ := strings.Cut(request, "\r\n")
		if rest == "" || !strings.Contains(rest, "\r\n\r\n") {
			rest += "\r\n"
		}
		got, err := l.try("public", line+"\r\nHost: localhost\r\nConnection: close\r\n"+rest)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if len(got.Header.Values("X-Injected")) > 0 || strings.Contains(fmt.Sprint(got.Header), "0d%0a") {
			t.Errorf("%q is answered with %v", line, got.Header)
		}
	}
	if n := redis.Int("EXISTS", "owned"); n != 0 {
		t.Error("a command in an id has reached Redis as a command")
	}
	if keys := redis.Do("KEYS", "item:d*"); fmt.Sprint(keys) != "[item:d%250d%250aSET%20owned%201%250d]" {
		t.Errorf("the key of an item with a percent sign and blanks is %v", keys)
	}
	for _, key := range redis.Do("KEYS", "*").([]any) {
		if strings.ContainsAny(key.(string), "\r\n \x00") {
			t.Errorf("Redis has the key %q", key)
		}
	}
	for line := range strings.Lines(l.Logs()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("the log has a line of somebody else: %q", line)
		}
	}
}

// TestAnOriginIsAskedInItsPlace: this origin decodes a path before it splits it, and
// serves more than /public/. No spelling of an id leads out of there, and such a
// request reaches the origin not even once.
func TestAnOriginIsAskedInItsPlace(t *testing.T) {
	t.Parallel()
	var asked, strayed atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if rest, below := strings.CutPrefix(r.URL.Path, "/public/"); !below || strings.ContainsAny(rest, `/\`) || strings.Trim(rest, ".") == "" {
			strayed.Add(1)
		}
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	defer origin.Close()
	in := launch.Start(t, fmt.Sprintf(`
[server]
drain = "0s"
[[resource]]
name   = "far"
path   = "/far/{id:string}"
key    = "far:{id}"
origin = "%s/public/{id}"
`, origin.URL))
	in.AwaitReady()
	for _, id := range []string{
		"..%2Fprivate%2Fsecret", "..%5Cprivate", "..%2fprivate", "%2e%2e%2Fprivate", "%252e%252e%252fprivate", "..", "%2E%2E", "%252e%252e", ".",
		"a%2Fb", "a%5cb", "a%252Fb", "..%3B", "..;x", "...", "%2F", "a%250d%250ab",
	} {
		for range 2 {
			if got := in.Get("/far/" + id); got.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s: answered %d %s", id, got.Code, got.Body)
			}
		}
		if got := in.Get("/far?id=good&id=" + id); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("many-read of %s: answered %d %s", id, got.Code, got.Body)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the origin was asked %d times, %d of them outside of /public/", n, strayed.Load())
	}
	for id, path := range map[string]string{"good": "/public/good", "a%3Fb%23c": "/public/a?b#c", "a%20b": "/public/a b", "100%25": "/public/100%", "..a": "/public/..a"} {
		if got := in.Get("/far/" + id); got.Code != http.StatusOK || !strings.Contains(got.Body, fmt.Sprintf("%q", path)) {
			t.Errorf("%s: answered %d %s, want the origin's %s", id, got.Code, got.Body, path)
		}
	}
}
