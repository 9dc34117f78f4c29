// Package top is the dashboard in a terminal: whether all is well, figures, hot keys and
// events, each second anew.
//
// It knows a server by what its admin listener tells everybody, ticks above all, so it works
// wherever that is reached, and shows no figure that /metrics does not have. What is shown is
// drawn by a function of what is known and the size of the screen; the terminal is told only
// which lines are to stand where. Keys of records are chosen by clients: nothing of them
// reaches the terminal that could move its cursor, or that it might take for wider than it is.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"hearth/internal/operator"
	"hearth/internal/tty"
)

// Config says what is shown, and where.
type Config struct {
	Client *operator.Client
	Out    io.Writer
	Errors io.Writer // what a script's reader should know beside its output
	Env    tty.Env
	Notify func(c chan<- os.Signal, signals ...os.Signal)

	JSON   bool   // one object a tick
	Count  int    // of ticks; 0: without an end
	Order  string // one of Orders
	Filter string // a part of key or resource
}

// Run shows the server until it was asked to end, or cannot go on. Where there is no terminal
// that can be drawn on, and if a number of ticks was asked for, it prints each by itself.
func (c Config) Run() error {
	ctx, cancel := context.WithCancel(context.Background())
	s := &screen{alphabet: alphabet{ascii: !c.utf8()}, address: c.Client.Address(), order: c.Order, filter: c.Filter}
	w := newWatch(c.Client, c.Order)
	var running sync.WaitGroup
	running.Go(func() { w.run(ctx) })
	defer func() {
		cancel()
		running.Wait()
	}()
	if !c.JSON && c.Count == 0 && tty.Is(c.Out) && !c.Env.Dumb() {
		t, err := openTerminal(c.codes())
		if err == nil {
			return c.interact(ctx, t, s, w)
		}
	}
	return c.print(s, w)
}

// codes are those that a terminal gets.
func (c Config) codes() map[mark]string {
	switch {
	case c.Env.Dumb():
		return nil
	case !c.Env.Colours():
		return colourless
	}
	return coloured
}

// utf8 tells whether the locale has more than ASCII (POSIX, 8.2: the first that is set counts).
func (c Config) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(c.Env.Variable(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// patience is how long two ticks may take to come, where somebody waits for nothing else.
const patience = 10 * time.Second

// print prints ticks that have rates, one after the other.
func (c Config) print(s *screen, w *watch) error {
	s.bare = true
	if c.Notify != nil { // a reader that has enough is no reason to end by a signal
		c.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for printed := 0; ; {
		var r report
		select {
		case r = <-w.to:
		case <-late.C:
			if printed == 0 && c.Count > 0 {
				return fmt.Errorf("%s has sent no two ticks within %v; is it under way?", s.address, patience)
			}
		}
		now := time.Now()
		switch {
		case r.end != nil:
			return r.end
		case r.lost != nil && c.Count == 1:
			return r.lost
		case r.lost != nil:
			if s.live.lost.IsZero() {
				fmt.Fprintf(c.Errors, "%s no ticks: %v\n", s.clock(now.UnixMilli()), r.lost)
			}
			s.live.lose(r.lost, now)
		}
		if s.live.remember(r.events); r.tick == nil {
			continue
		}
		if s.live.take(r.tick, r.hot, now); s.live.seconds() <= 0 {
			continue
		}
		if err := c.printOne(s, now, printed > 0); err != nil {
			if errors.Is(err, syscall.EPIPE) {
				return nil
			}
			return err
		}
		if printed++; printed == c.Count {
			return nil
		}
	}
}

func (c Config) printOne(s *screen, now time.Time, more bool) (err error) {
	var text []byte
	if c.JSON {
		text, err = s.record().encoded()
	} else {
		z, codes := c.pageSize()
		text = s.print(z, codes, now)
		if more {
			text = append([]byte("\n"), text...)
		}
	}
	if err == nil {
		_, err = c.Out.Write(text)
	}
	return err
}

// pageSize is that of a page: a screenful on a terminal, and otherwise as wide as COLUMNS says.
func (c Config) pageSize() (size, map[mark]string) {
	if tty.Is(c.Out) {
		if t, err := openTerminal(nil); err == nil {
			defer t.tty.Close()
			z := t.size()
			z.height = max(1, z.height-1) // the shell's next line
			return z, c.codes()
		}
	}
	z := size{width: 80}
	if n, err := strconv.Atoi(c.Env.Variable("COLUMNS")); err == nil && n >= 20 && n <= 1000 {
		z.width = n
	}
	return z, nil
}
