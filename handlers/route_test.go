package handlers

import (
	"strings"
	"testing"
)

func TestFixedAnswers(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/", "").want(t, 200, `{"Hello":"World"}`)
	f.send(t, "GET", "/?x", "").want(t, 200, `{"Hello":"World"}`)
	page := f.send(t, "GET", "/docs", "")
	page.want(t, 200, "<p>docs")
	page.wantHeader(t, "Content-Security-Policy", "default-src 'self'")
	page.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
	doc := f.send(t, "GET", "/openapi.json", "")
	doc.want(t, 200, `{"openapi":"3.1.0"}`)
	doc.wantHeader(t, "Content-Type", "application/json")
}

func TestHealth(t *testing.T) {
	f := newFixture(t)
	f.breakTiers(broken{err: errBroken}) // a tier that is down changes nothing
	ok := f.send(t, "GET", "/healthz", "")
	ok.want(t, 200, `{"status":"ok"}`)
	ok.wantHeader(t, "Cache-Control", "no-store")
	f.state.Store(uint32(Starting))
	f.send(t, "GET", "/healthz", "").want(t, 503, `{"status":"starting"}`)
	f.state.Store(uint32(Draining))
	drained := f.send(t, "GET", "/healthz", "")
	drained.want(t, 503, `{"status":"draining"}`)
	if log := f.log.String(); strings.Contains(log, "healthz") {
		t.Errorf("an expected 503 is logged as a fault: %s", log)
	}
}

func TestDrainingClosesConnections(t *testing.T) {
	f := newFixture(t)
	warm(t, f, "/user/1")
	for _, target := range []string{"/user/1", "/user/2", "/nowhere", "/healthz", "/"} {
		if f.send(t, "GET", target, "").Close {
			t.Errorf("%s: the connection closes while serving", target)
		}
	}
	f.state.Store(uint32(Draining))
	for _, target := range []string{"/user/1", "/user/2", "/nowhere", "/healthz", "/"} {
		if !f.send(t, "GET", target, "").Close {
			t.Errorf("%s: the connection stays open while draining", target)
		}
	}
}

func TestMethods(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ method, target, allow string }{
		{"POST", "/user/1", "DELETE, GET, HEAD, OPTIONS, PUT"},
		{"PATCH", "/user/1", "DELETE, GET, HEAD, OPTIONS, PUT"},
		{"BREW", "/user/1", "DELETE, GET, HEAD, OPTIONS, PUT"},
		{"TRACE", "/item/1", "GET, HEAD, OPTIONS"},
		{"GET", "/batch_process", "OPTIONS, POST"},
		{"HEAD", "/concurrent_test", "GET, OPTIONS"},
		{"POST", "/concurrent_test", "GET, OPTIONS"},
		{"DELETE", "/", "GET, HEAD, OPTIONS"},
		{"PUT", "/user", "GET, HEAD, OPTIONS"},
	} {
		a := f.send(t, c.method, c.target, "")
		a.wantHeader(t, "Allow", c.allow)
		if c.method != "HEAD" {
			a.wantProblem(t, 405, c.allow)
		}
		f.send(t, "OPTIONS", c.target, "").wantHeader(t, "Allow", c.allow)
	}
	f.send(t, "OPTIONS", "/user/1", "").want(t, 204, "")
	f.send(t, "OPTIONS", "/nowhere", "").wantProblem(t, 404, "nothing is served")
	f.send(t, "POST", "/user/", "").wantProblem(t, 404, "nothing is served")
	f.send(t, "POST", "/nowhere", "").wantProblem(t, 404, "nothing is served")
	all := f.send(t, "OPTIONS", "*", "")
	all.want(t, 204, "")
	all.wantHeader(t, "Allow", "DELETE, GET, HEAD, OPTIONS, POST, PUT")
}

func TestCORSForAll(t *testing.T) {
	f := newFixture(t)
	warm(t, f, "/user/1")
	const origin = "Origin: https://elsewhere.test"
	for _, target := range []string{"/user/1", "/user/404", "/user/x", "/nowhere", "/", "/healthz", "/concurrent_test", "/user?user_id=1"} {
		a := f.send(t, "GET", target, "", origin)
		a.wantHeader(t, "Access-Control-Allow-Origin", "*")
		a.wantHeader(t, "Access-Control-Expose-Headers", "ETag, Cache-Status, RateLimit, RateLimit-Policy, Retry-After, Age, Hearth-Version")
		a.wantHeader(t, "Access-Control-Allow-Credentials", "")
		a.wantHeader(t, "Vary", "")
		f.send(t, "GET", target, "").wantHeader(t, "Access-Control-Allow-Origin", "")
	}
	pre := f.send(t, "OPTIONS", "/user/1", "", origin, "Access-Control-Request-Method: PUT",
		"Access-Control-Request-Headers: authorization,cache-control,hearth-version", "Access-Control-Request-Private-Network: true")
	pre.want(t, 204, "")
	pre.wantHeader(t, "Access-Control-Allow-Origin", "*")
	pre.wantHeader(t, "Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
	pre.wantHeader(t, "Access-Control-Allow-Headers", "authorization,cache-control,hearth-version")
	pre.wantHeader(t, "Access-Control-Max-Age", "600")
	pre.wantHeader(t, "Access-Control-Allow-Private-Network", "")
	pre.wantHeader(t, "Access-Control-Allow-Credentials", "")
	odd := f.send(t, "OPTIONS", "/user/1", "", origin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: a<b>")
	odd.wantHeader(t, "Access-Control-Allow-Headers", "")
}

// TestCORSForSharedCaches: what a cache in front may give to a browser without
// asking carries the headers whoever it was first sent to.
func TestCORSForSharedCaches(t *testing.T) {
	for cacheControl, want := range map[string]string{
		"public, max-age=60": "*", "max-age=5": "*", "no-cache": "", "private, max-age=9": "", "No-Store": "",
	} {
		f := newFixture(t, func(c *Config, _ *Deps) { c.Resources[0].CacheControl = cacheControl })
		warm(t, f, "/user/1")
		f.send(t, "GET", "/user/1", "").wantHeader(t, "Access-Control-Allow-Origin", want)
	}
}

// TestVaryOfVersions: a cache that may answer without asking must know that a read with a
// version is another one.
func TestVaryOfVersions(t *testing.T) {
	for cacheControl, want := range map[string]string{
		"public, max-age=60": "Hearth-Version", "private, max-age=9": "Hearth-Version", "no-cache": "", "no-store": "",
	} {
		f := newFixture(t, func(c *Config, _ *Deps) { c.Resources[0].CacheControl = cacheControl })
		first := f.send(t, "GET", "/user/1", "")
		first.wantHeader(t, "Vary", want)
		etag := warm(t, f, "/user/1")
		f.send(t, "GET", "/user/1", "").wantHeader(t, "Vary", want)
		f.send(t, "GET", "/user/1", "", "If-None-Match: "+etag).wantHeader(t, "Vary", want)
		f.send(t, "GET", "/user?user_id=1", "").wantHeader(t, "Vary", want)
		f.send(t, "GET", "/user/404", "").wantHeader(t, "Vary", "")
		warm(t, f, "/user/9")
		if want != "" {
			want = ", " + want
		}
		f.send(t, "GET", "/user/9", "", "Accept-Encoding: gzip").wantHeader(t, "Vary", "Accept-Encoding"+want)
	}
	f := newFixture(t, func(c *Config, _ *Deps) {
		c.Resources[0].CacheControl = "max-age=1"
		c.CORS.Origins, c.CORS.Headers = []string{"https://app.test"}, []string{"hearth-version", "x-one"}
	})
	warm(t, f, "/user/9")
	f.send(t, "GET", "/user/9", "").wantHeader(t, "Vary", "Accept-Encoding, Hearth-Version, Origin")
	f.send(t, "GET", "/user/1", "").wantHeader(t, "Vary", "Hearth-Version, Origin")
	f.send(t, "OPTIONS", "/user/1", "", "Origin: https://app.test", "Access-Control-Request-Method: GET").
		wantHeader(t, "Access-Control-Allow-Headers", "hearth-version, x-one")
}

func TestCORSForListedOrigins(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) {
		c.CORS = CORS{Origins: []string{"https://app.test"}, Methods: []string{"GET", "PUT"}, Headers: []string{"X-One"}}
	})
	warm(t, f, "/user/1")
	warm(t, f, "/user/9")
	for target, vary := range map[string]string{"/user/1": "Origin", "/user/9": "Accept-Encoding, Origin",
		"/user/404": "Origin", "/nowhere": "Origin", "/": "Origin"} {
		a := f.send(t, "GET", target, "", "Origin: https://app.test")
		a.wantHeader(t, "Access-Control-Allow-Origin", "https://app.test")
		a.wantHeader(t, "Vary", vary)
		for _, other := range []string{"Origin: https://elsewhere.test", "Origin: null", "X-None: 1"} {
			a := f.send(t, "GET", target, "", other)
			a.wantHeader(t, "Access-Control-Allow-Origin", "")
			a.wantHeader(t, "Vary", vary)
		}
	}
	ask := []string{"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-two"}
	pre := f.send(t, "OPTIONS", "/user/1", "", append(ask, "Origin: https://app.test")...)
	pre.wantHeader(t, "Access-Control-Allow-Origin", "https://app.test")
	pre.wantHeader(t, "Access-Control-Allow-Methods", "GET, PUT")
	pre.wantHeader(t, "Access-Control-Allow-Headers", "X-One, Hearth-Version") // a page reads what it wrote
	foreign := f.send(t, "OPTIONS", "/user/1", "", append(ask, "Origin: https://elsewhere.test")...)
	foreign.want(t, 204, "")
	foreign.wantHeader(t, "Access-Control-Allow-Methods", "")
	foreign.wantHeader(t, "Vary", "Origin")
	off := newFixture(t, func(c *Config, _ *Deps) { c.CORS = CORS{} })
	off.send(t, "GET", "/user/1", "", "Origin: https://app.test").wantHeader(t, "Access-Control-Allow-Origin", "")
}
