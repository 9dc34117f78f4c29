package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hearth/bench/process"
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

// gauges are the readings before and after a round.
type gauges struct {
	cpu, redisCPU time.Duration
	gets          int64
	tiers         map[string]float64
}

func (c *cast) read(ctx context.Context, p *peer) (g gauges, err error) {
	conn, err := c.redis.Dial()
	if err != nil {
		return g, err
	}
	defer conn.Close()
	if g.gets, err = gets(conn); err != nil {
		return g, err
	}
	if p.admin != "" {
		if g.tiers, err = answered(ctx, p); err != nil {
			return g, err
		}
	}
	if g.redisCPU, err = process.CPUTime(c.redis.PID()); err != nil {
		return g, err
	}
	g.cpu, err = process.CPUTime(p.proc.PID())
	return g, err
}

// measure puts a server under load for some seconds. The seed chooses the keys: the
// same for all servers in a round, and others in every round, because a memory
// that still holds the last keys of a round must not meet them in the next.
func (c *cast) measure(ctx context.Context, p *peer, round, seconds, seed int) (sample, error) {
	if err := c.settle(ctx, p); err != nil {
		return sample{}, err
	}
	before, err := c.read(ctx, p)
	if err != nil {
		return sample{}, err
	}
	w, err := c.wrk(ctx, p, seconds, seed)
	if err != nil {
		return sample{}, fmt.Errorf("loading %s: %w", p.name, err)
	}
	after, err := c.read(ctx, p)
	if err != nil {
		return sample{}, err
	}
	work := float64(w.requests) * float64(c.load.items)
	s := sample{
		Group: c.name, Round: round, Peer: p.name,
		Requests: w.requests, Seconds: w.took.Seconds(),
		CPU:      float64((after.cpu - before.cpu).Microseconds()) / work,
		RedisCPU: float64((after.redisCPU - before.redisCPU).Microseconds()) / work,
		Rate:     float64(w.requests) / w.took.Seconds(),
		P99:      float64(w.p99.Microseconds()) / 1000,
		Gets:     after.gets - before.gets,
	}
	if p.admin != "" {
		s.Tiers = parts(before.tiers, after.tiers)
		if err := c.checkTiers(s); err != nil {
			return sample{}, err
		}
	}
	return s, c.settle(ctx, p)
}

// settle waits until a server gives the right answer. It may need a moment after a
// load that ended with requests under way: Webdis has been seen to hand a reply
// that a closed connection was waiting for to the next one.
func (c *cast) settle(ctx context.Context, p *peer) error {
	const within = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return p.proc.Await(ctx, func() error { return c.verify(ctx, p) })
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
func (c *cast) checkTiers(s sample) error {
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

// result is what wrk reports.
type result struct {
	requests  int64
	took, p99 time.Duration
}

// wrk runs the load. Any error that it saw fails the round.
func (c *cast) wrk(ctx context.Context, p *peer, seconds, seed int) (result, error) {
	bin, err := process.Find("wrk", "wrk")
	if err != nil {
		return result{}, err
	}
	script := filepath.Join(c.dir, "load.lua")
	text, err := files.ReadFile("load.lua")
	if err == nil {
		err = os.WriteFile(script, text, 0o600)
	}
	if err != nil {
		return result{}, err
	}
	l := c.load
	argv := []string{
		bin, "-t", "1", "-c", fmt.Sprint(l.connections), "-d", fmt.Sprint(seconds, "s"), "--timeout", "5s", "-s", script,
		p.url("/"), "--", l.kind, fmt.Sprint(l.depth), p.path, fmt.Sprint(l.keys), fmt.Sprint(seed),
	}
	if c.cpus.load != process.AnyCPU {
		argv = append([]string{"taskset", "-c", fmt.Sprint(c.cpus.load)}, argv...)
	}
	const grace = 20 * time.Second // to connect, and for the last answers
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+grace)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("running wrk: %w: %s", err, out)
	}
	return parseResult(string(out))
}

// parseResult reads the line that load.lua prints.
func parseResult(out string) (result, error) {
	_, line, found := strings.Cut(out, "\nresult ")
	fields := strings.Fields(line)
	if !found || len(fields) < 8 {
		return result{}, fmt.Errorf("reading wrk's report: no result in %q", out)
	}
	var n [8]int64
	var errs []error
	for i := range n {
		var err error
		n[i], err = strconv.ParseInt(fields[i], 10, 64)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return result{}, fmt.Errorf("reading wrk's report: %w", err)
	}
	for i, what := range []string{"connect", "read", "write", "status", "timeout"} {
		if n[3+i] != 0 {
			return result{}, fmt.Errorf("wrk counts %d errors of the kind %q", n[3+i], what)
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return result{}, errors.New("wrk got no answers")
	}
	return result{requests: n[0], took: time.Duration(n[1]) * time.Microsecond, p99: time.Duration(n[2]) * time.Microsecond}, nil
}
