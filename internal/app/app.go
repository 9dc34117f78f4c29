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
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/cache/redis"
	"hearth/handlers"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
	"hearth/internal/metrics"
	"hearth/internal/timeline"
)

// App is one server: both listeners and all behind them.
type App struct {
	Process
	log *slog.Logger

	// What lives as long as the process.

	cache *cache.Cache
	redis *redis.Tier // the shared tier; nil if that is the embedded file
	// access is what the shared tier logs in with.
	access *access
	// changes is the change feed, if the configuration wants one.
	changes changeFeed
	// counts is where limits are counted: in the shared tier if that is Redis.
	counts  limit.Store
	metrics *metrics.Set
	numbers numbers
	budgets *budgets
	// timeline remembers what the numbers were.
	timeline *timeline.Timeline
	// sweeps remove all records of resources from the shared tier.
	sweeps *sweeps
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
	// reloads holds one wish at most, and who is told how it ends: two that come together
	// and ask for nothing back are one.
	reloads chan chan<- error
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
	// Version is what the program calls itself.
	Version string
	// Log goes on under the settings of the latest configuration.
	Log *Log
	// Load reads the configuration again, for a reload; nil: there are none.
	Load func() (*config.Config, error)
	// Serving is told once what is served, when the listeners are open and before the log
	// says so; nil: nobody wants to know.
	Serving func(Served)
}

// newApp returns an App of which nothing is open.
func newApp(cfg *config.Config, p Process) *App {
	a := &App{
		Process: p, log: p.Log.Logger(), metrics: metrics.New(p.Version), budgets: newBudgets(cfg),
		reloads: make(chan chan<- error, 1), retiring: make(chan struct{}, maxRetiring),
	}
	a.timeline = a.newTimeline()
	a.numbers.loaded.Store(time.Now().Unix())
	a.stopped, a.stop = context.WithCancelCause(context.Background())
	a.sweeps = newSweeps(a.stopped, a.log, func(ctx context.Context, glob string, matches func(key string) bool) (int64, error) {
		return a.cache.Sweep(ctx, glob, matches)
	})
	a.state.Store(uint32(handlers.Starting))
	// So that Close finds something, whenever it is called.
	a.current.Store(nothing)
	return a
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
	// Not time.Sleep: the end of the server must not wait for it.
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.stopped.Done():
		return false
	}
}
