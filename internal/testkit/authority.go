package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Authority signs certificates for servers and clients of one test. Whoever is to
// believe them is given PEM or Pool: nothing here needs to be left unverified.
type Authority struct {
	tb   TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

// NewAuthority makes an authority that has signed itself.
func NewAuthority(tb TB, name string) *Authority {
	tb.Helper()
	a := &Authority{tb: tb}
	a.cert, a.key, a.pem = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, 24*time.Hour)
	return a
}

// sign makes a key and signs a certificate for it; the first one signs itself.
func (a *Authority) sign(want *x509.Certificate, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	if want.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.tb.Fatal(err)
	}
	now := time.Now()
	want.NotBefore, want.NotAfter = now.Add(-time.Hour), now.Add(life)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = want, key
	}
	der, err := x509.CreateCertificate(rand.Reader, want, parent, &key.PublicKey, signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Issue is a certificate for a server or client of that name, valid for life from
// now on, and its key, both PEM. hosts are its DNS names, the name itself if there
// are none.
func (a *Authority) Issue(name string, life time.Duration, hosts ...string) (cert, key string) {
	a.tb.Helper()
	if len(hosts) == 0 {
		hosts = []string{name}
	}
	_, private, cert := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, life)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Pair is a certificate as Issue makes it, ready for a tls.Config.
func (a *Authority) Pair(name string) tls.Certificate {
	a.tb.Helper()
	cert, key := a.Issue(name, time.Hour)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.tb.Fatal(err)
	}
	return pair
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() string { return a.pem }

// Pool trusts the authority and nobody else.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
