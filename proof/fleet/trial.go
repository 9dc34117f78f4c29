package main

import (
	"context"
	"regexp"
	"strconv"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

// plan is what a run shall do.
type plan struct {
	size
	scenario *regexp.Regexp
	late     time.Duration // how old an answer may be on an instance that did not take the PUT
	seed     uint64
	repo     string // where the module is
}

// size is how much of everything a run does.
type size struct {
	clients    int           // of one-load, over all instances
	rounds     int           // of one-load, and of many
	hot        time.Duration // how long hot-expiry lasts
	hotClients int           // of it, on each instance
	spreadKeys int
	absent     int   // ids of missing
	budget     int64 // of missing, MiB
	calm       time.Duration
	coldKeys   int
	puts       int
	rate       int           // of limit, per second
	limited    time.Duration // how long it lasts
	used       float64       // the least part of the rate that it is to admit
	overloaded time.Duration // how long each phase of overload lasts
	repeats    int           // of its phases
	kept       float64       // the least part of their throughput that hits are to keep in it
	shedWithin time.Duration // the longest that a refusal may take in it; 0: any
}

// playWithin is the longest that a scenario may take.
const playWithin = 10 * time.Minute

// trial is one scenario under way. What fails of it cuts it short.
type trial struct {
	testkit.TB
	plan
	servers
	*report.Section
}

// connect connects so many clients to each of the instances.
func (t *trial) connect(f fleet, per int, seed uint64) load.Clients {
	return load.Connect(t, f.addrs(), per, seed)
}

// answers notes where answers came from.
func (t *trial) answers(sum *load.Counts) { t.Figure("answers", "%v", sum) }

// rowPaths are those of the first records.
func rowPaths(n int) (paths []string) {
	for id := 1; id <= n; id++ {
		paths = append(paths, "/row/"+strconv.Itoa(id))
	}
	return paths
}

// readFor reads records for so long, each client as fast as it can.
func (t *trial) readFor(all load.Clients, last time.Duration, paths []string) {
	ends := time.Now().Add(last)
	all.Each(t, func(ctx context.Context, c *load.Client) error {
		for time.Now().Before(ends) && ctx.Err() == nil {
			if err := c.Ask(paths[c.Rand.IntN(len(paths))]); err != nil {
				return err
			}
		}
		return nil
	})
}
