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
)

// watch keeps asking whether the source can be reached, which also sets it up
// when it comes late, and ends the state "starting".
func (a *App) watch() {
	started := time.Now()
	for {
		a.pingSource()
		g := a.current.Load()
		if a.ready() || time.Since(started) >= g.cfg.Server.StartGrace {
			a.state.CompareAndSwap(uint32(handlers.Starting), uint32(handlers.Serving))
		}
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
	if db := a.current.Load().db; db != nil {
		checks["source"] = nil
		if !db.Up() {
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

// watchdog tells the service manager that this process is alive, as often as it
// wants to hear it, but only while it is: a timer that goes off proves nothing.
// Each time a value has to go into the memory tier and come out of it, the
// sweeper of connections has to hold no lock for good, and a request has to come
// in over the network and be answered. What this process depends on is not asked:
// a restart does not bring Redis back.
func (a *App) watchdog(every time.Duration, operators net.Addr) {
	beat := pulse{operators: operators}
	for a.pause(every) {
		if err := beat.feel(a, every); err != nil {
			a.log.Error("not telling the watchdog", "error", err)
			continue
		}
		a.notify(listen.Alive)
	}
	beat.running.Wait()
}

// pulse is one check after the other that the process works.
type pulse struct {
	operators net.Addr
	running   sync.WaitGroup
	stuck     chan error // the answer of a check that took too long
}

// feel runs a check and waits for it no longer than within. A check that hangs is
// waited for on, by the next calls: it is the proof that something is wrong, and
// must not be repeated without end.
func (p *pulse) feel(a *App, within time.Duration) error {
	if p.stuck == nil {
		done := make(chan error, 1)
		p.stuck = done
		p.running.Go(func() { done <- p.check(a, within) })
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

func (p *pulse) check(a *App, within time.Duration) error {
	if err := a.cache.Pulse(); err != nil {
		return fmt.Errorf("using the memory tier: %w", err)
	}
	a.public.watched.Open()
	if err := p.ask(within); err != nil {
		return fmt.Errorf("asking the admin listener: %w", err)
	}
	return nil
}

// ask sends a request the way that all requests come in.
func (p *pulse) ask(within time.Duration) error {
	conn, err := net.DialTimeout(p.operators.Network(), p.operators.String(), within)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	var answer fasthttp.Response
	if err := answer.Read(bufio.NewReader(conn)); err != nil {
		return err
	}
	if code := answer.StatusCode(); code != fasthttp.StatusOK {
		return fmt.Errorf("the answer is %d", code)
	}
	return nil
}
