// Command compare measures Hearth side by side with its peers: a bare fasthttp
// handler, nginx, nginx with a Lua dictionary, Webdis, and the FastAPI recipe.
//
//	go run ./bench/compare [-rounds N] [-seconds N] [-rows REGEXP] [-hearth FILE] [-name NAME] [-out DIR]
//
// What it compares is processor time: user and system time of the server's
// process, from /proc, divided by the requests that wrk got answered. Times on a
// clock depend on the machine and its neighbours; a ratio of processor time taken
// in one run depends on them little. For the same reason the servers of a group take
// turns in every round, and a ratio is formed within a round and never across:
// what disturbs a machine for half a minute disturbs all of them.
//
// Each server is pinned to one processor; wrk and Redis share another. Before and
// after each measurement the server must give the right answer, wrk must have
// seen no error, and Hearth's own counters must say that the tier which the row is
// about did the work. A measurement that fails this is reported and made once more;
// a second failure ends the row.
//
// The results go to DIR/DATE-NAME.json with every round, and, when all rows were
// asked for, as a table to DIR/latest.md. It needs the packages that
// scripts/install-test-servers bench installs; a row whose peer is missing says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"hearth/bench/process"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	rounds, seconds   int
	rows              *regexp.Regexp
	all               bool // rows leaves nothing out
	hearth, name, out string
	command           string // as the results quote it
}

func parseOptions(args []string, stdout io.Writer) (options, error) {
	var o options
	var rows string
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stdout)
	f.IntVar(&o.rounds, "rounds", 5, "rounds of every row, `N`; 1 to 100")
	f.IntVar(&o.seconds, "seconds", 3, "length `N` of each server's turn; 1 to 60")
	f.StringVar(&rows, "rows", "", "only rows whose name (such as memory/nginx) matches `REGEXP`")
	f.StringVar(&o.hearth, "hearth", "", "the binary `FILE` to measure; empty: build it")
	f.StringVar(&o.name, "name", "compare", "`NAME` of the file of results")
	f.StringVar(&o.out, "out", "", "`DIR` for results; empty: bench/results")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || filepath.Base(o.name) != o.name || o.rounds < 1 || o.rounds > 100 || o.seconds < 1 || o.seconds > 60 {
		return o, fmt.Errorf("reading the arguments %q: out of range, or unknown; see -help", args)
	}
	var err error
	if o.rows, err = regexp.Compile(rows); err != nil {
		return o, fmt.Errorf("reading -rows: %w", err)
	}
	o.all = rows == ""
	o.command = fmt.Sprintf("go run ./bench/compare -rounds %d -seconds %d", o.rounds, o.seconds)
	if rows != "" {
		o.command += fmt.Sprintf(" -rows '%s'", rows)
	}
	return o, nil
}

// run is the program without its exit.
func run(args []string, stdout io.Writer) error {
	if len(args) == 3 && args[0] == "bare" {
		return serveBare(args[1], args[2])
	}
	o, err := parseOptions(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := repository()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hearth-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's worker is another user
		return err
	}
	if err := o.find(ctx, root, dir); err != nil {
		return err
	}
	r := report{Command: o.command, Rounds: o.rounds, Seconds: o.seconds}
	r.describe(ctx, o.hearth)
	for _, g := range groups() {
		g.rows = slices.DeleteFunc(g.rows, func(w row) bool { return !o.rows.MatchString(g.name + "/" + w.peer) })
		if len(g.rows) == 0 {
			continue
		}
		c := &cast{group: g, cpus: processors(), root: root, dir: filepath.Join(dir, g.name), hearth: o.hearth}
		samples, problems := c.perform(ctx, o, stdout)
		r.add(g, samples, problems)
		if ctx.Err() != nil {
			return fmt.Errorf("comparing: %w", context.Cause(ctx))
		}
	}
	if len(r.Rows) == 0 {
		return fmt.Errorf("choosing rows: no name matches %q", o.rows)
	}
	fmt.Fprint(stdout, "\n", r.table())
	return r.write(o)
}

// find completes the paths, and builds Hearth unless there is a binary.
func (o *options) find(ctx context.Context, root, dir string) (err error) {
	if o.out == "" {
		o.out = filepath.Join(root, "bench", "results")
	}
	if o.hearth != "" {
		o.hearth, err = filepath.Abs(o.hearth)
		return err
	}
	o.hearth = filepath.Join(dir, "hearth")
	return process.Build(ctx, root, o.hearth)
}

// repository finds the module's root from the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "bench", "recipe", "app.py")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("looking for the repository above %q: there is no bench/recipe/app.py", dir)
		}
	}
}

// processors picks the first two that this process may use. With fewer nothing is
// pinned, and the results say so.
func processors() cpus {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() < 2 {
		return cpus{server: process.AnyCPU, load: process.AnyCPU}
	}
	var found []int
	for i := 0; len(found) < 2; i++ {
		if set.IsSet(i) {
			found = append(found, i)
		}
	}
	return cpus{server: found[0], load: found[1]}
}

// perform starts a group's servers, lets them take turns, and ends them.
// problems says for each peer why it could not be measured; under "hearth" it
// concerns all.
func (c *cast) perform(ctx context.Context, o options, stdout io.Writer) (samples []sample, problems map[string]error) {
	problems = map[string]error{}
	if problems["hearth"] = os.MkdirAll(c.dir, 0o755); problems["hearth"] != nil {
		return nil, problems
	}
	defer c.end()
	if problems["hearth"] = c.startRedis(ctx); problems["hearth"] != nil {
		return nil, problems
	}
	if problems["hearth"] = c.startHearth(ctx); problems["hearth"] != nil {
		return nil, problems
	}
	for _, w := range c.rows {
		problems[w.peer] = c.starter(w.peer)(ctx)
	}
	// The first round, number 0, warms caches and compilers up.
	for round := range o.rounds + 1 {
		for _, p := range c.peers {
			if ctx.Err() != nil || problems[p.name] != nil || problems["hearth"] != nil {
				continue
			}
			s, err := c.turn(ctx, p, round, o.seconds, stdout)
			if problems[p.name] = err; err == nil && round > 0 {
				samples = append(samples, s)
			}
		}
	}
	return samples, problems
}

// turn is one server's part of a round. What disturbs a machine may spoil a
// measurement, so there is a second try.
func (c *cast) turn(ctx context.Context, p *peer, round, seconds int, stdout io.Writer) (s sample, err error) {
	if round == 0 {
		seconds = 1
	}
	for try := range 2 {
		s, err = c.measure(ctx, p, round, seconds, 1+2*round+try)
		if err == nil {
			fmt.Fprintf(stdout, "%-16s %-8s round %d: %8.3f µs, %9.0f requests/s, p99 %7.3f ms\n", c.name, p.name, round, s.CPU, s.Rate, s.P99)
			return s, nil
		}
		err = fmt.Errorf("round %d: %w", round, err)
		fmt.Fprintf(stdout, "%-16s %-8s %v\n", c.name, p.name, err)
	}
	return s, err
}
