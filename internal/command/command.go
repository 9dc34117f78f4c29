// Package command is the program: its verbs, its signals, its exit status.
//
// It stands apart from package main so that a test can run the whole program in
// its own process: all that the program takes from the process is in Process.
//
// The verb serve has three parts, each with its own answer to a signal: a start-up
// is given up, a server drains, and one that drains is killed. Reloads are asked for
// by a signal, too, and carried out by package app.
package command

import (
	"errors"
	"flag"
	"fmt"
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

// Main runs the program as what its process is for, and returns the exit status.
func Main(version string) int {
	return Run(Process{
		Version: version, Args: os.Args[1:], Env: os.Environ(),
		Stdout: os.Stdout, Stderr: os.Stderr, Notify: signal.Notify,
	})
}

// Run runs the program and returns its exit status. What an operator should read goes
// to standard error, and what a verb was asked for to standard output, so that the
// output of check and version can be used by scripts.
func Run(p Process) int {
	flags := flag.NewFlagSet("hearth", flag.ContinueOnError)
	flags.SetOutput(p.Stderr)
	flags.Usage = func() {
		fmt.Fprint(p.Stderr, "usage: hearth [-config FILE] [serve | check [-connect] | explain PATH | feed VERB | version]\n")
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
	// The flag package ends at the first argument that is no flag, thus at the verb.
	connect := verb == "check" && flags.NArg() == 2 && slices.Contains([]string{"-connect", "--connect"}, flags.Arg(1))
	if flags.NArg() > 1 && !connect && verb != "feed" && verb != "explain" {
		verb = "" // no verb takes other arguments
	}
	var err error
	switch verb {
	case "version":
		fmt.Fprintln(p.Stdout, "hearth", p.Version)
	case "check":
		if err = p.check(*path, connect, p.Stdout, p.Stderr); err == nil {
			fmt.Fprintf(p.Stdout, "%s: no faults\n", *path)
		}
	case "explain":
		err = p.explain(*path, flags.Args()[1:])
	case "feed":
		err = p.feed(*path, flags.Args()[1:])
	case "serve":
		err = p.serve(*path)
	default:
		flags.Usage()
		return exitUsage
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case !errors.Is(err, errLogged) && !errors.Is(err, errNotLive):
		fmt.Fprintln(p.Stderr, err)
	}
	return exitFailed
}
