package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"text/template"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// instances is how many processes share the Redis and the database.
const instances = 4

// servers are what all scenarios share: each has a fleet of its own over them.
type servers struct {
	tb       testkit.TB // whom they fail
	binary   string
	redis    *testkit.RedisServer
	postgres *testkit.Database
	observer observer
}

// startServers builds hearth and starts them.
func startServers(tb testkit.TB, repo string) servers {
	s := servers{tb: tb, binary: launch.Build(tb, repo), redis: testkit.Redis(tb)}
	// Each instance may open more connections than it may load at a time, so that
	// what bounds the queries is the cap on loads and not the pool.
	s.postgres = testkit.Postgres(tb, testkit.OwnServer("max_connections = 400", "shared_buffers = 64MB"))
	s.postgres.Exec(schema)
	return s.of(tb)
}

// of are the servers for a scenario, whose failure is what fails of them.
func (s servers) of(tb testkit.TB) servers {
	s.tb, s.redis, s.postgres = tb, s.redis.For(tb), s.postgres.For(tb)
	s.observer = observer{tb, s.postgres}
	return s
}

// settings are what scenarios configure differently, beginning with normal. Addresses
// are filled in when a fleet is assembled.
type settings struct {
	Budget        string
	MaxConcurrent int
	HotRate       float64
	Cold, Hot     string
	Query         time.Duration // how long a query takes, from the start on
	Redis, DB     string
	MaxConns      int
	Extra         string // tables of a scenario's own
}

// normal is the configuration of the scenarios but for what each is about: no key is
// hot, and no lifetime ends within a run.
func normal() settings {
	return settings{Budget: "64MiB", MaxConcurrent: 16, HotRate: 1e6, Cold: "1h", Hot: "1h"}
}

// configuration of an instance. Timeouts are longer than usual: on a machine that all
// of this shares, a count must not depend on who got the processor.
var configuration = template.Must(template.New("").Parse(`
[server]
drain = "0s"
[redis]
url = "redis://{{.Redis}}"
[database]
url = "{{.DB}}"
max_conns = {{.MaxConns}}
timeout = "10s"
[memory]
budget = "{{.Budget}}"
missing_share = 0.05
revalidate = "10m"
link_timeout = "5s"
[load]
max_concurrent = {{.MaxConcurrent}}
wait = "10s"
lease = "15s"
hot_rate = {{printf "%.2f" .HotRate}}
[log]
level = "warn"
slow = "1h"
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v, stamp FROM load_many(ARRAY[{id}]::bigint[])"
ttl = { cold = "{{.Cold}}", hot = "{{.Hot}}", missing = "10m" }
[[resource]]
name = "many"
path = "/many/{id:int}"
key = "many:{id}"
select = "SELECT id, v, stamp FROM load_many(ARRAY[{id}]::bigint[])"
select_many = "SELECT id, v, stamp FROM load_many(ARRAY(SELECT id FROM records WHERE id = ANY({id})))"
ttl = { cold = "{{.Cold}}", hot = "{{.Hot}}", missing = "10m" }
[[resource]]
name = "page"
path = "/page/{id:int}"
key = "page:{id}"
select = "SELECT id, v FROM pages WHERE id = {id}"
upsert = "INSERT INTO pages (id, v) VALUES ({id}, {body.v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
{{.Extra}}`))

// fleet is the instances of one scenario. They end with it, and one that has ended by
// itself fails it.
type fleet []*launch.Instance

// assemble starts a fleet over an empty Redis and waits until every instance trusts
// what it remembers. The observer has forgotten what that elapsed.
func (s servers) assemble(with settings) fleet {
	s.redis.Do("FLUSHALL")
	s.observer.reset(with.Query)
	with.Redis, with.DB, with.MaxConns = s.redis.Addr(), s.postgres.URL(), 2*with.MaxConcurrent
	var text strings.Builder
	if err := configuration.Execute(&text, with); err != nil {
		s.tb.Fatal(err)
	}
	f := make(fleet, instances)
	f.start(func(int) *launch.Instance {
		return launch.Program{Path: s.binary, Config: text.String(), Public: launch.Port, Admin: launch.Port, Orderly: true}.Start(s.tb)
	})
	for i := range f {
		f.greet(s.tb, i)
	}
	s.observer.reset(with.Query)
	return f
}

// start starts all instances at once and waits until they serve.
func (f fleet) start(one func(i int) *launch.Instance) {
	for i := range f {
		f[i] = one(i)
	}
	for _, n := range f {
		n.AwaitReady()
	}
}

func (f fleet) addrs() (all []string) {
	for _, n := range f {
		all = append(all, n.Public)
	}
	return all
}

// greet reads a record of every resource until it comes from memory: then the
// instance has proved its link to Redis. The record is one that nobody else has asked
// for, because an instance knows what records look like only when it has loaded one
// itself; before its first many-read it would load one alone.
func (f fleet) greet(tb testkit.TB, i int) {
	c := load.NewConn(f[i].Public, load.AnswerWithin)
	defer c.Close()
	for _, resource := range []string{"/row/", "/many/", "/page/"} {
		f[i].Process().AwaitReady(func() bool {
			if err := c.Do(http.MethodGet, resource+strconv.Itoa(-1-i), ""); err != nil {
				tb.Fatal(err)
			}
			return load.TierOf(c.Status()) == load.Memory
		})
	}
}

// used is the processor time that all instances have taken so far.
func (f fleet) used(tb testkit.TB) (sum time.Duration) {
	for _, n := range f {
		d, err := n.Process().CPUTime()
		if err != nil {
			tb.Fatal(err)
		}
		sum += d
	}
	return sum
}

// statistics are those of /api/stats that the scenarios look at.
type statistics struct {
	Cache struct {
		MissingBytes   int64 `json:"missing_bytes"`
		MissingEntries int64 `json:"missing_entries"`
		LeaseWaits     int64 `json:"lease_waits"`
	} `json:"cache"`
}

// statistics asks every instance.
func (f fleet) statistics(tb testkit.TB) []statistics {
	all := make([]statistics, len(f))
	for i, n := range f {
		page := n.AskAdmin(http.MethodGet, "/api/stats", "")
		if err := json.Unmarshal([]byte(page.Body), &all[i]); err != nil || page.Code != http.StatusOK {
			tb.Fatalf("asking instance %d for its statistics: %v, %v", i+1, page, err)
		}
	}
	return all
}

// leaseWaits is how often readers of all instances have waited for others' loads.
func (f fleet) leaseWaits(tb testkit.TB) (n int64) {
	for _, s := range f.statistics(tb) {
		n += s.Cache.LeaseWaits
	}
	return n
}
