package framing_test

import (
	"strings"
	"testing"

	"hearth/internal/framing"
)

func TestReadPlain(t *testing.T) {
	const whole = "GET /a/b?c=d HTTP/1.1\r\nHost: a.example:80\r\nACCEPT-encoding: gzip\t\r\nIf-None-Match:\"x\"\r\nOrigin: o\r\nX-Request-ID: i\r\nX: \t\r\n\r\n"
	var p framing.Plain
	if n := framing.ReadPlain([]byte(whole+"GET /"), &p); n != len(whole) {
		t.Fatalf("read %d bytes, want %d", n, len(whole))
	}
	got := []string{string(p.Target), string(p.AcceptEncoding), string(p.IfNoneMatch), string(p.Origin), string(p.RequestID)}
	if want := "/a/b?c=d gzip \"x\" o i"; p.Head || strings.Join(got, " ") != want {
		t.Errorf("got %q, HEAD is %v, want %q", got, p.Head, want)
	}
	for i := range len(whole) {
		if n := framing.ReadPlain([]byte(whole[:i]), &p); n != 0 {
			t.Errorf("of a part of %d bytes %d were read", i, n)
		}
	}
	f := func(line, fields string, want bool) {
		t.Helper()
		b := []byte(line + "\r\n" + fields + "\r\n")
		if n := framing.ReadPlain(b, &p); n != 0 && n != len(b) || (n > 0) != want {
			t.Errorf("%q: read %d bytes, want all: %v", b, n, want)
		}
	}
	const get, host = "GET / HTTP/1.1", "Host: a\r\n"
	f(get, host, true)
	f("HEAD / HTTP/1.1", host, true)
	f(get, host+"Connection: Keep-Alive\r\nX: 12345678\t12345678\r\nY:\r\nZ: ~\r\n", true)
	f(get, "hOST:a-b_c.d:\r\n", true)
	for _, line := range []string{
		"POST / HTTP/1.1", "get / HTTP/1.1", "GET a HTTP/1.1", "GET http://a/ HTTP/1.1", "GET * HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
		"GET / HTTP/1.0", "GET / HTTP/1.1 ", "GET /#x HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\xff HTTP/1.1", "GET /\t HTTP/1.1", "GET /", "", "\r\nGET / HTTP/1.1",
	} {
		f(line, host, false)
	}
	f(get, "", false)
	f(get, host+host, false)
	for _, field := range []string{
		"Host: [::1]", "Host: a b", "Host: a:b", "Host: a@b", "Host:", "Host: :80", "Content-Length: 0", "Transfer-Encoding: chunked", "Expect: x", "Upgrade: x", "Trailer: x",
		"If-Match: *", "Connection: close", "Connection:", "Connection: keep-alive, x", "X : a", "X Y: a", " X: a", ": a", "X", "X: a\rb", "X: a\nb", "X: a\x00", "X: a\x7f",
		"X: a\x80", "X: 1234567\xff", "X: 1234567\x1f", "\x80: a", "X\x00: a", "Origin: a\r\nOrigin: b", "Origin:\r\norigin:", "X-Request-Id: a\r\nX-Request-Id: a",
		"Accept-Encoding: a\r\nAccept-Encoding: a", "If-None-Match: a\r\nIf-None-Match: a", "X: a\r\n b", "X: a\n",
	} {
		f(get, host+field+"\r\n", false)
		if strings.HasPrefix(field, "Host") {
			f(get, field+"\r\n", false)
		}
	}
}

// TestAsks: both ways of reading a header tell of the same fields.
func TestAsks(t *testing.T) {
	f := func(fields string, want framing.Asks) {
		t.Helper()
		header := "Host: a\r\n" + fields + "\r\n"
		_, asks, fault := framing.Header([]byte(header))
		var p framing.Plain
		n := framing.ReadPlain([]byte("GET / HTTP/1.1\r\n"+header), &p)
		if asks != want || p.Asks != want || fault != framing.None || n == 0 {
			t.Errorf("%q: got %v and %v, want %v", fields, asks, p.Asks, want)
		}
	}
	f("Accept: a\r\nAge: 1\r\nPragmas: no-cache\r\nX-Cache-Control: no-cache\r\nCache-Status: a\r\nHearth-Versions: a\r\nCookie: a\r\n", 0)
	f("Cache-Control: no-cache\r\n", framing.AsksControl)
	f("cache-CONTROL:\r\nCache-Control: a\r\n", framing.AsksControl)
	f("PRAGMA: no-cache\r\n", framing.AsksPragma)
	f("Authorization: Bearer a\r\nhearth-version: a\r\n", framing.AsksAuthorization|framing.AsksVersion)
	f("Pragma: a\r\nHearth-Version: a\r\nAuthorization: a\r\nCache-Control: a\r\n", framing.AllAsks-1)
}

func BenchmarkReadPlain(b *testing.B) {
	for _, c := range []struct{ name, fields string }{
		{"one field", "Host: 127.0.0.1:8080\r\n"},
		{"a browser's", "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
			"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
			"X-Forwarded-For: 192.0.2.7\r\nX-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\nConnection: keep-alive\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte("GET /user/1 HTTP/1.1\r\n" + c.fields + "\r\n")
			var p framing.Plain
			b.ReportAllocs()
			for b.Loop() {
				if framing.ReadPlain(in, &p) != len(in) {
					b.Fatal("not read")
				}
			}
		})
	}
}
