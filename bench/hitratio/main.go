// Command hitratio shows what a full memory keeps: the share of requests that policies of
// eviction and admission answer from memory, on traces that are the same every time.
//
//	go run ./bench/hitratio
//	go run ./bench/hitratio -traces one-hit,scans -policies lru,hearth -sizes 10
//	go run ./bench/hitratio -record bench/results
//
// All records have the same size, and memory is given as a share of the data. What no
// policy can reach stands beside it: the optimum, which knows the future, and the best set
// of keys that never changes, which is the most that can be had without knowing it where
// requests do not depend on each other.
//
// It counts and times nothing, so it says the same on every machine.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hitratio:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r := o.play()
	fmt.Print(r.table())
	if o.record == "" {
		return nil
	}
	return r.write(o.record)
}

// parse reads the command line.
func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("hitratio", flag.ContinueOnError)
	f.IntVar(&o.universe, "keys", 100_000, "records of the data")
	f.IntVar(&o.requests, "requests", 2_000_000, "requests of each trace")
	sizes := f.String("sizes", "1,10,25", "memory, in percent of the data")
	traces := f.String("traces", "all", "which traces")
	names := f.String("policies", "all", "which policies; lru is always among them")
	f.StringVar(&o.record, "record", "", "directory for the table and the plot")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return o, o.choose(*sizes, *traces, *names)
}
