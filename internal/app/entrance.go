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

// entrance is the public listener and what guards it. It outlives generations.
type entrance struct {
	server    *fasthttp.Server
	certs     *listen.Certificates // nil without TLS
	proxied   *listen.ProxiedListener
	retrying  *listen.RetryingListener
	watched   *listen.Listener
	activated bool // the service manager keeps the socket
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

func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

// openListeners takes the sockets that the service manager has passed, and opens
// those that it has not.
func (a *App) openListeners() (operators net.Listener, err error) {
	s, passed := a.current.Load().cfg.Server, a.passed
	open := func(passed net.Listener, addr, key string, mode fs.FileMode) (net.Listener, error) {
		if passed == nil {
			return listen.Listen(addr, key, mode)
		}
		a.log.Info("listening on the socket that the service manager passed", "for", key, "socket", passed.Addr().String())
		return passed, nil
	}
	public, err := open(passed.Public, s.Listen, "server.listen", s.SocketMode)
	if err != nil {
		return nil, err
	}
	if operators, err = open(passed.Admin, s.Admin, "server.admin", s.AdminSocketMode); err != nil {
		return nil, errors.Join(err, public.Close())
	}
	a.public.activated = passed.Public != nil
	a.guard(public)
	return operators, nil
}

// guard puts around the public socket what every connection passes, from the
// outside in: shortage of descriptors, the PROXY header, TLS, slow peers.
func (a *App) guard(public net.Listener) {
	p, g := &a.public, a.current.Load()
	p.retrying = listen.Retrying(public, a.log)
	var l net.Listener = p.retrying
	if g.cfg.Server.ProxyProtocol {
		p.proxied = listen.Proxied(l, g.cfg.Server.TrustedProxies)
		l = p.proxied
	}
	if p.certs != nil {
		l = p.certs.Listener(l)
	}
	p.watched = listen.New(l, timeouts(g.cfg))
	p.watched.SetLimit(listen.Limit{Conns: g.maxConnections(), Refusals: g.front.Refusals(), Log: a.log})
	p.watched.Open()
}

// guardOperators does the same for the admin listener, which has no proxy in front
// and limits of its own.
func guardOperators(l net.Listener, log *slog.Logger) *listen.Listener {
	w := listen.New(listen.Retrying(l, log), listen.Timeouts{Read: admin.ReadTimeout, Write: admin.WriteTimeout, Idle: admin.IdleTimeout, Linger: admin.ReadTimeout})
	w.SetLimit(listen.Limit{Conns: admin.MaxConnections, Refusals: [][]byte{admin.Refusal()}})
	w.Open()
	return w
}

// adjust goes on as g says.
func (p *entrance) adjust(g *generation, log *slog.Logger) {
	p.watched.SetTimeouts(timeouts(g.cfg))
	p.watched.SetLimit(listen.Limit{Conns: g.maxConnections(), Refusals: g.front.Refusals(), Log: log})
	if p.proxied != nil {
		p.proxied.SetTrusted(g.cfg.Server.TrustedProxies)
	}
}

func timeouts(cfg *config.Config) listen.Timeouts {
	read := cfg.Server.ReadTimeout
	return listen.Timeouts{
		Read: read, Write: cfg.Server.WriteTimeout, Idle: cfg.Server.IdleTimeout,
		// Who could not have sent a request in that time would not have been waited for
		// either.
		Linger: min(max(read, 5*time.Second), 30*time.Second),
	}
}

// openCertificates reads the files of [server.tls], if they are named.
func (a *App) openCertificates(cfg *config.Config) (err error) {
	if cfg.Server.TLS.Cert == "" {
		return nil
	}
	a.public.certs, err = listen.LoadCertificates(listen.TLSFiles(cfg.Server.TLS))
	return err
}

// reloadCertificates reads the files again: they may have been replaced although
// the configuration has not changed.
func (a *App) reloadCertificates(cfg *config.Config) error {
	if a.public.certs == nil {
		return nil
	}
	return a.public.certs.Reload(listen.TLSFiles(cfg.Server.TLS))
}

// leave ends the public listener without losing a request: whoever asks is
// answered with Connection: close, whoever does not ask any more is told that it
// is over. On a socket that the service manager keeps, new connections wait for
// the next process meanwhile.
func (p *entrance) leave(ctx context.Context, a *App) {
	if err := p.watched.StopAccepting(); err != nil && !errors.Is(err, net.ErrClosed) {
		a.log.Warn("closing the public listener", "error", err)
	}
	if err := p.watched.Quiesce(ctx, quietTime); err != nil {
		a.log.Warn("connections were cut off", "open", p.watched.Conns(), "error", err)
	}
	if err := p.server.ShutdownWithContext(ctx); err != nil {
		a.log.Warn("requests were cut off", "error", err)
	}
}
