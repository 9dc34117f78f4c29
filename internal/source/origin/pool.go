package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// connAge is how long a connection is used. A name may lead to another server
	// meanwhile, while the one before it goes on answering: so none is kept for good.
	connAge = 10 * time.Second
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
)

// pool hands out the connections of an origin. It replaces all of them when they are
// connAge old, or when the origin has failed: each connection is dialled anew then, and
// the name resolved anew. Connections in use are closed when they come back.
type pool struct {
	cfg     Config
	server  string // the name that a certificate has to be for
	address string // host:port

	stray atomic.Bool // see kept

	mu     sync.Mutex
	now    *kept
	born   time.Time
	closed bool
	config *tls.Config // the last one that its files made
}

// newPool makes a pool. An error is about files of the configuration.
func newPool(cfg Config, server, address string) (*pool, error) {
	p := &pool{cfg: cfg, server: server, address: address}
	var err error
	p.config, err = p.tlsConfig()
	return p, err
}

// transport returns what to ask with.
func (p *pool) transport() *kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || time.Since(p.born) >= connAge {
		p.replaceLocked()
	}
	return p.now
}

// renew has connections dialled anew from now on, after was has failed.
func (p *pool) renew(was *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == was && !p.closed {
		p.replaceLocked()
	}
}

// written has connections dialled anew for what is read from now on. The address may
// lead to another server than the one that readers are connected to: the write went
// there, and they would not see it.
func (p *pool) written() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.born = time.Time{}
}

// replaceLocked puts new connections in the place of those there are.
func (p *pool) replaceLocked() {
	if p.now != nil {
		p.now.close()
	}
	if c, err := p.tlsConfig(); err == nil {
		p.config = c // else a file is being replaced: what was good is used until it is whole
	}
	p.born = time.Now()
	p.now = newKept(p.cfg.MaxConns, &p.stray, func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, p.address) })
}

// once is for requests to the server at addr, each over a connection of its own.
func (p *pool) once(addr string) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return p.dialer().DialContext(ctx, network, addr)
		},
		TLSClientConfig: p.config, TLSHandshakeTimeout: p.cfg.Timeout,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
	}
}

// close closes idle connections, and those in use when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.now != nil {
		p.now.close()
	}
}

func (p *pool) dialer() *net.Dialer { return &net.Dialer{Timeout: p.cfg.Timeout} }

// dial opens one connection that nobody else uses.
func (p *pool) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := p.dialer().DialContext(ctx, "tcp", addr)
	if err != nil || !p.cfg.URL.Secure {
		return conn, err
	}
	p.mu.Lock()
	config := p.config.Clone()
	p.mu.Unlock()
	config.ServerName = p.server
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// tlsConfig reads the files of the configuration. They are read again for each new
// transport, so a certificate that is replaced in place needs no reload.
func (p *pool) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.cfg.CA != "" {
		text, err := os.ReadFile(p.cfg.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("the file %q has no certificate in PEM", p.cfg.CA)
		}
	}
	if p.cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cfg.Cert, p.cfg.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
