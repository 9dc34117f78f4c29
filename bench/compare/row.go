package main

import (
	"fmt"
	"slices"
	"strings"

	"hearth/bench/peers"
	"hearth/internal/testkit/launch"
)

// share is the part of Hearth's answers, least and most, that a tier must have
// given for a group to measure what it says.
type share struct {
	tier        string
	least, most float64
}

// row is one line of the comparison: Hearth's processor time per request, as a
// part of the peer's. bound 0 is none.
type row struct {
	peer  string
	what  string
	bound float64
	// figure is what the row is about where it is no ratio, and of which server it is; peer is
	// then a name for it.
	figure func(s sample) float64
	of     string
}

// group is one load on Hearth and its peers, which take turns in each round.
type group struct {
	name        string
	work        peers.Work
	depth       int // requests sent at once on a connection
	connections int
	items       int  // units of work in one request
	resident    bool // memory is weighed, not time; see resident.go
	own         bool // the load comes over connections of our own, opening them is not counted
	tiers       []share
	rows        []row
}

// peers are those that the rows of a group need, each once.
func (g group) peers() (names []string) {
	for _, w := range g.rows {
		name := w.peer
		if w.figure != nil {
			name = w.of
		}
		if name != launch.Name && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// needsPlain tells whether a row is about the plain service.
func (g group) needsPlain() bool {
	return slices.ContainsFunc(g.peers(), func(name string) bool { return name == "plain" || strings.HasPrefix(name, "get") })
}

// spreadKeys are far more records than the smallest memory tier holds, so
// that it misses nearly always; hot ones stay in it.
const spreadKeys = 400_000

var (
	fromMemory = []share{{"memory", 0.999, 1}}
	fromRedis  = []share{{"redis", 0.97, 1}}
	mixed      = []share{{"memory", 0.89, 0.92}, {"redis", 0.08, 0.11}}
)

// groups is the table of what "fast" means; docs/benchmarks.md explains it. earlier says that
// there is an earlier build to compare with.
func groups(earlier bool) []group {
	all := slices.Concat(hits(), reads(), batches(), sizes())
	if earlier {
		all = append(all, builds()...)
	}
	for i := range all { // what groups leave out
		all[i].depth = max(all[i].depth, 1)
		all[i].items = max(all[i].items, 1)
		if all[i].connections == 0 {
			all[i].connections = 64
		}
	}
	return all
}

// builds are rows about an earlier build of Hearth.
func builds() []group {
	const what, bound = ", against an earlier build of Hearth", 1.03
	hit := peers.Work{Pattern: peers.One, Keys: 1, Watched: true}
	many := peers.Work{Pattern: peers.Spread, Keys: 1000, Watched: true}
	return []group{
		{name: "build", work: hit, tiers: fromMemory, rows: []row{
			{peer: peers.Earlier, what: "memory hit while the dashboard is watched" + what, bound: bound}}},
		{name: "build-1000", work: many, tiers: fromMemory, rows: []row{
			{peer: peers.Earlier, what: "hits of 1,000 records in turn while the dashboard is watched" + what, bound: bound}}},
		{name: "build-pipeline", work: hit, tiers: fromMemory, depth: 16, rows: []row{
			{peer: peers.Earlier, what: "memory hit, pipelining of 16, while the dashboard is watched" + what, bound: bound}}},
		{name: "build-redis", work: peers.Work{Pattern: peers.Spread, Keys: spreadKeys, Memory: peers.Smallest}, tiers: fromRedis, rows: []row{
			{peer: peers.Earlier, what: "read that is not in memory" + what, bound: bound}}},
	}
}

// hits are of records in memory.
func hits() []group {
	const hit, pipelined = "memory hit", "memory hit, pipelining of 16"
	all := []group{
		{
			name: "memory", work: peers.Work{Pattern: peers.One, Keys: 1}, tiers: fromMemory,
			rows: []row{
				{peer: "bare", what: hit + ", against a bare fasthttp handler with the same bytes", bound: 1.02},
				{peer: "nginx", what: hit + ", against nginx `return 200`", bound: 1.05},
				{peer: "plain", what: hit + ", against the plain service", bound: 0.97},
				{peer: "lua", what: hit + ", against nginx + lua_shared_dict", bound: 0.95},
				{peer: "varnish", what: hit + ", against Varnish"},
				{peer: "recipe", what: hit + ", against the FastAPI recipe", bound: 1.0 / 30},
			},
		},
		{
			name: "pipeline", work: peers.Work{Pattern: peers.One, Keys: 1}, depth: 16, tiers: fromMemory,
			rows: []row{
				{peer: "bare", what: pipelined + ", against a bare fasthttp handler", bound: 1.1},
				{peer: "nginx", what: pipelined + ", against nginx `return 200`", bound: 0.22},
			},
		},
	}
	for _, kB := range []int{4, 64} {
		what := fmt.Sprintf("memory hit of %d kB", kB)
		all = append(all, group{
			name: fmt.Sprint("memory-", kB, "kB"), work: peers.Work{Pattern: peers.One, Keys: 1, Size: kB << 10}, tiers: fromMemory,
			rows: []row{
				{peer: "bare", what: what + ", against a bare fasthttp handler with the same bytes"},
				{peer: "plain", what: what + ", against the plain service"},
				{peer: "varnish", what: what + ", against Varnish"},
			},
		})
	}
	for _, n := range []int{1_000, 10_000} {
		all = append(all, group{
			name: fmt.Sprint("connections-", n), work: peers.Work{Pattern: peers.One, Keys: 1}, connections: n, own: true, tiers: fromMemory,
			rows: []row{{peer: "bare", what: fmt.Sprintf("%s, %d connections, against a bare fasthttp handler with the same bytes", hit, n)}},
		})
	}
	return append(all,
		group{
			name: "protocol", work: peers.Work{Pattern: peers.One, Keys: 1}, own: true, tiers: fromMemory,
			rows: []row{{peer: "memcached", what: hit + " by HTTP, against memcached by its own protocol"}},
		},
		group{
			name: "unchanged", work: peers.Work{Pattern: peers.Unchanged, Keys: 1},
			rows: []row{
				{peer: "bare", what: "304 for a tag that the client has, against a bare fasthttp handler with the same bytes"},
				{peer: "varnish", what: "304 for a tag that the client has, against Varnish"},
			},
		},
		group{
			name: "many", work: peers.Work{Pattern: peers.Many, Keys: peers.ManyItems * peers.ManyLists}, connections: 16, items: peers.ManyItems, tiers: fromMemory,
			rows: []row{{peer: "plain", what: "many-read of 100 records in memory, per record, against the plain service with `DoMultiCache`"}},
		},
	)
}

// reads are those that have to ask Redis.
func reads() (all []group) {
	for _, n := range []int{64, 256} {
		what := fmt.Sprintf("Redis-tier read, %d connections", n)
		g := group{
			name: fmt.Sprint("redis-", n), work: peers.Work{Pattern: peers.Spread, Keys: spreadKeys, Memory: peers.Smallest}, connections: n, tiers: fromRedis,
			rows: []row{
				{peer: "plain", what: what + ", against the plain service with `DoCache`", bound: 0.95},
				{peer: "get", what: what + ", against the plain service with `Do(GET)`", bound: 1.1},
				{peer: "get-one", what: what + ", against `Do(GET)` over one connection whose commands wait 20 µs for others", bound: 1.1},
				{peer: "webdis", what: what + ", against Webdis", bound: 0.85},
			},
		}
		if n == 64 {
			g.rows = append(g.rows, row{peer: "commands", what: "commands that Redis executes per read that is not kept", bound: 1, figure: sample.commandsPerRead, of: launch.Name})
		}
		all = append(all, g)
	}
	return append(all, group{
		name: "mix", work: peers.Work{Pattern: peers.Mix, Keys: spreadKeys, Memory: peers.Smallest}, tiers: mixed,
		rows: []row{
			{peer: "webdis", what: "90 % memory hits, 10 % Redis reads, against Webdis", bound: 0.55},
			{peer: "plain", what: "90 % memory hits, 10 % Redis reads, against the plain service"},
		},
	})
}

// batches store a hundred items at a time.
func batches() []group {
	return []group{
		{
			name: "batch-lifetimes", work: peers.Work{Pattern: peers.Batch, Keys: 1, TTL: true}, connections: 16, items: peers.ManyItems,
			rows: []row{{peer: "recipe", what: "batch of 100, items with lifetimes, per item, against the recipe", bound: 1.0 / 16}},
		},
		{
			name: "batch", work: peers.Work{Pattern: peers.Batch, Keys: 1}, connections: 16, items: peers.ManyItems,
			rows: []row{{peer: "recipe", what: "batch of 100, items without lifetimes, per item, against the recipe", bound: 1.0 / 16}},
		},
	}
}

// sizes are what records take in memory.
func sizes() []group {
	resident := func(s sample) float64 { return s.Resident }
	const what = "resident bytes of the server for a record of 100 bytes, 1 million of them read from Redis"
	return []group{{
		name: "resident", work: peers.Work{Pattern: peers.Spread, Keys: 1_000_000, Size: 100, Memory: 1 << 30}, resident: true,
		rows: []row{
			{peer: launch.Name, what: what, bound: 165, figure: resident, of: launch.Name},
			{peer: "plain", what: what + ", plain service", figure: resident, of: "plain"},
		},
	}}
}
