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
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"hearth/internal/testkit"
)

var program = testkit.Program{Name: "chaos", Run: run}

func main() { program.Main() }

// plan is what a run shall do.
type plan struct {
	reads   int64         // at least so many
	rounds  int64         // of all faults, at least
	limit   time.Duration // and no longer than this
	keys    int           // of each resource
	readers int           // connections per instance
	writers int
	depth   int           // pipelined requests per connection
	calm    time.Duration // between two faults
	freeze  time.Duration // of an instance, at most
	link    time.Duration // memory.link_timeout
	seed    uint64
	repo    string // where the module is
}

func parse(args []string, stderr io.Writer) (plan, error) {
	var p plan
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	minutes := flags.Float64("minutes", 10, "end after so many minutes at the latest")
	flags.Int64Var(&p.reads, "reads", 10_000_000, "end when so many answers were checked")
	flags.Int64Var(&p.rounds, "rounds", 5, "… and every kind of fault has happened so many times")
	flags.IntVar(&p.keys, "keys", 200, "keys of each resource")
	flags.IntVar(&p.readers, "readers", 4, "reading connections per instance")
	flags.IntVar(&p.writers, "writers", 8, "writers")
	flags.IntVar(&p.depth, "depth", 16, "pipelined requests per connection")
	flags.DurationVar(&p.calm, "calm", 2*time.Second, "time between two faults")
	flags.DurationVar(&p.freeze, "freeze", 4*time.Second, "longest time that an instance is stopped, at most 2m")
	flags.DurationVar(&p.link, "link", time.Second, "memory.link_timeout of the instances")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of writes and faults")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return p, errors.Join(testkit.ErrUsage, err)
	}
	p.freeze = min(p.freeze, answerWithin-time.Minute)
	p.limit = time.Duration(*minutes * float64(time.Minute))
	return p, nil
}

// run starts everything, lets it meet, and reports.
func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "chaos: seed %d, at least %d reads within %v, memory.link_timeout %v\n", p.seed, p.reads, p.limit, p.link)
	r := &running{plan: p, tb: tb, records: newRecords(p), faults: map[string]int{}}
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
