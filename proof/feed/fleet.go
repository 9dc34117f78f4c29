package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// settings are what scenarios configure differently. The zero value is the feed at its
// defaults with a poll of 5 ms.
type settings struct {
	Redis    string // redis.url; "": the embedded tier
	Replicas int    // redis.wait_replicas
	Database string // database.url; "": that of the ground
	Feed     string // feed.mode; "": outbox
	FeedURL  string // feed.url
	Keep     string
	After    string // feed.degraded_after
	TTL      string // feed.degraded_ttl
	Lease    string // load.lease
	Timeout  string // database.timeout
	Conns    int    // database.max_conns
	Upsert   string
	Lifetime string // ttl.cold and ttl.hot
	Extra    string // tables of a scenario's own
}

// configuration of an instance. Nothing here but the feed takes an old copy out within a
// run: no lifetime ends, no key is hot, and Redis is not asked anew.
var configuration = template.Must(template.New("").Parse(`
[server]
drain = "0s"
[redis]
url = "{{.Redis}}"
wait_replicas = {{.Replicas}}
[embedded]
path = "hearth.db"
[database]
url = "{{.Database}}"
max_conns = {{.Conns}}
timeout = "{{.Timeout}}"
[memory]
budget = "64MiB"
revalidate = "10m"
[load]
hot_rate = 1000000
lease = "{{.Lease}}"
[log]
slow = "1h"
[feed]
mode = "{{.Feed}}"
poll = "5ms"
url = "{{.FeedURL}}"
keep = "{{.Keep}}"
degraded_after = "{{.After}}"
degraded_ttl = "{{.TTL}}"
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "row:{id}"
select = "SELECT id, v FROM numbers WHERE id = {id}"
upsert = "INSERT INTO numbers (id, grp, v) VALUES ({id}, {body.grp}, {body.v}) {{.Upsert}}"
ttl = { cold = "{{.Lifetime}}", hot = "{{.Lifetime}}", missing = "10m" }
[[resource]]
name = "group"
path = "/group/{grp:int}"
key = "group:{grp}"
rows = "many"
select = "SELECT id, v FROM numbers WHERE grp = {grp} ORDER BY id"
ttl = { cold = "{{.Lifetime}}", hot = "{{.Lifetime}}", missing = "10m" }
{{.Extra}}`))

// text is the configuration over a ground.
func (s settings) text(t *trial, g *ground) string {
	t.Helper()
	s.Feed, s.Keep, s.Lease = cmp.Or(s.Feed, t.mode), cmp.Or(s.Keep, "0s"), cmp.Or(s.Lease, "10s")
	s.Timeout = cmp.Or(s.Timeout, "2s")
	s.After, s.TTL, s.Lifetime = cmp.Or(s.After, "5s"), cmp.Or(s.TTL, "30s"), cmp.Or(s.Lifetime, "1h")
	s.Database, s.Upsert, s.Conns = cmp.Or(s.Database, g.url), g.upsert, cmp.Or(s.Conns, 8)
	var text strings.Builder
	if err := configuration.Execute(&text, s); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// fleet is the instances of a trial, over one ground.
type fleet struct {
	*trial
	ground   *ground
	ins      []*launch.Instance
	off      bool            // there is no feed
	slowest  slow            // answer of those that were compared with the database
	more     []string        // beginnings of further keys whose records are rows
	next     atomic.Int64    // version that was given last
	restarts []atomic.Uint64 // how often each was ended or started: odd while it is away
}

// install installs the triggers that a configuration asks for, as an operator does.
func (t *trial) install(g *ground, s settings) {
	t.Helper()
	if cmp.Or(s.Feed, t.mode) == "off" {
		return
	}
	t.verb(s.text(t, g), "feed", "install", "-apply")
}

// verb runs a verb of the program with a configuration, and returns what it prints.
func (t *trial) verb(config string, verb ...string) string {
	t.Helper()
	dir := testkit.TempDir(t, "verb")
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.binary, append([]string{"-config", file}, verb...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("hearth %s: %v\n%s", strings.Join(verb, " "), err, out)
	}
	return string(out)
}

// start starts so many instances, all at once, and waits until they serve. The triggers
// are there already.
func (t *trial) start(g *ground, n int, s settings) *fleet {
	t.Helper()
	f := &fleet{trial: t, ground: g, off: cmp.Or(s.Feed, t.mode) == "off", ins: make([]*launch.Instance, n), restarts: make([]atomic.Uint64, n)}
	for i := range f.ins {
		in := launch.Program{Path: t.binary, Config: s.text(t, g), Public: launch.Port, Admin: launch.Port, Orderly: true}.Start(t)
		f.ins[i] = in
		t.Cleanup(func() {
			if t.logs {
				t.Figure("log", "%s", in.Logs())
			}
		})
	}
	for _, in := range f.ins {
		in.AwaitReady()
	}
	return f
}

// live waits until every instance says that the feed is live.
func (f *fleet) live() time.Duration {
	f.Helper()
	if f.off {
		return 0
	}
	took, good := f.await(patience, func() bool { return f.all("hearth_feed_live", 1) })
	if !good {
		f.Fatalf("waiting %v in vain: the feed is live on all instances; one has logged:\n%s", patience, f.ins[0].Logs())
	}
	return took
}

// all tells whether every instance has this value of a series.
func (f *fleet) all(series string, want float64) bool {
	for _, in := range f.ins {
		if v, err := metric(in, series); err != nil || v != want {
			return false
		}
	}
	return true
}

// leader is the instance that drains, -1 if none says so, or several do.
func (f *fleet) leader() int {
	found := -1
	for i, in := range f.ins {
		if v, err := metric(in, "hearth_feed_leader"); err == nil && v == 1 {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// sum adds up a series of all instances that answer.
func (f *fleet) sum(series string) (sum float64) {
	for _, in := range f.ins {
		if v, err := metric(in, series); err == nil {
			sum += v
		}
	}
	return sum
}

// metric is the value of a series, or of all that have this name and begin of labels, of
// an instance that may be away.
func metric(in *launch.Instance, series string) (sum float64, err error) {
	page := in.AskAdmin(http.MethodGet, "/metrics", "")
	if page.Err != nil || page.Code != http.StatusOK {
		return 0, fmt.Errorf("/metrics is answered %v", page)
	}
	found := false
	for line := range strings.Lines(page.Body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == series || strings.HasPrefix(name, series+"{") || strings.HasSuffix(series, ",") && strings.HasPrefix(name, series) {
			var v float64
			if _, err := fmt.Sscan(value[strings.LastIndexByte(value, ' ')+1:], &v); err != nil {
				return 0, fmt.Errorf("reading %q: %w", line, err)
			}
			sum, found = sum+v, true
		}
	}
	if !found {
		return 0, fmt.Errorf("/metrics has no %s", series)
	}
	return sum, nil
}

// restart ends an instance, and starts it in its place after a while.
func (f *fleet) restart(i int, away time.Duration, end func(in *launch.Instance)) {
	f.restarts[i].Add(1)
	end(f.ins[i])
	f.rest(away)
	f.ins[i] = f.ins[i].Again()
	f.ins[i].AwaitReady()
	f.restarts[i].Add(1)
}
