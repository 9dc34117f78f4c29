package auth_test

import (
	"strings"
	"testing"

	"hearth/internal/auth"
)

func TestLoopback(t *testing.T) {
	for _, addr := range []string{
		"127.0.0.1:8080", "127.8.9.10:1", "[::1]:8080", "[::ffff:127.0.0.1]:80", "localhost:8080", "LOCALHOST:0",
		"unix:/run/hearth/http.sock", "unix:relative.sock", "unix:@abstract",
	} {
		if !auth.Loopback(addr) {
			t.Errorf("Loopback(%q) = false, want true", addr)
		}
	}
	for _, addr := range []string{
		"", ":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "192.168.1.5:80", "[fe80::1%eth0]:80", "[2001:db8::1]:80",
		"example.org:80", "localhost.example.org:80", "notlocalhost:80", "127.0.0.1", "127.0.0.1.example.org:80", "127.1:80",
		"2130706433:80", "[::ffff:10.0.0.1]:80", "unixx:/a",
	} {
		if auth.Loopback(addr) {
			t.Errorf("Loopback(%q) = true, want false", addr)
		}
	}
}

func TestRefuseOpenWrites(t *testing.T) {
	f := func(listen string, tokens, openWrites, hasWrites, refused bool) {
		t.Helper()
		err := auth.RefuseOpenWrites(listen, tokens, openWrites, hasWrites)
		if (err != nil) != refused {
			t.Errorf("RefuseOpenWrites(%q, %v, %v, %v) = %v, want refused: %v", listen, tokens, openWrites, hasWrites, err, refused)
		}
		if err == nil {
			return
		}
		for _, part := range []string{listen, "auth.token", "auth.open_writes", "server.listen"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not name %q", err, part)
			}
		}
	}
	f("0.0.0.0:8080", false, false, true, true)
	f(":8080", false, false, true, true)
	f("[::]:8080", false, false, true, true)
	f("example.org:8080", false, false, true, true)
	f("", false, false, true, true)
	f("0.0.0.0:8080", true, false, true, false)
	f("0.0.0.0:8080", false, true, true, false)
	f("0.0.0.0:8080", false, false, false, false)
	f("127.0.0.1:8080", false, false, true, false)
	f("localhost:8080", false, false, true, false)
	f("unix:/run/hearth.sock", false, false, true, false)
}
