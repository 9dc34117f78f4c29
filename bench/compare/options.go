package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
)

// options are what the command line says.
type options struct {
	rounds, seconds   int
	rows              *regexp.Regexp
	all               bool // rows leaves nothing out
	hearth, name, out string
	earlier           string
	command           string // as the results quote it
}

func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	var rows string
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stdout)
	f.IntVar(&o.rounds, "rounds", 5, "rounds of every row, `N`; 1 to 100")
	f.IntVar(&o.seconds, "seconds", 2, "length `N` of each server's turn; 1 to 60")
	f.StringVar(&rows, "rows", "", "only rows whose name (such as memory/nginx) matches `REGEXP`")
	f.StringVar(&o.hearth, "hearth", "", "the binary `FILE` to measure; empty: build it")
	f.StringVar(&o.earlier, "earlier", "", "`DIR` of another checkout, whose build of Hearth is a peer in rows of its own; empty: none")
	f.StringVar(&o.name, "name", "compare", "`NAME` of the file of results")
	f.StringVar(&o.out, "out", "", "`DIR` for results; empty: bench/results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || filepath.Base(o.name) != o.name || o.rounds < 1 || o.rounds > 100 || o.seconds < 1 || o.seconds > 60 {
		return o, fmt.Errorf("reading the arguments %q: out of range, or unknown; see -help", args)
	}
	var err error
	if o.rows, err = regexp.Compile(rows); err != nil {
		return o, fmt.Errorf("reading -rows: %w", err)
	}
	o.all = rows == ""
	o.command = fmt.Sprintf("go run ./bench/compare -rounds %d -seconds %d", o.rounds, o.seconds)
	if rows != "" {
		o.command += fmt.Sprintf(" -rows '%s'", rows)
	}
	if o.earlier != "" {
		o.command += " -earlier DIR"
	}
	return o, nil
}
