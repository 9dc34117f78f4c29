package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hearth/bench/process"
)

// server is a process of the fleet and where it is served.
type server struct {
	addr string           // host:port
	proc *process.Process // nil until started
}

// stopWithin is how long a server may take to end when it is asked to.
const stopWithin = 15 * time.Second

// fleet is what is tormented: one Redis and two instances over it and over one
// database file.
type fleet struct {
	dir     string
	redis   server
	hearths [instances]server
	gate    sync.RWMutex // held by writers while they write; closed to give up all keys
}

// configuration of an instance: listen, admin, redis, link_timeout.
const configuration = `
[server]
listen = %q
admin = %q
drain = "0s"
[redis]
url = %q
[database]
url = "sqlite:rows.db"
init = ["CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)"]
[memory]
budget = "64MiB"
link_timeout = %q
[log]
level = "warn"
slow = "1h"
[[batch]]
path = "/store"
resource = "free"
[[resource]]
name = "free"
path = "/free/{id:int}"
key = "free:{id}"
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v FROM rows WHERE id = {id}"
upsert = "INSERT INTO rows (id, v) VALUES ({id}, {body.v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
`

// startFleet builds hearth and starts everything in a directory of its own.
func startFleet(ctx context.Context, p plan) (*fleet, error) {
	dir, err := os.MkdirTemp("", "hearth-chaos-")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	if err := f.start(ctx, p); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

func (f *fleet) start(ctx context.Context, p plan) (err error) {
	binary := filepath.Join(f.dir, "hearth")
	if err := process.Build(ctx, p.repo, binary); err != nil {
		return err
	}
	if f.redis.addr, err = process.FreeAddr(); err != nil {
		return err
	}
	if err := f.startRedis(); err != nil {
		return err
	}
	for i := range f.hearths {
		h := &f.hearths[i]
		name := fmt.Sprintf("hearth%d", i+1)
		if h.addr, err = process.FreeAddr(); err != nil {
			return err
		}
		admin, err := process.FreeAddr()
		if err != nil {
			return err
		}
		file := filepath.Join(f.dir, name+".toml")
		text := fmt.Sprintf(configuration, h.addr, admin, "redis://"+f.redis.addr, p.link.String())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		if err := f.launch(h, name, binary, "-config", file); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) startRedis() error {
	path, err := process.Find("redis-server", "redis-server")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(f.redis.addr)
	if err != nil {
		return err
	}
	return f.launch(&f.redis, "redis", path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--enable-debug-command", "local", "--dir", f.dir)
}

// launch starts a server, or starts it again, and waits until it listens. It is not
// cut short by the end of the run: others wait for answers that need this server.
func (f *fleet) launch(s *server, name string, argv ...string) (err error) {
	s.proc, err = process.Start(process.Command{Name: name, Dir: f.dir, Logs: f.dir, CPU: process.AnyCPU, Argv: argv})
	if err != nil {
		return err
	}
	return s.proc.Await(context.Background(), func() error {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// stop ends everything that was started. An instance that has ended by itself is
// an error.
func (f *fleet) stop() error {
	var errs []error
	for _, h := range f.hearths {
		if h.proc != nil {
			errs = append(errs, h.proc.Stop(stopWithin))
		}
	}
	if f.redis.proc != nil {
		errs = append(errs, f.redis.proc.Kill())
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}

// meet lets readers, writers and faults loose on the fleet until enough has
// been read and every fault has happened, or the time is over.
func (f *fleet) meet(ctx context.Context, p plan, b *book, r *report) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limit, errOver)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	launch := func(run func(context.Context) error) {
		all.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	source := func(n int) *rand.Rand { return rand.New(rand.NewPCG(p.seed, uint64(n))) }
	for i := range p.writers {
		w := &writer{book: b, fleet: f, first: i, step: p.writers, rand: source(i), written: &r.writes}
		launch(w.run)
	}
	for i := range p.readers * instances {
		instance := i % instances
		rd := &reader{book: b, instance: instance, addr: f.hearths[instance].addr, depth: p.depth, rand: source(1000 + i)}
		launch(rd.run)
	}
	t := &tormentor{fleet: f, book: b, report: r, rand: source(2000), calm: p.calm, freeze: p.freeze}
	launch(t.run)
	launch(func(ctx context.Context) error {
		for pause(ctx, 10*time.Millisecond) {
			if b.reads.Load() >= p.reads && r.rounds.Load() >= p.rounds {
				fail(errOver)
			}
		}
		return nil
	})
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

// errOver ends a run in good order.
var errOver = errors.New("the run is over")
