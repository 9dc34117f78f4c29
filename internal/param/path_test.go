package param_test

import (
	"strings"
	"testing"

	"hearth/internal/param"
)

func TestPaths(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		_, wrong := param.ParsePath(path)
		if want == "" && wrong != "" || want != "" && !strings.Contains(wrong, want) {
			t.Errorf("%q: got %q, want %q", path, wrong, want)
		}
	}
	f("/a", "")
	f("/a/{x:int}/b/{y_2:string}/{Z:uuid}", "")
	f("/.well-known/a~b@c", "")
	f("", "does not begin with a slash")
	f("a", `write it as "/a"`)
	f("/", "is the root")
	f("//", "empty segment")
	f("/a/", "empty segment")
	f("/a//b", "empty segment")
	f("/a/../b", `segment ".."`)
	f("/a/./b", `segment "."`)
	f("/a b", "letters, digits")
	f("/a%20b", "letters, digits")
	f("/a?b", "letters, digits")
	f("/ä", "letters, digits")
	f("/a/{x}", "write it as {x:string}")
	f("/a/{x:integer}", "write it as {x:int}")
	f("/a/{x:uid}", "write it as {x:uuid}")
	f("/a/{1:int}", `named "1"`)
	f("/a/{:int}", `named ""`)
	f("/a/{body:int}", "not the word body")
	f("/a/b{x:int}", "a parameter is a whole segment")
	f("/a/{x:int}b", "a parameter is a whole segment")
	f("/a/{{x:int}}", "a parameter is a whole segment")
	f("/a/{x:int", "a parameter is a whole segment")
	f("/a/{x:int}/{x:int}", `two parameters named "x"`)
}

func TestCollection(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		p, wrong := param.ParsePath(path)
		if got := p.Collection(); got != want || wrong != "" {
			t.Errorf("%s: got %q, %s, want %q", path, got, wrong, want)
		}
	}
	f("/user/{id:int}", "/user")
	f("/a/b/{id:string}", "/a/b")
	f("/{id:int}", "")
	f("/user", "")
	f("/user/{id:int}/face", "")
	f("/user/{id:int}/{n:int}", "")
}
