package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const instances = 2

// running is a run under way: one Redis, two instances over it and over one database
// file, and what has happened to them.
type running struct {
	plan
	tb      testkit.TB
	redis   *testkit.RedisServer
	hearths [instances]*launch.Instance
	records *records

	writing sync.RWMutex // held by writers while they write, and locked to give up all keys
	writes  atomic.Int64
	rounds  atomic.Int64   // in which every kind of fault has happened
	faults  map[string]int // of the goroutine that makes them
	began   time.Time
}

// configuration of an instance: redis, database, link_timeout.
const configuration = `
[server]
drain = "0s"
[redis]
url = %q
[database]
url = %q
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

// start builds hearth and starts everything.
func (r *running) start() {
	binary, database := launch.Build(r.tb, r.repo), "sqlite:"+filepath.Join(testkit.TempDir(r.tb, "chaos"), "rows.db")
	r.redis = testkit.Redis(r.tb)
	for i := range r.hearths {
		r.hearths[i] = launch.Program{
			Path: binary, Config: fmt.Sprintf(configuration, r.redis.URL(), database, r.link.String()),
			Public: launch.Port, Admin: launch.Port, Orderly: true,
		}.Ready(r.tb)
	}
}

// errOver ends a run in good order.
var errOver = errors.New("the run is over")

// meet lets readers, writers and faults loose on the servers until enough has
// been read and every fault has happened, or the time is over.
func (r *running) meet() error {
	ctx, cancel := context.WithTimeoutCause(r.tb.Context(), r.limit, errOver)
	ctx, fail := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	end := func() { fail(nil); cancel(); all.Wait() }
	r.tb.Cleanup(end) // if a server does not come back
	launch := func(run func(context.Context) error) {
		all.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	source := func(n int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(n))) }
	r.began = time.Now()
	for i := range r.writers {
		launch(newWriter(r, i, source(i)).run)
	}
	for i := range r.readers * instances {
		launch(newReader(r, i%instances, source(1000+i)).run)
	}
	launch(func(ctx context.Context) error {
		for testkit.Sleep(ctx, 10*time.Millisecond) {
			if r.records.reads.Load() >= r.reads && r.rounds.Load() >= r.plan.rounds {
				fail(errOver)
			}
		}
		return nil
	})
	(&injector{running: r, rand: source(2000)}).run(ctx)
	end()
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

func (r *running) print(out io.Writer) {
	took, b := time.Since(r.began), r.records
	reads, total := b.reads.Load(), 0
	for _, n := range r.faults {
		total += n
	}
	fmt.Fprintf(out, "reads       %d in %v (%.0f/s): %d marked stale or untracked, %d refused with 5xx\n",
		reads, took.Round(time.Second), float64(reads)/took.Seconds(), b.marked.Load(), b.refused.Load())
	fmt.Fprintf(out, "writes      %d acknowledged\n", r.writes.Load())
	fmt.Fprintf(out, "faults      %d\n", total)
	for _, f := range faults {
		fmt.Fprintf(out, "  %-34s %d\n", f.name, r.faults[f.name])
	}
	fmt.Fprintf(out, "behind      unmarked answers older than a write acknowledged before they were asked for, by how long before:\n")
	behind, broken := b.checker.Behind, b.checker.Violations()
	fmt.Fprint(out, behind.Text("  %-34s %d\n", ""))
	fmt.Fprintf(out, "worst delay %v (allowed %v)\n", behind.Worst().Round(time.Microsecond), b.checker.Allowance())
	fmt.Fprintf(out, "violations  %d\n", broken.Own+broken.Late)
	for _, text := range broken.Examples {
		fmt.Fprintln(out, " ", text)
	}
}
