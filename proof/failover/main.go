// Command failover starts real hearth processes over Redis and databases as they are
// deployed, lets these move, fail over and come back, and checks what clients see
// meanwhile.
//
// Clients are independent of the processes: they know which versions were acknowledged
// to them, and when. Every answer is checked by that. Other programs write the same keys
// in Redis past all processes. When a Cluster has failed over, or a sentinel has named
// another master, is asked of the servers themselves.
//
// It runs for a bounded time, prints one section per scenario with the figures and the
// bounds, and exits with 1 if a bound was missed.
//
//	go run ./proof/failover
//	go run ./proof/failover -short -scenario 'cluster-kill|moved'
//
// The times among the bounds are those that promises name: how long after the servers
// have come back everything works again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var program = testkit.Program{Name: "failover", Run: run}

func main() { program.Main() }

func parse(args []string, stderr io.Writer) (plan, error) {
	p := plan{size: full}
	flags := flag.NewFlagSet("failover", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("scenario", "play those whose name matches this regular expression", func(text string) (err error) {
		p.scenario, err = regexp.Compile(text)
		return err
	})
	flags.BoolFunc("short", "fewer rounds", func(string) error { p.size = short; return nil })
	flags.IntVar(&p.first, "first", 0, "what becomes at first of the server at an address that moves, 0 to 4")
	flags.BoolVar(&p.logs, "logs", false, "print what the instances have logged")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of what clients ask for")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return p, errors.Join(testkit.ErrUsage, err)
	}
	if !slices.ContainsFunc(scenarios, p.plays) {
		return p, fmt.Errorf("reading -scenario %q: it matches none of %v", p.scenario, names())
	}
	return p, nil
}

// plays tells whether a scenario was asked for.
func (p plan) plays(s scenario) bool { return p.scenario == nil || p.scenario.MatchString(s.name) }

// names are those of all scenarios.
func names() (all []string) {
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// run plays one scenario after another, and reports.
func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "failover: seed %d\n", p.seed)
	binary := launch.Build(tb, p.repo)
	missed := 0
	for _, s := range scenarios {
		if tb.Context().Err() != nil {
			break
		}
		if !p.plays(s) {
			continue
		}
		section := s.play(tb, p, binary)
		section.Print(stdout)
		missed += section.Missed
	}
	if err := tb.Context().Err(); err != nil {
		return fmt.Errorf("cut short: %w", err)
	}
	if missed > 0 {
		return fmt.Errorf("bounds were missed: %d", missed)
	}
	return nil
}
