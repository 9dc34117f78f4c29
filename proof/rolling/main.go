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
	"os"
	"os/signal"
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
	requests int64 // at least
	rounds   int   // restarts of each instance on passed sockets
	clients  int
	repo     string
}

var errFailed = errors.New("bounds were missed")

func run(ctx context.Context, args []string, out, diagnosis io.Writer) int {
	p := plan{}
	flags := flag.NewFlagSet("rolling", flag.ContinueOnError)
	flags.SetOutput(diagnosis)
	flags.Int64Var(&p.requests, "requests", 1_000_000, "ask at least so often")
	flags.IntVar(&p.rounds, "rounds", 5, "restart each instance so often on passed sockets")
	flags.IntVar(&p.clients, "clients", 64, "connections to the balancer")
	flags.StringVar(&p.repo, "repo", ".", "directory of the module")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := p.run(ctx, out); err != nil {
		fmt.Fprintln(diagnosis, "rolling:", err)
		return 1
	}
	return 0
}

// withinAll bounds a whole run.
const withinAll = 15 * time.Minute

func (p plan) run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, withinAll, fmt.Errorf("not done within %v", withinAll))
	defer cancel()
	s, err := lay(ctx, p.repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.clear()) }()
	fmt.Fprintf(out, "rolling: %d instances behind HAProxy, %d clients, 1 of %d requests a PUT\n", instances, p.clients, writeEvery)
	// Each way gets half of the requests.
	missed := false
	for _, way := range []struct {
		name      string
		activated bool
		rounds    int
	}{{"on passed sockets", true, p.rounds}, {"by draining", false, 1}} {
		t, err := s.play(ctx, way.activated, way.rounds, p.clients, p.requests/2)
		if err != nil {
			return fmt.Errorf("restarts %s: %w", way.name, err)
		}
		fmt.Fprintf(out, "restarts %s: %s\n", way.name, t)
		if t.failed > 0 {
			missed = true
			s.tell(out)
		}
	}
	if missed {
		return errFailed
	}
	return nil
}

// play starts the fleet and the balancer, restarts each instance in turn for so
// many rounds while clients ask, and goes on until there are enough requests.
func (s *stage) play(ctx context.Context, activated bool, rounds, clients int, requests int64) (t *tally, err error) {
	f, err := s.assemble(ctx, activated)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	c := begin(f.balancer, clients)
	began := time.Now()
	restarts, restartErr := 0, error(nil)
	var longest time.Duration
	for range rounds {
		for i := range f.all {
			// So that each one is restarted at full load, some requests in between.
			if restartErr = c.await(ctx, requests/int64(rounds*instances+1)); restartErr != nil {
				break
			}
			took := time.Now()
			if restartErr = f.restart(ctx, i); restartErr != nil {
				break
			}
			longest = max(longest, time.Since(took))
			restarts++
		}
	}
	if restartErr == nil {
		restartErr = c.await(ctx, requests-c.asked())
	}
	t = c.end()
	t.restarts, t.longest, t.took = restarts, longest, time.Since(began)
	return t, restartErr
}
