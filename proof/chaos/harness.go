package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// harness is a run under way: one Redis, two instances over it and over one database
// file, and what has happened to them. Readers and writers have goroutines of their own
// and return what they fail of; servers are started and ended on the owner's goroutine.
type harness struct {
	plan
	tb      testkit.TB
	redis   *testkit.RedisServer
	hearths [instances]*launch.Instance
	records *records

	writing sync.RWMutex // held by writers while they write, and locked to give up all keys
	writes  atomic.Int64
	rounds  atomic.Int64   // in which every kind of fault has happened
	faults  map[string]int // of the goroutine that makes them
	began   time.Time
}

// configuration of an instance: redis, database, link_timeout.
const configuration = `
[server]
drain = "0s"
[redis]
url = %q
[database]
url = %q
init = ["CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)"]
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
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v FROM rows WHERE id = {id}"
upsert = "INSERT INTO rows (id, v) VALUES ({id}, {body.v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
`

// start builds hearth and starts everything.
func (r *harness) start() {
	binary, database := launch.Build(r.tb, r.repo), "sqlite:"+filepath.Join(testkit.TempDir(r.tb, "chaos"), "rows.db")
	r.redis = testkit.Redis(r.tb)
	for i := range r.hearths {
		r.hearths[i] = launch.Program{
			Path: binary, Config: fmt.Sprintf(configuration, r.redis.URL(), database, r.link.String()),
			Public: launch.Port, Admin: launch.Port, Orderly: true,
		}.Ready(r.tb)
	}
}
