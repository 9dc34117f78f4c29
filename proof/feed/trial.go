package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"hearth/bench/report"
	"hearth/internal/testkit"
)

// plan is what a run shall do.
type plan struct {
	size
	scenario *regexp.Regexp
	logs     bool
	mode     string // feed.mode, where a scenario does not say
	seed     uint64
	repo     string // where the module is
}

// size is how much of everything a run does.
type size struct {
	lag        int           // changes of which each is timed, by one session
	backends   int           // … and by a session for each
	pace       time.Duration // between two of them
	look       time.Duration // between two rounds of a reader
	changes    int           // while servers are hurt
	after, ttl time.Duration // degraded_after and degraded_ttl
	puts       int           // rounds of PUTs of every row
	leaders    int           // killed, one after another
	bulk       int           // rows that are changed at once
	rounds     int           // of what is compared
	lasts      time.Duration // of each
	dying      int           // rows of the outbox
	fewFaults  bool          // only some of what can be hurt is
	calm       time.Duration // of what shows that nothing heals it
	timed      bool          // bounds of time are judged
	slack      time.Duration // by how many times waits are longer than promised; 1 in a proof
}

var (
	full  = size{lag: 20_000, backends: 2000, pace: 2 * time.Millisecond, look: 200 * time.Microsecond, changes: 1_000_000, leaders: 10, puts: 10, bulk: 1_000_000, rounds: 5, lasts: 6 * time.Second, dying: 300_000, after: 5 * time.Second, ttl: 30 * time.Second, calm: 5 * time.Second, timed: true, slack: 1}
	short = size{lag: 500, backends: 25, pace: 2 * time.Millisecond, look: 200 * time.Microsecond, changes: 3000, leaders: 1, puts: 1, bulk: 200_000, rounds: 1, lasts: time.Second, dying: 10_000, after: 500 * time.Millisecond, ttl: time.Second, fewFaults: true, calm: 500 * time.Millisecond, slack: 1}
)

const (
	// instances is how many processes share what is behind them.
	instances = 3
	// playWithin is the longest that a scenario may take.
	playWithin = 60 * time.Minute
	// patience bounds each wait for what has to come sooner or later.
	patience = 60 * time.Second
	// feedLease is how long a leader of the feed is believed to live that says nothing, and
	// looked how often all others look for what nobody has drained.
	feedLease = 2 * time.Second
	looked    = 250 * time.Millisecond
)

// trial is one scenario under way. What fails of it cuts it short.
type trial struct {
	testkit.TB
	plan
	*report.Section
	binary string
	dice   *rand.Rand // of the owner's goroutine
}

// of is the trial for a part of it, whose servers end with tb.
func (t *trial) of(tb testkit.TB) *trial {
	part := *t
	part.TB = tb
	return &part
}

// part runs f with servers that end with it. If it is cut short a bound was missed.
func (t *trial) part(what string, f func(t *trial)) {
	t.Figure("", "%s", what)
	if err := testkit.Run(t.Context(), func(tb testkit.TB) { f(t.of(tb)) }); err != nil {
		t.Bound(false, "%s: it was cut short: %v", what, err)
	}
}

// scenario is one thing that the feed is to be good for, or to survive.
type scenario struct {
	name  string
	about string
	run   func(t *trial)
}

// play runs the scenario. If it is cut short a bound was missed: what it is about could
// not be shown.
func (s scenario) play(tb testkit.TB, p plan, binary string) *report.Section {
	ctx, cancel := context.WithTimeout(tb.Context(), playWithin)
	defer cancel()
	section := &report.Section{Title: fmt.Sprintf("%s: %s", s.name, s.about)}
	began := time.Now()
	err := testkit.Run(ctx, func(tb testkit.TB) {
		s.run(&trial{TB: tb, plan: p, Section: section, binary: binary, dice: rand.New(rand.NewPCG(p.seed, 1))})
	})
	if err != nil {
		section.Bound(false, "it was cut short: %v", err)
	}
	section.Figure("took", "%v", time.Since(began).Round(100*time.Millisecond))
	return section
}

// Timed notes a bound of time, which is a figure where much else runs on the machine.
func (t *trial) Timed(held bool, format string, args ...any) {
	if t.timed {
		t.Bound(held, format, args...)
		return
	}
	t.Figure("", format, args...)
}

// within is a bound of time.
func (t *trial) within(d time.Duration) time.Duration { return d * t.slack }

// rest lets time pass.
func (t *trial) rest(d time.Duration) { testkit.Sleep(t.Context(), d) }

// await polls until good, and returns how long that took; false: not within the bound.
func (t *trial) await(within time.Duration, good func() bool) (time.Duration, bool) {
	began := time.Now()
	for {
		if good() {
			return time.Since(began), true
		}
		if time.Since(began) > within || !testkit.Sleep(t.Context(), 5*time.Millisecond) {
			return time.Since(began), false
		}
	}
}
