package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hearth/bench/load"
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
}

// readings are taken before and after a round.
type readings struct {
	cpu, redisCPU time.Duration
	gets          int64
	tiers         map[string]float64
}

func (c *servers) read(tb testkit.TB, p *peer) (r readings) {
	stats, err := c.redis.Try("INFO", "commandstats")
	if err == nil {
		r.gets, err = getsIn(fmt.Sprint(stats))
	}
	if err == nil && p.instance != nil {
		r.tiers, err = p.instance.Answered()
	}
	if err == nil {
		r.redisCPU, err = c.redis.CPUTime()
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
func (c *servers) measure(tb testkit.TB, p *peer, round, seconds, seed int) sample {
	const rightWithin = 3 * time.Second
	c.awaitRight(tb, p, rightWithin)
	before := c.read(tb, p)
	w, err := c.wrk(tb.Context(), p, seconds, seed)
	if err != nil {
		tb.Fatalf("loading %s: %v", p.name, err)
	}
	after := c.read(tb, p)
	work := float64(w.Requests) * float64(c.load.items)
	s := sample{
		Group: c.name, Round: round, Peer: p.name,
		Requests: w.Requests, Seconds: w.Elapsed.Seconds(),
		CPU:      float64((after.cpu - before.cpu).Microseconds()) / work,
		RedisCPU: float64((after.redisCPU - before.redisCPU).Microseconds()) / work,
		Rate:     float64(w.Requests) / w.Elapsed.Seconds(),
		P99:      float64(w.P99.Microseconds()) / 1000,
		Gets:     after.gets - before.gets,
	}
	if p.instance != nil {
		s.Tiers = parts(before.tiers, after.tiers)
		if err := c.checkTiers(s); err != nil {
			tb.Fatal(err)
		}
	}
	c.awaitRight(tb, p, rightWithin)
	return s
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
func (c *servers) checkTiers(s sample) error {
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

// wrk runs the load. Any error that it saw fails the round.
func (c *servers) wrk(ctx context.Context, p *peer, seconds, seed int) (load.WrkReport, error) {
	script, err := files.ReadFile("load.lua")
	if err != nil {
		return load.WrkReport{}, err
	}
	const grace = 20 * time.Second // to connect, and for the last answers
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+grace)
	defer cancel()
	l := c.load
	w, err := load.StartWrk(ctx, c.dir, string(script), c.loadCPUs, "-t", "1", "-c", strconv.Itoa(l.connections), "-d", fmt.Sprint(seconds, "s"), "--timeout", "5s",
		"http://"+p.addr+"/", "--", l.pattern, strconv.Itoa(l.depth), p.path, strconv.Itoa(l.keys), strconv.Itoa(seed))
	if err != nil {
		return load.WrkReport{}, err
	}
	report, err := w.Wait()
	return report, errors.Join(err, ctx.Err())
}
