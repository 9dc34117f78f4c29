package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/admin"
	"hearth/internal/config"
	"hearth/internal/listen"
)

// publicListener is the public listener and what stands around it. It outlives generations.
type publicListener struct {
	server *fasthttp.Server
	// certs is nil without TLS, proxied without the PROXY protocol.
	certs   *listen.Certificates
	proxied *listen.ProxiedListener
	// retrying is next to the socket, listener around all of them.
	retrying *listen.RetryingListener
	listener *listen.Listener
	// activated tells that the service manager keeps the socket.
	activated bool
}

// quietTime is how long a connection has to have been unused before it is closed
// at the end. Those in use are told by Connection: close, which loses nothing;
// one that is closed while a request is on its way does.
const quietTime = 200 * time.Millisecond

// effective is cfg with the addresses of the sockets that the service manager has
// passed, whatever the configuration says of them: what is unsafe on an address
// is so on the real one.
func (a *App) effective(cfg *config.Config) *config.Config {
	c := *cfg
	if l := a.passed.Public; l != nil {
		c.Server.Listen = addressOf(l)
	}
	if l := a.passed.Admin; l != nil {
		c.Server.Admin = addressOf(l)
	}
	return &c
}

// addressOf is an address as the configuration writes it.
func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

// openListeners takes the sockets that the service manager has passed, and opens
// those that it has not.
func (a *App) openListeners() error {
	s, passed := a.current.Load().cfg.Server, a.passed
	// A passed socket is used whatever the configuration says of its address.
	open := func(passed net.Listener, addr, key string, mode fs.FileMode) (net.Listener, error) {
		if passed == nil {
			return listen.Listen(addr, key, mode)
		}
		a.log.Info("listening on the socket that the service manager passed", "for", key, "socket", passed.Addr().String())
		return passed, nil
	}
	public, err := open(passed.Public, s.Listen, "server.listen", s.SocketMode)
	if err != nil {
		return err
	}
	operators, err := open(passed.Admin, s.Admin, "server.admin", s.AdminSocketMode)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	a.public.activated = passed.Public != nil
	a.public.wrap(public, a.current.Load(), a.front, a.log)
	a.operators = listen.New(listen.Retrying(operators, a.log), listen.Timeouts{
		Read: admin.ReadTimeout, Write: admin.WriteTimeout, Idle: admin.IdleTimeout, Linger: admin.ReadTimeout,
	})
	a.operators.SetLimit(listen.Limit{Conns: admin.MaxConnections, Refusals: [][]byte{admin.Refusal()}})
	a.operators.Open()
	return nil
}

// wrap puts around the socket what every connection passes, from the outside in:
// shortage of descriptors, the PROXY header, TLS, slow peers.
func (p *publicListener) wrap(socket net.Listener, g *generation, front listen.Answerer, log *slog.Logger) {
	p.retrying = listen.Retrying(socket, log)
	var l net.Listener = p.retrying
	if g.cfg.Server.ProxyProtocol {
		p.proxied = listen.Proxied(l, g.cfg.Server.TrustedProxies)
		l = p.proxied
	}
	// TLS is inside of the PROXY header, which comes in clear before it.
	if p.certs != nil {
		l = p.certs.Listener(l)
	}
	p.listener = listen.New(l, timeouts(g.cfg))
	p.listener.SetAnswerer(front)
	p.adjust(g, log)
	p.listener.Open()
}

// adjust makes the listener what g says.
func (p *publicListener) adjust(g *generation, log *slog.Logger) {
	p.listener.SetTimeouts(timeouts(g.cfg))
	p.listener.SetLimit(listen.Limit{Conns: g.maxConnections(), Refusals: g.front.Refusals(), Log: log})
	if p.proxied != nil {
		p.proxied.SetTrusted(g.cfg.Server.TrustedProxies)
	}
}

// timeouts are what one connection may take.
func timeouts(cfg *config.Config) listen.Timeouts {
	read := cfg.Server.ReadTimeout
	return listen.Timeouts{
		Read: read, Write: cfg.Server.WriteTimeout, Idle: cfg.Server.IdleTimeout,
		// A client that could not have sent a request in that time would not have
		// been waited for either.
		Linger: min(max(read, 5*time.Second), 30*time.Second),
	}
}

// loadCertificates reads the files of [server.tls]; nil without any.
func loadCertificates(cfg *config.Config) (*listen.Certificates, error) {
	if cfg.Server.TLS.Cert == "" {
		return nil, nil
	}
	return listen.LoadCertificates(listen.TLSFiles(cfg.Server.TLS))
}

// reloadCertificates reads the files again: they may have been replaced although
// the configuration has not changed.
func (a *App) reloadCertificates(cfg *config.Config) error {
	if a.public.certs == nil {
		return nil
	}
	return a.public.certs.Reload(listen.TLSFiles(cfg.Server.TLS))
}

// drain ends the public listener without losing a request: a client that asks is
// answered with Connection: close, the connection of one that does not ask any more
// is closed. On a socket that the service manager keeps, new connections wait for
// the next process meanwhile.
func (p *publicListener) drain(ctx context.Context, log *slog.Logger) {
	// The socket first: a connection that is accepted from here on would be one more
	// to end.
	if err := p.listener.StopAccepting(); err != nil && !errors.Is(err, net.ErrClosed) {
		log.Warn("closing the public listener", "error", err)
	}
	if err := p.listener.Quiesce(ctx, quietTime); err != nil {
		log.Warn("connections were cut off", "open", p.listener.Conns(), "error", err)
	}
	if err := p.server.ShutdownWithContext(ctx); err != nil {
		log.Warn("requests were cut off", "error", err)
	}
}
