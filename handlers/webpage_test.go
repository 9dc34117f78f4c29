package handlers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
)

// overTCP serves f on loopback as well and returns a way to ask it there. Each
// request ends its connection.
func (f *fixture) overTCP(t *testing.T) func(method, target, body, host string, fields ...string) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: f.Handler(), MaxIdleWorkerDuration: 1}
	f.Configure(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() {
		err := srv.Shutdown()
		_ = ln.Close()
		if serving := <-served; err != nil || serving != nil {
			t.Errorf("stopping: %v, %v", err, serving)
		}
	})
	return func(method, target, body, host string, fields ...string) int {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", method, target, host, len(body))
		for _, field := range fields {
			text += field + "\r\n"
		}
		if _, err := io.WriteString(conn, text+"\r\n"+body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
}

// A page's own name that resolves to 127.0.0.1 makes its origin and Host agree.
func TestReboundPagesMustNotWrite(t *testing.T) {
	type ask = func(method, target, body, host string, fields ...string) int
	check := func(ask ask, want int, host string, fields ...string) {
		t.Helper()
		for _, w := range []struct{ method, target, body string }{
			{"POST", "/batch_process", `[]`}, {"PUT", "/user/1", `{"name":"x"}`}, {"DELETE", "/user/404", ""},
		} {
			got := ask(w.method, w.target, w.body, host, fields...)
			if refused := got == 403; refused != (want == 403) {
				t.Errorf("%s %s as %q with %q: got %d, want %d", w.method, w.target, host, fields, got, want)
			}
		}
	}
	closed := newFixture(t, func(c *Config, _ *Deps) { c.Hosts = []string{"app.test"} }).overTCP(t)
	const ok = 200
	check(closed, 403, "evil.test", "Origin: http://evil.test")
	check(closed, 403, "evil.test:8080", "Origin: http://evil.test:8080")
	check(closed, 403, "evil.test", "Sec-Fetch-Site: same-origin")
	check(closed, 403, "evil.test", "Origin: http://evil.test", "Sec-Fetch-Site: same-origin")
	check(closed, 403, "localhost.evil.test", "Origin: http://localhost.evil.test")
	check(closed, 403, "127.0.0.1.evil.test", "Origin: http://127.0.0.1.evil.test")
	check(closed, 403, "localhost", "Origin: http://evil.test")
	check(closed, 403, "localhost", "Origin: http://localhost", "Origin: http://evil.test")
	check(closed, 403, "localhost", "Sec-Fetch-Site: cross-site")
	check(closed, 403, "localhost", "Sec-Fetch-Site: same-site")
	check(closed, 403, "evil.test", "Origin:")
	check(closed, ok, "localhost:8080", "Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin")
	check(closed, ok, "127.0.0.1:8080", "Origin: http://127.0.0.1:8080")
	check(closed, ok, "[::1]:8080", "Origin: http://[::1]:8080")
	check(closed, ok, "app.test", "Origin: http://app.test")
	check(closed, ok, "APP.test:81", "Origin: http://app.test:81")
	check(closed, ok, "localhost", "Sec-Fetch-Site: none")
	check(closed, ok, "evil.test") // curl --resolve, and services that know this machine by a name

	open := newFixture(t, func(c *Config, _ *Deps) { c.CORS.OpenWrites = true }).overTCP(t)
	check(open, ok, "evil.test", "Origin: http://evil.test")
	check(open, ok, "localhost", "Origin: http://evil.test")

	known := newFixture(t, func(_ *Config, d *Deps) { d.Tokens = scopedTokens() }).overTCP(t)
	check(known, ok, "evil.test", "Origin: http://evil.test", "Authorization: Bearer write")
	if got := known("PUT", "/user/1", `{}`, "evil.test", "Origin: http://evil.test"); got != 401 {
		t.Errorf("a page without a token where one is needed: got %d, want 401", got)
	}

	// Elsewhere than on loopback no name can be told from another.
	far := newFixture(t)
	far.send(t, "POST", "/batch_process", `[]`, "Origin: http://hearth.test").want(t, 200, `{"status":"success","count":0}`)
}
