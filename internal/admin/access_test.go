package admin_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHost(t *testing.T) {
	r := start(t, []string{"Ops.Example", "ported.example:9090"})
	f := func(host string, want int) {
		t.Helper()
		for _, path := range []string{"/livez", "/metrics", "/debug/pprof/", "/nothing"} {
			got := r.do(t, "GET", path, "", "Host", host)
			expected := want
			if want == 200 && path == "/nothing" {
				expected = 404
			}
			if got.status != expected {
				t.Errorf("GET %s for Host %q = %d, want %d", path, host, got.status, expected)
			}
			if want == 421 {
				wantProblem(t, host, got, 421)
			}
		}
	}
	f("127.0.0.1", 200)
	f("127.0.0.1:9090", 200)
	f("10.1.2.3:80", 200)
	f("[::1]:9090", 200)
	f("[2001:db8::1]", 200)
	f("localhost", 200)
	f("LocalHost:9090", 200)
	f("localhost.", 200)
	f("ops.example", 200)
	f("OPS.example:1234", 200)
	f("ops.example.", 200)
	f("ported.example:9090", 200)
	f("ported.example:9091", 421)
	f("evil.example", 421)
	f("evil.example:9090", 421)
	f("localhost.evil.example", 421)
	f("127.0.0.1.evil.example", 421)
	f("evil.ops.example", 421)
	f("xlocalhost", 421)
	f("0x7f000001", 421)
	f("127.1", 421)
}

// raw sends bytes and returns the status of the first answer.
func raw(t *testing.T, network, addr, request string) answer {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := make([]byte, 4096)
	n, _ := res.Body.Read(body)
	return answer{res.StatusCode, res.Header, string(body[:n])}
}

func TestMissingHost(t *testing.T) {
	r := start(t, nil)
	addr := strings.TrimPrefix(r.base, "http://")
	for _, request := range []string{
		"GET /livez HTTP/1.0\r\n\r\n",
		"GET /livez HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
	} {
		if got := raw(t, "tcp", addr, request); got.status != 421 && got.status != 400 {
			t.Errorf("%q = %d, want a refusal", request, got.status)
		}
	}
}

// TestTargetDecidesTheHost: an absolute target names who is asked, and Host is
// ignored (RFC 9112, 3.2.2). Default ports and the case of letters do not count.
func TestTargetDecidesTheHost(t *testing.T) {
	r := start(t, []string{"ops.example", "ported.example:80", "secure.example:443", "other.example:9090"})
	addr := strings.TrimPrefix(r.base, "http://")
	f := func(target, host string, want int) {
		t.Helper()
		if got := raw(t, "tcp", addr, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); got.status != want {
			t.Errorf("GET %s, Host: %s = %d, want %d", target, host, got.status, want)
		}
	}
	f("http://localhost/livez", "evil.example", 200)
	f("http://evil.example/livez", "localhost", 421)
	f("http://localhost:80/livez", "localhost", 200)
	f("HTTP://LocalHost:80/livez", "localhost:80", 200)
	f("https://localhost:443/livez", "localhost", 200)
	f("http://127.0.0.1/livez", "evil.example", 200)
	f("http://OPS.example:80/livez", "ops.example", 200)
	f("http://ported.example/livez", "x", 200)
	f("/livez", "PORTED.example", 200)
	f("/livez", "ported.example:81", 421)
	f("/livez", "secure.example", 200)
	f("/livez", "other.example", 421)
	f("http://localhost@evil.example/livez", "localhost", 400)
	f("http://localhost.evil.example/livez", "localhost", 421)
}

func TestUnixSocketTakesAnyHost(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, l, nil)
	for _, host := range []string{"unix", "evil.example", "localhost"} {
		if got := r.do(t, "GET", "/livez", "", "Host", host); got.status != 200 {
			t.Errorf("Host %q over a Unix socket = %d, want 200", host, got.status)
		}
	}
	if got := r.post(t, `{"keys":["user:1"]}`, "Host", "evil.example", "Origin", "http://other.example"); got.status != 403 {
		t.Errorf("foreign Origin over a Unix socket = %d, want 403", got.status)
	}
}

func TestPostOrigin(t *testing.T) {
	for _, secret := range []string{"", "a"} {
		r := start(t, nil)
		var extra []string
		if secret != "" {
			r = start(t, nil, tokens()...)
			extra = []string{"Authorization", "Bearer " + secret}
		}
		f := func(want int, headers ...string) {
			t.Helper()
			r.keys = nil
			got := r.post(t, `{"keys":["user:1"]}`, append(headers, extra...)...)
			if got.status != want {
				t.Errorf("POST with %q = %d, want %d", headers, got.status, want)
			}
			if want != 200 {
				wantProblem(t, fmt.Sprint(headers), got, want)
				if r.keys != nil {
					t.Errorf("POST with %q was carried out", headers)
				}
			}
		}
		f(200)
		f(200, "Origin", r.base)
		f(200, "Origin", r.base, "Sec-Fetch-Site", "same-origin")
		f(200, "Sec-Fetch-Site", "none")
		f(200, "Origin", "http://localhost:9090", "Host", "localhost:9090")
		f(403, "Origin", "http://evil.example")
		f(403, "Origin", "null")
		f(403, "Origin", strings.Replace(r.base, "127.0.0.1", "localhost", 1))
		f(403, "Origin", r.base, "Origin", "http://evil.example")
		f(403, "Sec-Fetch-Site", "cross-site")
		f(403, "Sec-Fetch-Site", "same-site")
		f(403, "Sec-Fetch-Site", "")
		f(403, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site")
		f(403, "Origin", r.base, "Sec-Fetch-Site", "cross-site")
		f(421, "Origin", "http://evil.example", "Host", "evil.example")
	}
}

func TestPostContentType(t *testing.T) {
	r := start(t, nil)
	f := func(want int, headers ...string) {
		t.Helper()
		got := r.do(t, "POST", "/api/invalidate", `{"keys":["user:1"]}`, headers...)
		if got.status != want {
			t.Errorf("POST with %q = %d, want %d", headers, got.status, want)
		}
		if want != 200 {
			wantProblem(t, fmt.Sprint(headers), got, want)
		}
	}
	f(200, "Content-Type", "application/json")
	f(200, "Content-Type", "Application/JSON; charset=UTF-8")
	f(415)
	f(415, "Content-Type", "text/plain")
	f(415, "Content-Type", "application/x-www-form-urlencoded")
	f(415, "Content-Type", "multipart/form-data; boundary=x")
	f(415, "Content-Type", "text/plain; application/json")
	f(415, "Content-Type", "application/json; charset=utf-16")
	f(415, "Content-Type", "application/jsonx")
	f(415, "Content-Type", "application/json", "Content-Encoding", "gzip")
}
