package listen_test

import (
	"bytes"
	"crypto/tls"
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

// secure begins TLS on a connection; the handshake has a deadline.
func secure(t *testing.T, c net.Conn, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	session := tls.Client(c, config)
	t.Cleanup(func() { _ = session.Close() })
	return session, session.Handshake()
}

func mustSecure(t *testing.T, c net.Conn, config *tls.Config) *tls.Conn {
	t.Helper()
	session, err := secure(t, c, config)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// ask sends a request over TLS, and returns the answer's body and the state of
// the connection after it, when tickets have come.
func ask(t *testing.T, addr net.Addr, config *tls.Config) (string, tls.ConnectionState, error) {
	t.Helper()
	session, err := secure(t, say(t, addr, ""), config)
	if err != nil {
		return "", tls.ConnectionState{}, err
	}
	if _, err := io.WriteString(session, lastRequest); err != nil {
		return "", tls.ConnectionState{}, err
	}
	answer, err := io.ReadAll(session)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body, session.ConnectionState(), err
}

func TestTLS(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	certs := files.load()
	l := opened(certs.Listener(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute})
	serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
		state := ctx.TLSConnectionState()
		if !ctx.IsTLS() || state == nil || !state.HandshakeComplete {
			ctx.SetBodyString("no TLS")
			return
		}
		echo(ctx)
		if len(ctx.PostBody()) == 0 && ctx.IsGet() {
			ctx.SetBodyString(tls.VersionName(state.Version) + " " + state.NegotiatedProtocol)
		}
	})
	config := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test", NextProtos: []string{"h2", "http/1.1"}}
		change(c)
		return c
	}
	good := func(want string, c *tls.Config) {
		t.Helper()
		if got, _, err := ask(t, l.Addr(), c); got != want || err != nil {
			t.Errorf("answered %q, error %v; want %q", got, err, want)
		}
	}
	bad := func(why string, c *tls.Config) {
		t.Helper()
		if got, _, err := ask(t, l.Addr(), c); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("answered %q, error %v; want %q", got, err, why)
		}
	}
	good("TLS 1.3 http/1.1", config(func(*tls.Config) {}))
	good("TLS 1.2 http/1.1", config(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
	good("TLS 1.3 ", config(func(c *tls.Config) { c.NextProtos = nil }))
	bad("version", config(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }))
	bad("no application protocol", config(func(c *tls.Config) { c.NextProtos = []string{"h2"} }))
	checkEcho(t, func() net.Conn { return mustSecure(t, say(t, l.Addr(), ""), config(func(*tls.Config) {})) }, "")
	// Who speaks HTTP without TLS gets an alert, and no HTTP.
	if got := ended(t, say(t, l.Addr(), lastRequest)); strings.Contains(got, "HTTP") {
		t.Errorf("without TLS: answered %q", got)
	}
}

// TestPlainConnectionsAreNoTLS: the wrapper must not make them look like it.
func TestPlainConnectionsAreNoTLS(t *testing.T) {
	l := opened(mustListen(t, "127.0.0.1:0"), listen.Timeouts{})
	serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
		if ctx.IsTLS() || ctx.TLSConnectionState() != nil {
			ctx.SetBodyString("TLS")
		}
	})
	if got := ended(t, say(t, l.Addr(), lastRequest)); !strings.HasPrefix(got, "HTTP/1.1 200") || strings.HasSuffix(got, "TLS") {
		t.Errorf("answered %q", got)
	}
}

// TestTLSBehindProxy has all layers in their order.
func TestTLSBehindProxy(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	inner := listen.Proxied(listen.Retrying(mustListen(t, "127.0.0.1:0"), quiet()), nil)
	l := opened(files.load().Listener(inner), listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute})
	serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
		if ctx.RemoteAddr().String() != "192.0.2.7:56284" || !ctx.IsTLS() {
			t.Errorf("client %v, TLS %v", ctx.RemoteAddr(), ctx.IsTLS())
		}
		echo(ctx)
	})
	config := &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"}
	checkEcho(t, func() net.Conn { return mustSecure(t, say(t, l.Addr(), lineHeader), config) }, "")
}

// TestSlowHandshakesAreCut: whoever does not get on with TLS has no more time
// than for a request, and holds up nobody.
func TestSlowHandshakesAreCut(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	l := opened(files.load().Listener(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: 300 * time.Millisecond, Write: 300 * time.Millisecond})
	serveOn(t, l, whoAmI)
	silent, half := say(t, l.Addr(), ""), say(t, l.Addr(), "\x16\x03\x01\x02\x00\x01")
	if _, _, err := ask(t, l.Addr(), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"}); err != nil {
		t.Error(err)
	}
	for _, c := range []net.Conn{silent, half} {
		if got := ended(t, c); strings.Contains(got, "HTTP") {
			t.Errorf("answered %q", got)
		}
	}
}

// TestRefusalsOverTLS: beyond the limit the refusal comes after a handshake.
func TestRefusalsOverTLS(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	l := serveLimited(t, files.load().Listener(mustListen(t, "127.0.0.1:0")), listen.Limit{Conns: 1, Refusals: [][]byte{refusal(1)}})
	config := &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"}
	inside := newBrowser(t, mustSecure(t, say(t, l.Addr(), ""), config))
	inside.wantHello()
	if got, err := io.ReadAll(mustSecure(t, say(t, l.Addr(), ""), config)); !bytes.Equal(got, refusal(1)) || err != nil {
		t.Errorf("received %q, error %v; want the refusal", got, err)
	}
	inside.wantHello()
}

func TestMutualTLSAndReload(t *testing.T) {
	servers, others := newAuthority(t, "servers"), newAuthority(t, "other servers")
	alice, bob := newAuthority(t, "alice's"), newAuthority(t, "bob's")
	files := newCertFiles(t)
	files.pair(servers.leaf("first", time.Hour))
	files.clients(alice, bob)
	certs := files.load()
	l := opened(certs.Listener(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: time.Minute})
	serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString(ctx.TLSConnectionState().PeerCertificates[0].Subject.CommonName)
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		files.pair(servers.leaf("first", time.Hour))
		files.clients(alice, bob)
		if err := certs.Reload(files.TLSFiles); err != nil {
			t.Fatal(err)
		}
		keep := func(c *tls.Config) *tls.Config {
			c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
			return c
		}
		a, b := keep(alice.client(servers, "alice")), keep(bob.client(servers, "bob"))
		good := func(c *tls.Config, name, server string, resumed bool) {
			t.Helper()
			got, state, err := ask(t, l.Addr(), c)
			if err != nil || got != name || state.DidResume != resumed || state.PeerCertificates[0].Subject.CommonName != server {
				t.Errorf("%s: answered %q, error %v, resumed: %v; want %q, resumed: %v", tls.VersionName(version), got, err, state.DidResume, name, resumed)
			}
		}
		bad := func(c *tls.Config) {
			t.Helper()
			if got, _, err := ask(t, l.Addr(), c); err == nil {
				t.Errorf("%s: answered %q, want an alert", tls.VersionName(version), got)
			}
		}
		bad(&tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test", MaxVersion: version}) // no certificate
		bad(keep(others.client(servers, "mallory")))
		good(a, "alice", "first", false)
		good(a, "alice", "first", true)
		good(b, "bob", "first", false)
		good(b, "bob", "first", true)

		// Accepted before the reload, and still without a word: belongs to after it.
		early := say(t, l.Addr(), "")
		awaitOpen(t, l, 1)
		files.pair(servers.leaf("second", time.Hour))
		files.clients(alice)
		if err := certs.Reload(files.TLSFiles); err != nil {
			t.Fatal(err)
		}
		if session, err := secure(t, early, b); err == nil {
			if _, err = session.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: bob's early connection outlived the reload: %v", tls.VersionName(version), err)
			}
		}
		bad(b)
		good(a, "alice", "second", false)
		good(a, "alice", "second", true)
	}
}

// awaitOpen waits until so many connections are open.
func awaitOpen(t *testing.T, l *listen.Listener, n int) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "connections are open", func() bool { return l.Conns() == n })
}
