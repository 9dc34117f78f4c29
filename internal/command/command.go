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
	"strings"

	"hearth/internal/config"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // a faulty configuration, or a server that could not start or go on
	exitUsage  = 2 // arguments that the program does not know
)

// Main runs the program as what its process is for, and returns the exit status.
func Main(version, schema string) int {
	return Run(Process{
		Version: version, Schema: schema, Name: os.Args[0], Args: os.Args[1:], Env: os.Environ(),
		Stdout: os.Stdout, Stderr: os.Stderr, Notify: signal.Notify,
	})
}

// Run runs the program and returns its exit status. What an operator should read goes
// to standard error, and what a verb was asked for to standard output, so that the
// output of check and version can be used by scripts.
func Run(p Process) int {
	err := p.perform(program(), nil, defaultConfig, p.Args)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case !errors.Is(err, errTold):
		fmt.Fprintln(p.Stderr, err)
	}
	return exitFailed
}

// errTold is a failure of which a verb itself has told all there is to tell.
var errTold = errors.New("see above")

// perform does what the arguments of a verb ask for. The verb is in the groups above, and
// has got the name of the configuration so far.
func (p Process) perform(v verb, above []string, path string, args []string) error {
	flags, run := v.flagSet(&path)
	args, err := parse(flags, args, run != nil)
	switch {
	case errors.Is(err, flag.ErrHelp):
		v.writeHelp(p.Stderr, above)
		return nil
	case err != nil:
		return p.refuse(v, above, "%v%s", err, v.meant(err))
	case run != nil:
		least, most := v.argumentCount()
		switch n := len(args); {
		case n < least:
			return p.refuse(v, above, "%s is missing", strings.TrimSuffix(strings.Fields(v.arguments)[n], "..."))
		case most >= 0 && n > most:
			return p.refuse(v, above, "takes no argument %q", args[most])
		}
		return run(p, path, args)
	case len(args) == 0 && v.name == "":
		args = []string{"serve"}
	case len(args) == 0:
		v.writeHelp(p.Stderr, above)
		return errUsage
	}
	sub, found := find(v.verbs, args[0])
	if !found {
		return p.refuse(v, above, "%s", v.unknown(args[0]))
	}
	return p.perform(sub, v.below(above), path, args[1:])
}

// parse reads flags and returns what is none. If everywhere, they may stand behind
// arguments, too, as people write them; behind "--" nothing is a flag.
func parse(flags *flag.FlagSet, args []string, everywhere bool) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		// Package flag ends at the first argument that is no flag, or behind "--".
		left := flags.Args()
		read := len(args) - len(left)
		if !everywhere || len(left) == 0 || read > 0 && args[read-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// meant is what a flag that a verb has not was most likely to be, as the end of an error.
func (v verb) meant(err error) string {
	// Package flag has no type for it.
	_, name, unknown := strings.Cut(err.Error(), "not defined: -")
	if !unknown {
		return ""
	}
	var names []string
	for _, o := range v.options(true) {
		names = append(names, o.name)
	}
	for _, sub := range v.verbs {
		if slices.ContainsFunc(sub.options(false), func(o option) bool { return o.name == name }) {
			return fmt.Sprintf("; it is one of the verb %s: write it behind the verb", sub.name)
		}
	}
	if meant := config.Nearest(name, names); meant != "" {
		return "; did you mean -" + meant + "?"
	}
	if meant := config.Nearest(name, namesOf(v.verbs)); meant != "" {
		return "; did you mean " + title("hearth", nil, meant) + "?"
	}
	return ""
}
