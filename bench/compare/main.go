// Command compare measures Hearth side by side with its peers: a bare fasthttp
// handler, the plain service that an engineer would write of the same parts, nginx, nginx
// with a Lua dictionary, Varnish, Webdis, and the FastAPI recipe.
//
//	go run ./bench/compare [-rounds N] [-seconds N] [-rows REGEXP] [-hearth FILE] [-earlier DIR] [-name NAME] [-out DIR]
//
// What it compares is processor time: user and system time of the server's
// process, from /proc, divided by the requests that wrk got answered. Times on a
// clock depend on the machine and its neighbours; a ratio of processor time taken
// in one run depends on them little. For the same reason the servers of a group take
// turns in every round, and a ratio is formed within a round and never across:
// what disturbs a machine for half a minute disturbs all of them.
//
// With -earlier there are rows about another build of Hearth, out of a checkout of its
// own: what a change costs is measured as what a peer costs is.
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
	"fmt"
	"io"
	"slices"

	"hearth/bench/load"
	"hearth/bench/peers"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var program = testkit.Program{Name: "compare", Run: run}

func main() {
	peers.Main()
	program.Main()
}

func run(tb testkit.TB, args []string, stdout, _ io.Writer) error {
	o, err := parseOptions(args, stdout)
	if err != nil {
		return err
	}
	paths := peers.PathsOf(tb, &o.hearth, &o.out)
	paths.Earlier = o.earlier
	chosen := groups(o.earlier != "")
	for i := range chosen {
		g := &chosen[i]
		g.rows = slices.DeleteFunc(g.rows, func(w row) bool { return !o.rows.MatchString(g.name + "/" + w.peer) })
		if paths.Plain == "" && g.needsPlain() {
			paths.Plain = peers.BuildPlain(tb, paths.Root)
		}
	}
	r := newResult(tb.Context(), o)
	for _, g := range chosen {
		if len(g.rows) == 0 {
			continue
		}
		samples, problems := perform(tb, g, o, paths, stdout)
		r.add(g, samples, problems)
		if err := context.Cause(tb.Context()); err != nil {
			return fmt.Errorf("comparing: %w", err)
		}
	}
	if len(r.Rows) == 0 {
		return fmt.Errorf("choosing rows: no name matches %q", o.rows)
	}
	fmt.Fprint(stdout, "\n", r.table())
	return r.write(o)
}

// perform starts a group's servers, lets them take turns, and ends them.
// problems says for each peer why it could not be measured; under "hearth" it
// concerns all.
func perform(tb testkit.TB, g group, o options, paths *peers.Paths, stdout io.Writer) (samples []sample, problems map[string]error) {
	problems = map[string]error{}
	// What is wrong with a peer ends its row, what is wrong with Hearth or Redis the group.
	problems[launch.Name] = testkit.Run(tb.Context(), func(tb testkit.TB) {
		if err := load.AllowConnections(g.connections); err != nil {
			tb.Fatal(err)
		}
		c := &runner{group: g, Servers: peers.Start(tb, g.name, g.work, paths)}
		for _, name := range g.peers() {
			problems[name] = testkit.Try(tb, func(tb testkit.TB) { c.Add(tb, name) })
		}
		if g.resident {
			samples = c.weigh(tb, problems, stdout)
			return
		}
		// The first round, number 0, warms caches and compilers up.
		for round := range o.rounds + 1 {
			for _, p := range c.Peers {
				if tb.Context().Err() != nil || problems[p.Name] != nil {
					continue
				}
				s, err := c.measureTwice(tb, p, round, o.seconds, stdout)
				switch {
				case err != nil && p.Name == launch.Name:
					tb.Fatal(err)
				case err != nil:
					problems[p.Name] = err
				case round > 0:
					samples = append(samples, s)
				}
			}
		}
	})
	return samples, problems
}

// measureTwice is one server's part of a round. What disturbs a machine may spoil a
// measurement, so there is a second try.
func (c *runner) measureTwice(tb testkit.TB, p *peers.Peer, round, seconds int, stdout io.Writer) (s sample, err error) {
	if round == 0 {
		seconds = 1
	}
	for try := range 2 {
		err = testkit.Try(tb, func(tb testkit.TB) { s = c.measure(tb, p, round, seconds, 1+2*round+try) })
		if err == nil {
			fmt.Fprintf(stdout, "%-16s %-8s round %d: %8.3f µs, %9.0f requests/s, p99 %7.3f ms\n", c.Name, p.Name, round, s.CPU, s.Rate, s.P99)
			return s, nil
		}
		err = fmt.Errorf("round %d: %w", round, err)
		fmt.Fprintf(stdout, "%-16s %-8s %v\n", c.Name, p.Name, err)
	}
	return s, err
}
