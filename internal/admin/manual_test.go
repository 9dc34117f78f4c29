package admin_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

func TestManualIsSelfContained(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/manual", "/manual/operations.md", "/manual?q=stale", "/manual?q="} {
		got := r.do(t, "GET", path, "")
		if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("GET %s = %d (%s)", path, got.status, got.header.Get("Content-Type"))
		}
		csp := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: Content-Security-Policy = %q, want %q in it", path, csp, want)
			}
		}
		for _, foreign := range []string{"<script", "<link rel=\"style", "style=", "unsafe-inline", "src=\"http"} {
			if strings.Contains(got.body+csp, foreign) {
				t.Errorf("%s has %q", path, foreign)
			}
		}
	}
	drawing := r.do(t, "GET", "/manual/architecture.svg", "")
	if drawing.status != 200 || drawing.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("GET of the drawing = %d (%s)", drawing.status, drawing.header.Get("Content-Type"))
	}
}

func TestManualIsAskedWhetherItHasChanged(t *testing.T) {
	r := start(t, nil)
	const path = "/manual/operations.md"
	tag := r.do(t, "GET", path, "").header.Get("ETag")
	for _, match := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
		got := r.do(t, "GET", path, "", "If-None-Match", match)
		if got.status != 304 || got.body != "" || got.header.Get("ETag") != tag || !strings.Contains(got.header.Get("Content-Security-Policy"), "sha256-") {
			t.Errorf("If-None-Match %s: %d, %d bytes, %v; want 304", match, got.status, len(got.body), got.header)
		}
	}
	if got := r.do(t, "GET", path, "", "If-None-Match", `W/"other"`); got.status != 200 {
		t.Errorf("another tag: %d, want 200", got.status)
	}
	if other := r.do(t, "GET", "/manual/http.md", "").header.Get("ETag"); tag == "" || other == tag {
		t.Errorf("two pages have the tags %q and %q", tag, other)
	}
	plain, packed := r.do(t, "GET", path, ""), r.do(t, "GET", path, "", "Accept-Encoding", "gzip")
	unpacker, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unpacker); err != nil || string(text) != plain.body || packed.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("in gzip: %v, %d bytes, want %d; Vary %q", err, len(text), len(plain.body), packed.header.Get("Vary"))
	}
}

func TestManualRefusals(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/manual/", "/manual/nothing", "/manual/operations", "/manual/operations.md.html", "/manual/a/b", "/manual/..", "/manual/%2e%2e", "/Manual"} {
		wantProblem(t, path, r.do(t, "GET", path, ""), 404)
	}
	wantProblem(t, "a long query", r.do(t, "GET", "/manual?q="+strings.Repeat("a", 101), ""), 422)
	wantProblem(t, "two queries", r.do(t, "GET", "/manual?q=a&q=b", ""), 422)
	wantProblem(t, "another parameter", r.do(t, "GET", "/manual?query=a", ""), 422)
	wantProblem(t, "a post", r.do(t, "POST", "/manual", ""), 405)
	got := r.do(t, "GET", "/manual?q=%3Cscript%3Ealert(1)%22%3E", "")
	if got.status != 200 || strings.Contains(got.body, "<script") || strings.Contains(got.body, `alert(1)"`) {
		t.Errorf("a query with markup = %d, and stands there as it is", got.status)
	}
	if got := r.do(t, "GET", "/manual?q=stale", "").header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("what was sought is kept: %q", got)
	}
}
