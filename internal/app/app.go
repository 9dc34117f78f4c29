// Package app puts the parts of a server together, runs them, and takes them
// apart again in the right order.
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
	"hearth/internal/admin"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/listen"
	"hearth/internal/metrics"
	"hearth/internal/source"
)

// App is one server: both listeners and all behind them.
type App struct {
	cfg     *config.Config
	version string
	log     *slog.Logger

	db      *source.DB // nil without a database
	origins []*source.Origin
	cache   *cache.Cache
	front   *handlers.Server
	limits  []*limit.Limiter // in the order of the configuration
	keeper  *auth.Keeper
	metrics *metrics.Set
	public  *fasthttp.Server
	admin   *fasthttp.Server
	kinds   []kind // resources as configured and as the cache knows them

	state   atomic.Uint32 // a handlers.State
	stopped context.Context
	stop    context.CancelCauseFunc
}

var errStopping = errors.New("the server is stopping")

// New builds a server out of a valid configuration. It opens files, but no
// socket, and needs neither Redis nor the database to be up. Close it if Run
// is never called.
func New(cfg *config.Config, version string, log *slog.Logger) (*App, error) {
	if err := refuse(cfg); err != nil {
		return nil, err
	}
	for _, w := range notes(cfg) {
		log.Warn(w)
	}
	a := &App{cfg: cfg, version: version, log: log, metrics: metrics.New(version)}
	a.stopped, a.stop = context.WithCancelCause(context.Background())
	a.state.Store(uint32(handlers.Starting))
	tokens, err := tokensOf(cfg.Auth.Tokens)
	if err != nil {
		return nil, err
	}
	a.keeper = auth.New(tokens)
	if err := a.openSources(); err != nil {
		a.Close()
		return nil, err
	}
	if a.cache, err = cache.New(a.cacheConfig()); err != nil {
		a.Close()
		return nil, err
	}
	a.openLimits()
	a.registerMetrics()
	if err := a.buildServers(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// buildServers makes both HTTP servers; they share nothing but this App.
func (a *App) buildServers() error {
	docs, err := a.docs()
	if err != nil {
		return err
	}
	a.front = handlers.New(a.handlersConfig(docs), handlers.Deps{
		Cache: a.cache, Keeper: a.keeper, Metrics: a.metrics, Log: a.log, Context: a.stopped,
		State: func() handlers.State { return handlers.State(a.state.Load()) },
	})
	a.public = &fasthttp.Server{Handler: a.front.Handler()}
	a.front.Configure(a.public)
	a.public.ConnState = listen.ConnState
	a.admin = admin.New(a.adminConfig(), a.adminDeps(a.front)).Server()
	return nil
}

// Close releases what New opened: in the order in which a request needs them,
// so that nothing is asked after it is gone.
func (a *App) Close() {
	a.stop(errStopping)
	for _, l := range a.limits {
		l.Close()
	}
	if a.cache != nil {
		a.cache.Close()
	}
	for _, o := range a.origins {
		if err := o.Close(); err != nil {
			a.log.Warn("closing an origin", "error", err)
		}
	}
	if a.db != nil {
		if err := a.db.Close(); err != nil {
			a.log.Warn("closing the database", "error", err)
		}
	}
}

// Run listens and serves until ctx ends, then drains and closes everything.
// The cause of ctx may be ErrNow: then nobody is waited for but the requests
// under way. An error means that the server could not start or a listener
// failed.
func (a *App) Run(ctx context.Context) error {
	defer a.Close()
	public, err := listen.Listen(a.cfg.Server.Listen, "server.listen")
	if err != nil {
		return err
	}
	operators, err := listen.Listen(a.cfg.Server.Admin, "server.admin")
	if err != nil {
		return errors.Join(err, public.Close())
	}
	s := a.cfg.Server
	watched := listen.Watch(listen.Patient(public, a.log), listen.Timeouts{Read: s.ReadTimeout, Write: s.WriteTimeout, Idle: s.IdleTimeout})
	watched.Limit(listen.Limit{Conns: a.maxConnections(), Refusals: a.front.Refusals(), Log: a.log})
	a.metrics.GaugeFunc("hearth_connections_open", "Public connections that are open.", func() float64 { return float64(watched.Open()) })
	a.metrics.CounterFunc("hearth_connections_refused_total", "Public connections refused because as many were open as may be.",
		func() float64 { return float64(watched.Refused()) })
	patient := listen.Patient(operators, a.log)
	failed := make(chan error, 2)
	var parts sync.WaitGroup
	serve := func(name string, s *fasthttp.Server, l net.Listener) {
		parts.Go(func() {
			if err := s.Serve(l); err != nil {
				failed <- fmt.Errorf("serving %s: %w", name, err)
			}
		})
	}
	serve("the public listener", a.public, watched)
	serve("the admin listener", a.admin, patient)
	parts.Go(a.watch)
	a.log.Info("serving", "version", a.version, "listen", public.Addr().String(), "admin", operators.Addr().String())
	a.notify("READY=1")

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.drain(context.Cause(ctx))
	for _, l := range []net.Listener{watched, patient} {
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
	if err := listen.Notify(state); err != nil {
		a.log.Warn("telling the service manager", "state", state, "error", err)
	}
}

// ErrNow as the cause of Run's context ends the server without the delay that
// load balancers need: nobody routes to a server run by hand.
var ErrNow = errors.New("asked to stop at once")

// drain is the end of a process, from top to bottom: turn balancers away, give
// them time to notice, close the listeners, let requests finish.
func (a *App) drain(cause error) {
	a.log.Info("draining", "cause", cause)
	a.state.Store(uint32(handlers.Draining))
	a.notify("STOPPING=1")
	if !errors.Is(cause, ErrNow) {
		time.Sleep(a.cfg.Server.Drain)
	}
	finish, cancel := context.WithTimeout(context.Background(), a.requestTimeout()+time.Second)
	defer cancel()
	if err := a.public.ShutdownWithContext(finish); err != nil {
		a.log.Warn("requests were cut off", "error", err)
	}
	a.stop(errStopping)
	if err := a.admin.ShutdownWithContext(finish); err != nil {
		a.log.Warn("closing the admin listener", "error", err)
	}
}

// watch keeps asking whether the source can be reached, which also sets it up
// when it comes late, and ends the state "starting".
func (a *App) watch() {
	started := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if a.db != nil {
			a.pingSource()
		}
		if a.ready() || time.Since(started) >= a.cfg.Server.StartGrace {
			a.state.CompareAndSwap(uint32(handlers.Starting), uint32(handlers.Serving))
		}
		wait := tick.C
		if handlers.State(a.state.Load()) == handlers.Starting {
			soon := time.NewTimer(20 * time.Millisecond)
			wait = soon.C
			defer soon.Stop()
		}
		select {
		case <-a.stopped.Done():
			return
		case <-wait:
		}
	}
}

func (a *App) pingSource() {
	before := a.db.Up()
	ctx, cancel := context.WithTimeout(a.stopped, a.cfg.Database.Timeout)
	defer cancel()
	err := a.db.Ping(ctx)
	switch {
	case err == nil && !before:
		a.log.Info("the database answers")
	case err != nil && before && a.stopped.Err() == nil:
		a.log.Warn("the database does not answer", "error", err)
	}
}

// checks names what a ready server needs and why it is missing, nil if not.
func (a *App) checks() map[string]error {
	checks := map[string]error{a.cache.SharedTier().String(): nil}
	if err := a.cache.Up(); err != nil {
		a.log.Debug("not ready", "error", err)
		checks[a.cache.SharedTier().String()] = admin.Reason("cannot be asked; the log says why")
	}
	if a.db != nil {
		checks["source"] = nil
		if !a.db.Up() {
			checks["source"] = admin.Reason("the database does not answer")
		}
	}
	return checks
}

func (a *App) ready() bool {
	for _, err := range a.checks() {
		if err != nil {
			return false
		}
	}
	return true
}
