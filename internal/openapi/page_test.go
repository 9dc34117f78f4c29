package openapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/openapi"
)

func TestPageIsSelfContained(t *testing.T) {
	page := openapi.DocsPage("Hearth")
	if got, limit := len(page), 40<<10; got > limit {
		t.Errorf("the page has %d bytes, more than %d", got, limit)
	}
	// The icon's namespace is a name, not an address that anything fetches.
	rest := bytes.ReplaceAll(page, []byte("http://www.w3.org/2000/svg"), nil)
	for _, bad := range []string{"http:", "https:", "src=", "@import", " url(", ":url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "sessionStorage", "document.cookie"} {
		if bytes.Contains(rest, []byte(bad)) {
			t.Errorf("the page contains %q", bad)
		}
	}
}

func TestPagePolicyNamesItsParts(t *testing.T) {
	page, policy := string(openapi.DocsPage("Hearth")), openapi.ContentSecurityPolicy()
	for _, tag := range []string{"script", "style"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(parts) != 1 {
			t.Fatalf("the page has %d elements %s, want 1", len(parts), tag)
		}
		sum := sha256.Sum256([]byte(parts[0][1]))
		want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy %q allows what it calls unsafe", policy)
	}
}

func TestPageEscapesItsTitle(t *testing.T) {
	page := string(openapi.DocsPage(`</title><b>{{script}}&`))
	if want := "<title>&lt;/title&gt;&lt;b&gt;{{script}}&amp;</title>"; !strings.Contains(page, want) {
		t.Errorf("the page lacks %q", want)
	}
}
