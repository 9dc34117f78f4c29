// Command chaos reads from real hearth processes at full speed while what stands behind
// them is killed, frozen, emptied, locked and restarted, and checks every single answer
// against what had been acknowledged before it was asked for. What is troubled is an
// engine: a Redis, a database, an HTTP origin, the embedded tier.
//
// It speaks to the processes over sockets only, as clients do: what is wrong in
// memory but never served does not count, and what is served counts however it
// came about. It runs for a bounded time, prints what it did, and exits with 1 if
// an answer broke a promise, if the instances were not whole again soon after a fault,
// or if the run fell short of what was asked for.
//
//	go run ./proof/chaos -reads 10000000 -minutes 10
//	go run ./proof/chaos -engine postgres,mariadb -rounds 100
//	go run ./proof/chaos -engine all
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
// What is checked after each fault: once the servers themselves have come back, every
// instance is ready within -heal, takes writes of both kinds, loads what the shared tier
// has not, shows what was written through any, and answers from memory without a mark.
// A round in which one does not is a round without recovery.
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
	"slices"
	"sync"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var program = testkit.Program{Name: "chaos", Run: run}

func main() { program.Main() }

// run troubles one engine after the other.
func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "chaos: seed %d, for each engine at least %d reads and %d rounds within %v, memory.link_timeout %v\n",
		p.seed, p.reads, p.least, p.limit, p.link)
	binary := launch.Build(tb, p.repo)
	var found []error
	for _, e := range engines {
		if slices.Contains(p.engines, e.name) && tb.Context().Err() == nil {
			fmt.Fprintf(stdout, "\n%s\n", e.name)
			if err := play(tb, p, e.make(), binary, stdout); err != nil {
				found = append(found, fmt.Errorf("%s: %w", e.name, err))
			}
		}
	}
	return errors.Join(append(found, tb.Context().Err())...)
}

// play starts everything of one engine, lets it meet, and reports.
func play(tb testkit.TB, p plan, e engine, binary string, stdout io.Writer) error {
	var found error
	err := testkit.Run(tb.Context(), func(tb testkit.TB) {
		h := &harness{plan: p, tb: tb, engine: e, dice: rand.New(rand.NewPCG(p.seed, 3000)), rounds: rounds{healed: map[string][]time.Duration{}}}
		h.start(binary)
		if err := h.meet(); err != nil {
			tb.Errorf("%w", err)
		}
		h.print(stdout)
		found = h.judge()
	})
	return errors.Join(found, err)
}

// judge is what was found wrong.
func (h *harness) judge() error {
	reads, broken := h.records.reads.Load(), h.records.checker.Violations()
	var found []error
	if broken.Own+broken.Late > 0 {
		found = append(found, errBroken)
	}
	if len(h.rounds.unwell) > 0 {
		found = append(found, errUnwell)
	}
	if len(found) == 0 && h.tb.Context().Err() == nil && (reads < h.reads || h.done.Load() < h.least) {
		found = append(found, fmt.Errorf("the time was over after %d reads and %d rounds, before -reads %d and -rounds %d", reads, h.done.Load(), h.reads, h.least))
	}
	return errors.Join(found...)
}

// errOver ends a run in good order.
var errOver = errors.New("the run is over")

// meet lets readers, writers and faults loose on the servers until enough has
// been read and every fault has happened, or the time is over. The first error ends all
// of them.
func (h *harness) meet() error {
	ctx, cancel := context.WithTimeoutCause(h.tb.Context(), h.limit, errOver)
	ctx, fail := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	end := func() { fail(nil); cancel(); all.Wait() }
	h.tb.Cleanup(end) // if a server does not come back
	launch := func(run func(context.Context) error) {
		all.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	source := func(n int) *rand.Rand { return rand.New(rand.NewPCG(h.seed, uint64(n))) }
	h.began = time.Now()
	for i := range h.writers {
		launch(newWriter(h, i, source(i)).run)
	}
	for i := range h.readers * h.instances {
		launch(newReader(h, i%h.instances, source(1000+i)).run)
	}
	launch(func(ctx context.Context) error {
		for testkit.Sleep(ctx, 10*time.Millisecond) {
			if h.records.reads.Load() >= h.reads && h.done.Load() >= h.least {
				fail(errOver)
			}
		}
		return nil
	})
	if err := (&injector{harness: h, rand: source(2000)}).run(ctx); err != nil {
		fail(err)
	}
	end()
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

func (h *harness) print(out io.Writer) {
	elapsed, b := time.Since(h.began), h.records
	reads := b.reads.Load()
	fmt.Fprintf(out, "reads       %d in %v (%.0f/s): %d marked stale or untracked, %d refused with 5xx\n",
		reads, elapsed.Round(time.Second), float64(reads)/elapsed.Seconds(), b.marked.Load(), b.refused.Load())
	fmt.Fprintf(out, "writes      %d acknowledged\n", h.writes.Load())
	h.rounds.print(out, h.engine.faults())
	fmt.Fprintf(out, "behind      unmarked answers older than a write acknowledged before they were asked for, by how long before:\n")
	behind, broken := b.checker.Behind, b.checker.Violations()
	fmt.Fprint(out, behind.Text("  %-44s %d\n", ""))
	fmt.Fprintf(out, "worst delay %v (allowed %v)\n", behind.Worst().Round(time.Microsecond), b.checker.Allowance())
	fmt.Fprintf(out, "violations  %d\n", broken.Own+broken.Late)
	for _, text := range broken.Examples {
		fmt.Fprintln(out, " ", text)
	}
}
