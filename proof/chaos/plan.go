package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// answerWithin bounds the wait for an answer: longer than any fault lasts.
const answerWithin = 3 * time.Minute

// plan is what a run shall do.
type plan struct {
	engines []string
	reads   int64         // of each engine, at least
	least   int64         // rounds of each engine, at least
	limit   time.Duration // and no longer than this for each engine
	heal    time.Duration // how long instances may take to be whole after their servers came back
	keys    int           // of each resource
	readers int           // connections per instance
	writers int
	depth   int           // pipelined requests per connection
	calm    time.Duration // between two faults
	freeze  time.Duration // of an instance, at most
	link    time.Duration // memory.link_timeout
	haste   float64       // by how much faults are shorter than usual
	seed    uint64
	repo    string // where the module is
}

func parse(args []string, stderr io.Writer) (plan, error) {
	p := plan{engines: []string{"redis"}}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	minutes := flags.Float64("minutes", 10, "end after so many minutes of each engine at the latest")
	flags.Func("engine", "what is troubled: all, or some of "+strings.Join(engineNames(), ",")+` (default "redis")`, func(text string) (err error) {
		p.engines, err = chosen(text)
		return err
	})
	flags.Int64Var(&p.reads, "reads", 1_000_000, "end when so many answers were checked")
	flags.Int64Var(&p.least, "rounds", 100, "… and so many faults have happened")
	flags.DurationVar(&p.heal, "heal", 5*time.Second, "how long instances may take to be whole after their servers came back from a fault")
	flags.IntVar(&p.keys, "keys", 200, "keys of each resource")
	flags.IntVar(&p.readers, "readers", 4, "reading connections per instance")
	flags.IntVar(&p.writers, "writers", 8, "writers")
	flags.IntVar(&p.depth, "depth", 16, "pipelined requests per connection")
	flags.DurationVar(&p.calm, "calm", 2*time.Second, "time between two faults")
	flags.DurationVar(&p.freeze, "freeze", 4*time.Second, "longest time that an instance is stopped, at most 2m")
	flags.DurationVar(&p.link, "link", time.Second, "memory.link_timeout of the instances")
	flags.Float64Var(&p.haste, "haste", 1, "make faults so many times shorter")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of writes and faults")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return p, errors.Join(testkit.ErrUsage, err)
	}
	p.freeze = min(p.freeze, answerWithin-time.Minute)
	p.limit = time.Duration(*minutes * float64(time.Minute))
	return p, nil
}
