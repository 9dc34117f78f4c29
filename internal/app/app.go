// Package app puts the parts of a server together, runs them, replaces at a
// reload what the configuration has changed, and takes all apart again in the
// right order.
//
// It is the one place that knows both the configuration and the packages it
// configures. The order in which things start and end is written down here
// once, from top to bottom, because at the end of a process the order is what
// decides whether an acknowledged write survives.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
	"hearth/internal/metrics"
)

// App is one server: both listeners and all behind them.
type App struct {
	Process
	log *slog.Logger

	// What lives as long as the process.

	cache *cache.Cache
	// counts is where limits are counted: in the shared tier if that is Redis.
	counts  limit.Store
	metrics *metrics.Set
	numbers numbers
	budgets *budgets
	// front hands each request to the handlers of the generation that serves.
	front *handlers.Reloadable
	// passed are the sockets that the service manager has opened.
	passed systemd.Sockets
	public publicListener
	// admin serves what operators ask, over the listener operators.
	admin     *fasthttp.Server
	operators *listen.Listener

	// What a reload replaces. Any goroutine reads current; the reloader alone
	// changes it, and owns database and busy.

	current atomic.Pointer[generation]
	// reloads holds one wish at most: two that come together are one.
	reloads chan struct{}
	// retiring has a place for each generation that waits for its last requests.
	retiring chan struct{}
	// database is the one that the process has begun with.
	database string
	// busy are servers that were replaced and may be at work still.
	busy []*handlers.Server

	// The end. state is a handlers.State; stopped ends when requests are over, or
	// out of time; running are the retirements.

	state   atomic.Uint32
	stopped context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup
}

var errStopping = errors.New("the server is stopping")

// ErrNow as the cause of Run's context ends the server without the delay that
// load balancers need: nobody routes to a server run by hand.
var ErrNow = errors.New("asked to stop at once")

// Process is what a server is told about the process it runs in.
type Process struct {
	Version string
	Log     *Log
	// Load reads the configuration again, for a reload; nil: there are none.
	Load func() (*config.Config, error)
}

// newApp returns an App of which nothing is open.
func newApp(cfg *config.Config, p Process) *App {
	a := &App{
		Process: p, log: p.Log.Logger(), metrics: metrics.New(p.Version), budgets: newBudgets(cfg),
		reloads: make(chan struct{}, 1), retiring: make(chan struct{}, maxRetiring),
	}
	a.numbers.loaded.Store(time.Now().Unix())
	a.stopped, a.stop = context.WithCancelCause(context.Background())
	a.state.Store(uint32(handlers.Starting))
	// So that Close finds something, whenever it is called.
	a.current.Store(nothing)
	return a
}

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

// serverState is where the process stands between its start and its end.
func (a *App) serverState() handlers.State { return handlers.State(a.state.Load()) }

// notify tells the service manager; a server without one goes on all the same.
func (a *App) notify(state string) {
	if err := systemd.Notify(state); err != nil {
		a.log.Warn("telling the service manager", "state", state, "error", err)
	}
}

// pause waits for d, or until the server stops: then it tells false.
func (a *App) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.stopped.Done():
		return false
	}
}
