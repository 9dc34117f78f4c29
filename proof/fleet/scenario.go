package main

import (
	"context"
	"fmt"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

// scenario is one thing that a database is to be protected from.
type scenario struct {
	name  string
	about string
	run   func(t *trial)
}

var scenarios = []scenario{
	{"one-load", "all clients ask for one cold key at once", oneLoad},
	{"hot-expiry", "a hot key's lifetime ends again and again under load", hotExpiry},
	{"spread", "many keys are loaded at once, with one lifetime", spread},
	{"missing", "random ids that do not exist are asked for, as fast as possible", missing},
	{"cold-restart", "all instances are killed and Redis is emptied, at full load", coldRestart},
	{"puts", "records are written through all instances, and read from all", puts},
	{"overload", "three times what the fleet can load is asked for", overload},
	{"limit", "four times what a global limit admits is offered", limited},
	{"many", "many cold records are asked for in one request", manyRead},
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
	turns      int           // of its phases
	kept       float64       // the least part of their throughput that hits are to keep in it
	shedWithin time.Duration // the longest that a refusal may take in it; 0: any
}

var (
	full = size{
		clients: 2000, rounds: 20, hot: 30 * time.Second, hotClients: 16, spreadKeys: 10_000, absent: 100_000, budget: 16,
		calm: 3 * time.Second, coldKeys: 2000, puts: 100_000, rate: 5000, limited: 30 * time.Second, used: 0.98,
		overloaded: 2 * time.Second, turns: 5, kept: 0.8, shedWithin: 50 * time.Millisecond,
	}
	short = size{
		clients: 200, rounds: 5, hot: 6 * time.Second, hotClients: 4, spreadKeys: 2000, absent: 10_000, budget: 2,
		calm: 500 * time.Millisecond, coldKeys: 500, puts: 1000, rate: 500, limited: 4 * time.Second, used: 0.9, overloaded: 500 * time.Millisecond,
		turns: 2,
	}
)

// playWithin is the longest that a scenario may take.
const playWithin = 10 * time.Minute

// trial is one scenario under way. What fails of it cuts it short.
type trial struct {
	testkit.TB
	plan
	servers
	*report.Section
}

// play runs the scenario. If it is cut short a bound was missed: what it is about could
// not be shown.
func (s scenario) play(tb testkit.TB, p plan, on servers) *report.Section {
	ctx, cancel := context.WithTimeout(tb.Context(), playWithin)
	defer cancel()
	section := &report.Section{Title: fmt.Sprintf("%s: %s", s.name, s.about)}
	began := time.Now()
	err := testkit.Run(ctx, func(tb testkit.TB) {
		s.run(&trial{TB: tb, plan: p, servers: on.of(tb), Section: section})
	})
	if err != nil {
		section.Bound(false, "it was cut short: %v", err)
	}
	section.Figure("took", "%v", time.Since(began).Round(100*time.Millisecond))
	return section
}

// connect connects so many clients to each of the instances.
func (t *trial) connect(f fleet, per int, seed uint64) load.Clients {
	t.Helper()
	return load.Connect(t, f.addrs(), per, seed)
}

// answers notes where answers came from.
func (t *trial) answers(sum *load.Tally) { t.Figure("answers", "%v", sum) }
