package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
	"hearth/internal/source"
)

// watch keeps asking whether the source can be reached, which also sets it up
// when it comes late, and ends the state "starting".
func (a *App) watch() {
	started := time.Now()
	var statements prober
	var noted *generation // what its copies are made from
	for {
		a.pingSource()
		g := a.current.Load()
		if g != noted && a.noteProvenance(g) {
			noted = g
		}
		if a.ready() || time.Since(started) >= g.cfg.Server.StartGrace {
			a.state.CompareAndSwap(uint32(handlers.Starting), uint32(handlers.Serving))
		}
		a.probe(&statements)
		wait := time.Second
		if handlers.State(a.state.Load()) == handlers.Starting {
			wait = 20 * time.Millisecond
		}
		if !a.pause(wait) {
			return
		}
	}
}

func (a *App) pingSource() {
	g := a.current.Load()
	if g.db == nil {
		return
	}
	before := g.db.Up()
	ctx, cancel := context.WithTimeout(a.stopped, g.cfg.Database.Timeout)
	defer cancel()
	err := g.db.Ping(ctx)
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
		if source.RefusesAccess(err) {
			why = "the database refuses to be used with this configuration"
		}
		if said := a.numbers.sourceSilent.Swap(&why); before || said == nil || *said != why {
			a.log.Warn(why, "error", err)
		}
	}
}

// checks names what a ready server needs and why it is missing, nil if not.
func (a *App) checks() map[string]error {
	checks := map[string]error{a.cache.SharedTier().String(): nil}
	if err := a.cache.Up(); err != nil {
		a.log.Debug("not ready", "error", err)
		checks[a.cache.SharedTier().String()] = admin.Reason("cannot be asked; the log says why")
	}
	if db := a.current.Load().db; db != nil {
		checks["source"] = nil
		if !db.Up() {
			why := "the database does not answer"
			if said := a.numbers.sourceSilent.Load(); said != nil {
				why = *said
			}
			checks["source"] = admin.Reason(why)
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

// watchdog tells the service manager that this process is alive, but only while
// it is: a timer that goes off proves nothing. Each time a value has to go into
// the memory tier and come out of it, whoever looks after connections must not
// hold its lock for good, and a request has to come in over a socket and be
// answered. The connection for it is made at the start and has no address: so
// neither a machine that is short of descriptors nor an admin listener that is
// full, or on a path that this user must not open, is taken for death. What this
// process depends on is not asked: a restart does not bring Redis back.
//
// every is a quarter of the time after which the manager acts, so that a check
// that fails once, or takes as long as it may, is followed by another in time.
func (a *App) watchdog(every time.Duration) {
	manager, err := systemd.OpenNotifier()
	if err != nil {
		a.log.Error("the watchdog cannot be told anything", "error", err)
		return
	}
	defer func() { _ = manager.Close() }()
	p := pulse{app: a}
	defer p.end()
	for a.pause(every) {
		err := p.feel(every)
		if err == nil {
			err = manager.Notify(systemd.Alive)
		}
		if err != nil {
			a.log.Error("not telling the watchdog", "error", err)
		}
	}
}

// pulse is one check after the other that the process works.
type pulse struct {
	app     *App
	running sync.WaitGroup
	stuck   chan error    // the answer of a check that took too long
	conn    net.Conn      // to the admin server, which has the other end; the check's
	in      *bufio.Reader // of conn
}

// feel runs a check and waits for it no longer than within. A check that hangs is
// waited for on, by the next calls: it is the proof that something is wrong, and
// must not be repeated without end.
func (p *pulse) feel(within time.Duration) error {
	if p.stuck == nil {
		done := make(chan error, 1)
		p.stuck = done
		p.running.Go(func() { done <- p.check(within) })
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case err := <-p.stuck:
		p.stuck = nil
		return err
	case <-timer.C:
		return fmt.Errorf("a check has taken longer than %v", within)
	}
}

// end waits for the last check and for the end of its connection.
func (p *pulse) end() {
	if p.stuck != nil {
		<-p.stuck
	}
	p.hangUp()
	p.running.Wait()
}

func (p *pulse) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // which ends the server's side, too
		p.conn = nil
	}
}

func (p *pulse) check(within time.Duration) error {
	if err := p.app.cache.ProbeMemory(); err != nil {
		return fmt.Errorf("using the memory tier: %w", err)
	}
	p.app.public.watched.Conns()
	kept := p.conn != nil
	err := p.ask(within)
	if err != nil && kept { // it may have been unused for too long
		err = p.ask(within)
	}
	if err != nil {
		return fmt.Errorf("asking the admin server: %w", err)
	}
	return nil
}

// ask sends a request the way that all requests come in. Any answer will do.
func (p *pulse) ask(within time.Duration) (err error) {
	if p.conn == nil {
		if err := p.connect(); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			p.hangUp()
		}
	}()
	if err := p.conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := io.WriteString(p.conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	var answer fasthttp.Response
	if err := answer.Read(p.in); err != nil {
		return err
	}
	if answer.ConnectionClose() {
		p.hangUp()
	}
	return nil
}

// connect makes a connection within this process and has the admin server serve
// its other end.
func (p *pulse) connect() error {
	ours, theirs, err := listen.Socketpair()
	if err != nil {
		return err
	}
	p.conn, p.in = ours, bufio.NewReader(ours)
	p.running.Go(func() { _ = p.app.admin.ServeConn(theirs) })
	return nil
}
