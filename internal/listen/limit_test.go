package listen_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// refusal is a whole response, as the caller of Limit makes it.
func refusal(after int) []byte {
	const body = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections"}`
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"+
		"Content-Length: %d\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s", len(body), after, body)
}

// serveLimited answers "hello" to as many connections at a time.
func serveLimited(t *testing.T, inner net.Listener, limit listen.Limit) *listen.Listener {
	t.Helper()
	l := opened(inner, listen.Timeouts{})
	l.SetLimit(limit)
	server := &fasthttp.Server{
		ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond,
		Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
	})
	return l
}

// browser is one connection to a server.
type browser struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func connect(t *testing.T, l net.Listener) *browser {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return newBrowser(t, conn)
}

func newBrowser(t *testing.T, conn net.Conn) *browser {
	return &browser{t, conn, bufio.NewReader(conn)}
}

// get sends a request and returns its answer with the body read.
func (b *browser) get() (*http.Response, string) {
	b.t.Helper()
	if _, err := io.WriteString(b.conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		b.t.Fatal(err)
	}
	return b.receive()
}

// receive returns the next answer with the body read.
func (b *browser) receive() (*http.Response, string) {
	b.t.Helper()
	resp, err := http.ReadResponse(b.in, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(body)
}

func (b *browser) wantHello() {
	b.t.Helper()
	if resp, body := b.get(); resp.StatusCode != 200 || body != "hello" {
		b.t.Errorf("answered %d %q, want hello", resp.StatusCode, body)
	}
}

func TestConnectionsBeyondTheLimitAreTold(t *testing.T) {
	f := func(addr string) {
		t.Helper()
		var log bytes.Buffer
		l := serveLimited(t, mustListen(t, addr), listen.Limit{
			Conns: 2, Refusals: [][]byte{refusal(1), refusal(2), refusal(3)}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		first, second := connect(t, l), connect(t, l)
		first.wantHello()
		second.wantHello()
		waits := map[string]int{}
		for range 6 {
			resp, body := connect(t, l).get()
			if resp.StatusCode != 503 || resp.Header.Get("Content-Type") != "application/problem+json" || !resp.Close ||
				resp.ContentLength != int64(len(body)) || !strings.HasPrefix(body, `{"type"`) {
				t.Errorf("refused with %+v %q", resp, body)
			}
			waits[resp.Header.Get("Retry-After")]++
		}
		if waits["1"] != 2 || waits["2"] != 2 || waits["3"] != 2 {
			t.Errorf("times to wait %v, want each of 1, 2 and 3 twice", waits)
		}
		if got := l.Refused(); got != 6 {
			t.Errorf("refused = %d, want 6", got)
		}
		if got := l.Conns(); got != 2 {
			t.Errorf("open = %d, want 2", got)
		}
		if got := strings.Count(log.String(), "server.max_in_flight"); got != 1 {
			t.Errorf("the log names the key in %d lines, want 1:\n%s", got, log.String())
		}
		// Who is in is served, and who goes makes room.
		second.wantHello()
		_ = first.conn.Close()
		testkit.Eventually(t, 20*time.Second, "there is room again", func() bool { return l.Conns() == 1 })
		connect(t, l).wantHello()
	}
	f("127.0.0.1:0")
	f("unix:" + filepath.Join(t.TempDir(), "s.sock"))
}

// TestRefusalsLetRequestsArrive: who is refused while the request is under way
// may finish it, and finds the refusal instead of a reset. A machine that
// stands still may make the one or the other miss the time there is for it.
func TestRefusalsLetRequestsArrive(t *testing.T) {
	l := serveLimited(t, mustListen(t, "127.0.0.1:0"), listen.Limit{Conns: 1, Refusals: [][]byte{refusal(1)}})
	connect(t, l).wantHello()
	const tries = 100
	whole := 0
	for range tries {
		b := connect(t, l)
		if _, err := b.in.Peek(1); err != nil {
			t.Fatal(err)
		}
		var err error
		for range 16 {
			_, writeErr := io.WriteString(b.conn, strings.Repeat("x", 1<<10))
			err = errors.Join(err, writeErr)
		}
		got, readErr := io.ReadAll(b.in)
		if errors.Join(err, readErr) == nil && bytes.Equal(got, refusal(1)) {
			whole++
		}
		_ = b.conn.Close()
	}
	if whole < tries*9/10 {
		t.Errorf("%d of %d were told in full", whole, tries)
	}
}

func TestLimitWithoutWords(t *testing.T) {
	l := serveLimited(t, mustListen(t, "127.0.0.1:0"), listen.Limit{Conns: 1})
	connect(t, l).wantHello()
	if got, err := io.ReadAll(connect(t, l).conn); len(got) != 0 || err != nil {
		t.Errorf("received %q, error %v; want the end", got, err)
	}
	if got := l.Refused(); got != 1 {
		t.Errorf("refused = %d, want 1", got)
	}
}

// TestCloseEndsRefusals: a peer that was refused and neither reads nor closes
// holds nobody up. TestMain finds what is left running.
func TestCloseEndsRefusals(t *testing.T) {
	t.Parallel()
	l := opened(mustListen(t, "127.0.0.1:0"), listen.Timeouts{})
	l.SetLimit(listen.Limit{Conns: 1, Refusals: [][]byte{refusal(1)}})
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	connect(t, l)
	server := <-accepted
	refused := connect(t, l)
	if _, err := refused.in.Peek(1); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, more := <-accepted; more {
		t.Error("accepted after Close")
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(refused.in); err != nil || !bytes.Equal(got, refusal(1)) {
		t.Errorf("received %q, error %v; want the refusal", got, err)
	}
}
