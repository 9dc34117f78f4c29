// Command chaos reads from two real hearth processes at full speed while their
// Redis is killed, frozen, emptied and restarted under them, and checks every
// single answer against what had been acknowledged before it was asked for.
//
// It speaks to the processes over sockets only, as clients do: what is wrong in
// memory but never served does not count, and what is served counts however it
// came about. It runs for a bounded time, prints what it did, and exits with 1 if
// an answer broke a promise or the run fell short of what was asked for.
//
//	go run ./proof/chaos -reads 10000000 -minutes 10
//
// What is checked, for answers without detail=stale or detail=untracked:
//
//   - C2: on the instance that acknowledged a write (a PUT, or an item of a
//     batch), no answer asked for after that is older. There is no allowance.
//   - C1: on any instance, no answer is older than a write acknowledged longer
//     than memory.link_timeout + 0.5 s before it was asked for, whoever wrote.
//     The measured delays are printed, too.
//   - A record that was not removed since its last acknowledged write is there.
//
// What is not a violation: a write without an acknowledgement may or may not
// stand, now or later, so its key is given up and a new one takes its place. A
// Redis that comes back with old data has gone back in time, and the cache
// shows what Redis holds: all keys are given up before that.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"hearth/internal/testkit"
)

var program = testkit.Program{Name: "chaos", Run: run}

func main() { program.Main() }

// run starts everything, lets it meet, and reports.
func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "chaos: seed %d, at least %d reads within %v, memory.link_timeout %v\n", p.seed, p.reads, p.limit, p.link)
	r := &harness{plan: p, tb: tb, records: newRecords(p), faults: map[string]int{}}
	r.start()
	if err := r.meet(); err != nil {
		return err
	}
	r.print(stdout)
	reads, broken := r.records.reads.Load(), r.records.checker.Violations()
	switch {
	case broken.Own+broken.Late > 0:
		return errors.New("promises were broken")
	case tb.Context().Err() == nil && (reads < p.reads || r.rounds.Load() < p.rounds):
		return fmt.Errorf("the time was over after %d reads and %d rounds of faults, before -reads %d and -rounds %d", reads, r.rounds.Load(), p.reads, p.rounds)
	}
	return tb.Context().Err()
}

// errOver ends a run in good order.
var errOver = errors.New("the run is over")

// meet lets readers, writers and faults loose on the servers until enough has
// been read and every fault has happened, or the time is over. The first error ends all
// of them.
func (r *harness) meet() error {
	ctx, cancel := context.WithTimeoutCause(r.tb.Context(), r.limit, errOver)
	ctx, fail := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	end := func() { fail(nil); cancel(); all.Wait() }
	r.tb.Cleanup(end) // if a server does not come back
	launch := func(run func(context.Context) error) {
		all.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	source := func(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }
	r.began = time.Now()
	for i := range r.writers {
		launch(newWriter(r, i, source(i)).run)
	}
	for i := range r.readers * instances {
		launch(newReader(r, i%instances, source(1000+i)).run)
	}
	launch(func(ctx context.Context) error {
		for testkit.Sleep(ctx, 10*time.Millisecond) {
			if r.records.reads.Load() >= r.reads && r.rounds.Load() >= r.plan.rounds {
				fail(errOver)
			}
		}
		return nil
	})
	(&injector{harness: r, rand: source(2000)}).run(ctx)
	end()
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

func (r *harness) print(out io.Writer) {
	elapsed, b := time.Since(r.began), r.records
	reads, total := b.reads.Load(), 0
	for _, n := range r.faults {
		total += n
	}
	fmt.Fprintf(out, "reads       %d in %v (%.0f/s): %d marked stale or untracked, %d refused with 5xx\n",
		reads, elapsed.Round(time.Second), float64(reads)/elapsed.Seconds(), b.marked.Load(), b.refused.Load())
	fmt.Fprintf(out, "writes      %d acknowledged\n", r.writes.Load())
	fmt.Fprintf(out, "faults      %d\n", total)
	for _, f := range faults {
		fmt.Fprintf(out, "  %-34s %d\n", f.name, r.faults[f.name])
	}
	fmt.Fprintf(out, "behind      unmarked answers older than a write acknowledged before they were asked for, by how long before:\n")
	behind, broken := b.checker.Behind, b.checker.Violations()
	fmt.Fprint(out, behind.Text("  %-34s %d\n", ""))
	fmt.Fprintf(out, "worst delay %v (allowed %v)\n", behind.Worst().Round(time.Microsecond), b.checker.Allowance())
	fmt.Fprintf(out, "violations  %d\n", broken.Own+broken.Late)
	for _, text := range broken.Examples {
		fmt.Fprintln(out, " ", text)
	}
}
