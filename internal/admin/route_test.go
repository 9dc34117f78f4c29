package admin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/admin"
	"hearth/internal/auth"
)

// concrete fills in the parameters of a route's path.
func concrete(path string) string {
	return strings.NewReplacer("/manual/{name}", "/manual/operations.md", "{name}", "goroutine", "/api/explain", "/api/explain?path=/user/7").Replace(path)
}

// TestTokensGuardEveryRoute walks the route table: with tokens configured every
// row but the two open ones refuses all who do not have the scope.
func TestTokensGuardEveryRoute(t *testing.T) {
	r := start(t, nil, tokens()...)
	var openPaths []string
	for _, row := range admin.Rows(r.admin) {
		path := concrete(row.Path)
		methods := []string{row.Method}
		if row.Method == "GET" {
			methods = append(methods, "HEAD")
		}
		for _, method := range methods {
			what := method + " " + path
			call := func(headers ...string) answer {
				t.Helper()
				body := `{"keys":["user:1"]}`
				if path == "/api/reload" {
					body = "{}"
				}
				return r.do(t, method, path, body, append(headers, "Content-Type", "application/json")...)
			}
			if row.Scope == 0 {
				if method == "GET" {
					openPaths = append(openPaths, path)
				}
				if got := call(); got.status != 200 {
					t.Errorf("%s without token = %d, want 200", what, got.status)
				}
				continue
			}
			refused := func(how string, got answer, status int, challenge string) {
				t.Helper()
				if method != "HEAD" {
					wantProblem(t, what+" "+how, got, status)
				}
				if c := got.header.Get("WWW-Authenticate"); got.status != status || c != challenge {
					t.Errorf("%s %s = %d with challenge %q, want %d with %q", what, how, got.status, c, status, challenge)
				}
			}
			refused("without token", call(), 401, `Bearer realm="hearth"`)
			if basic := call("Authorization", "Basic YTph"); row.Page {
				if basic.status != 200 { // a token of scope admin as the password
					t.Errorf("%s with a token as password = %d, want 200", what, basic.status)
				}
				refused("with a wrong password", call("Authorization", "Basic YTp4"), 401, `Bearer realm="hearth", error="invalid_token"`)
			} else {
				refused("with another scheme", basic, 401, `Bearer realm="hearth"`)
			}
			refused("with a wrong token", call("Authorization", "Bearer x"), 401, `Bearer realm="hearth", error="invalid_token"`)
			refused("with two headers", call("Authorization", "Bearer a", "Authorization", "Bearer a"), 401, `Bearer realm="hearth", error="invalid_token"`)
			for secret, scope := range map[string]auth.Scope{"w": auth.Write, "a": auth.Admin, "m": auth.Metrics} {
				got := call("Authorization", "Bearer "+secret)
				if row.Scope&scope == 0 {
					refused("with scope "+scope.String(), got, 403,
						`Bearer realm="hearth", error="insufficient_scope", scope="`+row.Scope.String()+`"`)
				} else if got.status != 200 {
					t.Errorf("%s with scope %v = %d, want 200 (%s)", what, scope, got.status, got.body)
				}
			}
		}
	}
	slices.Sort(openPaths)
	if diff := cmp.Diff([]string{"/livez", "/readyz"}, openPaths); diff != "" {
		t.Errorf("routes open in spite of tokens (-want +got):\n%s", diff)
	}
}

// TestScopesOfRoutes pins the contract that the walk above takes from the table.
func TestScopesOfRoutes(t *testing.T) {
	r := start(t, nil)
	want := []admin.Row{
		{"GET", "/", auth.Admin, true},
		{"GET", "/livez", 0, false},
		{"GET", "/readyz", 0, false},
		{"GET", "/metrics", auth.Metrics | auth.Admin, true},
		{"GET", "/api/stats", auth.Metrics | auth.Admin, true},
		{"GET", "/api/explain", auth.Admin, true},
		{"GET", "/api/hot", auth.Admin, true},
		{"GET", "/api/tick", auth.Admin, true},
		{"GET", "/api/stream", auth.Admin, true},
		{"GET", "/api/history", auth.Metrics | auth.Admin, true},
		{"POST", "/api/reload", auth.Admin, false},
		{"POST", "/api/invalidate", auth.Admin, false},
		{"GET", "/manual", auth.Admin, true},
		{"GET", "/manual/{name}", auth.Admin, true},
		{"GET", "/debug/pprof/", auth.Admin, true},
		{"GET", "/debug/pprof/{name}", auth.Admin, true},
	}
	if diff := cmp.Diff(want, admin.Rows(r.admin)); diff != "" {
		t.Errorf("route table (-want +got):\n%s", diff)
	}
}

func TestTokensGuardWhatIsNotThere(t *testing.T) {
	r := start(t, nil, tokens()...)
	wantProblem(t, "unknown path without token", r.do(t, "GET", "/nothing", ""), 401)
	wantProblem(t, "unknown path with metrics", r.do(t, "GET", "/nothing", "", "Authorization", "Bearer m"), 403)
	wantProblem(t, "unknown path with admin", r.do(t, "GET", "/nothing", "", "Authorization", "Bearer a"), 404)
	got := r.do(t, "DELETE", "/debug/pprof/heap", "")
	wantProblem(t, "wrong method without token", got, 401)
	if allow := got.header.Get("Allow"); allow != "" {
		t.Errorf("Allow = %q for a stranger, want none", allow)
	}
	wantProblem(t, "wrong method with admin", r.do(t, "DELETE", "/debug/pprof/heap", "", "Authorization", "Bearer a"), 405)
	wantProblem(t, "wrong method on metrics", r.do(t, "POST", "/metrics", "", "Authorization", "Bearer m"), 405)
	wantProblem(t, "wrong method on an open path", r.do(t, "POST", "/livez", ""), 405)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/nothing", "/livez/", "//livez", "/LIVEZ", "/api", "/api/stats/x", "/debug/pprof", "/debug/pprof/heap/", "/debug/pprof/a/b", "//evil.example/", "/%2e%2e/livez"} {
		got := r.do(t, "GET", path, "")
		wantProblem(t, "GET "+path, got, 404)
		if loc := got.header.Get("Location"); loc != "" {
			t.Errorf("GET %s redirects to %q, want no redirect", path, loc)
		}
	}
	f := func(method, path, allow string) {
		t.Helper()
		got := r.do(t, method, path, "")
		wantProblem(t, method+" "+path, got, 405)
		if got := got.header.Get("Allow"); got != allow {
			t.Errorf("%s %s: Allow = %q, want %q", method, path, got, allow)
		}
	}
	f("POST", "/livez", "GET, HEAD")
	f("OPTIONS", "/readyz", "GET, HEAD")
	f("PUT", "/metrics", "GET, HEAD")
	f("BREW", "/", "GET, HEAD")
	f("POST", "/debug/pprof/symbol", "GET, HEAD")
	f("DELETE", "/debug/pprof/", "GET, HEAD")
	f("GET", "/api/invalidate", "POST")
	f("OPTIONS", "/api/invalidate", "POST")
}

func TestHeadWorksWhereGetDoes(t *testing.T) {
	r := start(t, nil)
	for _, row := range admin.Rows(r.admin) {
		if row.Method != "GET" {
			continue
		}
		path := concrete(row.Path)
		get, head := r.do(t, "GET", path, ""), r.do(t, "HEAD", path, "")
		if head.status != 200 || get.status != 200 || head.body != "" {
			t.Errorf("%s: GET %d, HEAD %d with %d bytes, want 200, 200 and none", path, get.status, head.status, len(head.body))
		}
		if got, want := head.header.Get("Content-Type"), get.header.Get("Content-Type"); got != want {
			t.Errorf("%s: Content-Type of HEAD = %q, want %q", path, got, want)
		}
	}
}

func TestEveryAnswerIsPrivate(t *testing.T) {
	r := start(t, nil)
	check := func(what string, got answer) {
		t.Helper()
		caching := "no-store"
		if strings.Contains(what, " /manual") && got.status == 200 { // the same on every server of the release
			caching = "private, no-cache"
		}
		for name, want := range map[string]string{
			"Cache-Control": caching, "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if values := got.header.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s = %q, want %q", what, name, values, want)
			}
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy = %q, want no framing", what, csp)
		}
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Server" {
				t.Errorf("%s: header %s is sent, want it not to be", what, name)
			}
		}
	}
	for _, row := range admin.Rows(r.admin) {
		path := concrete(row.Path)
		check(row.Method+" "+path, r.do(t, row.Method, path, `{"keys":["a"]}`, "Content-Type", "application/json", "Origin", r.base))
	}
	check("404", r.do(t, "GET", "/nothing", "", "Origin", "http://evil.example"))
	check("preflight", r.do(t, "OPTIONS", "/api/invalidate", "", "Origin", "http://evil.example", "Access-Control-Request-Method", "POST"))
}
