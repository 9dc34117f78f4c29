package main

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/bench/peers"
	"hearth/internal/testkit"
)

// sample is one round of one server.
type sample struct {
	Group    string
	Round    int
	Peer     string
	Requests int64
	Seconds  float64
	CPU      float64            // microseconds of the server for one unit of work
	RedisCPU float64            // likewise, of Redis
	Rate     float64            // requests a second
	P99      float64            // milliseconds
	Tiers    map[string]float64 `json:",omitempty"` // parts of Hearth's answers
	Gets     int64              // GET commands that Redis ran
	Tracked  int64              // of them, those within a transaction that makes Redis track the key
	Resident float64            `json:",omitempty"` // bytes of the server for one record in its memory
	Commands int64              // all commands that Redis ran, but those that ask it for statistics
}

// commandsPerRead is how many commands a read costs Redis that is not kept in memory:
// one that is kept is read by a transaction of five. Where hardly any read is not kept,
// it is what reads cost.
func (s sample) commandsPerRead() float64 {
	const transaction = 5 // CLIENT CACHING YES, MULTI, GET, PTTL, EXEC
	commands, reads := s.Commands, s.Gets
	if s.Tracked < s.Gets/2 {
		commands, reads = commands-transaction*s.Tracked, reads-s.Tracked
	}
	if reads == 0 {
		return 0
	}
	// Two digits: a canary a second is no part of a read.
	return math.Round(100*float64(commands)/float64(reads)) / 100
}

// readings are taken before and after a round.
type readings struct {
	cpu, redisCPU time.Duration
	calls         map[string]int64 // of Redis' commands, by name
	tiers         map[string]float64
}

// runner is a group with what it runs on.
type runner struct {
	group
	*peers.Servers
}

func (c *runner) read(tb testkit.TB, p *peers.Peer) (r readings) {
	stats, err := c.Redis.Try("INFO", "commandstats")
	if err == nil {
		r.calls, err = callsIn(fmt.Sprint(stats))
	}
	if err == nil && p.Instance != nil {
		r.tiers, err = p.Instance.Answered()
	}
	if err == nil {
		r.redisCPU, err = c.Redis.CPUTime()
	}
	if err == nil {
		r.cpu, err = p.CPUTime()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// measure puts a server under load for some seconds. The seed chooses the keys: the
// same for all servers in a round, and others in every round, because a memory
// that still holds the last keys of a round must not meet them in the next.
func (c *runner) measure(tb testkit.TB, p *peers.Peer, round, seconds, seed int) sample {
	const rightWithin = 3 * time.Second
	c.AwaitRight(tb, p, rightWithin)
	before := c.read(tb, p)
	var w load.WrkReport
	var used readings
	var err error
	if c.own {
		w, used, err = c.loop(p, seconds, seed)
	} else {
		w, err = c.wrk(tb.Context(), p, seconds, seed)
	}
	if err != nil {
		tb.Fatalf("loading %s: %v", p.Name, err)
	}
	after := c.read(tb, p)
	if !c.own {
		used = readings{cpu: after.cpu - before.cpu, redisCPU: after.redisCPU - before.redisCPU}
	}
	work := float64(w.Requests) * float64(c.items)
	s := sample{
		Group: c.Name, Round: round, Peer: p.Name,
		Requests: w.Requests, Seconds: w.Elapsed.Seconds(),
		CPU:      float64(used.cpu.Microseconds()) / work,
		RedisCPU: float64(used.redisCPU.Microseconds()) / work,
		Rate:     float64(w.Requests) / w.Elapsed.Seconds(),
		P99:      float64(w.P99.Microseconds()) / 1000,
		Gets:     after.calls["get"] - before.calls["get"],
		Tracked:  after.calls["multi"] - before.calls["multi"],
	}
	for name, calls := range after.calls {
		if name != "info" {
			s.Commands += calls - before.calls[name]
		}
	}
	if p.Instance != nil {
		s.Tiers = parts(before.tiers, after.tiers)
		if err := c.checkTiers(s); err != nil && round > 0 { // the first round fills memory
			tb.Fatal(err)
		}
	}
	c.AwaitRight(tb, p, rightWithin)
	return s
}

// callsIn is how often Redis has run each command, by its own statistics.
func callsIn(stats string) (map[string]int64, error) {
	all := map[string]int64{}
	for line := range strings.Lines(stats) {
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !found {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading Redis' statistics %q: %w", line, err)
		}
		all[name] = n
	}
	return all, nil
}

// parts is what each tier gave between two readings, as parts of the whole.
func parts(before, after map[string]float64) map[string]float64 {
	sum := 0.0
	for tier, n := range after {
		sum += n - before[tier]
	}
	all := map[string]float64{}
	for tier, n := range after {
		if d := n - before[tier]; d > 0 {
			all[tier] = d / sum
		}
	}
	return all
}

// checkTiers refuses a round in which Hearth did other work than the group says.
// For the share of Redis its own count of commands is asked, too.
func (c *runner) checkTiers(s sample) error {
	for _, want := range c.tiers {
		part := s.Tiers[want.tier]
		if part < want.least || part > want.most {
			return fmt.Errorf("hearth answered %.4f of the requests from %s, want %.3f to %.3f; all: %v", part, want.tier, want.least, want.most, s.Tiers)
		}
		// Readers of one key at one time share a read.
		const shared = 0.95
		if asked := float64(s.Gets) / float64(s.Requests); want.tier == "redis" && asked < part*shared {
			return fmt.Errorf("hearth says that %.4f of the answers came from redis, which was asked for %.4f", part, asked)
		}
	}
	return nil
}

// loop runs the load over connections of our own, and returns the processor time that
// was used while it was counted: opening connections is left out.
func (c *runner) loop(p *peers.Peer, seconds, seed int) (load.WrkReport, readings, error) {
	warm := 200*time.Millisecond + time.Duration(c.connections)*50*time.Microsecond // until all connections have been answered
	var used readings
	mark := func(sign time.Duration) func() error {
		return func() error {
			cpu, err := p.CPUTime()
			if err != nil {
				return err
			}
			redisCPU, err := c.Redis.CPUTime()
			used.cpu, used.redisCPU = used.cpu+sign*cpu, used.redisCPU+sign*redisCPU
			return err
		}
	}
	plan := c.Plan(p)
	plan.Connections, plan.Warm, plan.For, plan.Seed = c.connections, warm, time.Duration(seconds)*time.Second, uint64(seed)
	plan.Begin, plan.End = mark(-1), mark(1)
	found, err := plan.Run()
	if err != nil {
		return load.WrkReport{}, used, err
	}
	return load.WrkReport{Requests: found.Answered, Elapsed: found.Elapsed, P50: found.Latencies.Quantile(0.5), P99: found.Latencies.Quantile(0.99)}, used, nil
}

//go:embed load.lua
var script string

// wrk runs the load. Any error that it saw fails the round.
func (c *runner) wrk(ctx context.Context, p *peers.Peer, seconds, seed int) (load.WrkReport, error) {
	const grace = 20 * time.Second // to connect, and for the last answers
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+grace)
	defer cancel()
	header := ""
	if p.Tag != "" {
		header = "If-None-Match: " + p.Tag + "\r\n"
	}
	w, err := load.StartWrk(ctx, c.Dir, script, c.LoadCPUs, "-t", "1", "-c", strconv.Itoa(c.connections), "-d", fmt.Sprint(seconds, "s"), "--timeout", "5s",
		"http://"+p.Addr+"/", "--", c.Pattern, strconv.Itoa(c.depth), p.Path, strconv.Itoa(c.Keys), strconv.Itoa(seed), header)
	if err != nil {
		return load.WrkReport{}, err
	}
	report, err := w.Wait()
	return report, errors.Join(err, ctx.Err())
}
