package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"time"
)

// options are what the command line says.
type options struct {
	rounds, connections int
	turn                time.Duration // what is counted of each server's turn
	servers             *regexp.Regexp
	all                 bool // servers leaves nothing out
	hearth, name, out   string
	command             string // as the results quote it
}

func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	var servers string
	f := flag.NewFlagSet("openloop", flag.ContinueOnError)
	f.SetOutput(stdout)
	f.IntVar(&o.rounds, "rounds", 3, "rounds of every load, `N`; 1 to 100")
	f.DurationVar(&o.turn, "turn", 3*time.Second, "length `D` of each server's turn; 100ms to 1m")
	f.IntVar(&o.connections, "connections", 256, "connections `N` to each server; 1 to 10000")
	f.StringVar(&servers, "servers", "", "only servers whose name (such as memory/nginx) matches `REGEXP`")
	f.StringVar(&o.hearth, "hearth", "", "the binary `FILE` to measure; empty: build it")
	f.StringVar(&o.name, "name", "openloop", "`NAME` of the file of results")
	f.StringVar(&o.out, "out", "", "`DIR` for results; empty: bench/results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	in := func(n, most int) bool { return n >= 1 && n <= most }
	if f.NArg() > 0 || filepath.Base(o.name) != o.name || !in(o.rounds, 100) || o.turn < 100*time.Millisecond || o.turn > time.Minute || !in(o.connections, 10_000) {
		return o, fmt.Errorf("reading the arguments %q: out of range, or unknown; see -help", args)
	}
	var err error
	if o.servers, err = regexp.Compile(servers); err != nil {
		return o, fmt.Errorf("reading -servers: %w", err)
	}
	o.all = servers == ""
	o.command = fmt.Sprintf("go run ./bench/openloop -rounds %d -turn %v -connections %d", o.rounds, o.turn, o.connections)
	if !o.all {
		o.command += fmt.Sprintf(" -servers '%s'", servers)
	}
	return o, nil
}
