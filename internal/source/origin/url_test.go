package origin

import (
	"net/url"
	"strings"
	"testing"

	"hearth/internal/param"
	"hearth/internal/source"
)

func urlOf(text string) param.URL {
	u, wrong := param.ParseURL(text)
	if wrong != "" {
		panic(text + " " + wrong)
	}
	return u
}

// TestOriginRefuses: what a careless reader of the finished path would take for
// another path is never asked for.
func TestOriginRefuses(t *testing.T) {
	f := func(template string, want bool, values ...string) {
		t.Helper()
		params := []param.Param{{Name: "x", Type: "string"}, {Name: "y", Type: "string"}}[:len(values)]
		o, err := newTemplate(urlOf("http://records.test"+template), params)
		if err != nil {
			t.Fatalf("%s: %v", template, err)
		}
		args := make(source.Args, len(values))
		for i, v := range values {
			args[i] = v
		}
		if got := o.refuses(args); (got != "") != want {
			t.Errorf("%s %q: refused for %q, want %v", template, values, got, want)
		}
		if target, ok := o.of(args); ok == want {
			t.Errorf("%s %q: the URL is %q, %v", template, values, target, ok)
		}
	}
	for _, bad := range []string{
		"..", ".", "...", ".. ", " .", "../x", "a/b", "/", `a\b`, `..\`, "a/../b", "..;", "..;x=1", ".;", ";x",
		"%2e", "%2e%2e", "%2E.", "%252e%252e", "%25252e", "a%2fb", "a%2Fb", "a%5cb", "a%252fb", "a%25%32%66b", "..%3b",
		"a%00", "a%0d%0aX:1", "a\x00", "a\x7f", "%2e%2e%2fprivate%2fsecret",
	} {
		f("/public/{x}", true, bad)
		f("/public/{x}?a=1", true, bad)
		f("/a?b={x}", false, bad) // a value of a query is no path
	}
	for _, good := range []string{
		"a", "a.b", ".a", "..a", "a..", "a b", "100%", "%", "%zz", "%2", "a?b", "a#b", "a;b", "é", "a&b=c", "a:b@c", "%41", "…",
	} {
		f("/public/{x}", false, good)
	}
	f("/{x}{y}", true, ".", ".")
	f("/{x}{y}", true, "%2", "e")
	f("/{x}{y}", true, "%", "2f")
	f("/{x}{y}", false, ".", "a")
	f("/.{x}", true, ".")
	f("/%2e{x}", true, ".")
	f("/.{x}.", true, ".")
	f("/{x}.json", false, ".")
	f("/a-{x}/{y}", true, "1", "..")
	f("/a-{x}/{y}", false, "..", "1")
	f("/a-{x}/{y}", true, "../b", "1")
	f("/{x}%2e", true, "%2E")
	for _, template := range []string{`/a\{x}`, "/%2{x}", "/%{x}", "/a", "/a/../{x}", "/a/%2e/{x}"} {
		u, wrong := param.ParseURL("http://records.test" + template)
		if _, err := newTemplate(u, []param.Param{{Name: "x", Type: "string"}}); wrong == "" && err == nil {
			t.Errorf("%s is taken for a template", template)
		}
	}
}

// A path that is asked for has as many steps as its template, and none of them is
// dots, however often it is decoded.
func FuzzOriginPath(f *testing.F) {
	for _, seed := range []string{"..", "%2e%2e/", `\`, "%25%32%65", "a", "%c0%ae", ";"} {
		f.Add(seed, "b")
	}
	o, err := newTemplate(urlOf("http://records.test/a/{x}/{x}{y}"), []param.Param{{Name: "x", Type: "string"}, {Name: "y", Type: "string"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		target, ok := o.of(source.Args{x, y})
		if !ok {
			return
		}
		path, found := strings.CutPrefix(target, "http://records.test/")
		if !found || strings.ContainsAny(path, "?#\r\n \\") {
			t.Fatalf("%q %q: %q", x, y, target)
		}
		for range 8 {
			steps := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
			if len(steps) != 3 || strings.Trim(steps[1], ".") == "" || strings.Trim(steps[2], ".") == "" {
				t.Fatalf("%q %q: %q reads as %q", x, y, target, path)
			}
			path = param.Unescape(path)
		}
	})
}

// The URL of a record names that record: its value can be read out of it again,
// and reaches neither into the path around it nor into the query.
func FuzzOriginTarget(f *testing.F) {
	for _, seed := range []string{"1", "a/b", "..", ".", "a?b#c", "%2e", "\r\nHost: x", "é", "\xff", ""} {
		f.Add(seed)
	}
	o, err := newTemplate(urlOf("http://records.test/a/{id}/b?q={id}"), []param.Param{{Name: "id", Type: "string"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := o.of(source.Args{value})
		if !ok {
			return // see FuzzOriginPath
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		path, err := url.PathUnescape(strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/a/"), "/b"))
		if u.Host != "records.test" || u.Fragment != "" || err != nil || path != value || u.Query().Get("q") != value {
			t.Fatalf("%q became %q", value, got)
		}
		if strings.ContainsAny(got, "\r\n \t\x00") {
			t.Fatalf("%q became %q", value, got)
		}
	})
}

// No redirect leads to another server.
func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"/b", "//evil.test/", "http://records.test:80/", "https://records.test/", "?x", "../..", "http://records.test@evil.test/", "\\\\evil.test", "http:evil", "#x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, location string) {
		got, err := redirect("http://records.test/a/1", location)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "http" || u.Host != "records.test" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q leads to %q (%v)", location, got, err)
		}
	})
}
