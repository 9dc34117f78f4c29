package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// target is where a listener is, and how it is dialled.
type target struct {
	base    url.URL // scheme and host: what the request says
	network string  // "tcp" or "unix"
	dials   []string
}

// unixPrefix marks the path of a socket, as in the configuration.
const unixPrefix = "unix:"

// parseTarget reads an address. Its error goes on behind the address.
func parseTarget(address string) (target, error) {
	if path, isUnix := strings.CutPrefix(address, unixPrefix); isUnix {
		if path == "" {
			return target{}, errors.New(`has no path; write it as "unix:/run/hearth/admin.sock"`)
		}
		// Nobody looks at the host of a request that comes by a socket.
		return target{base: url.URL{Scheme: "http", Host: "localhost"}, network: "unix", dials: []string{path}}, nil
	}
	base := url.URL{Scheme: "http", Host: address}
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return target{}, errors.New(`is no URL of a listener; write it as "https://hearth-admin.example.org"`)
		}
		base = url.URL{Scheme: u.Scheme, Host: u.Host}
		if u.Port() == "" {
			base.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
	}
	host, port, err := net.SplitHostPort(base.Host)
	switch {
	case err != nil || port == "" || strings.ContainsAny(host, "/ @"):
		return target{}, errors.New(`is no address; write it as "127.0.0.1:9090" or "unix:/run/hearth/admin.sock"`)
	case port == "0":
		return target{}, errors.New("leaves the port to the kernel; the server logs which one it is: name that")
	}
	t := target{base: base, network: "tcp", dials: []string{base.Host}}
	if everywhere(host) {
		// The host of the request has to be one that the listener answers for.
		t.base.Host = net.JoinHostPort("127.0.0.1", port)
		t.dials = []string{t.base.Host}
		if !strings.Contains(host, ".") { // "" and "::" may be on IPv6 alone
			t.dials = append(t.dials, net.JoinHostPort("::1", port))
		}
	}
	return t, nil
}

// everywhere tells whether a host stands for all interfaces.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// Local tells whether an address is on this machine for certain: a socket, or an address of
// loopback. Nobody on the way to it sees a token.
func Local(address string) bool {
	t, err := parseTarget(address)
	if err != nil {
		return false
	}
	host := t.base.Hostname()
	ip, err := netip.ParseAddr(host)
	return t.network == "unix" || host == "localhost" || err == nil && ip.IsLoopback()
}

// dial connects, whatever address package net/http has taken from the URL.
func (t target) dial(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	var d net.Dialer
	for _, address := range t.dials {
		if conn, err = d.DialContext(ctx, t.network, address); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Unreachable is that nobody has answered, or not to the end.
type Unreachable struct {
	Cause error
	text  string
}

func (u *Unreachable) Error() string { return u.text }

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Cause }

// unreachable says what to do about the end of a connection, or that there was none. Whom
// ctx was ended for knows why.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if !errors.Is(cause, errSilent) && !errors.Is(cause, context.DeadlineExceeded) {
			return cause
		}
		err = fmt.Errorf("%w within %v", errSilent, c.cfg.Timeout)
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // without method and URL
	}
	ended := strings.HasSuffix(err.Error(), "EOF") || errors.Is(err, syscall.ECONNRESET)
	advice := "is the server running there?"
	switch {
	case errors.Is(err, fs.ErrPermission):
		advice = "run this as the server's user, or as one whom server.admin_socket_mode lets in"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		advice = "is the server running? -admin ADDRESS names another one"
	case errors.Is(err, errSilent):
		advice = "the server does not answer, or something on the way there swallows it"
	case ended:
		advice = "the server has ended the connection; is it being restarted?"
	}
	return &Unreachable{Cause: err, text: fmt.Sprintf("the admin listener at %s (%s) is not reachable: %v; %s", c.cfg.Address, c.cfg.from(), err, advice)}
}
