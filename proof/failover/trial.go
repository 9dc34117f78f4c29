package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"time"

	"hearth/bench/report"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/topology"
)

// plan is what a run shall do.
type plan struct {
	size
	scenario *regexp.Regexp
	logs     bool
	first    int // what becomes at first of a server whose address leads elsewhere
	seed     uint64
	repo     string // where the module is
}

// size is how much of everything a run does.
type size struct {
	calm     time.Duration // before and after a disturbance
	planned  int           // planned fail-overs, for each number of replicas waited for
	settle   time.Duration // after them, before every key is looked at
	canaries int           // rounds of a reshard that moves every canary
	reshards int           // rounds of one back and forth
	slots    int           // that such a one moves
	// Slots that a round with canaries moves off each master, and the most that one move
	// of a rebalance does.
	canarySlots, rebalanced int
	moves                   int           // of an address, or of a database
	records                 int           // of each master
	slack                   time.Duration // by how many times bounds of time are longer than promised; 1 in a proof
}

var (
	full  = size{calm: 3 * time.Second, planned: 20, settle: 45 * time.Second, canaries: 10, reshards: 3, slots: 1000, canarySlots: 4001, rebalanced: topology.Slots, moves: 5, records: 40, slack: 1}
	short = size{calm: time.Second, planned: 1, settle: 3 * time.Second, canaries: 1, reshards: 1, slots: 50, canarySlots: 50, rebalanced: 50, moves: 1, records: 10, slack: 1}
)

const (
	// startWithin is how long servers and instances may take to serve.
	startWithin = 30 * time.Second
	// playWithin is the longest that a scenario may take.
	playWithin = 40 * time.Minute
	// linkTimeout is memory.link_timeout, at its default. Where bounds of time have slack,
	// this has: a machine may stall for longer than it.
	linkTimeout = 2 * time.Second
)

// trial is one scenario under way. What fails of it cuts it short.
type trial struct {
	testkit.TB
	plan
	*report.Section
	binary string
}

// of is the trial for a part of it, whose servers end with tb.
func (t *trial) of(tb testkit.TB) *trial {
	part := *t
	part.TB = tb
	return &part
}

// scenario is one thing that happens to servers as they are deployed.
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
		s.run(&trial{TB: tb, plan: p, Section: section, binary: binary})
	})
	if err != nil {
		section.Bound(false, "it was cut short: %v", err)
	}
	section.Figure("took", "%v", time.Since(began).Round(100*time.Millisecond))
	return section
}

// backing is where instances have their records.
type backing struct {
	redis      string                        // redis.url
	replicas   int                           // redis.wait_replicas
	database   string                        // database.url
	upsert     string                        // what an INSERT does with a row that is there; "": as PostgreSQL says it
	revalidate time.Duration                 // memory.revalidate; 0: a minute
	link       time.Duration                 // memory.link_timeout; 0: linkTimeout
	wrap       func(argv ...string) []string // where it runs; nil: here
}

const configuration = `
[server]
drain = "0s"
[redis]
url = %q
wait_replicas = %d
[database]
url = %q
init = ["CREATE TABLE IF NOT EXISTS numbers (id BIGINT PRIMARY KEY, v BIGINT NOT NULL)"]
[memory]
budget = "64MiB"
link_timeout = %q
revalidate = %q
[log]
slow = "1h"
[[batch]]
path = "/batch"
resource = "item"
[[resource]]
name = "item"
path = "/item/{id:int}"
key = "item:{id}"
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v FROM numbers WHERE id = {id}"
upsert = "INSERT INTO numbers (id, v) VALUES ({id}, {body.v}) %s"
`

// What an INSERT does with a row that is there: it keeps the higher version, so that one
// whose outcome was unknown, and which comes late, changes nothing.
const (
	upsertPostgres = "ON CONFLICT (id) DO UPDATE SET v = GREATEST(numbers.v, excluded.v)"
	upsertSQLite   = "ON CONFLICT (id) DO UPDATE SET v = MAX(numbers.v, excluded.v)"
	upsertMariaDB  = "ON DUPLICATE KEY UPDATE v = GREATEST(v, VALUES(v))"
)

// text is the configuration of an instance.
func (b backing) text() string {
	return fmt.Sprintf(configuration, b.redis, b.replicas, b.database, cmp.Or(b.link, linkTimeout).String(), cmp.Or(b.revalidate, time.Minute).String(), cmp.Or(b.upsert, upsertPostgres))
}

// start starts an instance for each backing, all at once, and waits until they serve.
func (t *trial) start(all ...backing) []*launch.Instance {
	fleet := t.spawn(all...)
	for _, in := range fleet {
		in.AwaitReady()
	}
	return fleet
}

// spawn is start that does not wait.
func (t *trial) spawn(all ...backing) []*launch.Instance {
	var fleet []*launch.Instance
	for _, b := range all {
		b.link = min(t.within(linkTimeout), 2*linkTimeout)
		p := launch.Program{Path: t.binary, Config: b.text(), Public: launch.Port, Admin: launch.Port, Orderly: true}
		if b.wrap != nil { // what is elsewhere is reached by sockets in files
			p.Public, p.Admin, p.Wrapper = launch.Socket, launch.Socket, b.wrap()
		}
		in := p.Start(t)
		fleet = append(fleet, in)
		t.Cleanup(func() {
			if t.logs {
				t.Figure("log", "%s", in.Logs())
			}
		})
	}
	return fleet
}

// times is so many instances over the same backing.
func (b backing) times(n int) (all []backing) {
	for range n {
		all = append(all, b)
	}
	return all
}

// within is a bound of time.
func (t *trial) within(d time.Duration) time.Duration { return d * t.slack }

// allowed is how old an answer may be on an instance that did not take the write.
func (t *trial) allowed() time.Duration { return t.within(linkTimeout + 500*time.Millisecond) }

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
