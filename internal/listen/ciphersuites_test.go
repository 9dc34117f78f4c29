package listen_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
)

// TestSuites asks with each suite of TLS 1.2 that there is: those that encrypt and
// authenticate in one, under a key of this connection alone, are taken, and no
// other.
func TestSuites(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	l := opened(files.load().Listener(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: time.Minute})
	serveOn(t, l, func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString(tls.CipherSuiteName(ctx.TLSConnectionState().CipherSuite))
	})
	taken := 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] > tls.VersionTLS12 {
			continue
		}
		good := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_CHACHA20_"))
		got, _, err := ask(t, l.Addr(), &tls.Config{
			RootCAs: servers.Pool(), ServerName: "hearth.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID},
		})
		switch {
		case err == nil && (!good || got != suite.Name):
			t.Errorf("%s: answered %q", suite.Name, got)
		case err == nil:
			taken++
		}
	}
	if taken < 3 { // those for the kind of key that the certificate has
		t.Errorf("%d suites are taken, want 3", taken)
	}
	if got, _, err := ask(t, l.Addr(), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"}); err != nil || !strings.HasPrefix(got, "TLS_AES_") {
		t.Errorf("TLS 1.3: answered %q, %v", got, err)
	}
}
