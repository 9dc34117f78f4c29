// Command feed changes rows of a database past all hearth processes, as any program does
// that knows nothing of them, and checks that the change feed takes the old rows out of
// every memory and out of Redis, whatever becomes of its parts meanwhile.
//
// Everything is real: processes built from the tree, Redis, PostgreSQL, MariaDB and
// SQLite with their own shells as the foreign writers, and readers over HTTP. When a
// change has committed is when the shell has been answered; all times are of one
// monotonic clock. At the end every answer of every process and every copy in Redis is
// compared with the database.
//
// It runs for a bounded time, prints one section per scenario with the figures and the
// bounds, and exits with 1 if a bound was missed.
//
//	go run ./proof/feed
//	go run ./proof/feed -short -scenario 'lag|gaps'
//
// All of it shares one machine. So what is timed is judged in the long form only, and
// nothing else should run beside it.
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

var program = testkit.Program{Name: "feed", Run: run}

func main() { program.Main() }

func parse(args []string, stderr io.Writer) (plan, error) {
	p := plan{size: full}
	flags := flag.NewFlagSet("feed", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("scenario", "play those whose name matches this regular expression", func(text string) (err error) {
		p.scenario, err = regexp.Compile(text)
		return err
	})
	flags.BoolFunc("short", "fewer of everything", func(string) error { p.size = short; return nil })
	changes := flags.Int("changes", 0, "of the scenarios that change rows; 0: as many as each is to")
	flags.StringVar(&p.mode, "feed", "outbox", "feed.mode of the instances; off shows what is missed without it")
	flags.BoolVar(&p.logs, "logs", false, "print what the instances have logged")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of what is changed, asked for and hurt")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return p, errors.Join(testkit.ErrUsage, err)
	}
	if *changes > 0 {
		p.lag, p.backends, p.changes = *changes, *changes/10, *changes
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
	fmt.Fprintf(stdout, "feed: %d instances, seed %d\n", instances, p.seed)
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
