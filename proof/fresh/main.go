// Command fresh shows that who sends the version of a write with a read gets nothing older, on
// any instance, and how often readers without it do.
//
// Three instances stand over one real Redis and one system of record. They are caches in
// this process, so that a million reads take minutes: what HTTP adds is a header. Writers
// write through one of them at a time; when a write is acknowledged, readers ask the others at
// once, again and again. Each instance applies the reports of changes late, each by another
// delay: a wire could be as slow. So its memory is old for that long, and only what a version
// demands makes it look.
//
// The control is the same without versions. It has to find older answers, or the run could not
// fail.
//
//	go run ./proof/fresh
//	go run ./proof/fresh -reads 20000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"hearth/internal/testkit"
)

var program = testkit.Program{Name: "fresh", Run: run}

func main() { program.Main() }

// plan is what a run shall do.
type plan struct {
	reads   int64         // with versions, at least
	delay   time.Duration // by which reports of changes are late, at most
	control int64         // reads without versions, at least
}

// withinAll bounds a whole run.
const withinAll = 30 * time.Minute

func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("fresh", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&p.reads, "reads", 1_000_000, "read at least so often with a version")
	flags.Int64Var(&p.control, "control", 0, "read at least so often without; 0: a seventh of -reads")
	flags.DurationVar(&p.delay, "delay", 5*time.Millisecond, "apply reports of changes so late, at most")
	if err := flags.Parse(args); err != nil {
		return errors.Join(testkit.ErrUsage, err)
	}
	if p.control == 0 {
		p.control = max(p.reads/7, 1000)
	}
	ctx, cancel := context.WithTimeoutCause(tb.Context(), withinAll, fmt.Errorf("not done within %v", withinAll))
	defer cancel()
	fmt.Fprintf(stdout, "fresh: %d instances over one Redis, %d writers, %d readers of each write on other instances, reports up to %v late; %d processors, %s\n",
		instances, writers, readers, p.delay, runtime.NumCPU(), runtime.Version())
	var with, without *counts
	err := testkit.Run(ctx, func(tb testkit.TB) {
		with = newFleet(tb, p.delay).play(tb.Context(), true, p.reads)
		without = newFleet(tb, p.delay).play(tb.Context(), false, p.control)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "with versions:    %v\nwithout versions: %v\n", with, without)
	switch {
	case with.failed > 0 || without.failed > 0:
		return fmt.Errorf("%d and %d requests failed, first: %w", with.failed, without.failed, errors.Join(with.first, without.first))
	case with.older > 0:
		return errors.New("a reader that sent a version got an older record")
	case without.older == 0:
		return errors.New("without versions nothing older was found: this run could not have failed")
	}
	return nil
}
