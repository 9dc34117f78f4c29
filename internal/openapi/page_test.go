package openapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/openapi"
)

// docsPage is the page of the demo under a title.
func docsPage(t *testing.T, title string) []byte {
	t.Helper()
	document, err := openapi.Document(demo())
	if err != nil {
		t.Fatal(err)
	}
	return openapi.DocsPage(openapi.Page{Title: title, Document: document})
}

func TestPageIsSelfContained(t *testing.T) {
	page := docsPage(t, "Hearth")
	if got, limit := len(page), 48<<10; got > limit {
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
	page, policy := string(docsPage(t, "Hearth")), openapi.ContentSecurityPolicy()
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
	page := string(docsPage(t, `</title><b>{{script}}&`))
	if want := "<title>&lt;/title&gt;&lt;b&gt;{{script}}&amp;</title>"; !strings.Contains(page, want) {
		t.Errorf("the page lacks %q", want)
	}
}

// TestPageWithoutScripts: a table of what there is, whose texts are the configuration's, and
// which ends somewhere.
func TestPageWithoutScripts(t *testing.T) {
	api := demo()
	api.Resources[0].Name, api.Resources[0].ExampleArgs = `<i>"&`, []string{"7"}
	api.Resources[1].ExampleArgs = []string{`a"/?b`}
	document, err := openapi.Document(api)
	if err != nil {
		t.Fatal(err)
	}
	page := string(openapi.DocsPage(openapi.Page{Title: "Hearth", Document: document}))
	for _, want := range []string{
		`<tr><td>GET<td><a href="./user/7"><span class="path">/user/{user_id}</span></a><td>Read &lt;i&gt;&#34;&amp;`,
		`<tr><td>PUT<td><span class="path">/user/{user_id}</span><td>Store`,
		`href="./user?user_id=7&amp;user_id=1000000"`, `href="./item/a%22%2F%3Fb"`, `<td>IBody<td>name, city`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<i>") || strings.Contains(page, "… and more") {
		t.Error("the page has a name as markup, or leaves something out")
	}
	var paths []string
	for i := range 1000 {
		paths = append(paths, fmt.Sprintf(`"/more%d": {"get": {"summary": "Read"}}`, i))
	}
	long := openapi.DocsPage(openapi.Page{Title: "Hearth", Document: []byte(`{"paths": {` + strings.Join(paths, ",") + `}}`)})
	if len(long) > 100<<10 || !bytes.Contains(long, []byte("… and more")) {
		t.Errorf("of a thousand operations the page has %d bytes", len(long))
	}
}
