package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/config"
	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
)

// Open builds a server out of a valid configuration. It opens files, but no
// socket, and needs neither Redis nor the database to be up. Close it if Run
// is never called.
func Open(cfg *config.Config, p Process) (*App, error) {
	a := newApp(cfg, p)
	if err := a.open(cfg); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// open opens in the order in which a request needs the parts, from the end: what is
// refused is refused before a file is locked, and the tier is there before anything
// that loads into it.
func (a *App) open(cfg *config.Config) (err error) {
	if a.passed, err = systemd.Inherited(); err != nil {
		return err
	}
	cfg = a.effective(cfg)
	if err := faultsError(refuse(cfg)); err != nil {
		return err
	}
	if a.public.certs, err = loadCertificates(cfg); err != nil {
		return err
	}
	a.access = newAccess(cfg, a.log)
	if a.cache, err = cache.New(a.cacheConfig(cfg)); err != nil {
		return err
	}
	if err := a.cache.Open(); err != nil {
		return err
	}
	g, err := a.assemble(cfg, nothing)
	if err != nil {
		return err
	}
	a.warn(g)
	a.current.Store(g)
	a.remember(g)
	a.registerMetrics()
	a.registerGeneration(g)
	if err := a.openFeed(cfg); err != nil {
		return err
	}
	a.registerFeed()
	a.useFeed(g)
	a.registerAudit()
	a.serve(g)
	a.buildServers(g)
	return nil
}

// buildServers makes both HTTP servers, which share nothing but this App.
func (a *App) buildServers(g *generation) {
	a.front = handlers.NewReloadable(g.front)
	a.public.server = &fasthttp.Server{ConnState: listen.ConnState}
	a.front.Configure(a.public.server)
	a.admin = g.admin.Server()
	a.admin.ConnState = listen.ConnState
	a.admin.Handler = func(ctx *fasthttp.RequestCtx) { a.current.Load().admin.Handle(ctx) }
}

// Run listens and serves until ctx ends, then drains and closes everything.
// The cause of ctx may be ErrNow: then nobody is waited for but the requests
// under way. An error means that the server could not start or a listener
// failed.
func (a *App) Run(ctx context.Context) error {
	defer a.Close()
	watchdog, err := systemd.WatchdogInterval()
	if err != nil {
		return err
	}
	if err := a.openListeners(); err != nil {
		return err
	}
	a.registerListeners()
	// One place for each listener: neither waits for Run to listen.
	failed := make(chan error, 2)
	var parts sync.WaitGroup
	serve := func(name string, s *fasthttp.Server, l net.Listener) {
		parts.Go(func() {
			if err := s.Serve(l); err != nil && a.serverState() != handlers.Draining {
				failed <- fmt.Errorf("serving %s: %w", name, err)
			}
		})
	}
	serve("the public listener", a.public.server, a.public.listener)
	serve("the admin listener", a.admin, a.operators)
	// From here on requests are answered, with or without Redis and a database.
	parts.Go(a.watch)
	parts.Go(func() { a.timeline.Run(a.stopped) })
	a.changes.open()
	if a.Serving != nil {
		a.Serving(a.served())
	}
	a.log.Info("serving", "version", a.Version, "listen", a.public.listener.Addr().String(), "admin", a.operators.Addr().String())
	a.notify(systemd.Ready)
	parts.Go(a.reloader) // what it says of itself comes after that
	if watchdog > 0 {
		parts.Go(func() { a.watchdog(watchdog / 2) })
	}

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.drain(context.Cause(ctx))
	parts.Wait()
	return err
}

// drain is the end of serving, from top to bottom: turn balancers away, give
// them time to notice, close the listeners, let requests finish. Where the
// service manager keeps the socket nobody has to be turned away: a client that
// connects waits there for the next process.
func (a *App) drain(cause error) {
	a.log.Info("draining", "cause", cause)
	a.state.Store(uint32(handlers.Draining))
	a.notify(systemd.Stopping)
	g := a.current.Load()
	if !a.public.activated && !errors.Is(cause, ErrNow) {
		a.pause(g.cfg.Server.Drain)
	}
	// A second more than one request may take: what is still at work then is
	// cut off.
	finish, cancel := context.WithTimeoutCause(context.Background(), g.requestTimeout()+time.Second, errors.New("requests take too long"))
	defer cancel()
	a.public.drain(finish, a.log)
	// Nobody waits for an answer any more. Operators are served to the end.
	a.stop(errStopping)
	if err := a.admin.ShutdownWithContext(finish); err != nil {
		a.log.Warn("closing the admin listener", "error", err)
	}
	for _, l := range []net.Listener{a.public.listener, a.operators} {
		// fasthttp's Shutdown overlooks a listener whose Serve has only just
		// begun; closed twice does no harm.
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			a.log.Warn("closing a listener", "error", err)
		}
	}
}

// Close releases what Open opened: in the order in which a request needs them,
// so that nothing is asked after it is gone.
func (a *App) Close() {
	a.stop(errStopping)
	a.running.Wait()
	a.sweeps.close()
	// The feed removes copies until there is nothing left to remove them from.
	if err := a.changes.close(); err != nil {
		a.log.Warn("closing the change feed", "error", err)
	}
	all := a.current.Load().minus(nothing)
	// Limits give back what they hold through the tier; loads that nobody waits for
	// end with the cache, and need their sources until then.
	all.closeLimits()
	if a.cache != nil {
		a.cache.Close()
	}
	all.closeSources(a.log)
	for _, l := range []net.Listener{a.passed.Public, a.passed.Admin} {
		if l != nil {
			_ = l.Close() // after Run it is closed already
		}
	}
}
