package app

import (
	"context"
	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/source/database"
	"time"
)

// watch keeps asking whether the source can be reached, which also sets it up
// when it comes late, and ends the state "starting".
func (a *App) watch() {
	started := time.Now()
	var statements statementProbe
	var watches watchProbe
	var noted *generation // what its copies are made from
	var way string        // how the database is reached, as the log has it
	var last pinged
	for {
		a.pingSource(&last)
		g := a.current.Load()
		if g != noted && a.noteProvenance(g) {
			noted = g
		}
		if a.ready() || time.Since(started) >= g.cfg.Server.StartGrace {
			a.state.CompareAndSwap(uint32(handlers.Starting), uint32(handlers.Serving))
		}
		a.tellWay(g, &way)
		a.probeStatements(&statements)
		a.probeWatches(&watches)
		// At the start often: balancers wait for the state to end.
		wait := time.Second
		if a.serverState() == handlers.Starting {
			wait = 20 * time.Millisecond
		}
		if !a.pause(wait) {
			return
		}
	}
}

// pinged is what the latest ping has found. It belongs to the goroutine that watches.
type pinged struct {
	db       *database.DB
	away     bool
	readOnly bool
}

// pingSource asks the database whether it is there and takes writes, and says so in the
// log when that has changed.
func (a *App) pingSource(last *pinged) {
	g := a.current.Load()
	if g.db == nil {
		return
	}
	if g.db != last.db {
		*last = pinged{db: g.db}
	}
	// Up tells of the call before this one.
	before := g.db.Up()
	ctx, cancel := context.WithTimeout(a.stopped, g.cfg.Database.Timeout)
	defer cancel()
	err := g.db.Ping(ctx)
	// A breaker that has opened meanwhile would refuse loads and writes for seconds more.
	if err == nil && last.away {
		a.cache.Returned(sourceDatabase, g.db)
	}
	last.away = err != nil
	if readOnly := g.db.ReadOnly(); readOnly != last.readOnly && a.stopped.Err() == nil {
		if last.readOnly = readOnly; readOnly {
			a.log.Warn("the database takes no writes: no server was found that does")
		} else if err == nil {
			a.log.Info("the database takes writes")
		}
	}
	switch {
	case a.current.Load() != g:
		// A reload has come between, and may have closed this one.
	case err == nil && !before:
		a.log.Info("the database answers")
		a.numbers.sourceSilent.Store(nil)
	case err == nil:
		a.numbers.sourceSilent.Store(nil)
	case a.stopped.Err() == nil:
		why := "the database does not answer"
		if says := database.Says(err); says != "" {
			why = says
		}
		if said := a.numbers.sourceSilent.Swap(&why); before || said == nil || *said != why {
			attributes := []any{"error", err}
			if text := mend(err); text != "" {
				attributes = append(attributes, "mend", text)
			}
			a.log.Warn(why, attributes...)
		}
	}
}

// tellWay says in the log how the database is reached, where that is not the ordinary
// way, and when it has changed.
func (a *App) tellWay(g *generation, told *string) {
	now := ""
	if g.db != nil {
		now = g.db.Way()
	}
	if now != *told && now != "" {
		a.log.Info("the database is reached "+now, "key", "database.url")
	}
	*told = now
}

// checks names what a ready server needs and why it is missing, nil if not.
func (a *App) checks() map[string]error {
	checks := map[string]error{a.cache.SharedTier().String(): nil}
	if err := a.cache.Up(); err != nil {
		a.log.Debug("not ready", "error", err)
		checks[a.cache.SharedTier().String()] = admin.Reason("cannot be asked; the log says why")
	} else if err := a.cache.Trouble(); err != nil {
		checks[a.cache.SharedTier().String()] = admin.Reason("its file cannot be written; the log says why")
	}
	if db := a.current.Load().db; db != nil {
		checks["source"] = nil
		if db.ReadOnly() {
			checks["source"] = admin.Reason("the database is read-only; writes are refused")
		} else if !db.Up() {
			why := "the database does not answer"
			if said := a.numbers.sourceSilent.Load(); said != nil {
				why = *said
			}
			checks["source"] = admin.Reason(why)
		}
	}
	return checks
}

// ready tells whether nothing is missing.
func (a *App) ready() bool {
	for _, err := range a.checks() {
		if err != nil {
			return false
		}
	}
	return true
}
