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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// plan is what a run shall do.
type plan struct {
	size
	scenario *regexp.Regexp
	late     time.Duration // how old an answer may be on an instance that did not take the PUT
	seed     uint64
	repo     string // where the module is
}

var (
	errUsage  = errors.New("reading the command line")
	errMissed = errors.New("bounds were missed")
)

func run(ctx context.Context, args []string, out, diagnosis io.Writer) int {
	p, err := parse(args, diagnosis)
	if err == nil {
		err = p.run(ctx, out)
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2 // the flags have said what is wrong
	}
	fmt.Fprintln(diagnosis, "fleet:", err)
	return 1
}

func parse(args []string, diagnosis io.Writer) (plan, error) {
	p := plan{size: full}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(diagnosis)
	flags.Func("scenario", "run those whose name matches this regular expression", func(text string) (err error) {
		p.scenario, err = regexp.Compile(text)
		return err
	})
	flags.BoolFunc("short", "fewer of everything", func(string) error { p.size = short; return nil })
	flags.DurationVar(&p.late, "late", 100*time.Millisecond, "how old an answer may be on an instance that did not take the PUT")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of what clients ask for")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return p, errors.Join(errUsage, err)
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
func (p plan) run(ctx context.Context, out io.Writer) (err error) {
	fmt.Fprintf(out, "fleet: %d instances, seed %d\n", instances, p.seed)
	g, err := layGround(ctx, p.repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.clear()) }()
	missed := 0
	for _, s := range scenarios {
		if ctx.Err() != nil {
			break
		}
		if !p.plays(s) {
			continue
		}
		sec := s.play(ctx, p, g)
		sec.print(out)
		missed += sec.missed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cut short: %w", err)
	}
	if missed > 0 {
		return fmt.Errorf("%w: %d", errMissed, missed)
	}
	return nil
}
