// Command openloop measures how long answers take when requests do not wait for each
// other: Hearth, the plain service and nginx with a record in memory, and Hearth, the plain
// service and Webdis with reads that have to ask Redis.
//
//	go run ./bench/openloop [-rounds N] [-turn D] [-connections N] [-servers REGEXP] [-hearth FILE] [-name NAME] [-out DIR]
//
// A closed loop, such as wrk's, asks again when it is answered: while a server stands
// still it is asked nothing, and the one slow answer hides all that would have been asked
// meanwhile. Here requests are due at times that are fixed beforehand, at random (Poisson),
// and latencies count from when a request was due. What each server is offered are parts
// of its own capacity, which a closed loop over as many connections finds first, and, to
// compare at the same traffic, a part of the least capacity of those compared.
//
// Each server has one processor to itself; the load and Redis share another. Servers take
// turns in every round. The load is one thread that writes and reads by itself (package
// load says why that is no library: at these rates each request must cost it a few
// microseconds). How late it was itself is in the report, so nobody has to trust it.
//
// The results go to DIR/DATE-NAME.json with every turn, and, when all servers were asked
// for, as a table to DIR/openloop.md and as a plot to DIR/openloop.svg.
package main

import (
	"context"
	"fmt"
	"io"

	"hearth/bench/load"
	"hearth/bench/peers"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

var program = testkit.Program{Name: "openloop", Run: run}

func main() {
	peers.Main()
	program.Main()
}

func run(tb testkit.TB, args []string, stdout, _ io.Writer) error {
	o, err := parseOptions(args, stdout)
	if err != nil {
		return err
	}
	if err := load.AllowConnections(o.connections); err != nil {
		return err
	}
	paths := peers.PathsOf(tb, &o.hearth, &o.out)
	if o.servers.MatchString("memory/plain") || o.servers.MatchString("redis/plain") {
		paths.Plain = peers.BuildPlain(tb, paths.Root)
	}
	r := newResult(tb.Context(), o)
	for _, g := range groups() {
		if err := perform(tb, g, o, paths, r, stdout); err != nil {
			return err
		}
		if err := context.Cause(tb.Context()); err != nil {
			return fmt.Errorf("measuring: %w", err)
		}
	}
	if len(r.Servers) == 0 {
		return fmt.Errorf("choosing servers: no name matches %q", o.servers)
	}
	fmt.Fprint(stdout, "\n", r.table())
	return r.write(o)
}

// group is what servers are asked for.
type group struct {
	name  string
	what  string
	work  peers.Work
	names []string // of the peers beside Hearth
}

func groups() []group {
	const spread = 400_000 // records, far more than the smallest memory tier holds
	return []group{
		{"memory", "a record of 100 bytes in memory", peers.Work{Pattern: peers.One, Keys: 1}, []string{"plain", "nginx"}},
		{"redis", "a record of 100 bytes that has to be read from Redis", peers.Work{Pattern: peers.Spread, Keys: spread, Memory: peers.Smallest}, []string{"plain", "webdis"}},
	}
}

// perform measures a group, and notes what came out.
func perform(tb testkit.TB, g group, o options, paths *peers.Paths, r *result, stdout io.Writer) error {
	chosen := g.names[:0:0]
	for _, name := range append([]string{launch.Name}, g.names...) {
		if o.servers.MatchString(g.name + "/" + name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	return testkit.Run(tb.Context(), func(tb testkit.TB) {
		m := &meter{Servers: peers.Start(tb, g.name, g.work, paths), options: o, out: stdout, result: r}
		for _, name := range chosen {
			if name == launch.Name {
				m.include(m.Peers[0])
			} else if err := testkit.Try(tb, func(tb testkit.TB) { m.Add(tb, name) }); err != nil {
				r.problem(g.name, name, err)
			} else {
				m.include(m.Peers[len(m.Peers)-1])
			}
		}
		m.measure(tb, g)
	})
}
