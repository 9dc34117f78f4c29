package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"hearth/internal/app"
	"hearth/internal/config"
)

// serve runs the server until a signal ends it. Signals are heard first of all:
// until then they kill.
func serve(path string, stderr io.Writer) error {
	hups, ends := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hups, syscall.SIGHUP)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	a, err := start(path, stderr, ends)
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
		return errLogged
	}
	return nil
}

// errLogged is a failure that the log has told of: from the start of serving on
// everything on standard error is a line of the log.
var errLogged = errors.New("see the log")

// startGrace is how long a start-up that is no longer wanted may take to end in
// order.
const startGrace = 2 * time.Second

// start makes the server out of the configuration. A signal of ends makes it
// return nothing at all: nobody was served yet, so there is nothing to drain. A
// start-up can hang where nothing can wake it, at a file on a file system that
// does not answer; then it ends with the process. A second signal finds the
// default action restored.
func start(path string, stderr io.Writer, ends <-chan os.Signal) (*app.App, error) {
	type outcome struct {
		app *app.App
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		load := func() (*config.Config, error) {
			cfg, err := config.Load(path, os.Environ())
			if err != nil {
				err = errorOr(check(path, false, io.Discard), err)
			}
			return cfg, err
		}
		cfg, err := load()
		if err != nil {
			done <- outcome{err: err}
			return
		}
		log := app.NewLog(cfg.Log, stderr)
		slog.SetDefault(log.Logger()) // which package log follows: no library prints past it
		a, err := app.New(cfg, app.Process{Version: version, Log: log, Load: load})
		if err != nil {
			err = errorOr(app.Check(cfg, nil).Err(), err)
		}
		done <- outcome{a, err}
	}()
	select {
	case o := <-done:
		return o.app, o.err
	case <-ends:
	}
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

// obey does what signals ask for until the server has ended. The first signal
// that ends it lets it end in order, the second ends the process. Both are taken
// from one channel: two that come in the same moment are two.
func obey(ended <-chan struct{}, hups, ends <-chan os.Signal, a *app.App, stop context.CancelCauseFunc) {
	for stopping := false; ; {
		select {
		case <-ended:
			return
		case <-hups:
			a.Reload()
		case s := <-ends:
			switch {
			case stopping:
				die(s)
			case s == syscall.SIGINT:
				stop(app.ErrNow)
			default:
				stop(errors.New("asked to stop (" + s.String() + ")"))
			}
			stopping = true
		}
	}
}

// die ends the process as s does by default. Where s was ignored when the
// process was started (a shell does that to what it runs in the background), it
// ends all the same.
func die(s os.Signal) {
	number, _ := s.(syscall.Signal)
	signal.Reset(s)
	_ = syscall.Kill(os.Getpid(), number)
	time.Sleep(100 * time.Millisecond) // another thread may be about to take it
	os.Exit(128 + int(number))
}
