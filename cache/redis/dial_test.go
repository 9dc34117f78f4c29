package redis

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// TestWhoseCertificate: a server may prove that it is the host that is dialled, the one
// as which it is known, or one of the URL; no other will do.
func TestWhoseCertificate(t *testing.T) {
	ca := testkit.NewAuthority(t, "redis")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.Pair("node2")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client says what came of it
			_ = conn.Close()
		}
	}()
	f := func(what, serverName, known string, names []string, want bool) {
		t.Helper()
		c := Config{TLS: func() (*tls.Config, error) {
			return &tls.Config{RootCAs: ca.Pool(), ServerName: serverName}, nil
		}}
		dial := c.dialSecure(&tls.Config{ServerName: "seed"}, names)
		conn, err := dial(t.Context(), listener.Addr().String(), &net.Dialer{Timeout: 10 * time.Second}, knownAs(known, &tls.Config{ServerName: "seed"}))
		if (err == nil) != want {
			t.Errorf("%s: got %v", what, err)
		}
		if err == nil {
			_ = conn.Close()
		} else if mends(err) == "" {
			t.Errorf("%s: %v does not say what mends it", what, err)
		}
	}
	f("an address of which the certificate knows nothing", "", "127.0.0.1:1", []string{"seed"}, false)
	f("a node that is known by its name", "", "node2:1", []string{"seed"}, true)
	f("a host of the URL", "", "127.0.0.1:1", []string{"seed", "node2"}, true)
	f("a name that is configured", "node2", "127.0.0.1:1", []string{"seed"}, true)
	f("another one that is configured", "node3", "node2:1", []string{"node2"}, false)
}
