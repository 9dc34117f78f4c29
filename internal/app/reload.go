package app

import (
	"context"
	"errors"
	"fmt"
	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/config"
	"hearth/internal/listen/systemd"
	"hearth/internal/source/database"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// maxRetiring bounds the generations that wait for their last requests: each
// may hold connections to a database. A reload beyond it waits for a place.
const maxRetiring = 64

// Reload asks for the configuration to be read again. It returns at once;
// requests that come while a reload is under way become one. It is what SIGHUP
// means.
func (a *App) Reload() {
	select {
	case a.reloads <- nil:
	default: // one is asked for already, and will read what there is by then
	}
}

// ReloadAndWait is Reload for one who wants to know how it ends: nil, or an
// *admin.ReloadError with all faults. When ctx ends first, the reload goes on.
func (a *App) ReloadAndWait(ctx context.Context) error {
	outcome := make(chan error, 1) // nobody may wait for it any more
	select {
	case a.reloads <- outcome:
	case <-a.stopped.Done():
		return admin.ErrDraining
	case <-ctx.Done():
		return ctx.Err() // the one that has not begun will read what there is by then
	}
	select {
	case err := <-outcome:
		return reloadError(err)
	case <-a.stopped.Done():
		return admin.ErrDraining
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reloadError is how a reload has ended, as operators are told it.
func reloadError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errStopping):
		return admin.ErrDraining
	}
	return &admin.ReloadError{Faults: strings.Split(err.Error(), "\n")}
}

// reloader does what Reload asks for.
func (a *App) reloader() {
	for {
		var outcome chan<- error
		select {
		case <-a.stopped.Done():
			return
		case outcome = <-a.reloads:
		}
		err := errStopping // nobody is to believe that this is serving again
		if a.serverState() != handlers.Draining {
			err = a.reloadOnce()
		}
		if outcome != nil {
			outcome <- err
		}
	}
}

// reloadOnce is one reload, and what the service manager, the log and the metrics are told
// of it.
func (a *App) reloadOnce() error {
	a.notify(systemd.Reloading) // the manager waits for READY=1, however this ends
	status := "serving"
	before := a.current.Load().cfg
	err := a.reload()
	if err != nil {
		a.numbers.reloadsFailed.Inc()
		a.log.Error("the configuration was not reloaded, the one before stays", "error", err)
		status = "serving; the last reload failed, see the log"
	} else {
		a.numbers.reloads.Inc()
		a.numbers.loaded.Store(time.Now().Unix())
		a.log.Info("configuration reloaded", rotated(before, a.current.Load().cfg)...)
	}
	a.notify(systemd.Ready + "\nSTATUS=" + status)
	return err
}

// reload replaces the generation that serves by one of the configuration as it
// is now. All that can fail comes first; after an error nothing has changed.
func (a *App) reload() error {
	if a.Load == nil {
		return errors.New("there is no configuration file to read again")
	}
	var cfg *config.Config
	err := a.unlessStopped(func() (err error) { cfg, err = a.Load(); return err })
	if err != nil {
		return err
	}
	cfg = a.effective(cfg)
	old := a.current.Load()
	if err := errors.Join(faultsError(refuse(cfg)), fixed(old.cfg, cfg), a.otherDatabase(cfg)); err != nil {
		return err
	}
	// A place first: what is made could otherwise not be put out of service.
	select {
	case a.retiring <- struct{}{}:
	case <-a.stopped.Done():
		return errStopping
	}
	next, err := a.assembleSafely(cfg, old)
	if err == nil {
		a.reach(next, old)
		if err = a.unlessStopped(func() error { return a.reloadCertificates(cfg) }); err != nil {
			next.minus(old).close(a.log)
		}
	}
	if err != nil {
		<-a.retiring
		return err
	}
	a.swap(next)
	a.warn(next)
	// What old has taken over from its predecessors may still be used by them.
	a.busy = append(slices.DeleteFunc(a.busy, func(s *handlers.Server) bool { return !s.Busy() }), old.front)
	busy := slices.Clone(a.busy)
	a.running.Go(func() {
		a.retire(old.minus(next), busy)
		<-a.retiring
	})
	return nil
}

// unlessStopped does f, which reads files, and leaves it alone when the server stops
// first: a file system that does not answer must not keep the process from ending.
// What f does then is seen by nobody.
func (a *App) unlessStopped(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-a.stopped.Done():
		return errStopping
	}
}

// assembleSafely takes a panic for an error: a configuration that cannot be made
// must not end what serves.
func (a *App) assembleSafely(cfg *config.Config, before *generation) (g *generation, err error) {
	defer func() {
		if p := recover(); p != nil {
			g, err = nil, fmt.Errorf("panic: %v", p)
			a.log.Error("panic while a configuration was made", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return a.assemble(cfg, before)
}

// reachWithin is how long a reload waits for a database that it is about to use.
const reachWithin = time.Second

// reach pings a new database before anybody needs it, so that the server does
// not stop being ready, and the first requests do not pay for its set-up. One that
// is away does not keep a configuration from being served.
func (a *App) reach(next, old *generation) {
	// A database that was taken over is in use already.
	if next.db == nil || next.db == old.db {
		return
	}
	ctx, cancel := context.WithTimeout(a.stopped, reachWithin)
	defer cancel()
	if err := next.db.Ping(ctx); err != nil {
		a.log.Warn("the database of the new configuration does not answer yet", "error", err)
	}
}

// swap makes next serve. Nothing in it can fail.
func (a *App) swap(next *generation) {
	// Settings and budgets first, then the handlers that use them, then the listener
	// in front.
	a.Log.Set(next.cfg.Log)
	a.access.use(next.cfg)
	if a.redis != nil {
		a.redis.ProbeNow() // what the old account was refused, the new one may be granted
	}
	if next.db != nil {
		next.login.use(next.cfg.Database.URL)
	}
	a.cache.Reconfigure(cacheSettings(next.cfg))
	a.useFeed(next)
	a.serve(next)
	a.budgets.resize(next.cfg)
	a.current.Store(next)
	a.remember(next)
	a.front.Swap(next.front)
	a.registerGeneration(next)
	a.public.adjust(next, a.log)
}

const (
	retirePause = 20 * time.Millisecond
	// retireGrace is for requests that memory answers: nobody counts those, and
	// they may be about to ask an old limit.
	retireGrace = time.Second
	// awaitOutcomes is for a database that does not answer when it is asked what
	// became of commits: it alone knows.
	awaitOutcomes = 10 * time.Minute
	// stopOutcomes is the same at the end of the process, as for all other writes.
	stopOutcomes = 5 * time.Second
)

// retire closes what a generation has left over, once nobody works with it any
// more: the servers up to that generation's, of which earlier ones may use what
// it had taken over from them. Loads and refreshes that nobody waits for end
// within load.lease.
func (a *App) retire(l leftovers, before []*handlers.Server) {
	if len(l.limits) == 0 && !l.hasSources() {
		return
	}
	a.pause(retireGrace)
	// Asked for again and again, because the way of a hit must not pay for telling.
	for slices.ContainsFunc(before, (*handlers.Server).Busy) && a.pause(retirePause) {
	}
	l.closeLimits()
	if l.hasSources() {
		a.pause(a.current.Load().cfg.Load.Lease) // which no reload changes
		if l.db != nil {
			a.outcomes(l.db)
		}
		l.closeSources(a.log)
	}
	if l.db != nil {
		a.cache.Forget(sourceDatabase, l.db)
	}
}

// outcomes waits until db has told what became of the commits that it did not answer.
func (a *App) outcomes(db *database.DB) {
	for end := time.Now().Add(awaitOutcomes); a.cache.Awaits(db) && time.Now().Before(end); {
		if a.pause(retirePause) {
			continue
		}
		end = time.Now().Add(stopOutcomes)
		for a.cache.Awaits(db) && time.Now().Before(end) {
			time.Sleep(retirePause)
		}
		return
	}
}

// fixed names what has changed and cannot without a restart: sockets, and what
// connections, entries in memory and other instances go by already.
func fixed(old, next *config.Config) error {
	// The tag reload of each key says so; but the files of TLS may change.
	keys := old.NeedRestart(next)
	if (old.Server.TLS.Cert == "") != (next.Server.TLS.Cert == "") {
		keys = append(keys, "[server.tls], whether it is there,")
	}
	var faults []error
	for _, key := range keys {
		faults = append(faults, fmt.Errorf("%s cannot change while the server runs; restart it, or take the change back", key))
	}
	if old.FeedOn() && next.FeedOn() && database.Identity(old.FeedURL().Reveal()) != database.Identity(next.FeedURL().Reveal()) {
		faults = append(faults, errors.New("feed.url names another database, which cannot change while the server runs; restart, or take the change back. User, password and TLS may change"))
	}
	if otherRedis(old.Redis.URL.Reveal(), next.Redis.URL.Reveal()) {
		faults = append(faults, errors.New("redis.url names another shared tier, which cannot change while the server runs: it holds counters, items, guards and leases; "+
			"restart, or take the change back. User, password and [redis.tls] may change"))
	}
	return errors.Join(faults...)
}

// otherDatabase refuses a database that is not the one which the process has
// begun with: copies of its records are in the shared tier and, until they are
// asked for the next time, in the memory of other instances, and nothing in a copy
// tells where it is from. It is remembered over configurations without a
// database, or two reloads would do what one may not.
func (a *App) otherDatabase(next *config.Config) error {
	if next.Database.URL.Empty() {
		return nil
	}
	if a.database != "" && a.database != database.Identity(next.Database.URL.Reveal()) {
		return errors.New("database.url names another database, which cannot change while the server runs: copies of the old one's records would be served for the new one's; " +
			"give its resources other keys (user:v2:…) or delete the copies, and restart, or take the change back. User, password and TLS may change")
	}
	return nil
}

// remember notes which database is the one that must not change.
func (a *App) remember(g *generation) {
	if a.database == "" && g.db != nil {
		a.database = database.Identity(g.cfg.Database.URL.Reveal())
	}
}
