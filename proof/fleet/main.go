// Command fleet starts several real hearth processes over one Redis and one
// PostgreSQL, brings about what a database has to be protected from, and counts what
// reaches it.
//
// It counts in the database itself: the statements of the resources call a function
// there that numbers every query and keeps when it began and ended. Whatever a cache
// believes of itself, that is what the database had to do. Answers are checked, too:
// each client knows what it may be told.
//
// It runs for a bounded time, prints one section per scenario with the figures and the
// bounds, and exits with 1 if a bound was missed.
//
//	go run ./proof/fleet
//	go run ./proof/fleet -short -scenario 'one-load|many'
//
// All of it shares one machine, the clients too, so times are printed and not judged,
// except where a promise names one: how late a write may be seen on other instances.
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
)

var program = testkit.Program{Name: "fleet", Run: run}

func main() { program.Main() }

func parse(args []string, stderr io.Writer) (plan, error) {
	p := plan{size: full}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("scenario", "run those whose name matches this regular expression", func(text string) (err error) {
		p.scenario, err = regexp.Compile(text)
		return err
	})
	flags.BoolFunc("short", "fewer of everything", func(string) error { p.size = short; return nil })
	flags.DurationVar(&p.late, "late", 100*time.Millisecond, "how old an answer may be on an instance that did not take the PUT")
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

// run starts the servers, plays one scenario after another, and reports.
func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	p, err := parse(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "fleet: %d instances, seed %d\n", instances, p.seed)
	servers := startServers(tb, p.repo)
	missed := 0
	for _, s := range scenarios {
		if tb.Context().Err() != nil {
			break
		}
		if !p.plays(s) {
			continue
		}
		section := s.play(tb, p, servers)
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
