package auth_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"hearth/internal/auth"
)

func TestHosts(t *testing.T) {
	h := auth.NewHosts([]string{"Ops.Example.", "ported.example:9090"})
	f := func(host string, want bool) {
		t.Helper()
		if got := h.Allow(host); got != want {
			t.Errorf("Host %q: got %v, want %v", host, got, want)
		}
	}
	for _, host := range []string{
		"localhost", "LOCALHOST:80", "localhost.", "localhost.:80", "127.0.0.1", "10.0.0.1:8080", "[::1]", "[::1]:80",
		"localhost:", "127.0.0.1:", "[::1]:", "ops.example:", "ops.example", "OPS.example:1", "ops.example.", "ported.example:9090",
	} {
		f(host, true)
	}
	for _, host := range []string{
		"", ":", "::", ":80", "localhost::", "ported.example:", "evil.example:",
		"evil.example", "localhost.evil.example", "xlocalhost", "127.1", "0x7f000001", "2130706433", "127.0.0.1.evil.example",
		"::1", "ported.example", "ported.example:9091", "[localhost]:80x", "evil.example:80:localhost", "127.0.0.1:80:evil",
	} {
		f(host, false)
	}
}

// A host that is let in is localhost, a listed name or an address, whatever
// form it comes in.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"localhost", "localhost:80", "[::1]:80", "::1", "[fe80::1%25eth0]", "127.0.0.1", "evil", "ops.example.:1", "[localhost]", "localhost]"} {
		f.Add(seed)
	}
	h := auth.NewHosts([]string{"ops.example"})
	f.Fuzz(func(t *testing.T, host string) {
		if !h.Allow(host) {
			return
		}
		u, err := url.Parse("http://" + host + "/")
		if err != nil || u.Host == "" {
			t.Fatalf("%q is let in, to which no URL leads", host)
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return
		}
		name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		if name != "localhost" && name != "ops.example" {
			t.Errorf("%q is let in, whose name is %q", host, name)
		}
	})
}

func TestCheckOfSeveralLines(t *testing.T) {
	k := auth.New([]auth.Token{{Name: "app", Scopes: auth.Write, Secret: "s"}})
	f := func(want auth.Result, lines ...string) {
		t.Helper()
		var raw [][]byte
		for _, l := range lines {
			raw = append(raw, []byte(l))
		}
		if _, got := k.Check(raw, auth.Write); got != want {
			t.Errorf("%q: got %v, want %v", lines, got, want)
		}
	}
	f(auth.Missing)
	f(auth.Missing, "")
	f(auth.OK, "Bearer s")
	f(auth.Unknown, "Bearer s", "Bearer s")
	f(auth.Unknown, "Bearer x", "Bearer s")
	if _, got := auth.New(nil).Check([][]byte{[]byte("a"), []byte("b")}, auth.Write); got != auth.OK {
		t.Errorf("with no tokens: got %v, want OK", got)
	}
}

func TestForeignLines(t *testing.T) {
	lines := func(all ...string) (raw [][]byte) {
		for _, l := range all {
			raw = append(raw, []byte(l))
		}
		return raw
	}
	if auth.ForeignOrigin(lines("http://a", "http://a"), "a") || auth.ForeignOrigin(nil, "a") {
		t.Error("a page of this origin counts as foreign")
	}
	if !auth.ForeignOrigin(lines("http://a", "http://b"), "a") {
		t.Error("one foreign line of two is overlooked")
	}
	for site, want := range map[string]bool{"same-origin": false, "none": false, "same-site": true, "cross-site": true, "": true, "x": true} {
		if got := auth.ForeignSite(lines("same-origin", site)); got != want {
			t.Errorf("Sec-Fetch-Site %q: got %v, want %v", site, got, want)
		}
	}
}
