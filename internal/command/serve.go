package command

import (
	"cmp"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"hearth/internal/app"
	"hearth/internal/config"
)

// startGrace is how long a start-up that is no longer wanted may take to end in
// order.
const startGrace = 2 * time.Second

func serveVerb() verb {
	return verb{
		name:    "serve",
		summary: "serve until SIGTERM; what hearth does without a verb",
		about: `
Reads the configuration, serves what it describes, and ends with SIGTERM, after the requests
that have begun. Neither Redis nor the database needs to be up. A configuration with a fault
is refused, with all its faults.

Started by systemd it takes passed sockets (named public and admin), reports READY=1,
RELOADING=1 and STOPPING=1, and feeds the watchdog while it works.`,
		examples: []example{{"hearth -config /etc/hearth/config.toml", "as the systemd unit runs it"}},
		begin: func(*flag.FlagSet) run {
			return func(p Process, path string, _ []string) error { return p.serve(path) }
		},
	}
}

// serve runs the server until a signal ends it. It subscribes to signals first
// of all: until then they kill. One wish to reload is kept for the time after the
// start-up, and two signals that end: the second is not lost while the first is obeyed.
func (p Process) serve(path string) error {
	hups, ends := make(chan os.Signal, 1), make(chan os.Signal, 2)
	p.Notify(hups, syscall.SIGHUP)
	p.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	a, err := p.start(path, ends)
	if a == nil {
		return err
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	ended := make(chan struct{})
	var obeying sync.WaitGroup
	obeying.Go(func() { obey(ended, hups, ends, a, stop) })
	err = a.Run(ctx)
	close(ended)
	obeying.Wait()
	if err != nil {
		slog.Error("the server ends", "error", err)
		return errTold // from the start of serving on, standard error is the log
	}
	return nil
}

// start is build that signals can end. It returns nothing at all when a signal of
// ends comes first: nobody was served yet, so there is nothing to drain. A build
// can hang where nothing can wake it, at a file on a file system that does not
// answer. Then it is left behind, and ends with the process.
func (p Process) start(path string, ends <-chan os.Signal) (*app.App, error) {
	type outcome struct {
		app *app.App
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		a, err := p.build(path)
		done <- outcome{a, err}
	}()
	select {
	case o := <-done:
		return o.app, o.err
	case <-ends:
	}
	// What is built after all has goroutines and files, which are ended in order.
	over := make(chan struct{})
	go func() {
		defer close(over)
		if o := <-done; o.app != nil {
			o.app.Close()
		}
	}()
	select {
	case <-over:
	case s := <-ends:
		die(s)
	case <-time.After(startGrace):
	}
	return nil, nil
}

// build makes the server out of the configuration. Its error lists all faults of
// the configuration, not only the first that was met.
func (p Process) build(path string) (*app.App, error) {
	load := func() (*config.Config, error) {
		cfg, err := config.Load(path, p.Env)
		if err != nil {
			err = cmp.Or(p.check(path, false, io.Discard, io.Discard), err)
		}
		return cfg, err
	}
	cfg, err := load()
	if err != nil {
		return nil, err
	}
	log := app.NewLog(cfg.Log, p.Stderr)
	slog.SetDefault(log.Logger()) // which package log follows: no library prints past it
	a, err := app.Open(cfg, app.Process{Version: p.Version, Log: log, Load: load, Serving: p.greet(path)})
	if err != nil {
		err = cmp.Or(app.Check(cfg, nil).Err(), err)
	}
	return a, err
}
