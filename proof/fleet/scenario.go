package main

import (
	"context"
	"fmt"
	"time"

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

var (
	full = size{
		clients: 2000, rounds: 20, hot: 30 * time.Second, hotClients: 16, spreadKeys: 10_000, absent: 100_000, budget: 16,
		calm: 3 * time.Second, coldKeys: 2000, puts: 100_000, rate: 5000, limited: 30 * time.Second, used: 0.98,
		overloaded: 2 * time.Second, repeats: 5, kept: 0.8, shedWithin: 50 * time.Millisecond,
	}
	short = size{
		clients: 200, rounds: 5, hot: 6 * time.Second, hotClients: 4, spreadKeys: 2000, absent: 10_000, budget: 2,
		calm: 500 * time.Millisecond, coldKeys: 500, puts: 1000, rate: 500, limited: 4 * time.Second, used: 0.9, overloaded: 500 * time.Millisecond,
		repeats: 2,
	}
)

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
