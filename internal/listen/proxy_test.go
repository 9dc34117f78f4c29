package listen_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

const (
	lineHeader   = "PROXY TCP4 192.0.2.7 10.0.0.1 56284 443\r\n"
	binaryHeader = "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xdb\xdc\x01\xbb"
)

// serveOn serves h on l and ends both with the test.
func serveOn(t *testing.T, l net.Listener, h fasthttp.RequestHandler) {
	t.Helper()
	server := &fasthttp.Server{ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond, Handler: h, MaxRequestBodySize: 64 << 20}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
	})
}

// whoAmI answers the client's address.
func whoAmI(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(ctx.RemoteAddr().String()) }

// say sends text over a new connection and returns it.
func say(t *testing.T, addr net.Addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

const lastRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestProxiedTellsTheClient(t *testing.T) {
	f := func(name, addr string, trusted []netip.Prefix, sent, want string) {
		t.Helper()
		proxied := listen.Proxied(mustListen(t, addr), trusted)
		serveOn(t, opened(proxied, listen.Timeouts{Read: time.Minute}), whoAmI)
		at := proxied.Addr()
		if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
			at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
		}
		c := say(t, at, sent+lastRequest)
		if want == "own" {
			want = c.LocalAddr().String()
		}
		got := ended(t, c)
		if want == "" && got != "" || !strings.HasSuffix(got, "\r\n\r\n"+want) && want != "" {
			t.Errorf("%s: answered %q, want %q", name, got, want)
		}
		refused := uint64(0)
		if want == "" {
			refused = 1
		}
		if got := proxied.Refused(); got != refused {
			t.Errorf("%s: refused = %d, want %d", name, got, refused)
		}
	}
	const tcp = "127.0.0.1:0"
	here, elsewhere := prefixes("10.0.0.0/8", "127.0.0.0/8"), prefixes("10.0.0.0/8", "::1/128")
	f("version 1", tcp, here, lineHeader, "192.0.2.7:56284")
	f("version 2", tcp, here, binaryHeader, "[2001:db8::7]:56284")
	f("unknown", tcp, here, "PROXY UNKNOWN\r\n", "own")
	f("everybody", tcp, nil, lineHeader, "192.0.2.7:56284")
	f("mapped prefix", tcp, prefixes("::ffff:127.0.0.0/104"), lineHeader, "192.0.2.7:56284")
	f("mapped peer", "[::]:0", here, lineHeader, "192.0.2.7:56284")
	f("no header", tcp, here, "", "")
	f("bad header", tcp, here, "PROXY TCP5 1 2 3 4\r\n", "")
	f("not trusted", tcp, elsewhere, "", "own")
	unix := "unix:" + filepath.Join(t.TempDir(), "s.sock")
	f("unix socket", unix, elsewhere, binaryHeader, "[2001:db8::7]:56284")
	// Who is not trusted cannot pretend: what should have been a header is no request.
	l := opened(listen.Proxied(mustListen(t, tcp), elsewhere), listen.Timeouts{})
	serveOn(t, l, whoAmI)
	if got := ended(t, say(t, l.Addr(), lineHeader+lastRequest)); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a header from an untrusted peer: answered %q, want 400", got)
	}
}

// TestProxiedAcceptWaitsForNobody: silent peers stop neither others nor the end,
// and are told nothing when their time is over.
func TestProxiedAcceptWaitsForNobody(t *testing.T) {
	proxied := listen.Proxied(mustListen(t, "127.0.0.1:0"), nil)
	l := opened(proxied, listen.Timeouts{Read: 300 * time.Millisecond, Write: time.Minute, Idle: time.Minute})
	serveOn(t, l, whoAmI)
	silent, half := say(t, l.Addr(), ""), say(t, l.Addr(), lineHeader[:20])
	if got := ended(t, say(t, l.Addr(), lineHeader+lastRequest)); !strings.HasSuffix(got, "192.0.2.7:56284") {
		t.Errorf("answered %q", got)
	}
	for name, c := range map[string]net.Conn{"silent": silent, "half a header": half} {
		if got := ended(t, c); got != "" {
			t.Errorf("%s: answered %q, want nothing", name, got)
		}
	}
	// One that only looks whether the port is open has done nothing wrong.
	_ = say(t, l.Addr(), "").Close()
	testkit.Eventually(t, 20*time.Second, "all are gone", func() bool { return l.Conns() == 0 })
	if got := proxied.Refused(); got != 0 {
		t.Errorf("refused = %d, want 0", got)
	}
}

// TestProxiedReadMayBeRepeated: a deadline does not lose what has come of the
// header, and until it is whole nothing can be said.
func TestProxiedReadMayBeRepeated(t *testing.T) {
	l := listen.Proxied(pipes{make(chan net.Conn, 1), make(chan struct{})}, nil)
	end, peer := net.Pipe()
	l.Listener.(pipes).server <- end
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(peer, lineHeader[:30])
		sent <- err
	}()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	if n, err := c.Read(buf); n != 0 || err == nil {
		t.Fatalf("read %d bytes, error %v; want the deadline", n, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("HTTP/1.1 408")); err == nil {
		t.Error("answered a peer that has not shown its header")
	}
	if got := c.RemoteAddr(); got != end.RemoteAddr() {
		t.Errorf("address before the header = %v", got)
	}
	go func() {
		_, err := io.WriteString(peer, lineHeader[30:]+"abcde")
		sent <- errors.Join(err, peer.Close())
	}()
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "abcde" || err != nil {
		t.Errorf("read %q, error %v", got, err)
	}
	if got := c.RemoteAddr().String(); got != "192.0.2.7:56284" {
		t.Errorf("address = %v", got)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestProxiedKeepsWhatTheSocketCan: what Listener asks a connection for is there.
func TestProxiedKeepsWhatTheSocketCan(t *testing.T) {
	l := listen.Proxied(mustListen(t, "127.0.0.1:0"), nil)
	peer := say(t, l.Addr(), binaryHeader+"x")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var read, other error
	var group = make(chan struct{})
	go func() { // as fasthttp, the timeouts and a log may: at the same time
		defer close(group)
		_ = c.RemoteAddr().String()
		below := c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
		other = errors.Join(c.SetDeadline(time.Now().Add(time.Minute)), below.SetLinger(0), below.CloseWrite())
	}()
	_, read = io.ReadFull(c, make([]byte, 1))
	<-group
	if err := errors.Join(read, other); err != nil {
		t.Error(err)
	}
	if got := ended(t, peer); got != "" {
		t.Errorf("received %q, want the end", got)
	}
}

// TestProxiedBodiesAreWhole sends bodies in requests one behind the other, the
// first in one piece with the header.
func TestProxiedBodiesAreWhole(t *testing.T) {
	l := opened(listen.Proxied(mustListen(t, "127.0.0.1:0"), nil), listen.Timeouts{})
	serveOn(t, l, echo)
	checkEcho(t, func() net.Conn { return say(t, l.Addr(), "") }, lineHeader)
}

// echo answers the request's body.
func echo(ctx *fasthttp.RequestCtx) { ctx.SetBody(ctx.PostBody()) }

// checkEcho sends pipelined requests with bodies from nothing to a megabyte, and
// compares what comes back. The prefix goes out with the first of them.
func checkEcho(t *testing.T, dial func() net.Conn, prefix string) {
	t.Helper()
	c := dial()
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, size := range []int{0, 1, 1000, 4095, 4096, 4097, 16 << 10, 100_000, 1 << 20, 3} {
		text := fmt.Sprintf("%d:", size)
		bodies = append(bodies, strings.Repeat(text, size/len(text)+1)[:size])
	}
	sent := make(chan error, 1)
	go func() {
		var all strings.Builder
		all.WriteString(prefix)
		for i, body := range bodies {
			last := ""
			if i == len(bodies)-1 {
				last = "Connection: close\r\n"
			}
			fmt.Fprintf(&all, "POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", last, len(body), body)
		}
		_, err := io.WriteString(c, all.String())
		sent <- err
	}()
	b := newBrowser(t, c)
	for i, body := range bodies {
		resp, got := b.receive()
		if resp.StatusCode != 200 || got != body {
			t.Fatalf("answer %d: %d with %d bytes, want 200 with the %d sent", i, resp.StatusCode, len(got), len(body))
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}
