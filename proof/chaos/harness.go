package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// harness is a run under way: the servers of one engine, instances over them, and what
// has happened to them. Readers and writers have goroutines of their own and return what
// they fail of; servers are started and ended on the owner's goroutine.
type harness struct {
	plan
	setup
	tb      testkit.TB
	engine  engine
	dice    *rand.Rand // of the owner's goroutine
	hearths []*launch.Instance
	records *records
	rounds  rounds

	writing  sync.RWMutex    // held by writers while they write, and locked to give up keys
	losing   atomic.Bool     // what is in the shared tier alone may be lost now: nobody writes it
	restarts []atomic.Uint64 // how often each instance was ended or started: odd while it is away
	writes   atomic.Int64
	done     atomic.Int64 // rounds
	began    time.Time
}

// configuration of an instance: redis.url, embedded.path, memory.link_timeout, and the
// tables of the engine.
const configuration = `
[server]
drain = "0s"
[redis]
url = %q
[embedded]
path = %q
[memory]
budget = "64MiB"
link_timeout = %q
[log]
level = "warn"
slow = "1h"
[[batch]]
path = "/store"
resource = "free"
[[resource]]
name = "free"
path = "/free/{id:int}"
key = "free:{id}"
%s`

// tablesOf are those of an engine whose rows are in a SQLite file, which knows PostgreSQL's words.
func tablesOf(url string) string {
	return fmt.Sprintf(tables, url, "ON CONFLICT (id) DO UPDATE SET v = excluded.v")
}

const tables = `
[database]
url = %q
init = ["CREATE TABLE IF NOT EXISTS numbers (id BIGINT PRIMARY KEY, v BIGINT NOT NULL)"]
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v FROM numbers WHERE id = {id}"
upsert = "INSERT INTO numbers (id, v) VALUES ({id}, {body.v}) %s"
`

// start starts everything.
func (h *harness) start(binary string) {
	h.setup = h.engine.start(h)
	h.hearths = make([]*launch.Instance, h.instances)
	h.restarts = make([]atomic.Uint64, h.instances)
	h.records = newRecords(h.plan, h.instances)
	for i := range h.hearths {
		h.hearths[i] = launch.Program{
			Path: binary, Config: fmt.Sprintf(configuration, h.redis, "hearth.db", h.link.String(), h.tables),
			Public: launch.Port, Admin: launch.Port, Orderly: true,
		}.Start(h.tb)
	}
	for _, in := range h.hearths {
		in.AwaitReady()
	}
}

// lossy runs a fault that may lose what the shared tier had acknowledged, as a master
// does that ends before its replica has heard of a write. What is nowhere else is given
// up, and not written until the servers have come back; rows are not lost by it.
func (h *harness) lossy(fault func()) func() {
	return func() {
		h.losing.Store(true)
		h.writing.Lock()
		h.records.giveUpAll(free)
		h.writing.Unlock()
		fault()
	}
}

// restartInstance ends an instance, and starts it in its place after a while.
func (h *harness) restartInstance(instance int, end func(in *launch.Instance)) func() {
	return func() {
		h.restarts[instance].Add(1)
		end(h.hearths[instance])
		h.pause(0, 500)
		h.hearths[instance] = h.hearths[instance].Again()
		h.hearths[instance].AwaitReady()
		h.restarts[instance].Add(1)
	}
}
