package listen_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// authority signs certificates for the host that all servers here are.
type authority struct {
	*testkit.Authority
	t *testing.T
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	return &authority{testkit.NewAuthority(t, name), t}
}

// leaf is a certificate for server or client, with its key, both PEM.
func (a *authority) leaf(name string, life time.Duration) (cert, key []byte) {
	a.t.Helper()
	c, k := a.Issue(name, life, "hearth.test")
	return []byte(c), []byte(k)
}

// client is the configuration of a client with a certificate of the authority.
func (a *authority) client(servers *authority, name string) *tls.Config {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.leaf(name, time.Hour))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test", Certificates: []tls.Certificate{pair}}
}

// certFiles are the files of [server.tls] in a directory of their own.
type certFiles struct {
	t *testing.T
	listen.TLSFiles
}

func newCertFiles(t *testing.T) *certFiles {
	t.Helper()
	dir := t.TempDir()
	return &certFiles{t, listen.TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
}

func (f *certFiles) write(file string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *certFiles) pair(cert, key []byte) {
	f.t.Helper()
	f.write(f.Cert, cert)
	f.write(f.Key, key)
}

// clients demands certificates of these authorities.
func (f *certFiles) clients(all ...*authority) {
	f.t.Helper()
	f.ClientCA = filepath.Join(filepath.Dir(f.Cert), "clients.pem")
	var text []byte
	for _, a := range all {
		text = append(text, a.PEM()...)
	}
	f.write(f.ClientCA, text)
}

func (f *certFiles) load() *listen.Certificates {
	f.t.Helper()
	certs, err := listen.LoadCertificates(f.TLSFiles)
	if err != nil {
		f.t.Fatal(err)
	}
	return certs
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReloadKeepsWhatWorks(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	cert, key := servers.leaf("first", 30*24*time.Hour)
	files.pair(cert, key)
	files.clients(servers)
	certs := files.load()
	expiry := certs.Expiry()
	if got := certs.Warnings(); len(got) != 0 {
		t.Errorf("warnings %q, want none", got)
	}
	other, otherKey := servers.leaf("second", time.Hour)
	old, oldKey := servers.leaf("expired", -time.Minute)
	f := func(name, want, key string, change func(f *certFiles)) {
		t.Helper()
		changed := newCertFiles(t)
		changed.pair(cert, otherKey)
		changed.pair(cert, readFile(t, files.Key))
		changed.clients(servers)
		change(changed)
		err := certs.Reload(changed.TLSFiles)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v, want %q and %q", name, err, want, key)
		}
		if got := certs.Expiry(); got != expiry {
			t.Errorf("%s: the old certificate is gone", name)
		}
	}
	f("no certificate", "no such file", "server.tls.cert", func(f *certFiles) { f.Cert += "x" })
	f("no key", "no such file", "server.tls.key", func(f *certFiles) { f.Key += "x" })
	f("no client CA", "no such file", "server.tls.client_ca", func(f *certFiles) { f.ClientCA += "x" })
	f("half-swapped", "does not match", "server.tls.key", func(f *certFiles) { f.write(f.Cert, other) })
	f("half-written", "1 of 2 PEM blocks are damaged", "server.tls.cert", func(f *certFiles) {
		f.write(f.Cert, append(bytes.Clone(cert), servers.PEM()[:len(servers.PEM())/2]...))
	})
	f("key for certificate", "no certificate", "server.tls.cert", func(f *certFiles) { f.write(f.Cert, otherKey) })
	f("certificate for key", "key", "server.tls.key", func(f *certFiles) { f.write(f.Key, cert) })
	f("empty key", "no PEM block", "server.tls.key", func(f *certFiles) { f.write(f.Key, nil) })
	f("encrypted key", "without a password", "server.tls.key", func(f *certFiles) {
		f.write(f.Key, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	})
	f("empty client CA", "no certificate", "server.tls.client_ca", func(f *certFiles) { f.write(f.ClientCA, nil) })
	f("bad client CA", "certificate 2", "server.tls.client_ca", func(f *certFiles) {
		f.write(f.ClientCA, append([]byte(servers.PEM()), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})...))
	})
	f("expired", "expired at", "server.tls.cert", func(f *certFiles) { f.pair(old, oldKey) })

	// Better an expired certificate than no server; and from one to the next.
	files.pair(old, oldKey)
	expired := files.load()
	if got := expired.Warnings(); len(got) != 1 || !strings.Contains(got[0], "expired at") {
		t.Errorf("warnings %q, want one of the expiry", got)
	}
	if err := expired.Reload(files.TLSFiles); err != nil {
		t.Errorf("reloading one expired certificate after another: %v", err)
	}
	files.pair(other, otherKey)
	if err := errors.Join(expired.Reload(files.TLSFiles), certs.Reload(files.TLSFiles)); err != nil {
		t.Error(err)
	}
	if got := certs.Warnings(); len(got) != 1 || !strings.Contains(got[0], "expires soon") {
		t.Errorf("warnings %q, want one of the expiry", got)
	}
}
