package listen_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// TestDrain: connections at work are served to their end, idle ones are ended,
// over TLS with its own closing alert, and the listener is closed once.
func TestDrain(t *testing.T) {
	t.Parallel()
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	release, working := make(chan struct{}), make(chan struct{})
	f := func(wrap func(net.Listener) net.Listener, dial func(net.Addr) net.Conn) {
		t.Helper()
		l := opened(wrap(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute})
		var draining atomic.Bool
		serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
			if draining.Load() {
				ctx.SetConnectionClose()
			}
			if string(ctx.Path()) == "/slow" {
				working <- struct{}{}
				<-release
				ctx.SetConnectionClose()
			}
			ctx.SetBodyString("hello")
		})
		idle, slow := newBrowser(t, dial(l.Addr())), newBrowser(t, dial(l.Addr()))
		idle.wantHello()
		slow.wantHello()
		if _, err := io.WriteString(slow.conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-working
		draining.Store(true)
		if err := errors.Join(l.StopAccepting(), l.StopAccepting()); err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Error("connected after StopAccepting")
		}
		idle.wantLast(t)
		ctx, cancel := context.WithCancelCause(context.Background())
		quiesced := make(chan error, 1)
		go func() { quiesced <- l.Quiesce(ctx, 0) }()
		testkit.Eventually(t, 20*time.Second, "one is left", func() bool { return l.Conns() == 1 })
		enough := errors.New("enough")
		cancel(enough)
		if err := <-quiesced; !errors.Is(err, enough) {
			t.Errorf("Quiesce = %v, want %v", err, enough)
		}
		release <- struct{}{}
		if resp, body := slow.receive(); resp.StatusCode != 200 || body != "hello" || !resp.Close {
			t.Errorf("answered %+v %q, want hello and the end", resp, body)
		}
		if err := l.Quiesce(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	}
	plain := func(l net.Listener) net.Listener { return l }
	f(plain, func(a net.Addr) net.Conn { return say(t, a, "") })
	secured := func(l net.Listener) net.Listener { return files.load().Listener(l) }
	f(secured, func(a net.Addr) net.Conn {
		return mustSecure(t, say(t, a, ""), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"})
	})
}

// wantLast asks once more and wants the answer to be the last.
func (b *browser) wantLast(t *testing.T) {
	t.Helper()
	if resp, body := b.get(); resp.StatusCode != 200 || body != "hello" || !resp.Close {
		t.Errorf("answered %+v %q, want hello and the end", resp, body)
	}
	if _, err := b.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want the end", err)
	}
}

// TestIdleConnectionsAreSeenOff: without an answer to carry the news, too.
func TestIdleConnectionsAreSeenOff(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	l := serveLimited(t, files.load().Listener(mustListen(t, "127.0.0.1:0")), listen.Limit{})
	b := newBrowser(t, mustSecure(t, say(t, l.Addr(), ""), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"}))
	b.wantHello()
	testkit.Eventually(t, 20*time.Second, "the connection is asked", func() bool { return l.CloseIdle(0) == 1 })
	if _, err := b.in.ReadByte(); !errors.Is(err, io.EOF) { // not io.ErrUnexpectedEOF
		t.Errorf("error %v, want the end as TLS tells it", err)
	}
	_ = b.conn.Close()
	testkit.Eventually(t, 20*time.Second, "it is gone", func() bool { return l.Conns() == 0 })
	if got := l.Crossed(); got != 0 {
		t.Errorf("crossed = %d, want 0", got)
	}
}

func TestTheLimitChanges(t *testing.T) {
	l := serveLimited(t, mustListen(t, "127.0.0.1:0"), listen.Limit{Conns: 2})
	first, second := connect(t, l), connect(t, l)
	first.wantHello()
	second.wantHello()
	refused := func() {
		t.Helper()
		if got, err := io.ReadAll(connect(t, l).conn); len(got) != 0 || err != nil {
			t.Errorf("received %q, error %v; want the end", got, err)
		}
	}
	refused()
	l.SetLimit(listen.Limit{Conns: 1})
	first.wantHello() // who is in stays
	second.wantHello()
	refused()
	l.SetLimit(listen.Limit{})
	connect(t, l).wantHello()
	connect(t, l).wantHello()
	l.SetLimit(listen.Limit{Conns: 3})
	refused()
}

// generation is one process of a service that is restarted on a socket which the
// service manager keeps.
type generation struct {
	l        *listen.Listener
	draining atomic.Bool
	served   chan error
	server   *fasthttp.Server
}

func newGeneration(t *testing.T, socket *net.TCPListener, answered *atomic.Uint64) *generation {
	t.Helper()
	file, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	own, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	g := &generation{l: opened(listen.Retrying(own, quiet()), listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute}), served: make(chan error, 1)}
	g.server = &fasthttp.Server{ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond, CloseOnShutdown: true, Handler: func(ctx *fasthttp.RequestCtx) {
		if g.draining.Load() {
			ctx.SetConnectionClose()
		}
		answered.Add(1)
		ctx.SetBodyString("hello")
	}}
	go func() { g.served <- g.server.Serve(g.l) }()
	return g
}

// stop is the drain as internal/app does it with a passed socket.
func (g *generation) stop() error {
	g.draining.Store(true)
	err := g.l.StopAccepting()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, g.l.Quiesce(ctx, time.Second), g.server.Shutdown(), <-g.served, g.l.Close())
}

// TestRestartsLoseNothing restarts a service on a kept socket while clients ask
// as fast as they can over connections they keep: directly, and through HAProxy.
func TestRestartsLoseNothing(t *testing.T) {
	t.Parallel()
	f := func(name string, front func(backend string) (addr string)) {
		t.Run(name, func(t *testing.T) {
			socket := mustListen(t, "127.0.0.1:0").(*net.TCPListener)
			var answered atomic.Uint64
			g := newGeneration(t, socket, &answered)
			addr := front(socket.Addr().String())
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					if err := hammer(addr, stop); err != nil {
						t.Error(err)
					}
				})
			}
			const restarts = 5
			for range restarts {
				before := answered.Load()
				next := newGeneration(t, socket, &answered)
				if err := g.stop(); err != nil {
					t.Error(err)
				}
				testkit.Eventually(t, 20*time.Second, "the next one answers", func() bool { return answered.Load() > before+500 })
				if got := g.l.Crossed(); got != 0 {
					t.Errorf("%d requests crossed with the end", got)
				}
				g = next
			}
			close(stop)
			clients.Wait()
			if err := g.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	f("directly", func(backend string) string { return backend })
	f("behind HAProxy", func(backend string) string {
		addr := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
		testkit.HAProxy(t, fmt.Sprintf(`
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	http-reuse always
	retries 0
frontend in
	bind %s
	default_backend out
backend out
	server one %s
`, addr, backend))
		return addr
	})
}

// hammer asks over connections that it keeps as long as the server does, until
// stop. A connection that ends without having announced it is an error, and so
// is one that cannot be made.
func hammer(addr string, stop <-chan struct{}) error {
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		in := bufio.NewReader(c)
		for last := false; !last; {
			select {
			case <-stop:
				return c.Close()
			default:
			}
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return errors.Join(err, c.Close())
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return errors.Join(err, c.Close())
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || string(body) != "hello" {
				return errors.Join(fmt.Errorf("answered %d %q", resp.StatusCode, body), err, c.Close())
			}
			last = resp.Close
		}
		_ = c.Close()
	}
}
