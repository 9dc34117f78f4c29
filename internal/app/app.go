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
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
	"hearth/internal/metrics"
)

// App is one server: both listeners and all behind them.
type App struct {
	version string
	load    func() (*config.Config, error)
	output  *Log
	log     *slog.Logger

	// What lives as long as the process.
	cache   *cache.Cache
	counts  limit.Store // where limits are counted
	metrics *metrics.Set
	numbers numbers
	rooms   *rooms
	front   *handlers.Reloadable
	passed  systemd.Sockets // by the service manager
	public  entrance
	admin   *fasthttp.Server

	operators *listen.Listener // the admin listener, while it runs

	// What a reload replaces.
	current  atomic.Pointer[generation]
	reloads  chan struct{}      // holds one wish at most
	retiring chan struct{}      // a token for each generation that waits for its last requests
	database string             // which one the process has begun with; the reloader's
	busy     []*handlers.Server // replaced, and maybe at work still; the reloader's

	state   atomic.Uint32 // a handlers.State
	stopped context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup // retirements
}

var errStopping = errors.New("the server is stopping")

// Process is what a server is told about the process it runs in.
type Process struct {
	Version string
	Log     *Log
	// Load reads the configuration again, for a reload; nil: there are none.
	Load func() (*config.Config, error)
}

// New builds a server out of a valid configuration. It opens files, but no
// socket, and needs neither Redis nor the database to be up. Close it if Run
// is never called.
func New(cfg *config.Config, p Process) (*App, error) {
	a := &App{
		version: p.Version, load: p.Load, output: p.Log, log: p.Log.Logger(), metrics: metrics.New(p.Version),
		reloads: make(chan struct{}, 1), retiring: make(chan struct{}, maxRetiring),
	}
	a.numbers.loaded.Store(time.Now().Unix())
	a.stopped, a.stop = context.WithCancelCause(context.Background())
	a.state.Store(uint32(handlers.Starting))
	if err := a.open(cfg); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *App) open(cfg *config.Config) (err error) {
	if a.passed, err = systemd.Inherited(); err != nil {
		return err
	}
	cfg = a.effective(cfg)
	if faults := refuse(cfg); len(faults) > 0 {
		return config.NewFaults(faults)
	}
	if err := a.openCertificates(cfg); err != nil {
		return err
	}
	a.rooms = newRooms(cfg)
	if a.cache, err = cache.New(a.cacheConfig(cfg)); err != nil {
		return err
	}
	if err = a.cache.Open(); err != nil {
		return err
	}
	g, err := a.assemble(cfg, nil)
	if err != nil {
		return err
	}
	a.begin(g)
	return nil
}

// begin makes both HTTP servers, which share nothing but this App, for the first
// generation.
func (a *App) begin(g *generation) {
	a.warn(g)
	a.current.Store(g)
	a.remember(g)
	a.registerMetrics()
	a.registerGeneration(g)
	a.front = handlers.NewReloadable(g.front)
	a.public.server = &fasthttp.Server{ConnState: listen.ConnState}
	a.front.Configure(a.public.server)
	a.admin = g.admin.Server()
	a.admin.ConnState = listen.ConnState
	a.admin.Handler = func(ctx *fasthttp.RequestCtx) { a.current.Load().admin.Handle(ctx) }
}

// warn says what works and may surprise.
func (a *App) warn(g *generation) {
	all := append(g.cfg.Warnings[:len(g.cfg.Warnings):len(g.cfg.Warnings)], notes(g.cfg)...)
	all = append(all, idle(g.cfg, g.front)...)
	all = append(all, g.doubts()...)
	if a.public.certs != nil {
		all = append(all, a.public.certs.Warnings()...)
	}
	for _, w := range all {
		a.log.Warn(w)
	}
}

// assemble makes a generation, and takes over from the one before it what has
// not changed; before is nil at the start. After an error nothing of it is left.
func (a *App) assemble(cfg *config.Config, before *generation) (*generation, error) {
	g := &generation{cfg: cfg, log: a.log}
	tokens, err := tokensOf(cfg.Auth.Tokens)
	if err != nil {
		return nil, err
	}
	g.keeper = auth.New(tokens)
	if err := g.openSources(before); err != nil {
		g.beside(before).close(a.log)
		return nil, err
	}
	a.openLimits(g, before)
	docs, err := g.docs(a.version)
	if err != nil {
		g.beside(before).close(a.log)
		return nil, err
	}
	g.front = handlers.New(g.handlersConfig(docs), handlers.Deps{
		Cache: a.cache, Tokens: g.keeper, Metrics: a.metrics, Log: a.log, Bodies: a.rooms.bodies, Context: a.stopped,
		State: func() handlers.State { return handlers.State(a.state.Load()) },
	})
	g.admin = a.newAdmin(g)
	return g, nil
}

// Close releases what New opened: in the order in which a request needs them,
// so that nothing is asked after it is gone.
func (a *App) Close() {
	a.stop(errStopping)
	a.running.Wait()
	g := a.current.Load()
	if g == nil {
		g = &generation{}
	}
	all := g.beside(nil)
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
	operators, err := a.openListeners()
	if err != nil {
		return err
	}
	a.registerListeners()
	a.operators = guardOperators(operators, a.log)
	failed := make(chan error, 2)
	var parts sync.WaitGroup
	serve := func(name string, s *fasthttp.Server, l net.Listener) {
		parts.Go(func() {
			if err := s.Serve(l); err != nil && handlers.State(a.state.Load()) != handlers.Draining {
				failed <- fmt.Errorf("serving %s: %w", name, err)
			}
		})
	}
	serve("the public listener", a.public.server, a.public.watched)
	serve("the admin listener", a.admin, a.operators)
	parts.Go(a.watch)
	a.log.Info("serving", "version", a.version, "listen", a.public.watched.Addr().String(), "admin", operators.Addr().String())
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
	for _, l := range []net.Listener{a.public.watched, a.operators} {
		// fasthttp's Shutdown overlooks a listener whose Serve has only just
		// begun; closed twice does no harm.
		if closeErr := l.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
			a.log.Warn("closing a listener", "error", closeErr)
		}
	}
	parts.Wait()
	return err
}

// notify tells the service manager; a server without one goes on all the same.
func (a *App) notify(state string) {
	if err := systemd.Notify(state); err != nil {
		a.log.Warn("telling the service manager", "state", state, "error", err)
	}
}

// ErrNow as the cause of Run's context ends the server without the delay that
// load balancers need: nobody routes to a server run by hand.
var ErrNow = errors.New("asked to stop at once")

// drain is the end of a process, from top to bottom: turn balancers away, give
// them time to notice, close the listeners, let requests finish. Where the
// service manager keeps the socket nobody has to be turned away: whoever connects
// waits there for the next process.
func (a *App) drain(cause error) {
	a.log.Info("draining", "cause", cause)
	a.state.Store(uint32(handlers.Draining))
	a.notify(systemd.Stopping)
	g := a.current.Load()
	if !a.public.activated && !errors.Is(cause, ErrNow) {
		a.pause(g.cfg.Server.Drain)
	}
	finish, cancel := context.WithTimeoutCause(context.Background(), g.requestTimeout()+time.Second, errors.New("requests take too long"))
	defer cancel()
	a.public.leave(finish, a)
	a.stop(errStopping)
	if err := a.admin.ShutdownWithContext(finish); err != nil {
		a.log.Warn("closing the admin listener", "error", err)
	}
}
