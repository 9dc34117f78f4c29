package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// Account is who logs in to a server. An empty name is the default user; without a
// password nobody logs in.
type Account struct{ Username, Password string }

// secure has every dial ask who logs in and what TLS goes by.
func (c Config) secure(o *rueidis.ClientOption) {
	if o.TLSConfig != nil {
		o.DialCtxFn = c.dialSecure(o.TLSConfig, namesOf(o.InitAddress))
	}
	if c.Account != nil {
		o.AuthCredentialsFn = credentials(c.Account)
	}
}

// credentials are an account as rueidis asks for it.
func credentials(account func() (Account, error)) func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
	return func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
		a, err := account()
		return rueidis.AuthCredentials{Username: a.Username, Password: a.Password}, err
	}
}

// namesOf are the hosts of addresses.
func namesOf(addresses []string) (names []string) {
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err == nil && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// dialSecure dials over TLS, with certificates as they are now. The server has to
// prove that it is the host that is dialled, or the one under which the caller knows it,
// or one of names, which the URL has: nodes of a Cluster and masters of a Sentinel are
// often told by addresses of which their certificates know nothing. A server name that
// is configured replaces all of them.
func (c Config) dialSecure(fromURL *tls.Config, names []string) func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	return func(ctx context.Context, address string, dialer *net.Dialer, known *tls.Config) (net.Conn, error) {
		own := &tls.Config{}
		if c.TLS != nil {
			var err error
			if own, err = c.TLS(); err != nil {
				return nil, err
			}
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		o := &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: own.RootCAs, Certificates: own.Certificates,
			ServerName: host, InsecureSkipVerify: true, // verify does it, or the URL's skip_verify says not to
		}
		accepted := append([]string{host, known.ServerName}, names...)
		if own.ServerName != "" {
			o.ServerName, accepted = own.ServerName, []string{own.ServerName}
		} else if net.ParseIP(host) != nil {
			o.ServerName = known.ServerName // of an address crypto/tls sends none
		}
		if !fromURL.InsecureSkipVerify {
			o.VerifyConnection = func(s tls.ConnectionState) error { return verify(s, own.RootCAs, accepted) }
		}
		return handshake(ctx, dialer, address, o)
	}
}

// knownAs has the server be verified as the host of addr, too, wherever it is dialled.
func knownAs(addr string, c *tls.Config) *tls.Config {
	host, _, err := net.SplitHostPort(addr)
	if c == nil || err != nil {
		return c
	}
	c = c.Clone()
	c.ServerName = host
	return c
}

// errMute: a server without TLS takes the beginning of a handshake for that of a
// command, and waits for its end.
var errMute = errors.New("redis does not answer the handshake of TLS")

// handshake dials, within the dialer's time all together.
func handshake(ctx context.Context, dialer *net.Dialer, address string, o *tls.Config) (net.Conn, error) {
	if dialer.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialer.Timeout)
		defer cancel()
	}
	plain, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, o)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		if isDeadline(err) {
			err = fmt.Errorf("%w: %w", errMute, err)
		}
		return nil, remedy(err)
	}
	return &firstContact{Conn: conn}, nil
}

// firstContact is a connection whose end is told apart while the server has not sent
// anything yet. In TLS 1.3 a client believes that the handshake is over before the
// server has looked at its certificate: a refusal comes as an alert with the first
// read, or, if that is overtaken, as a connection that is reset.
type firstContact struct {
	net.Conn
	heard atomic.Bool
}

var errNotHeard = errors.New("redis ends the connection after the handshake of TLS")

// Read implements net.Conn.
func (c *firstContact) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, c.told(err)
}

// Write implements net.Conn.
func (c *firstContact) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.told(err)
}

// told leaves ends of our own doing alone: a deadline, a Close.
func (c *firstContact) told(err error) error {
	if err == nil || c.heard.Load() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return remedy(fmt.Errorf("%w: %w", errNotHeard, err))
}

// verify tells whether the server's certificate is signed by one of roots, nil being
// the system's, for one of names. The error is that of the first.
func verify(s tls.ConnectionState, roots *x509.CertPool, names []string) (first error) {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(cert)
	}
	for _, name := range names {
		o.DNSName = name
		_, err := s.PeerCertificates[0].Verify(o)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// isAlert tells whether the server has ended the handshake.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// remedied is an error with what mends it.
type remedied struct {
	error
	text string
}

// Error says both.
func (r remedied) Error() string { return r.error.Error() + " (" + r.text + ")" }

// Unwrap returns what was met.
func (r remedied) Unwrap() error { return r.error }

// mends is what mends an error, "" if that is not known.
func mends(err error) string {
	if r, ok := errors.AsType[remedied](err); ok {
		return r.text
	}
	return ""
}

// remedy names the key that mends what keeps a dial from succeeding.
func remedy(err error) error {
	if mends(err) != "" {
		return err
	}
	var key string
	switch code := codeOf(errorReply(err)); {
	case err == nil:
		return nil
	case code == "WRONGPASS":
		key = "correct the user in redis.url and the password there or in the file of redis.password_file, for a sentinel redis.sentinel_username and redis.sentinel_password_file; files are read at the next attempt"
	case code == "NOAUTH":
		key = "it asks for a password: name a file with it in redis.password_file, for a sentinel in redis.sentinel_password_file, or write user and password into redis.url"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		key = "name the authority of its certificate in redis.tls.ca"
	case errors.As(err, new(x509.HostnameError)):
		key = "write the name of its certificate into redis.tls.server_name"
	case errors.As(err, new(x509.CertificateInvalidError)):
		key = "renew its certificate, or correct redis.tls.ca"
	case errors.Is(err, errMute), errors.As(err, new(tls.RecordHeaderError)):
		key = "if it speaks no TLS at this port, write redis:// in redis.url, or its TLS port"
	case errors.Is(err, errNotHeard), isAlert(err):
		key = "most likely it refuses the certificate of redis.tls.cert, or wants one"
	default:
		return err
	}
	return remedied{err, key}
}
