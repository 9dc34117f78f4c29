// Command hearth answers hot JSON reads over HTTP from its own memory, and
// keeps that memory coherent with Redis and with the database behind it.
//
// Usage:
//
//	hearth [-config FILE] [serve]   serve until SIGTERM
//	hearth [-config FILE] check     read the configuration, report every fault
//	hearth version                  print the version
//
// The configuration is one TOML file, config.toml in the working directory
// unless -config names another. The config.toml that comes with the program
// lists every key with its meaning and default. Every scalar can be overridden
// from the environment: HEARTH_ + section + _ + key in capitals, such as
// HEARTH_SERVER_LISTEN or HEARTH_REDIS_URL.
//
// Signals:
//
//	SIGTERM  drain: turn /healthz and /readyz to 503, keep answering for
//	         server.drain, close the listeners, let requests finish, end
//	SIGINT   the same without waiting for server.drain
//	a second SIGTERM or SIGINT ends the process at once
//	SIGHUP   check the configuration file and say in the log whether a restart
//	         would accept it; what is served stays as it is
//
// Exit status: 0 after a drain, a successful check or version; 1 when the
// configuration is faulty or the server could not start or go on; 2 for
// arguments it does not know.
//
// Started by systemd with Type=notify it reports READY=1 and STOPPING=1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"hearth/internal/app"
	"hearth/internal/config"
)

// version is set when the program is linked.
var version = "devel"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program without its exit.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("hearth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: hearth [-config FILE] [serve | check | version]\n")
		flags.PrintDefaults()
	}
	path := flags.String("config", "config.toml", "the configuration `FILE`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	verb := "serve"
	if flags.NArg() > 0 {
		verb = flags.Arg(0)
	}
	if flags.NArg() > 1 {
		verb = "" // no verb takes arguments
	}
	var err error
	switch verb {
	case "version":
		fmt.Fprintln(stdout, "hearth", version)
	case "check":
		if err = check(*path); err == nil {
			fmt.Fprintf(stdout, "%s: no faults\n", *path)
		}
	case "serve":
		err = serve(*path, stderr)
	default:
		flags.Usage()
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// check finds what serve would refuse, without opening anything.
func check(path string) error {
	cfg, err := config.Load(path, os.Environ())
	if err != nil {
		return err
	}
	return app.Check(cfg)
}

func serve(path string, stderr io.Writer) error {
	cfg, err := config.Load(path, os.Environ())
	if err != nil {
		return err
	}
	log := newLog(cfg.Log, stderr)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	a, err := app.New(cfg, version, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	defer watchSignals(path, log, stop)()
	return a.Run(ctx)
}

// watchSignals ends the server on the first SIGTERM or SIGINT; the second one
// finds the default action restored. It returns what ends the watching.
func watchSignals(path string, log *slog.Logger, stop context.CancelCauseFunc) (end func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			if s == syscall.SIGHUP {
				log.Warn("configuration checked on SIGHUP; restart to apply it", "faults", check(path))
				continue
			}
			signal.Reset(syscall.SIGTERM, syscall.SIGINT)
			if s == syscall.SIGINT {
				stop(app.ErrNow)
			} else {
				stop(errors.New("asked to stop (" + s.String() + ")"))
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

func newLog(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config.Load accepts known levels only
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
