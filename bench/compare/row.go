package main

import (
	"fmt"
)

// workload is what wrk does to each server of a group; see load.lua.
type workload struct {
	pattern     string // one, spread, mix or batch
	depth       int    // requests sent at once on a connection
	connections int
	keys        int // records in Redis that are asked for
	items       int // units of work in one request
}

// share is the part of Hearth's answers, least and most, that a tier must have
// given for a group to measure what it says.
type share struct {
	tier        string
	least, most float64
}

// row is one line of the comparison: Hearth's processor time per request, as a
// part of the peer's.
type row struct {
	peer  string
	work  string
	bound float64
}

// group is one load on Hearth and its peers, which take turns in each round.
type group struct {
	name   string
	load   workload
	config []string // HEARTH_… overrides
	ttl    bool     // items have lifetimes
	tiers  []share
	rows   []row
}

const (
	// spreadKeys are far more records than the smallest memory tier holds, so
	// that it misses nearly always; hot ones stay in it.
	spreadKeys = 400_000
	batchItems = 100
	expiry     = 3600 // seconds that records live in Redis, as the recipe has it
)

// smallest is the smallest memory tier that Hearth's configuration allows.
// Nothing else is turned off: what Redis answers is stored, and soon displaced.
var smallest = []string{"HEARTH_MEMORY_BUDGET=1MiB"}

// groups is the table of what "fast" means; docs/benchmarks.md explains it.
func groups() []group {
	const memory, pipelined = "memory hit", "memory hit, pipelining of 16"
	all := []group{
		{
			name: "memory", load: workload{pattern: "one", depth: 1, connections: 64, keys: 1, items: 1},
			tiers: []share{{"memory", 0.999, 1}},
			rows: []row{
				{"bare", memory + ", against a bare fasthttp handler with the same bytes", 1.05},
				{"nginx", memory + ", against nginx `return 200`", 1.12},
				{"lua", memory + ", against nginx + lua_shared_dict", 0.97},
				{"recipe", memory + ", against the FastAPI recipe", 1.0 / 20},
			},
		},
		{
			name: "pipeline", load: workload{pattern: "one", depth: 16, connections: 64, keys: 1, items: 1},
			tiers: []share{{"memory", 0.999, 1}},
			rows: []row{
				{"bare", pipelined + ", against a bare fasthttp handler", 1.35},
				{"nginx", pipelined + ", against nginx `return 200`", 0.25},
			},
		},
	}
	for _, n := range []int{64, 256} {
		all = append(all, group{
			name: fmt.Sprint("redis-", n), load: workload{pattern: "spread", depth: 1, connections: n, keys: spreadKeys, items: 1},
			config: smallest, tiers: []share{{"redis", 0.97, 1}},
			rows: []row{{"webdis", fmt.Sprintf("Redis-tier read, %d connections, against Webdis", n), 0.62}},
		})
	}
	return append(all,
		group{
			name: "mix", load: workload{pattern: "mix", depth: 1, connections: 64, keys: spreadKeys, items: 1},
			config: smallest, tiers: []share{{"memory", 0.89, 0.92}, {"redis", 0.08, 0.11}},
			rows: []row{{"webdis", "90 % memory hits, 10 % Redis reads, against Webdis", 0.55}},
		},
		group{
			name: "batch-lifetimes", load: workload{pattern: "batch", depth: 1, connections: 16, keys: 1, items: batchItems}, ttl: true,
			rows: []row{{"recipe", "batch of 100, items with lifetimes, per item, against the recipe", 1.0 / 12}},
		},
		group{
			name: "batch", load: workload{pattern: "batch", depth: 1, connections: 16, keys: 1, items: batchItems},
			rows: []row{{"recipe", "batch of 100, items without lifetimes, per item, against the recipe", 1.0 / 16}},
		},
	)
}
