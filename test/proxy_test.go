package test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit/launch"
)

// proxiedConfig counts each client apart, so that a second request of the same one
// is refused, and logs every request.
const proxiedConfig = `
[server]
drain = "0s"
proxy_protocol = true
trusted_proxies = [%s]
[log]
access_sample = 1
[[limit]]
name = "each"
paths = ["/*"]
by = "client"
rate = "1/h"
` + demoUsers

// proxied is an instance that expects the PROXY protocol on a TCP port.
type proxied struct {
	*launch.Instance
	t *testing.T
}

// startProxied starts one that trusts these networks, a list as in the file.
func startProxied(t *testing.T, trusted string) *proxied {
	t.Helper()
	awaitNewHour(t)
	return &proxied{launch.Program{Config: fmt.Sprintf(proxiedConfig, trusted), Public: launch.Port}.Ready(t), t}
}

// peer is a connection from an address of this machine.
type peer struct {
	net.Conn
	in *bufio.Reader
}

// dial connects from an address and begins with what is given.
func (p *proxied) dial(from, header string) *peer {
	p.t.Helper()
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	conn, err := (&net.Dialer{LocalAddr: local, Timeout: launch.Patience}).Dial("tcp", p.Public)
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(launch.Patience))
	if _, err := io.WriteString(conn, header); err != nil {
		p.t.Fatal(err)
	}
	return &peer{conn, bufio.NewReader(conn)}
}

// errHungUp says that the connection was closed without one byte of an answer.
var errHungUp = errors.New("closed without an answer")

// get asks once more; fields are lines of the request's header.
func (c *peer) get(path, fields string) (code int, err error) {
	// Whether the server has closed already is told by reading.
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, fields)
	if _, err := c.in.Peek(1); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return 0, errHungUp
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// clients returns the clients that the access log names for a path, one for each
// request, once there are n.
func (p *proxied) clients(path string, n int) (all []string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%d requests for %s are logged", n, path), func() bool {
		all = nil
		for line := range strings.Lines(p.Logs()) {
			if _, rest, ok := strings.Cut(line, " client="); ok && strings.Contains(line, " path="+path+" ") {
				client, _, _ := strings.Cut(rest, " ")
				all = append(all, client)
			}
		}
		return len(all) >= n
	})
	return all
}

// headerV1 and headerV2 name a client by the PROXY protocol's versions 1 and 2.
func headerV1(client string) string {
	return "PROXY TCP4 " + client + " 192.0.2.1 40000 80\r\n"
}

const signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"

func headerV2(client string) string {
	source := netip.MustParseAddr(client)
	target, family := netip.MustParseAddr("192.0.2.1"), byte(0x11)
	if source.Is6() {
		target, family = netip.MustParseAddr("2001:db8::1"), 0x21
	}
	addresses := append(source.AsSlice(), target.AsSlice()...)
	b := append([]byte(signatureV2), 0x21, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(addresses)+4))
	b = append(b, addresses...)
	return string(append(b, 0x9c, 0x40, 0, 80))
}

// localV2 is what a balancer sends before a health check of its own.
const localV2 = signatureV2 + "\x20\x00\x00\x00"

// TestProxyProtocol tells by limit and log who counts as the client: the address
// in the header of a balancer that is trusted, and nobody else's claim.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	p := startProxied(t, `"127.0.0.1/32", "10.9.0.0/16"`)
	const balancer = "127.0.0.1"
	for i, row := range []struct{ name, from, header, fields, client string }{
		{"version 1", balancer, headerV1("203.0.113.1"), "", "203.0.113.1"},
		{"version 2", balancer, headerV2("203.0.113.2"), "", "203.0.113.2"},
		{"version 2, IPv6", balancer, headerV2("2001:db8:1:2:3::4"), "", "2001:db8:1:2::/64"},
		{"a health check's", balancer, localV2, "", balancer},
		{"not a proxy's, and another claim", balancer, headerV2("203.0.113.3"), "X-Forwarded-For: 198.51.100.1\r\n", "203.0.113.3"},
		{"a proxy's, and a claim", balancer, headerV2("10.9.0.1"), "X-Forwarded-For: 192.0.2.9, 198.51.100.2\r\n", "198.51.100.2"},
		{"none, from elsewhere", "127.0.0.2", "", "", "127.0.0.2"},
		{"none, from elsewhere, and a claim", "127.0.0.3", "", "X-Forwarded-For: 198.51.100.3\r\n", "127.0.0.3"},
	} {
		path := fmt.Sprintf("/user/%d", i+1)
		for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} { // also on a connection of its own
			if code, err := p.dial(row.from, row.header).get(path, row.fields); code != want || err != nil {
				t.Errorf("header: %s: answered %d, error %v, want %d", row.name, code, err, want)
			}
		}
		for _, got := range p.clients(path, 2) {
			if got != row.client {
				t.Errorf("header: %s: the log names %q as the client, want %q", row.name, got, row.client)
			}
		}
	}
}

// TestProxyHeaderIsDemanded refuses balancers that send no header, and headers of
// those who are no balancers.
func TestProxyHeaderIsDemanded(t *testing.T) {
	t.Parallel()
	p := startProxied(t, `"127.0.0.1/32"`)
	refused := func() int { return int(p.Metric("hearth_proxy_refused_total")) }
	for _, row := range []struct {
		name, from, header string
		code               int
		err                error
		refused            int
	}{
		{"a balancer without", "127.0.0.1", "", 0, errHungUp, 1},
		{"a balancer with a broken one", "127.0.0.1", "PROXY TCP4 203.0.113.1 nowhere 1 2\r\n", 0, errHungUp, 1},
		{"a balancer with one cut off by a request", "127.0.0.1", "PROXY TCP4 203.0.113.1", 0, errHungUp, 1},
		{"a health check", "127.0.0.1", localV2, http.StatusOK, nil, 0},
		{"an operator without", "127.0.0.2", "", http.StatusOK, nil, 0},
		{"somebody who pretends", "127.0.0.2", headerV1("203.0.113.1"), http.StatusBadRequest, nil, 0},
	} {
		before := refused()
		code, err := p.dial(row.from, row.header).get("/healthz", "")
		if code != row.code || !errors.Is(err, row.err) {
			t.Errorf("%s: answered %d, error %v, want %d, %v", row.name, code, err, row.code, row.err)
		}
		if got := refused() - before; got != row.refused {
			t.Errorf("%s: counted %d times as refused, want %d", row.name, got, row.refused)
		}
	}
}

// TestTrustedProxiesChange moves the trust to another address by a reload: from then on
// the new address has to send a header and the old one must not, and a connection goes
// on as it began.
func TestTrustedProxiesChange(t *testing.T) {
	t.Parallel()
	p := startProxied(t, `"127.0.0.1/32"`)
	open := p.dial("127.0.0.1", headerV1("203.0.113.1"))
	if code, err := open.get("/user/1", ""); code != http.StatusOK || err != nil {
		t.Fatalf("answered %d, error %v", code, err)
	}
	p.Configure(fmt.Sprintf(proxiedConfig, `"127.0.0.2/32"`))
	p.Reload("ok")
	if code, err := open.get("/user/2", ""); code != http.StatusTooManyRequests || err != nil {
		t.Errorf("on the connection of before: answered %d, error %v, want 429", code, err)
	}
	for i, row := range []struct {
		name, from, header, client string
		code                       int
		err                        error
	}{
		{"the old one, plainly", "127.0.0.1", "", "127.0.0.1", http.StatusOK, nil},
		{"the old one with a header", "127.0.0.1", headerV1("203.0.113.2"), "", http.StatusBadRequest, nil},
		{"the new one, plainly", "127.0.0.2", "", "", 0, errHungUp},
		{"the new one with a header", "127.0.0.2", headerV2("203.0.113.3"), "203.0.113.3", http.StatusOK, nil},
	} {
		path := fmt.Sprintf("/user/%d", 11+i)
		code, err := p.dial(row.from, row.header).get(path, "")
		if code != row.code || !errors.Is(err, row.err) {
			t.Errorf("%s: answered %d, error %v, want %d, %v", row.name, code, err, row.code, row.err)
		}
		if row.client == "" {
			continue
		}
		if got := p.clients(path, 1)[0]; got != row.client {
			t.Errorf("%s: the log names %q as the client, want %q", row.name, got, row.client)
		}
	}
}
