package main

import (
	"flag"
	"fmt"
	"io"
	"time"
)

// options are what the command line says.
type options struct {
	rounds, connections int
	seconds             int
	held                time.Duration
	hearth, repo        string
	record              bool
	command             string // as the results quote it
}

func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("inflight", flag.ContinueOnError)
	f.SetOutput(stdout)
	f.IntVar(&o.rounds, "rounds", 5, "rounds, `N`; 1 to 100")
	f.IntVar(&o.seconds, "seconds", 5, "length `N` of what is measured in each turn; 1 to 60")
	f.IntVar(&o.connections, "connections", 10_000, "keep-alive connections, `N`, each with one request at a time; 100 to 20,000")
	f.DurationVar(&o.held, "held", 10*time.Second, "how long a request is held on each connection to weigh memory, `D`; 1s to 10s")
	f.StringVar(&o.hearth, "hearth", "", "the binary `FILE` to measure; empty: build it")
	f.StringVar(&o.repo, "repo", ".", "directory of the module")
	f.BoolVar(&o.record, "record", false, "write the results to bench/results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.rounds > 100 || o.seconds < 1 || o.seconds > 60 ||
		o.connections < 100 || o.connections > 20_000 || o.held < time.Second || o.held > 10*time.Second {
		return o, fmt.Errorf("reading the arguments %q: out of range, or unknown; see -help", args)
	}
	o.command = fmt.Sprintf("go run ./bench/inflight -rounds %d -seconds %d -connections %d", o.rounds, o.seconds, o.connections)
	if o.record {
		o.command += " -record"
	}
	return o, nil
}
