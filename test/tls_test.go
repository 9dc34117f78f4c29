package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// secured is an instance whose public listener is a TCP port with TLS, and the
// files that [server.tls] names.
type secured struct {
	*launch.Instance
	t  *testing.T
	ca *testkit.Authority // of the server's certificate

	cert, key, clientCA string // paths
}

const securedName = "hearth.test"

// securedConfig has a cache_control by which answers tell which file is served.
const securedConfig = `
[server]
drain = "300ms"
[server.tls]
cert = %q
key = %q
%s
` + demoUsers + `cache_control = "max-age=%d"
`

// startSecured starts one. With clients, those who connect need a certificate
// that it has signed.
func startSecured(t *testing.T, clients *testkit.Authority) *secured {
	t.Helper()
	dir := t.TempDir()
	s := &secured{
		t: t, ca: testkit.NewAuthority(t, "servers"),
		cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
	}
	cert, key := s.ca.Issue(securedName, time.Hour)
	write(t, s.cert, cert)
	write(t, s.key, key)
	if clients != nil {
		s.clientCA = filepath.Join(dir, "clients.pem")
		write(t, s.clientCA, clients.PEM())
	}
	s.Instance = launch.Program{Config: s.config(1), Public: launch.Port}.Ready(t)
	return s
}

// config is the configuration whose answers say max-age=age.
func (s *secured) config(age int) string {
	clients := ""
	if s.clientCA != "" {
		clients = fmt.Sprintf("client_ca = %q", s.clientCA)
	}
	return fmt.Sprintf(securedConfig, s.cert, s.key, clients, age)
}

// trusting is a client's configuration that trusts the server's authority.
func (s *secured) trusting(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: s.ca.Pool(), ServerName: securedName, NextProtos: []string{"h2", "http/1.1"}, Certificates: certs}
}

// guest is one keep-alive connection over TLS.
type guest struct {
	*tls.Conn
	in *bufio.Reader
}

// visit opens one. In TLS 1.3 a client's own certificate is judged after that:
// only an answer shows that it was let in.
func (s *secured) visit(config *tls.Config) (*guest, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: launch.Patience}, "tcp", s.Public, config)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &guest{conn, bufio.NewReader(conn)}, nil
}

// get returns the answer's status and Cache-Control.
func (g *guest) get() (code int, control string, err error) {
	_ = g.SetDeadline(time.Now().Add(launch.Patience))
	if _, err := fmt.Fprintf(g, "GET /user/1 HTTP/1.1\r\nHost: %s\r\n\r\n", securedName); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(g.in, nil)
	if err != nil {
		return 0, "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("Cache-Control"), errors.Join(err, resp.Body.Close())
}

// ask asks once on a connection of its own. The state's certificates are what
// was served, err says that nobody has answered.
func (s *secured) ask(config *tls.Config) (code int, control string, state tls.ConnectionState, err error) {
	g, err := s.visit(config)
	if err != nil {
		return 0, "", state, err
	}
	defer func() { _ = g.Close() }()
	code, control, err = g.get()
	return code, control, g.ConnectionState(), err
}

// served returns the certificate and the Cache-Control that a new connection gets.
func (s *secured) served() (cert *x509.Certificate, control string) {
	s.t.Helper()
	code, control, state, err := s.ask(s.trusting())
	if err != nil || code != http.StatusOK {
		s.t.Fatalf("answered %d, error %v", code, err)
	}
	return state.PeerCertificates[0], control
}

// expiry is what the metric of that name says.
func (s *secured) expiry() int64 {
	s.t.Helper()
	return int64(s.Metric("hearth_tls_certificate_expiry_timestamp_seconds"))
}

// TestTLS connects with what clients are limited to, and without TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := startSecured(t, nil)
	for _, row := range []struct {
		name     string
		limit    func(c *tls.Config)
		version  uint16 // 0: refused
		protocol string
	}{
		{"as it is", func(*tls.Config) {}, tls.VersionTLS13, "http/1.1"},
		{"at most 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12, "http/1.1"},
		{"without ALPN", func(c *tls.Config) { c.NextProtos = nil }, tls.VersionTLS13, ""},
		{"at most 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0, ""},
		{"HTTP/2 only", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, 0, ""},
		{"trusting another authority", func(c *tls.Config) { c.RootCAs = testkit.NewAuthority(t, "another").Pool() }, 0, ""},
		{"of another name", func(c *tls.Config) { c.ServerName = "another.test" }, 0, ""},
	} {
		config := s.trusting()
		row.limit(config)
		code, _, state, err := s.ask(config)
		switch {
		case row.version == 0 && err == nil:
			t.Errorf("a client %s is answered %d", row.name, code)
		case row.version == 0:
		case err != nil || code != http.StatusOK:
			t.Errorf("a client %s is answered %d, error %v", row.name, code, err)
		case state.Version != row.version || state.NegotiatedProtocol != row.protocol:
			t.Errorf("a client %s speaks %s, %q", row.name, tls.VersionName(state.Version), state.NegotiatedProtocol)
		}
	}
	cert, _ := s.served()
	if got, want := s.expiry(), cert.NotAfter.Unix(); got != want {
		t.Errorf("the metric says that the certificate ends at %d, want %d", got, want)
	}
	plain := http.Client{Timeout: launch.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := plain.Get("http://" + s.Public + "/user/1"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("without TLS the answer is %d", resp.StatusCode)
	}
}

// TestCertificatesAreReplaced renews the files step by step, as a tool does that
// writes one after the other: half of a renewal changes nothing at all, not even
// what else the file of the configuration says.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	s := startSecured(t, nil)
	before, _ := s.served()
	open, err := s.visit(s.trusting())
	must(t, err)
	goesOn := func(want string) {
		t.Helper()
		code, control, err := open.get()
		if err != nil || code != http.StatusOK || control != want {
			t.Errorf("on the connection of before: %d, Cache-Control %q, error %v; want 200 and %q", code, control, err, want)
		}
	}
	goesOn("max-age=1")

	cert, key := s.ca.Issue(securedName, 2*time.Hour)
	write(t, s.cert, cert)
	s.Configure(s.config(2))
	s.Reload("failed")
	if now, control := s.served(); !now.Equal(before) || control != "max-age=1" {
		t.Errorf("with a key that does not fit: certificate %v and %q are served", now.SerialNumber, control)
	}
	if got, want := s.expiry(), before.NotAfter.Unix(); got != want {
		t.Errorf("with a key that does not fit the metric says %d, want %d", got, want)
	}
	goesOn("max-age=1")

	write(t, s.key, key)
	s.Reload("ok")
	after, control := s.served()
	if after.Equal(before) || control != "max-age=2" {
		t.Errorf("with both files replaced: certificate %v and %q are served", after.SerialNumber, control)
	}
	if got, want := s.expiry(), after.NotAfter.Unix(); got != want || want == before.NotAfter.Unix() {
		t.Errorf("with both files replaced the metric says %d, want %d", got, want)
	}
	goesOn("max-age=2")
}

// TestClientCertificates: clients with a certificate of client_ca are let in. When
// another authority takes its place they are refused, also with a ticket of an earlier
// session.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			old, next := testkit.NewAuthority(t, "old clients"), testkit.NewAuthority(t, "next clients")
			s := startSecured(t, old)
			with := func(certs ...tls.Certificate) *tls.Config {
				c := s.trusting(certs...)
				c.MaxVersion = version
				return c
			}
			expect := func(name string, config *tls.Config, want int) (resumed bool) {
				t.Helper()
				code, _, state, err := s.ask(config)
				if code != want || (err == nil) != (want == http.StatusOK) {
					t.Errorf("a client %s is answered %d, error %v, want %d", name, code, err, want)
				}
				return state.DidResume
			}
			expect("without a certificate", with(), 0)
			expect("of another authority", with(next.Pair("client")), 0)
			returning := with(old.Pair("client"))
			returning.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			if expect("of the authority", returning, http.StatusOK) {
				t.Error("the first session is resumed")
			}
			if !expect("with a ticket", returning, http.StatusOK) {
				t.Error("the second session is not resumed, so a ticket that is refused would prove nothing")
			}
			inside, err := s.visit(with(old.Pair("client")))
			must(t, err)
			if code, _, err := inside.get(); err != nil || code != http.StatusOK {
				t.Fatalf("answered %d, error %v", code, err)
			}

			write(t, s.clientCA, next.PEM())
			s.Reload("ok")
			expect("with a ticket of an authority that is gone", returning, 0)
			expect("of an authority that is gone", with(old.Pair("client")), 0)
			expect("of the next authority", with(next.Pair("client")), http.StatusOK)
			if code, _, err := inside.get(); err != nil || code != http.StatusOK {
				t.Errorf("who was inside before is answered %d, error %v", code, err)
			}
		})
	}
}

// sent is what became of one request: whether any byte of it has left the client,
// on whatever connection of however many a Go client has tried.
func (s *secured) sent(client *http.Client) (sent bool, err error) {
	trace := &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { sent = true }}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.Public+"/user/1", nil)
	if err != nil {
		return false, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return sent, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return sent, errors.Join(err, resp.Body.Close())
}

// TestDrainOverTLS ends the server under load on kept connections: what was sent
// is answered. A client ends when it cannot connect any more.
func TestDrainOverTLS(t *testing.T) {
	t.Parallel()
	s := startSecured(t, nil)
	var answered, lost atomic.Int64
	var ending atomic.Bool
	var first atomic.Value
	var clients sync.WaitGroup
	for range 8 {
		client := &http.Client{Timeout: launch.Patience, Transport: &http.Transport{TLSClientConfig: s.trusting()}}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for {
				sent, err := s.sent(client)
				if err == nil {
					answered.Add(1)
					continue
				}
				if sent || !ending.Load() {
					lost.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
				return
			}
		})
	}
	await(t, "requests are answered", func() bool { return answered.Load() > 200 || lost.Load() > 0 })
	ending.Store(true)
	before := answered.Load()
	s.Signal(syscall.SIGTERM)
	clients.Wait()
	if got := s.Wait(); got != 0 {
		t.Errorf("the server ended with %#x", int(got))
	}
	if n := lost.Load(); n > 0 {
		t.Errorf("%d requests were lost, first: %v", n, first.Load())
	}
	if answered.Load() == before {
		t.Error("nothing was answered after SIGTERM, although server.drain is not over")
	}
	t.Logf("%d requests answered, %d of them after SIGTERM", answered.Load(), answered.Load()-before)
}
