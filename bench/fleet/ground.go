package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"hearth/bench/process"
	"hearth/bench/resp"
)

// redisWithin is how long Redis may take to answer.
const redisWithin = time.Minute

// ground is what a fleet stands on: one Redis, one PostgreSQL, and the program. It is
// laid once; each scenario puts a fleet of its own on it.
type ground struct {
	dir       string
	binary    string
	redisAddr string
	redis     *process.Process
	postgres  *process.Postgres
	witness   witness
	taken     map[string]bool // addresses that were given to instances
}

// layGround builds hearth and starts both servers in a directory of its own.
func layGround(ctx context.Context, repo string) (*ground, error) {
	dir, err := os.MkdirTemp("", "hearth-fleet-")
	if err != nil {
		return nil, err
	}
	g := &ground{dir: dir, binary: filepath.Join(dir, "hearth"), taken: map[string]bool{}}
	if err := g.lay(ctx, repo); err != nil {
		return nil, errors.Join(err, g.clear())
	}
	return g, nil
}

func (g *ground) lay(ctx context.Context, repo string) (err error) {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", g.binary, ".")
	build.Dir = repo
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building hearth in %q: %w\n%s", repo, err, out)
	}
	if err := g.startRedis(ctx); err != nil {
		return err
	}
	// Each instance may open more connections than it may load at a time, so that
	// what bounds the queries is the cap on loads and not the pool.
	g.postgres, err = process.StartPostgres(ctx, g.dir, "max_connections = 400", "shared_buffers = 64MB")
	if err != nil {
		return err
	}
	g.witness = witness{g.postgres}
	return g.witness.install(ctx)
}

func (g *ground) startRedis(ctx context.Context) error {
	path, err := process.Find("redis-server", "redis-server")
	if err != nil {
		return err
	}
	if g.redisAddr, err = process.FreeAddr(); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(g.redisAddr)
	if err != nil {
		return err
	}
	g.redis, err = process.Start(process.Command{
		Name: "redis", Dir: g.dir, Logs: g.dir, CPU: process.AnyCPU,
		Argv: []string{path, "--port", port, "--bind", host, "--save", "", "--appendonly", "no", "--dir", g.dir},
	})
	if err != nil {
		return err
	}
	return g.redis.Await(ctx, func() error {
		_, err := g.do("PING")
		return err
	})
}

// do sends one command to Redis.
func (g *ground) do(args ...string) (string, error) {
	c, err := resp.Dial(g.redisAddr, redisWithin)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Do(args...)
}

// freeAddr is an address for an instance. Nothing listens there yet, so another look
// for a free one could find the same.
func (g *ground) freeAddr() (string, error) {
	for {
		addr, err := process.FreeAddr()
		if err != nil || !g.taken[addr] {
			g.taken[addr] = true
			return addr, err
		}
	}
}

// clear ends both servers and removes what they have left.
func (g *ground) clear() error {
	var errs []error
	if g.redis != nil {
		errs = append(errs, g.redis.Kill())
	}
	if g.postgres != nil {
		errs = append(errs, g.postgres.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}
