package handlers

import (
	"fmt"
	"strings"
	"testing"

	"hearth/internal/auth"
)

// tableScopes is who may call what where tokens are configured, by method and
// path as registered. A route that is missing here fails TestTokensGuardEveryRoute:
// whoever adds one has to decide.
var tableScopes = map[string]auth.Scope{
	"GET /":                   open,
	"GET /healthz":            open,
	"GET /docs":               open,
	"GET /openapi.json":       open,
	"GET /user/{s1}":          open,
	"PUT /user/{s1}":          auth.Write,
	"DELETE /user/{s1}":       auth.Write,
	"GET /user":               open,
	"GET /item/{s1}":          open,
	"GET /item":               open,
	"GET /bare/{s1}":          open,
	"GET /bare":               open,
	"GET /pair/{s1}/of/{s3}":  open,
	"GET /concurrent_test":    open,
	"GET /item/count":         open,
	"POST /batch_process":     auth.Write,
	"POST /bares":             auth.Write,
	"HEAD /":                  open,
	"HEAD /healthz":           open,
	"HEAD /docs":              open,
	"HEAD /openapi.json":      open,
	"HEAD /user/{s1}":         open,
	"HEAD /user":              open,
	"HEAD /item/{s1}":         open,
	"HEAD /item":              open,
	"HEAD /bare/{s1}":         open,
	"HEAD /bare":              open,
	"HEAD /pair/{s1}/of/{s3}": open,
}

// credentials are the ways not to have the scope write, and what is answered.
var credentials = []struct {
	name   string
	fields []string
	status int
}{
	{"no token", nil, 401},
	{"an empty field", []string{"Authorization:"}, 401},
	{"a wrong token", []string{"Authorization: Bearer wrong"}, 401},
	{"a part of the token", []string{"Authorization: Bearer writ"}, 401},
	{"more than the token", []string{"Authorization: Bearer writer"}, 401},
	{"another scheme", []string{"Authorization: Basic write"}, 401},
	{"no scheme", []string{"Authorization: write"}, 401},
	{"the scope admin", []string{"Authorization: Bearer admin"}, 403},
	{"the scope metrics", []string{"Authorization: Bearer metrics"}, 403},
	{"two fields", []string{"Authorization: Bearer write", "Authorization: Bearer write"}, 401},
	{"two fields, the second right", []string{"Authorization: Bearer wrong", "authorization: Bearer write"}, 401},
	{"a list", []string{"Authorization: Bearer write, Bearer write"}, 401},
}

func scopedTokens() *auth.Tokens {
	return auth.New([]auth.Token{
		{Name: "app", Scopes: auth.Write, Secret: "write"},
		{Name: "ops", Scopes: auth.Admin, Secret: "admin"},
		{Name: "prom", Scopes: auth.Metrics, Secret: "metrics"},
	})
}

// TestTokensGuardEveryRoute walks what is registered, with every method.
func TestTokensGuardEveryRoute(t *testing.T) {
	f := newFixture(t, func(_ *Config, d *Deps) { d.Tokens = scopedTokens() })
	served := map[string]bool{}
	for _, r := range f.routes {
		name := r.method + " " + r.path
		scope, declared := tableScopes[name]
		if served[name] = true; !declared || scope != r.scope {
			t.Errorf("%s takes scope %q; the test expects %q (declared: %v)", name, r.scope, scope, declared)
		}
	}
	for name := range tableScopes {
		if !served[name] {
			t.Errorf("%s is not served", name)
		}
	}
	for _, r := range f.routes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "put"} {
			f.guarded(t, method, r.path, tableScopes[method+" "+r.path], served[method+" "+r.path])
		}
	}
}

// guarded tries everything that must not get in, and then what must.
func (f *fixture) guarded(t *testing.T, method, template string, scope auth.Scope, served bool) {
	t.Helper()
	target := strings.NewReplacer("{s1}", "1", "{s3}", "3").Replace(template)
	what := method + " " + target
	for _, c := range credentials {
		a := f.send(t, method, target, `{"name":"intruder"}`, c.fields...)
		switch {
		case served && scope == open:
			if a.StatusCode == 401 || a.StatusCode == 403 || a.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s with %s: got %d %s, want it open", what, c.name, a.StatusCode, a.body)
			}
		case served:
			if a.StatusCode != c.status || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s with %s: got %d %s, want %d and a challenge", what, c.name, a.StatusCode, a.body, c.status)
			}
		case method == "OPTIONS":
			if a.StatusCode != 204 {
				t.Errorf("%s: got %d, want 204", what, a.StatusCode)
			}
		default:
			// 404: a literal path with another method, where a record's parameter
			// takes the method too (HEAD of the counter /item/count).
			if a.StatusCode != 404 && (a.StatusCode != 405 || a.Header.Get("Allow") == "") {
				t.Errorf("%s with %s: got %d %s, want 405 and Allow", what, c.name, a.StatusCode, a.body)
			}
		}
	}
	if strings.Contains(fmt.Sprint(f.people.rows), "intruder") {
		t.Fatalf("%s has written", what)
	}
	if !served || scope == open {
		return
	}
	for _, field := range []string{"Authorization: bearer write", "authorization:  BEARER  write "} {
		if a := f.send(t, method, target, `[]`, field); a.StatusCode == 401 || a.StatusCode == 403 {
			t.Errorf("%s with %q: got %d %s, want it let in", what, field, a.StatusCode, a.body)
		}
	}
}
