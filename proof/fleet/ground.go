package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"hearth/bench/process"
)

// ground is what a fleet stands on: one Redis, one PostgreSQL, and the program. It is
// laid once; each scenario puts a fleet of its own on it.
type ground struct {
	dir      string
	binary   string
	redis    *process.Redis
	postgres *process.Postgres
	witness  witness
	taken    map[string]bool // addresses that were given to instances
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
	if err := process.Build(ctx, repo, g.binary); err != nil {
		return err
	}
	if g.redis, err = process.StartRedis(ctx, g.dir, process.AnyCPU); err != nil {
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
