// Package command is the program: its verbs, its signals, its exit status.
//
// It stands apart from package main so that a test can run the whole program in
// its own process: all that the program takes from the process is in Process.
package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // a faulty configuration, or a server that could not start or go on
	exitUsage  = 2 // arguments that the program does not know
)

// Process is what the program takes from the process it runs in.
type Process struct {
	Version        string
	Args           []string // without the program's name
	Env            []string // as os.Environ has it
	Stdout, Stderr io.Writer
	// Notify subscribes to signals, as signal.Notify does. It is called by the
	// verb serve only. After a second SIGTERM or SIGINT the process kills
	// itself, whoever sent them.
	Notify func(c chan<- os.Signal, signals ...os.Signal)
}

// Main runs the program as what its process is for, and returns the exit status.
func Main(version string) int {
	return Run(Process{
		Version: version, Args: os.Args[1:], Env: os.Environ(),
		Stdout: os.Stdout, Stderr: os.Stderr, Notify: signal.Notify,
	})
}

// Run runs the program and returns its exit status.
func Run(p Process) int {
	flags := flag.NewFlagSet("hearth", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	flags.Usage = func() {
		fmt.Fprint(p.Stderr, "usage: hearth [-config FILE] [serve | check [-connect] | version]\n")
		flags.PrintDefaults()
	}
	path := flags.String("config", "config.toml", "the configuration `FILE`")
	if err := flags.Parse(p.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	verb := "serve"
	if flags.NArg() > 0 {
		verb = flags.Arg(0)
	}
	connect := verb == "check" && flags.NArg() == 2 && slices.Contains([]string{"-connect", "--connect"}, flags.Arg(1))
	if flags.NArg() > 1 && !connect {
		verb = "" // no verb takes other arguments
	}
	var err error
	switch verb {
	case "version":
		fmt.Fprintln(p.Stdout, "hearth", p.Version)
	case "check":
		if err = p.check(*path, connect, p.Stderr); err == nil {
			fmt.Fprintf(p.Stdout, "%s: no faults\n", *path)
		}
	case "serve":
		err = p.serve(*path)
	default:
		flags.Usage()
		return exitUsage
	}
	switch {
	case err == nil:
		return exitOK
	case !errors.Is(err, errLogged):
		fmt.Fprintln(p.Stderr, err)
	}
	return exitFailed
}
