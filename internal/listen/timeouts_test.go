package listen_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// serveWatched serves with timeouts that expire during the test, and returns
// the address.
func serveWatched(t *testing.T, timeouts listen.Timeouts, h fasthttp.RequestHandler) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := opened(inner, timeouts)
	server := &fasthttp.Server{ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond, Handler: func(ctx *fasthttp.RequestCtx) {
		c := ctx.Conn().(*listen.Conn)
		c.Handling()
		h(ctx)
		c.Writing()
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil { // closes the listener, too
			t.Error(err)
		}
		<-served
	})
	return inner.Addr().String()
}

// ended reads until the server closes the connection and returns all it said.
func ended(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the connection was not ended: %v after %q", err, said)
	}
	return string(said)
}

func TestWatchEndsSlowPeers(t *testing.T) {
	t.Parallel()
	short := 300 * time.Millisecond
	hello := func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") }
	dial := func(t *testing.T, addr string) net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	t.Run("that send nothing", func(t *testing.T) {
		ended(t, dial(t, serveWatched(t, listen.Timeouts{Read: short}, hello)))
	})
	t.Run("that send half a request", func(t *testing.T) {
		c := dial(t, serveWatched(t, listen.Timeouts{Read: short}, hello))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := ended(t, c); !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("that send half a second request", func(t *testing.T) {
		c := dial(t, serveWatched(t, listen.Timeouts{Read: short}, hello))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := ended(t, c); strings.Count(got, "hello") != 1 {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("that keep a connection for nothing", func(t *testing.T) {
		c := dial(t, serveWatched(t, listen.Timeouts{Idle: short}, hello))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := ended(t, c); !strings.HasSuffix(got, "hello") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("that do not read", func(t *testing.T) {
		large := strings.Repeat("x", 64<<20)
		gone := make(chan struct{})
		c := dial(t, serveWatched(t, listen.Timeouts{Write: short}, func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
				defer close(gone)
				_, _ = io.WriteString(w, large)
			})
		}))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			t.Error("the answer is still being written")
		}
	})
}

// TestWatchBlamesNoPeerForOurWork: a handler may take longer than any timeout.
func TestWatchBlamesNoPeerForOurWork(t *testing.T) {
	checked := make(chan struct{})
	addr := serveWatched(t, listen.Timeouts{Read: 1, Write: time.Minute, Idle: time.Minute}, func(ctx *fasthttp.RequestCtx) {
		<-checked
		ctx.SetBodyString("late")
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Another connection, opened later, expires first: checks have passed.
	other, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	ended(t, other)
	close(checked)
	var resp fasthttp.Response
	if err := resp.Read(bufio.NewReader(c)); err != nil || string(resp.Body()) != "late" {
		t.Errorf("answered %q, error %v", resp.Body(), err)
	}
}

// pipes is a listener whose connections have no buffer: a write waits until the
// peer reads, as it does on a socket whose buffer the peer has let run full.
type pipes struct {
	server chan net.Conn
	closed chan struct{}
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.server:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// TestWatchEndsPeersThatDoNotReadTheirEnd: what is said to a peer that was late,
// or sent no HTTP, must not wait for it either.
func TestWatchEndsPeersThatDoNotReadTheirEnd(t *testing.T) {
	t.Parallel()
	f := func(name, request string) {
		t.Helper()
		inner := pipes{make(chan net.Conn), make(chan struct{})}
		short := 300 * time.Millisecond
		l := opened(inner, listen.Timeouts{Read: short, Write: short, Idle: short})
		server := &fasthttp.Server{
			ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond,
			Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") },
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		end, peer := net.Pipe()
		inner.server <- end
		if _, err := io.WriteString(peer, request); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 20*time.Second, "a peer that "+name+" is gone", func() bool { return l.Conns() == 0 })
		if err := errors.Join(server.Shutdown(), <-served, peer.Close()); err != nil {
			t.Error(err)
		}
	}
	f("sent half a request", "GET / HTTP/1.1\r\nHost: x\r\n")
	f("sent no HTTP", "no HTTP\r\n\r\n")
	// fasthttp puts off the first answer until it needs more of the second request.
	f("sent one request and a half", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
}
