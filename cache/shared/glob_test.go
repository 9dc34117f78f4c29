package shared

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	f := func(pattern, key string, want bool) {
		t.Helper()
		if got := MatchGlob(pattern, key); got != want {
			t.Errorf("%q, %q: got %v, want %v", pattern, key, got, want)
		}
		if want && !strings.HasPrefix(key, GlobPrefix(pattern)) {
			t.Errorf("%q: %q does not begin with %q", pattern, key, GlobPrefix(pattern))
		}
	}
	f("", "", true)
	f("", "a", false)
	f("a", "a", true)
	f("a", "ab", false)
	f("*", "", true)
	f("*", "anything", true)
	f("a*", "a", true)
	f("a*c", "abc", true)
	f("a*c", "abcd", false)
	f("a*c*", "abcd", true)
	f("a**c", "ac", true)
	f("*b*b", "abab", true)
	f("*b*b", "aba", false)
	f("?", "a", true)
	f("?", "", false)
	f("a?c", "abc", true)
	f("[abc]", "b", true)
	f("[^abc]", "b", false)
	f("[^abc]", "d", true)
	f("[a-c]x", "bx", true)
	f("[c-a]x", "bx", true)
	f(`[\]]`, "]", true)
	f("[a", "a", true)
	f(`\*`, "*", true)
	f(`\*`, "a", false)
	f(`\`, `\`, true)
	f(Glob("user:", ""), "user:1", true)
	f(Glob("user:", ""), "user", false)
	f(Glob("a*[b]?\\^-:", ":end"), `a*[b]?\^-:1:end`, true)
	f(Glob("a*", ""), "ab", false)
	f(Glob("a?"), "ab", false)
	f(Glob("[ab]"), "a", false)
	f(strings.Repeat("*a", 2000)+"b", strings.Repeat("a", 20000), false)
	if got := GlobPrefix(Glob("a*:", "")); got != "a*:" {
		t.Errorf("the prefix is %q", got)
	}
}
