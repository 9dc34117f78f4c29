package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit/launch"
)

// listeners is an instance whose listeners are TCP ports, as browsers and balancers
// reach them.
type listeners struct{ *launch.Instance }

// listen starts one with the demo's configuration and the embedded tier. env
// overrides keys.
func listen(tb testing.TB, env ...string) listeners {
	tb.Helper()
	return listenWith(tb, launch.Demo(tb), env...)
}

func listenWith(tb testing.TB, config string, env ...string) listeners {
	tb.Helper()
	return listeners{launch.Program{Config: config, Env: env, Public: launch.Port, Admin: launch.Port}.Ready(tb)}
}

// addr is where the listener of that name listens, public or admin.
func (l listeners) addr(listener string) string {
	return map[string]string{"public": l.Public, "admin": l.Admin}[listener]
}

func (l listeners) dial(listener string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", l.addr(listener), launch.Patience)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(launch.Patience))
}

// try sends bytes on a connection of its own and returns the first answer, its
// body read.
func (l listeners) try(listener, request string) (*http.Response, error) {
	conn, err := l.dial(listener)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}

// canary goes behind every case. Its answer is one that no other request gets.
const canary = "GET /canary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

// TestHTTP plays testdata/http against the program, byte for byte.
func TestHTTP(t *testing.T) {
	t.Parallel()
	l := listen(t, "HEARTH_SERVER_READ_TIMEOUT=3s", "HEARTH_SERVER_MAX_BODY=1MiB")
	await(t, "memory answers", func() bool { return l.Get("/user/1").FromMemory() })
	post := map[string]string{"public": "/batch_process", "admin": "/api/invalidate"}
	for _, c := range readCorpus(t) {
		for _, x := range c.cases {
			for _, listener := range []string{"public", "admin"} {
				if !x.on(listener) {
					continue
				}
				t.Run(strings.Join([]string{x.file, x.title, listener}, "/"), func(t *testing.T) {
					t.Parallel()
					x := x // each listener has its own
					x.sent = strings.ReplaceAll(x.sent, "$post", post[listener])
					x.play(t, l, listener)
				})
			}
		}
	}
}

func (x exchange) play(t *testing.T, l listeners, listener string) {
	conn, err := l.dial(listener)
	must(t, err)
	defer func() { _ = conn.Close() }()
	sent := x.sent
	if !x.alone {
		sent += canary
	}
	// A refusal may come, and close, before all of it is written.
	_, _ = io.WriteString(conn, sent)
	if x.end {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	in := bufio.NewReader(conn)
	for i, want := range x.answers {
		last := i == len(x.answers)-1
		want.check(t, in, last && !x.open && !x.quiet)
	}
	if x.open {
		expected{status: http.StatusNotFound}.check(t, in, true)
	}
	rest, err := io.ReadAll(in)
	if len(rest) > 0 || err != nil { // not even a reset: the connection ends in stages
		t.Errorf("behind the last answer: got %.200q and %v, want the connection's end", rest, err)
	}
}

// check reads one answer and compares it. closing says that it has to announce
// the connection's end, and otherwise must not.
func (e expected) check(t *testing.T, in *bufio.Reader, closing bool) {
	t.Helper()
	method := http.MethodGet
	if e.head {
		method = http.MethodHead
	}
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer that should be %d: %v", e.status, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the body of the answer that should be %d: %v", e.status, err)
	}
	if resp.StatusCode != e.status || resp.StatusCode >= 200 && resp.Close != closing {
		t.Fatalf("got %d, closing %v, %s\nwant %d, closing %v", resp.StatusCode, resp.Close, body, e.status, closing)
	}
	if media := resp.Header.Get("Content-Type"); e.status >= 400 && (media != "application/problem+json" || resp.Header.Get("Cache-Control") != "no-store") {
		t.Errorf("an error comes as %q, kept under %q", media, resp.Header.Get("Cache-Control"))
	}
	for _, want := range e.want {
		if fault := e.compare(resp.Header, string(body), want); fault != "" {
			t.Errorf("%d %s, %v: %s", resp.StatusCode, body, resp.Header, fault)
		}
	}
}

// compare holds an answer against one line below its status in the case.
func (e expected) compare(header http.Header, body, want string) (fault string) {
	if words, ok := strings.CutPrefix(want, "~ "); ok {
		if !strings.Contains(body, words) {
			return fmt.Sprintf("the body lacks %q", words)
		}
		return ""
	}
	if name, ok := strings.CutPrefix(want, "!"); ok {
		if values := header.Values(name); len(values) > 0 {
			return fmt.Sprintf("%s is %q", name, values)
		}
		return ""
	}
	name, value, exact := strings.Cut(want, ": ")
	values := header.Values(name)
	if len(values) == 0 || exact && !slices.Contains(values, value) {
		return fmt.Sprintf("%s is %q, want %q", name, values, value)
	}
	return ""
}
