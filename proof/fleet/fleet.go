package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"hearth/bench/process"
)

// instances is how many processes share the Redis and the database.
const instances = 4

// stopWithin is how long an instance may take to end when it is asked to.
const stopWithin = 15 * time.Second

// settings are what scenarios configure differently; what is left out has the default
// that normal fills in.
type settings struct {
	Budget        string
	MaxConcurrent int
	HotRate       float64
	Cold, Hot     string
	Query         time.Duration // how long a query takes, from the start on
	Listen, Admin string        // of one instance
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
listen = "{{.Listen}}"
admin = "{{.Admin}}"
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

// fleet is the instances of one scenario.
type fleet struct {
	ground *ground
	all    [instances]instance
}

// instance is one process of hearth.
type instance struct {
	name, addr, admin string
	proc              *process.Process // nil before it is started, and after it was killed
}

// assemble starts a fleet over an empty Redis and waits until every instance trusts
// what it remembers. The witness has forgotten what that took.
func (g *ground) assemble(ctx context.Context, s settings) (*fleet, error) {
	if _, err := g.redis.Do("FLUSHALL"); err != nil {
		return nil, err
	}
	if err := g.witness.reset(ctx, s.Query); err != nil {
		return nil, err
	}
	f := &fleet{ground: g}
	for i := range f.all {
		if err := f.configure(i, s); err != nil {
			return nil, err
		}
	}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(err, f.disband())
	}
	for i := range f.all {
		if err := f.greet(ctx, i); err != nil {
			return nil, errors.Join(err, f.disband())
		}
	}
	if err := g.witness.reset(ctx, s.Query); err != nil {
		return nil, errors.Join(err, f.disband())
	}
	return f, nil
}

func (f *fleet) configure(i int, s settings) (err error) {
	n := &f.all[i]
	n.name = fmt.Sprintf("hearth%d", i+1)
	if n.addr, err = f.ground.freeAddr(); err != nil {
		return err
	}
	if n.admin, err = f.ground.freeAddr(); err != nil {
		return err
	}
	s.Listen, s.Admin, s.Redis, s.DB = n.addr, n.admin, f.ground.redis.Addr, f.ground.postgres.URL()
	s.MaxConns = 2 * s.MaxConcurrent
	var text strings.Builder
	if err := configuration.Execute(&text, s); err != nil {
		return err
	}
	return os.WriteFile(f.file(i), []byte(text.String()), 0o600)
}

func (f *fleet) file(i int) string { return filepath.Join(f.ground.dir, f.all[i].name+".toml") }

// start starts all instances at once and waits until they listen.
func (f *fleet) start(ctx context.Context) (err error) {
	for i := range f.all {
		n := &f.all[i]
		n.proc, err = process.Start(process.Command{
			Name: n.name, Dir: f.ground.dir, Logs: f.ground.dir, CPU: process.AnyCPU,
			Argv: []string{f.ground.binary, "-config", f.file(i)},
		})
		if err != nil {
			return err
		}
	}
	for i := range f.all {
		n := &f.all[i]
		err := n.proc.Await(ctx, func() error {
			c, err := net.DialTimeout("tcp", n.addr, time.Second)
			if err != nil {
				return err
			}
			return c.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// greet reads a record of every resource until it comes from memory: then the
// instance has proved its link to Redis. The record is one that nobody else has asked
// for, because an instance knows what records look like only when it has loaded one
// itself; before its first many-read it would load one alone.
func (f *fleet) greet(ctx context.Context, i int) error {
	n := &f.all[i]
	c, err := dial(n.addr)
	if err != nil {
		return err
	}
	defer c.close()
	for _, resource := range []string{"/row/", "/many/", "/page/"} {
		path := resource + strconv.Itoa(-1-i)
		err := n.proc.Await(ctx, func() error {
			if err := c.get(path); err != nil {
				return process.FinalError{Err: err}
			}
			if status := c.answer.Header.Peek("Cache-Status"); tierOf(status) != memory {
				return fmt.Errorf("%s on %s is answered %d with Cache-Status %q", path, n.name, c.answer.StatusCode(), status)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// used is the processor time that all instances have taken so far.
func (f *fleet) used() (sum time.Duration, err error) {
	for i := range f.all {
		d, err := process.CPUTime(f.all[i].proc.PID())
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// kill ends all instances as a power cut would.
func (f *fleet) kill() error {
	var errs []error
	for i := range f.all {
		errs = append(errs, f.all[i].proc.Kill())
		f.all[i].proc = nil
	}
	return errors.Join(errs...)
}

// disband ends all instances in good order. One that has ended by itself is an error.
func (f *fleet) disband() error {
	var errs []error
	for i := range f.all {
		if p := f.all[i].proc; p != nil {
			errs = append(errs, p.Stop(stopWithin))
		}
	}
	return errors.Join(errs...)
}

// statistics are those of /api/stats that the scenarios look at.
type statistics struct {
	Cache struct {
		MemoryBytes    int64  `json:"memory_bytes"`
		MissingBytes   *int64 `json:"missing_bytes"` // nil where there is no such number
		MissingEntries int64  `json:"missing_entries"`
		LeaseWaits     int64  `json:"lease_waits"`
	} `json:"cache"`
}

// statistics asks every instance.
func (f *fleet) statistics(ctx context.Context) (all [instances]statistics, err error) {
	client := &http.Client{Timeout: answerWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range f.all {
		url := "http://" + f.all[i].admin + "/api/stats"
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return all, err
		}
		res, err := client.Do(req)
		if err != nil {
			return all, err
		}
		text, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err == nil {
			err = json.Unmarshal(text, &all[i])
		}
		if err != nil || res.StatusCode != http.StatusOK {
			return all, fmt.Errorf("asking %s: status %d, %q: %w", url, res.StatusCode, text, err)
		}
	}
	return all, nil
}

// leaseWaits is how often readers of all instances have waited for others' loads.
func (f *fleet) leaseWaits(ctx context.Context) (n int64, err error) {
	all, err := f.statistics(ctx)
	for _, s := range all {
		n += s.Cache.LeaseWaits
	}
	return n, err
}
