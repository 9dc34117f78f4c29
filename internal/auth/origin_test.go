package auth_test

import (
	"strings"
	"testing"

	"hearth/internal/auth"
)

func foreign(origin, host string) bool { return auth.ForeignOrigin([][]byte{[]byte(origin)}, host) }

func TestForeignOrigin(t *testing.T) {
	f := func(origin, host string, want bool) {
		t.Helper()
		if got := foreign(origin, host); got != want {
			t.Errorf("ForeignOrigin(%q, %q) = %v, want %v", origin, host, got, want)
		}
	}
	// Not from a page.
	f("", "example.org", false)
	f("", "", false)
	// The same host and port, whatever the scheme.
	f("http://example.org", "example.org", false)
	f("https://example.org", "example.org", false)
	f("http://example.org:80", "example.org", false)
	f("http://example.org", "example.org:80", false)
	f("https://example.org", "example.org:443", false)
	f("https://example.org:443", "example.org", false)
	f("https://example.org:8080", "example.org:8080", false)
	f("http://EXAMPLE.org:8080", "example.ORG:8080", false)
	f("HTTP://example.org", "example.org", false)
	f("http://127.0.0.1:8080", "127.0.0.1:8080", false)
	f("http://[::1]:8080", "[::1]:8080", false)
	f("http://[0:0::1]", "[::1]:80", false)
	// Another one.
	f("http://evil.example", "example.org", true)
	f("http://example.org:8080", "example.org", true)
	f("http://example.org", "example.org:8080", true)
	f("http://example.org", "example.org:443", true)
	f("https://example.org:80", "example.org", true)
	f("http://localhost:8080", "127.0.0.1:8080", true)
	f("http://sub.example.org", "example.org", true)
	f("http://example.org.evil.example", "example.org", true)
	f("http://[::1]:8080", "[::2]:8080", true)
	// No origin of the web.
	f("null", "example.org", true)
	f("null", "null", true)
	f("example.org", "example.org", true)
	f("file://", "", true)
	f("chrome-extension://abcdef", "abcdef", true)
	f("http://", "", true)
	f("http://:80", ":80", true)
	f("http://user@example.org", "example.org", true)
	f("http://user@example.org", "user@example.org", true)
	f("http://example.org/", "example.org/", true)
	f("http://example.org http://evil.example", "example.org", true)
	f("http://example.org:", "example.org", true)
	f("http://example.org:0", "example.org:0", true)
	f("http://example.org:080", "example.org", true)
	f("http://example.org:65616", "example.org:80", true)
	f("http://example.org:+80", "example.org", true)
	f("http://[::1", "[::1", true)
	f("http://::1", "::1", true)
	f("http://[fe80::1%25eth0]", "[fe80::1%25eth0]", true)
	f("http://example.org", "", true)
	f("http://exa\x00mple.org", "exa\x00mple.org", true)
}

func FuzzForeignOrigin(f *testing.F) {
	f.Add("http://example.org", "example.org:80")
	f.Add("https://[::1]:443", "[::1]")
	f.Add("null", "")
	f.Add("http://a:1:2", "a:1:2")
	f.Fuzz(func(t *testing.T, origin, host string) {
		if foreign(origin, host) || origin == "" {
			return
		}
		// What passes is an http or https origin whose host Host begins with.
		scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
		if scheme != "http" && scheme != "https" {
			t.Errorf("origin %q passes with host %q", origin, host)
		}
		if strings.ContainsAny(rest+host, " /@,\x00") {
			t.Errorf("origin %q with host %q passes in spite of its characters", origin, host)
		}
		name := func(s string) string {
			if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
				return s[:i]
			}
			return s
		}
		if a, b := name(rest), name(strings.ToLower(host)); a != b && !strings.HasPrefix(a, "[") {
			t.Errorf("origin %q passes with host %q", origin, host)
		}
	})
}
