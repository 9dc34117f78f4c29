package handlers

import (
	"bufio"
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

// trusting is proxies with the networks of a test's balancers.
func trusting(cidrs ...string) *proxies {
	var list []netip.Prefix
	for _, c := range cidrs {
		list = append(list, netip.MustParsePrefix(c))
	}
	return newProxies(list)
}

// addr parses an address; "" is the zero Addr, a unix socket's.
func addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

// lines are header lines as fasthttp hands them over.
func lines(texts ...string) (all [][]byte) {
	for _, t := range texts {
		all = append(all, []byte(t))
	}
	return all
}

func TestClient(t *testing.T) {
	trusted := trusting("10.0.0.0/8", "fd00::/8", "::ffff:192.0.2.0/120")
	nobody := trusting()
	f := func(p *proxies, peer, want string, forwarded ...string) {
		t.Helper()
		got, foreign := p.client(addr(peer), lines(forwarded...))
		if got != addr(want) {
			t.Errorf("peer %q, list %q: client %v, want %q", peer, forwarded, got, want)
		}
		if wantForeign := len(forwarded) > 0 && !p.trusts(addr(peer)); foreign != wantForeign {
			t.Errorf("peer %q, list %q: foreign %v, want %v", peer, forwarded, foreign, wantForeign)
		}
	}
	// No proxy is trusted: what a peer says of others does not count.
	f(nobody, "203.0.113.9", "203.0.113.9")
	f(nobody, "203.0.113.9", "203.0.113.9", "198.51.100.1")
	f(nobody, "10.0.0.1", "10.0.0.1", "198.51.100.1")
	f(nobody, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "198.51.100.1")
	f(trusted, "203.0.113.9", "203.0.113.9", "198.51.100.1")

	// One proxy that appends, and a client that brought a header of its own.
	f(trusted, "10.0.0.1", "198.51.100.1", "198.51.100.1")
	f(trusted, "10.0.0.1", "198.51.100.1", "8.8.8.8, 198.51.100.1")
	f(trusted, "10.0.0.1", "198.51.100.1", "8.8.8.8", "198.51.100.1")
	f(trusted, "10.0.0.1", "198.51.100.1", "10.0.0.7, 198.51.100.1")
	f(trusted, "10.0.0.1", "198.51.100.1", "unknown, <script>, ,,, 198.51.100.1")
	f(trusted, "fd00::1", "198.51.100.1", "198.51.100.1")
	f(trusted, "192.0.2.77", "198.51.100.1", "198.51.100.1") // trusted as a mapped network

	// Several proxies; some write a line of their own.
	f(trusted, "10.0.0.1", "198.51.100.1", "8.8.8.8, 198.51.100.1, 10.0.0.3,10.0.0.2")
	f(trusted, "10.0.0.1", "198.51.100.1", "8.8.8.8, 198.51.100.1", "10.0.0.3", "fd00::7")
	f(trusted, "10.0.0.1", "198.51.100.1", "198.51.100.1, ::ffff:10.0.0.3")
	// A request that began inside: the leftmost.
	f(trusted, "10.0.0.1", "10.0.0.9", "10.0.0.9, 10.0.0.3", "10.0.0.2")
	// The proxy was told nothing, or writes nothing.
	f(trusted, "10.0.0.1", "10.0.0.1")
	f(trusted, "10.0.0.1", "10.0.0.1", "")
	f(trusted, "10.0.0.1", "10.0.0.1", " , ,", ",")

	// Through a unix socket.
	f(nobody, "", "")
	f(nobody, "", "", "")
	f(nobody, "", "198.51.100.1", "8.8.8.8, 198.51.100.1")
	f(nobody, "", "10.0.0.9", "198.51.100.1, 10.0.0.9")
	f(nobody, "", "", "unknown")
	f(trusted, "", "198.51.100.1", "198.51.100.1, 10.0.0.9")
}

// TestClientElements reads every way in which proxies write an address, and
// stops at what is none: then the last trusted hop is the client.
func TestClientElements(t *testing.T) {
	p := trusting("10.0.0.0/8")
	f := func(element, want string) {
		t.Helper()
		got, _ := p.client(addr("10.0.0.1"), lines("8.8.8.8, "+element+", 10.0.0.2"))
		if want == "" {
			want = "10.0.0.2"
		}
		if got != addr(want) {
			t.Errorf("element %q: client %v, want %s", element, got, want)
		}
		if got, _ := p.client(addr("10.0.0.1"), lines(element)); want == "10.0.0.2" && got != addr("10.0.0.1") {
			t.Errorf("element %q alone: client %v, want the peer", element, got)
		}
	}
	f("198.51.100.1", "198.51.100.1")
	f("\t198.51.100.1 \t", "198.51.100.1")
	f("198.51.100.1:5678", "198.51.100.1")
	f("198.51.100.1:0", "198.51.100.1")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")
	f("2001:DB8::1", "2001:db8::")
	f("[2001:db8::1]", "2001:db8::")
	f("[2001:db8::1]:65535", "2001:db8::")
	f("[::1]:80", "::")
	f("::1:80", "::") // an address, whatever was meant
	f("fe80::1%eth0", "fe80::")
	f("[fe80::1%25eth0]:80", "fe80::")
	f("::ffff:198.51.100.1", "198.51.100.1")
	f("[::ffff:198.51.100.1]:80", "198.51.100.1")
	f("0000:0000:0000:0000:0000:ffff:198.151.100.101", "198.151.100.101")

	for _, garbage := range []string{
		"unknown", "_hidden", "_SEVKISEK", "example.org", "-", "*", "1.2.3", "1.2.3.4.5", "256.1.1.1", "010.1.1.1",
		"198.51.100.1:", "198.51.100.1:x", "198.51.100.1:123456", "198.51.100.1:65536", "198.51.100.1:-1", "198.51.100.1:80:80", ":80", "80",
		"[", "]", "[]", "[]:80", "[::1", "::1]", "[::1]80", "[::1]:", "[::1]:x", "[198.51.100.1]", "[198.51.100.1]:80", "[[::1]]",
		"::1::", ":::", "2001:db8", "198.51.100.1%eth0", "%eth0", "%", `"198.51.100.1"`, `for=198.51.100.1`, "198.51.100.1 198.51.100.2",
		"198.51.100.1;10.0.0.1", "198.51.100.0/24", "\x00", "\xff\xfe", "１.2.3.4", strings.Repeat("1", 5000), strings.Repeat(":", 46),
	} {
		f(garbage, "")
	}
}

func TestClientLooksAtSoManyElements(t *testing.T) {
	p := trusting("10.0.0.0/8")
	hops := func(n int) string { return strings.Repeat("10.0.0.2, ", n-1) + "10.0.0.2" }
	f := func(want string, forwarded ...string) {
		t.Helper()
		if got, _ := p.client(addr("10.0.0.1"), lines(forwarded...)); got != addr(want) {
			t.Errorf("%d lines of %d bytes: client %v, want %s", len(forwarded), len(forwarded[0]), got, want)
		}
	}
	f("198.51.100.1", "198.51.100.1, "+hops(maxHops-1))
	f("10.0.0.2", "198.51.100.1, "+hops(maxHops))
	f("10.0.0.2", "198.51.100.1", hops(maxHops))
	f("10.0.0.1", "198.51.100.1"+strings.Repeat(",", maxHops))
	f("10.0.0.1", append([]string{"198.51.100.1"}, make([]string, maxHops)...)...)
}

// TestClientOfRequests takes the header out of requests as they come in.
func TestClientOfRequests(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IP{10, 0, 0, 1}, Port: 4711}
	f := func(p *proxies, peer net.Addr, want string, foreign bool, raw string) {
		t.Helper()
		var req fasthttp.Request
		if err := req.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		var ctx fasthttp.RequestCtx
		ctx.Init(&req, peer, nil)
		got, gotForeign := p.clientOf(ctx.RemoteAddr(), &ctx.Request.Header)
		if got != addr(want) || gotForeign != foreign {
			t.Errorf("%q from %v: client %v, foreign %v; want %q, %v", raw, peer, got, gotForeign, want, foreign)
		}
	}
	const get = "GET / HTTP/1.1\r\nHost: hearth.test\r\n"
	p := trusting("10.0.0.0/8")
	f(p, peer, "10.0.0.1", false, get+"\r\n")
	f(p, peer, "198.51.100.1", false, get+"x-forwarded-for: 8.8.8.8\r\nVia: x\r\nX-FORWARDED-FOR:198.51.100.1\r\n\r\n")
	f(p, peer, "10.0.0.1", false, get+"X_Forwarded_For: 8.8.8.8\r\nForwarded: for=8.8.8.8\r\nX-Real-IP: 8.8.8.8\r\n\r\n")
	f(trusting(), peer, "10.0.0.1", true, get+"X-Forwarded-For: 8.8.8.8\r\n\r\n")
	f(trusting(), peer, "10.0.0.1", false, get+"\r\n")
	f(trusting(), &net.UnixAddr{Net: "unix"}, "198.51.100.1", false, get+"X-Forwarded-For: 198.51.100.1\r\n\r\n")
	// An address of a kind that nobody knows is not trusted.
	f(trusting(), &net.UDPAddr{IP: net.IP{10, 0, 0, 1}}, "0.0.0.0", true, get+"X-Forwarded-For: 8.8.8.8\r\n\r\n")
	f(trusting(), &net.TCPAddr{}, "0.0.0.0", false, get+"\r\n")
}

// TestTrailersAreNoHeaders: a client writes its trailers behind the header in
// which the proxies have appended, and fasthttp hands out both together.
func TestTrailersAreNoHeaders(t *testing.T) {
	read := func(announced, trailer string) (*fasthttp.Request, error) {
		var req fasthttp.Request
		return &req, req.Read(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: hearth.test\r\n" +
			"X-Forwarded-For: 198.51.100.1\r\nTransfer-Encoding: chunked\r\n" + announced + "\r\n0\r\n" + trailer + "\r\n")))
	}
	if req, err := read("", "X-Other: 8.8.8.8\r\n"); err != nil || len(req.Header.PeekAll("X-Other")) == 0 {
		t.Fatalf("another trailer: error %v, lines %q; want it among the headers", err, req.Header.PeekAll("X-Other"))
	}
	for _, announced := range []string{"", "Trailer: X-Forwarded-For\r\n"} {
		if req, err := read(announced, "X-Forwarded-For: 8.8.8.8\r\n"); err == nil {
			t.Errorf("announced by %q: accepted, with the lines %q", announced, req.Header.PeekAll(nameForwardedFor))
		}
	}
}

// TestPeersOfRealSockets: what the net package calls the other end.
func TestPeersOfRealSockets(t *testing.T) {
	f := func(network, address, want string) {
		t.Helper()
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial(network, strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if got := peerOf(server.RemoteAddr()); got != addr(want) {
			t.Errorf("%s %s: peer %v, want %q", network, address, got, want)
		}
	}
	f("tcp", "127.0.0.1:0", "127.0.0.1")
	f("unix", filepath.Join(t.TempDir(), "s.sock"), "")
	f("tcp", ":0", "127.0.0.1") // over IPv6 the kernel says ::ffff:127.0.0.1
}

// TestForeignHeadersAreWarnedOf on a fake clock: one line per minute, however
// many requests there are.
func TestForeignHeadersAreWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newUntrustedLog(slog.New(slog.NewTextHandler(&log, nil)))
		peer := &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 80}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 1500 {
			f.warn(peer)
			<-tick.C
		}
		if got := strings.Count(log.String(), "\n"); got != 3 {
			t.Errorf("lines in 150 s = %d, want 3", got)
		}
		for _, want := range []string{"server.trusted_proxies", "peer=2001:db8::7", "requests=1\n", "requests=601\n", "requests=1201\n"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}
