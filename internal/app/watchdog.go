package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
)

// watchdog tells the service manager that this process is alive, but only while
// it is: a timer that goes off proves nothing. Each time a value has to go into
// the memory tier and come out of it, the lock over the connections has to be free,
// and a request has to come in over a socket and be answered.
//
// The connection for that request is made at the start and has no address. So three
// things are not taken for death: a machine that is short of descriptors, an admin
// listener that is full, and one on a path that this user must not open. What this
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
	p := selfProbe{app: a}
	defer p.close()
	for a.pause(every) {
		err := p.run(every)
		if err == nil {
			err = manager.Notify(systemd.Alive)
		}
		if err != nil {
			a.log.Error("not telling the watchdog", "error", err)
		}
	}
}

// selfProbe makes sure, time and again, that the process works.
type selfProbe struct {
	app     *App
	running sync.WaitGroup
	// stuck is the answer of a check that takes too long; nil while none does.
	stuck chan error
	// conn leads to the admin server, which has the other end; in reads from it.
	// Both belong to the check that runs.
	conn net.Conn
	in   *bufio.Reader
}

// run makes a check and waits for it no longer than within. A check that hangs is
// waited for on, by the next calls: it is the proof that something is wrong, and
// must not be repeated without end.
func (p *selfProbe) run(within time.Duration) error {
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

// close waits for the last check and for the end of its connection.
func (p *selfProbe) close() {
	if p.stuck != nil {
		<-p.stuck
	}
	p.hangUp()
	p.running.Wait()
}

// hangUp ends the connection; the next check makes another.
func (p *selfProbe) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // which ends the server's side, too
		p.conn = nil
	}
}

// check does what a request does, from its socket to the memory tier.
func (p *selfProbe) check(within time.Duration) error {
	if err := p.app.cache.ProbeMemory(); err != nil {
		return fmt.Errorf("using the memory tier: %w", err)
	}
	// This takes the lock, and waits for ever if somebody keeps it.
	p.app.public.listener.Conns()
	// A kept connection may have been closed for want of requests: that is no fault.
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
func (p *selfProbe) ask(within time.Duration) (err error) {
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
	// Even a refusal proves that requests are read and answered.
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
func (p *selfProbe) connect() error {
	ours, theirs, err := listen.Socketpair()
	if err != nil {
		return err
	}
	p.conn, p.in = ours, bufio.NewReader(ours)
	p.running.Go(func() { _ = p.app.admin.ServeConn(theirs) })
	return nil
}
