package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	instances = 3
	// drain is server.drain of the instances that have sockets of their own: as
	// long as it is by default, which deploy/haproxy.cfg is made for.
	drain = 5 * time.Second
)

// servers are what both fleets run on, and the program.
type servers struct {
	repo, binary string
	redis        *testkit.RedisServer
	postgres     *testkit.Database
}

func startServers(tb testkit.TB, repo string) servers {
	return servers{repo, launch.Build(tb, repo), testkit.Redis(tb), testkit.Postgres(tb, testkit.OwnServer("shared_buffers = 32MB"))}
}

// fleet is three instances and the balancer in front of them.
type fleet struct {
	tb       testkit.TB
	all      []*instance
	haproxy  *testkit.Proxy
	balancer string // its address
}

// instance is one place in the fleet, where one process after another serves.
type instance struct {
	*launch.Instance // the latest
	name             string
}

// configuration of an instance: drain, redis, database.
const configuration = `
[server]
drain = "%v"
trusted_proxies = ["127.0.0.1/32"]
[redis]
url = "%s"
[database]
url = "%s"
demo = true
[log]
level = "warn"
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id, name FROM users WHERE id = {user_id}"
upsert = "INSERT INTO users (id, name, city) VALUES ({user_id}, {body.name}, '') ON CONFLICT (id) DO UPDATE SET name = excluded.name"
`

// assemble starts a fleet over an empty Redis. Instances that are activated have their
// sockets kept here while processes come and go.
func (s servers) assemble(tb testkit.TB, activated bool) *fleet {
	s.redis.For(tb).Do("FLUSHALL")
	f := &fleet{tb: tb}
	for i := range instances {
		n := &instance{name: fmt.Sprintf("hearth%d", i+1)}
		p := launch.Program{
			Path: s.binary, Config: fmt.Sprintf(configuration, drain, s.redis.URL(), s.postgres.URL()),
			Public: launch.Port, Admin: launch.Port, Orderly: true,
		}
		if activated {
			activate(tb, &p)
		}
		n.Instance = p.Ready(tb)
		f.all = append(f.all, n)
	}
	f.startBalancer(s.repo)
	return f
}

// activate gives a program its sockets, which are kept here while processes come and
// go. Its configuration names the same addresses, for those who look.
func activate(tb testkit.TB, p *launch.Program) {
	for _, addr := range []*string{&p.Public, &p.Admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close()
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = file.Close() })
		p.Files = append(p.Files, file)
		*addr = l.Addr().String()
	}
	// The number of the process is known to itself only.
	p.Wrapper = []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}
	p.Env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin"}
}

// startBalancer starts HAProxy with the file that is shipped.
func (f *fleet) startBalancer(repo string) {
	shipped, err := os.ReadFile(filepath.Join(repo, "deploy", "haproxy.cfg"))
	if err != nil {
		f.tb.Fatal(err)
	}
	f.balancer = fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(f.tb))
	text := string(shipped)
	for _, r := range [][2]string{
		{"\tbind :80\n", "\tbind " + f.balancer + "\n"},
		{"\tlog /dev/log local0 info\n", "\tstats socket unix@control mode 600 level operator\n"},
		{"\tlog global\n", ""},
		{"server hearth1 10.0.0.11:8080", "server hearth1 " + f.all[0].Public},
		{"server hearth2 10.0.0.12:8080", "server hearth2 " + f.all[1].Public},
		{"server hearth3 10.0.0.13:8080", "server hearth3 " + f.all[2].Public},
	} {
		if strings.Count(text, r[0]) != 1 {
			f.tb.Fatalf("deploy/haproxy.cfg has %q not just once", r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	f.haproxy = testkit.HAProxy(f.tb, text)
	for _, n := range f.all {
		f.awaitAsked(n)
	}
}

// awaitAsked waits until the balancer asks the instance.
func (f *fleet) awaitAsked(n *instance) {
	f.haproxy.AwaitReady(func() bool {
		c, err := net.Dial("unix", filepath.Join(f.haproxy.Dir(), "control"))
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := io.WriteString(c, "show stat\n"); err != nil {
			return false
		}
		text, _ := io.ReadAll(c)
		for line := range strings.Lines(string(text)) {
			fields := strings.Split(line, ",")
			if len(fields) > 17 && fields[0] == "hearth" && fields[1] == n.name {
				return fields[17] == "UP"
			}
		}
		return false
	})
}

// restart ends an instance and starts the next process in its place. One that has
// drained is left alone until the balancer asks it again, or three restarts would
// leave nobody.
func (f *fleet) restart(n *instance) {
	n.Stop()
	n.Instance = n.Again()
	n.AwaitReady()
	f.awaitAsked(n)
}

// play restarts each instance in turn for so many rounds while clients ask, and goes on
// until there are enough requests.
func (f *fleet) play(rounds, clients int, requests int64) *counts {
	c, began := &counts{}, time.Now()
	end := c.begin(f.tb, f.balancer, clients)
	for range rounds {
		for _, n := range f.all {
			// So that each one is restarted at full load, some requests in between.
			c.await(f.tb, c.answered()+requests/int64(rounds*instances+1))
			at := time.Now()
			f.restart(n)
			c.longest = max(c.longest, time.Since(at))
			c.restarts++
		}
	}
	c.await(f.tb, requests)
	end()
	c.elapsed = time.Since(began)
	for _, n := range f.all { // together: each of them drains
		n.Signal(syscall.SIGTERM)
	}
	for _, n := range f.all {
		n.Wait()
	}
	return c
}

// printLogs prints what the instances have complained of.
func (f *fleet) printLogs(out io.Writer) {
	for _, n := range f.all {
		if text := n.Logs(); text != "" {
			fmt.Fprintf(out, "%s:\n%s", n.name, text[max(0, len(text)-2<<10):])
		}
	}
}
