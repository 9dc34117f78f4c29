// Command rolling restarts the instances behind a load balancer, one after the
// other, at full load, and counts the requests that fail: none may.
//
// It plays both ways in which an instance is restarted. On a socket that the
// service manager passes and keeps, the next process takes over what waits in its
// queue; so this program is the service manager. On a socket of its own, an
// instance drains: the balancer notices by /healthz and asks the others.
//
// The balancer is HAProxy with deploy/haproxy.cfg, only addresses replaced. Behind
// it are three real hearth processes over one Redis and one PostgreSQL. Clients keep
// their connections, read, and write now and then: writes are what a balancer must
// not send twice, so one that is lost stays lost.
//
//	go run ./proof/rolling
//	go run ./proof/rolling -requests 20000 -rounds 1
//
// It ends with 1 if a request failed or there were too few.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"hearth/internal/testkit"
)

var program = testkit.Program{Name: "rolling", Run: run}

func main() { program.Main() }

// plan is what a run shall do.
type plan struct {
	requests int64 // at least
	rounds   int   // restarts of each instance on passed sockets
	clients  int
	repo     string
}

// withinAll bounds a whole run.
const withinAll = 15 * time.Minute

func run(tb testkit.TB, args []string, stdout, stderr io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("rolling", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&p.requests, "requests", 1_000_000, "ask at least so often")
	flags.IntVar(&p.rounds, "rounds", 5, "restart each instance so often on passed sockets")
	flags.IntVar(&p.clients, "clients", 64, "connections to the balancer")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		return errors.Join(testkit.ErrUsage, err)
	}
	ctx, cancel := context.WithTimeoutCause(tb.Context(), withinAll, fmt.Errorf("not done within %v", withinAll))
	defer cancel()
	s := startServers(tb, p.repo)
	fmt.Fprintf(stdout, "rolling: %d instances behind HAProxy, %d clients, 1 of %d requests a PUT\n", instances, p.clients, writeEvery)
	// Each way gets half of the requests.
	missed := false
	for _, way := range []struct {
		name      string
		activated bool
		rounds    int
	}{{"on passed sockets", true, p.rounds}, {"by draining", false, 1}} {
		var f *fleet
		var c *counts
		err := testkit.Run(ctx, func(tb testkit.TB) {
			f = s.assemble(tb, way.activated)
			c = f.play(way.rounds, p.clients, p.requests/2)
		})
		if err != nil {
			return fmt.Errorf("restarts %s: %w", way.name, err)
		}
		fmt.Fprintf(stdout, "restarts %s: %v\n", way.name, c)
		if c.failed > 0 {
			missed = true
			f.printLogs(stdout)
		}
	}
	if missed {
		return errors.New("bounds were missed")
	}
	return nil
}
