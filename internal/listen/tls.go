package listen

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TLSFiles names the files of [server.tls], all PEM. Without ClientCA clients
// need no certificate; with it they need one that it has signed.
type TLSFiles struct {
	Cert     string // the server's certificate first, then intermediate ones
	Key      string // of that certificate, not encrypted
	ClientCA string // certificates of those who sign clients' certificates; "" for none
}

// expiryWarning is how long before its end a certificate is worth a warning.
const expiryWarning = 7 * 24 * time.Hour

// Certificates is what TLS connections are made with. It can be replaced while
// they are served. All methods may be called from anywhere at any time.
type Certificates struct {
	reloading sync.Mutex // one Reload at a time
	current   atomic.Pointer[keyMaterial]
}

// keyMaterial is one state of the files, immutable. Session tickets are sealed
// with keys that a tls.Config keeps and changes daily by itself, so each state
// has a config, and with it keys, of its own: a ticket from before a reload is
// worth nothing after it.
type keyMaterial struct {
	config  *tls.Config
	strict  *tls.Config // the same for connections accepted before; see configFor
	leaf    *x509.Certificate
	clients []*x509.Certificate // from ClientCA
}

// LoadCertificates reads the files. Errors name the file and the key of the
// configuration that mends them. An expired certificate is no error: some balancers
// do not check, and a server that does not start is of no use to any. Warnings
// tells of it.
func LoadCertificates(files TLSFiles) (*Certificates, error) {
	c := &Certificates{}
	g, err := c.read(files)
	if err != nil {
		return nil, err
	}
	c.current.Store(g)
	return c, nil
}

// Reload reads the files, which may be others than before, and replaces what new
// handshakes use, all at once; connections that are open go on as they are,
// those of clients whose CA is gone, too. On any error everything stays as it
// was: half-replaced files show as a key that does not belong to the certificate,
// or as a file that ends within a block. An expired certificate does not replace a
// valid one.
func (c *Certificates) Reload(files TLSFiles) error {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	g, err := c.read(files)
	if err != nil {
		return err
	}
	now := time.Now()
	if wrong := validityFault(g.leaf, now); wrong != "" && validityFault(c.current.Load().leaf, now) == "" {
		return fmt.Errorf("reading certificate %q: it %s, and the one in use is valid; change server.tls.cert", files.Cert, wrong)
	}
	c.current.Store(g)
	return nil
}

// Expiry is when the certificate in use ends, for a metric.
func (c *Certificates) Expiry() time.Time { return c.current.Load().leaf.NotAfter }

// Warnings says what is doubtful about the files in use, one sentence each.
func (c *Certificates) Warnings() []string {
	g, now := c.current.Load(), time.Now()
	var warnings []string
	if wrong := validityFault(g.leaf, now); wrong != "" {
		warnings = append(warnings, "the server's certificate "+wrong+"; replace server.tls.cert and server.tls.key")
	} else if g.leaf.NotAfter.Sub(now) < expiryWarning {
		warnings = append(warnings, "the server's certificate expires soon, at "+g.leaf.NotAfter.UTC().Format(time.RFC3339)+
			"; replace server.tls.cert and server.tls.key")
	}
	isValid := func(ca *x509.Certificate) bool { return validityFault(ca, now) == "" }
	if len(g.clients) > 0 && !slices.ContainsFunc(g.clients, isValid) {
		warnings = append(warnings, "no certificate of those who sign clients' is valid at this time, so no client can connect; "+
			"replace server.tls.client_ca")
	}
	return warnings
}

// suites are those of TLS 1.2 with authenticated encryption and forward secrecy. Go
// would offer CBC as well, with MAC then encrypt, for clients that are older than
// any balancer. Those of TLS 1.3 are all of this kind, and cannot be chosen.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Listener makes TLS connections, version 1.2 or later, of those that l accepts.
// Its Accept does no handshake: that happens in the connection's first Read or
// Write, or in Handshake, whose caller bounds it by deadlines. Connections are
// *tls.Conn. The one protocol offered is "http/1.1"; clients that name only
// others by ALPN are turned away, those that name none are served.
func (c *Certificates) Listener(l net.Listener) net.Listener { return &tlsListener{l, c} }

type tlsListener struct {
	net.Listener
	certs *Certificates
}

func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&recordConn{Conn: conn}, l.certs.current.Load().config), nil
}

// read loads the files.
func (c *Certificates) read(files TLSFiles) (*keyMaterial, error) {
	pair, err := readKeyPair(files)
	if err != nil {
		return nil, err
	}
	g := &keyMaterial{leaf: pair.Leaf}
	g.config = &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair},
	}
	if files.ClientCA != "" {
		if g.clients, err = readAuthorities(files.ClientCA); err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		for _, ca := range g.clients {
			pool.AddCert(ca)
		}
		g.config.ClientCAs, g.config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	g.strict = g.config.Clone()
	g.strict.SessionTicketsDisabled = true
	g.config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.configFor(g), nil }
	return g, nil
}

// configFor chooses for a connection that was accepted under g and begins its
// handshake now. After a reload in between it gets the new config, but without
// tickets: crypto/tls seals and opens them with the keys of the config that the
// connection was made with, whatever GetConfigForClient says.
func (c *Certificates) configFor(g *keyMaterial) *tls.Config {
	if latest := c.current.Load(); latest != g {
		return latest.strict
	}
	return nil // as it was made
}

func readKeyPair(files TLSFiles) (tls.Certificate, error) {
	none := tls.Certificate{}
	cert, err := os.ReadFile(files.Cert)
	if err != nil {
		return none, fmt.Errorf("reading the certificate: %w; change server.tls.cert", err)
	}
	key, err := os.ReadFile(files.Key)
	if err != nil {
		return none, fmt.Errorf("reading the certificate's key: %w; change server.tls.key", err)
	}
	if _, err := parseCertificates(cert); err != nil {
		return none, fmt.Errorf("reading certificate %q: %w; change server.tls.cert", files.Cert, err)
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return none, fmt.Errorf("reading key %q: no PEM block in it; change server.tls.key", files.Key)
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return none, fmt.Errorf("reading key %q: it is encrypted; write it without a password and change server.tls.key", files.Key)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, fmt.Errorf("reading key %q for certificate %q: %w; change server.tls.key or server.tls.cert so that they belong together",
			files.Key, files.Cert, err)
	}
	return pair, nil
}

func readAuthorities(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading who signs clients' certificates: %w; change server.tls.client_ca", err)
	}
	found, err := parseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("reading who signs clients' certificates from %q: %w; change server.tls.client_ca", file, err)
	}
	return found, nil
}

// parseCertificates wants at least one, and every one good: a bundle that is half
// understood would lock out the clients of the other half.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	blocks := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(found)+1, err)
		}
		found = append(found, cert)
	}
	// Decode skips what it cannot read, and what ends too early.
	if begun := bytes.Count(text, []byte("-----BEGIN ")); begun != blocks {
		return nil, fmt.Errorf("%d of %d PEM blocks are damaged or end too early", begun-blocks, begun)
	}
	if len(found) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return found, nil
}

// validityFault says what is wrong with the time of a certificate, "" if nothing is.
func validityFault(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.After(cert.NotAfter):
		return "expired at " + cert.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(cert.NotBefore):
		return "is valid only from " + cert.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}
