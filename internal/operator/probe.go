package operator

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Probe is one question to a listener on this machine, as a balancer asks it.
type Probe struct {
	// Address is as server.listen and server.admin have it, From where it is from.
	Address, From string
	// Path is what is asked for: /healthz, /livez or /readyz.
	Path string
	// TLS says that the listener speaks it. Its certificate is for clients of the public name
	// and is not looked at: nothing is trusted that it says, and nothing secret is sent.
	TLS bool
	// Proxied tells whether a connection from an address, none for a socket's, has to begin
	// with the header of the PROXY protocol.
	Proxied func(netip.Addr) bool
}

// maxHealth bounds what is read and told of an answer, in bytes.
const maxHealth = 4 << 10

// Ask returns nil if the answer is 200 before ctx ends, and else what there was.
func (p Probe) Ask(ctx context.Context) error {
	t, err := parseTarget(p.Address)
	if err != nil {
		return fmt.Errorf("the address %q (%s) %w", p.Address, p.From, err)
	}
	status, body, err := p.ask(ctx, t)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("asking %s (%s) for %s: %w", p.Address, p.From, p.Path, err)
	case status != http.StatusOK:
		return fmt.Errorf("asking %s (%s) for %s: %d %s", p.Address, p.From, p.Path, status, Printable(strings.TrimSpace(string(body))))
	}
	return nil
}

// ask connects, asks, and ends the connection.
func (p Probe) ask(ctx context.Context, t target) (status int, body []byte, err error) {
	conn, err := t.dial(ctx, "", "")
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = conn.Close() }()
	// Every read and write ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if p.Proxied != nil && p.Proxied(ownAddress(conn)) {
		// What the protocol has for health checks: the address is the connection's own.
		if _, err := io.WriteString(conn, "PROXY UNKNOWN\r\n"); err != nil {
			return 0, nil, err
		}
	}
	if p.TLS || t.base.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.base.Host+p.Path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	return resp.StatusCode, body, err
}

// ownAddress is where a connection comes from; none by a socket.
func ownAddress(conn net.Conn) netip.Addr {
	own, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return own.AddrPort().Addr().Unmap().WithZone("")
}
