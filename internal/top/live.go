package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// interact shows the server on a terminal until it was asked to end. The terminal is given back on
// every way out.
func (c Config) interact(ctx context.Context, t *terminal, s *screen, w *watch) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 8)
	keys, gone := make(chan rune), make(chan error, 1)
	var reading sync.WaitGroup
	if err := t.enter(); err != nil {
		return errors.Join(err, t.tty.Close())
	}
	defer func() {
		fault := recover()
		_ = t.leave() // a terminal that is gone needs nothing
		cancel()
		_ = t.tty.Close()
		reading.Wait()
		if fault != nil {
			err = fmt.Errorf("BUG: %v\n%s", fault, debug.Stack())
		}
	}()
	c.Notify(signals, listened()...)
	reading.Go(func() {
		gone <- t.readKeys(func(key rune) bool {
			select {
			case keys <- key:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	v := view{c, t, s, w, signals}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		if err := t.draw(s.draw(t.size(), time.Now()), t.size()); err != nil {
			return err
		}
		select {
		case r := <-w.to:
			if err := v.take(r); err != nil {
				return err
			}
		case key := <-keys:
			if quit, err := v.press(key); quit || err != nil {
				return err
			}
		case err := <-gone:
			return fmt.Errorf("reading keys: %w", err)
		case signal := <-signals:
			if end, err := v.obey(signal); end || err != nil {
				return err
			}
		case <-second.C: // since when there is no tick
		}
	}
}

// view is what interact acts on.
type view struct {
	config   Config
	terminal *terminal
	screen   *screen
	watch    *watch
	signals  chan os.Signal
}

// take takes what has come. The end of the first try to reach the server is the end.
func (v view) take(r report) error {
	now := time.Now()
	switch {
	case r.end != nil:
		return r.end
	case r.lost != nil:
		v.screen.live.lose(r.lost, now)
	case r.tick != nil:
		v.screen.live.take(r.tick, r.hot, now)
	default:
		v.screen.live.remember(r.events)
	}
	return nil
}

func (v view) press(key rune) (quit bool, err error) {
	switch key {
	case '\f': // Ctrl-L
		v.terminal.redraw()
	case '\x1a': // Ctrl-Z
		return false, v.suspend()
	default:
		quit = v.screen.press(key)
		v.watch.order.Store(v.screen.order)
	}
	return quit, nil
}

// ending are the signals that end it.
var ending = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// listened are those and the others that mean something. What was ignored at the start, as by
// nohup, stays so.
func listened() []os.Signal {
	all := []os.Signal{syscall.SIGWINCH, syscall.SIGCONT}
	for _, s := range ending {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// obey does what a signal asks for.
func (v view) obey(s os.Signal) (end bool, err error) {
	switch s {
	case syscall.SIGWINCH:
		v.terminal.redraw()
	case syscall.SIGCONT: // somebody else has stopped this process, and the shell drew meanwhile
		if err := v.terminal.leave(); err != nil {
			return true, err
		}
		return false, v.terminal.enter()
	default:
		return true, nil
	}
	return false, nil
}

// resumed is how long the end of a suspension may take to be told. Where nobody suspends (the
// session has no shell), none is.
const resumed = 200 * time.Millisecond

// suspend gives the terminal back, stops the processes of this job as the terminal does on
// Ctrl-Z, and takes it again when they go on. The signal is one that this process never
// listens to: what Go has listened to once has no default action any more.
func (v view) suspend() error {
	if err := v.terminal.leave(); err != nil {
		return err
	}
	if err := syscall.Kill(0, syscall.SIGTSTP); err != nil {
		return fmt.Errorf("suspending: %w", err)
	}
	timer := time.NewTimer(resumed)
	defer timer.Stop()
	select {
	case <-timer.C:
	case s := <-v.signals:
		if s != syscall.SIGCONT {
			v.signals <- s // there is room: it was just taken
		}
	}
	return v.terminal.enter()
}
