package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hearth/bench/process"
)

const (
	instances = 3
	// drain is server.drain of the instances that have sockets of their own: as
	// long as it is by default, which deploy/haproxy.cfg is made for.
	drain = 5 * time.Second
	// stopWithin is how long an instance may take to end.
	stopWithin = 30 * time.Second
)

// stage is what the fleets stand on: the program, Redis, PostgreSQL.
type stage struct {
	dir, repo, binary string
	redis             *process.Redis
	postgres          *process.Postgres
}

func lay(ctx context.Context, repo string) (*stage, error) {
	dir, err := os.MkdirTemp("", "hearth-rolling-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, repo: repo, binary: filepath.Join(dir, "hearth")}
	if err := s.lay(ctx); err != nil {
		return nil, errors.Join(err, s.clear())
	}
	return s, nil
}

func (s *stage) lay(ctx context.Context) (err error) {
	if err := process.Build(ctx, s.repo, s.binary); err != nil {
		return err
	}
	if s.redis, err = process.StartRedis(ctx, s.dir, process.AnyCPU); err != nil {
		return err
	}
	s.postgres, err = process.StartPostgres(ctx, s.dir, "max_connections = 200", "shared_buffers = 32MB", "fsync = off")
	return err
}

func (s *stage) clear() error {
	var errs []error
	if s.redis != nil {
		errs = append(errs, s.redis.Kill())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// tell prints what the instances have complained of.
func (s *stage) tell(out io.Writer) {
	for i := range instances {
		name := fmt.Sprintf("hearth%d.log", i+1)
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		if err == nil && len(text) > 0 {
			fmt.Fprintf(out, "%s:\n%s", name, text[max(0, len(text)-2<<10):])
		}
	}
}

// fleet is three instances and the balancer in front of them.
type fleet struct {
	stage    *stage
	all      [instances]*instance
	haproxy  *process.Process
	balancer string // its address
}

// instance is one place in the fleet. With sockets it is activated: they are kept
// here while processes come and go.
type instance struct {
	name, public, admin string
	sockets             []*os.File
	proc                *process.Process
}

func (s *stage) assemble(ctx context.Context, activated bool) (_ *fleet, err error) {
	f := &fleet{stage: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.disband())
		}
	}()
	if _, err := s.redis.Do("FLUSHALL"); err != nil {
		return nil, err
	}
	for i := range f.all {
		n := &instance{name: fmt.Sprintf("hearth%d", i+1)}
		f.all[i] = n
		if err := n.place(activated); err != nil {
			return nil, err
		}
		if err := f.write(n); err != nil {
			return nil, err
		}
		if err := f.start(ctx, n); err != nil {
			return nil, err
		}
	}
	return f, f.startBalancer(ctx)
}

// place gives an instance its addresses, and its sockets if it is activated.
func (n *instance) place(activated bool) (err error) {
	for _, addr := range []*string{&n.public, &n.admin} {
		if !activated {
			if *addr, err = process.FreeAddr(); err != nil {
				return err
			}
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		*addr = l.Addr().String()
		file, err := l.(*net.TCPListener).File()
		if err := errors.Join(err, l.Close()); err != nil {
			return err
		}
		n.sockets = append(n.sockets, file)
	}
	return nil
}

func (f *fleet) write(n *instance) error {
	return os.WriteFile(filepath.Join(f.stage.dir, n.name+".toml"), fmt.Appendf(nil, `
[server]
listen = "%s"
admin = "%s"
drain = "%v"
trusted_proxies = ["127.0.0.1/32"]
[redis]
url = "redis://%s"
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
`, n.public, n.admin, drain, f.stage.redis.Addr, f.stage.postgres.URL()), 0o600)
}

// start starts a process for the instance and waits until it is ready.
func (f *fleet) start(ctx context.Context, n *instance) (err error) {
	c := process.Command{
		Name: n.name, Dir: f.stage.dir, Logs: f.stage.dir, CPU: process.AnyCPU,
		Argv: []string{f.stage.binary, "-config", n.name + ".toml"},
	}
	if n.sockets != nil {
		// The number of the process is known to itself only.
		c.Argv = []string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, f.stage.binary, "-config", n.name + ".toml"}
		c.Env = []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin"}
		c.Files = n.sockets
	}
	if n.proc, err = process.Start(c); err != nil {
		return err
	}
	return n.proc.Await(ctx, func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + n.admin + "/readyz")
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			return errors.Join(err, errors.New(res.Status))
		}
		return nil
	})
}

// restart ends an instance and starts the next process in its place. One that has
// drained is left alone until the balancer asks it again, or three restarts would
// leave nobody.
func (f *fleet) restart(ctx context.Context, i int) error {
	n := f.all[i]
	if err := n.proc.Stop(stopWithin); err != nil {
		return err
	}
	n.proc = nil
	if err := f.start(ctx, n); err != nil {
		return err
	}
	return n.proc.Await(ctx, func() error { return f.isUp(n) })
}

// startBalancer starts HAProxy with the file that is shipped.
func (f *fleet) startBalancer(ctx context.Context) (err error) {
	path, err := process.Find("haproxy", "haproxy")
	if err != nil {
		return err
	}
	shipped, err := os.ReadFile(filepath.Join(f.stage.repo, "deploy", "haproxy.cfg"))
	if err != nil {
		return err
	}
	if f.balancer, err = process.FreeAddr(); err != nil {
		return err
	}
	text := string(shipped)
	for _, r := range [][2]string{
		{"\tbind :80\n", "\tbind " + f.balancer + "\n"},
		{"\tlog /dev/log local0 info\n", "\tstats socket " + f.control() + " mode 600 level operator\n"},
		{"\tlog global\n", ""},
		{"server hearth1 10.0.0.11:8080", "server hearth1 " + f.all[0].public},
		{"server hearth2 10.0.0.12:8080", "server hearth2 " + f.all[1].public},
		{"server hearth3 10.0.0.13:8080", "server hearth3 " + f.all[2].public},
	} {
		if strings.Count(text, r[0]) != 1 {
			return fmt.Errorf("deploy/haproxy.cfg has %q not just once", r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	file := filepath.Join(f.stage.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	f.haproxy, err = process.Start(process.Command{Name: "haproxy", Dir: f.stage.dir, Logs: f.stage.dir, CPU: process.AnyCPU, Argv: []string{path, "-db", "-f", file}})
	if err != nil {
		return err
	}
	for _, n := range f.all {
		if err := f.haproxy.Await(ctx, func() error { return f.isUp(n) }); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) control() string { return filepath.Join(f.stage.dir, "haproxy.sock") }

// isUp asks the balancer whether it asks the instance.
func (f *fleet) isUp(n *instance) error {
	c, err := net.Dial("unix", f.control())
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("show stat\n")); err != nil {
		return err
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		k, err := c.Read(buf)
		all.Write(buf[:k])
		if err != nil {
			break
		}
	}
	for line := range strings.Lines(all.String()) {
		fields := strings.Split(line, ",")
		if len(fields) > 17 && fields[0] == "hearth" && fields[1] == n.name {
			if fields[17] == "UP" {
				return nil
			}
			return fmt.Errorf("haproxy says that %s is %s", n.name, fields[17])
		}
	}
	return fmt.Errorf("haproxy does not know %s", n.name)
}

func (f *fleet) disband() error {
	var errs []error
	if f.haproxy != nil {
		errs = append(errs, f.haproxy.Kill())
	}
	for _, n := range f.all {
		if n == nil {
			continue
		}
		if n.proc != nil {
			errs = append(errs, n.proc.Stop(stopWithin))
		}
		for _, file := range n.sockets {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}
