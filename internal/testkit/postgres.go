package testkit

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// PG is a PostgreSQL database of the test's own. Use it from the test's goroutine.
type PG struct {
	tb      testing.TB
	cluster *pgCluster
	own     bool
	name    string
}

// Postgres returns a new, empty database in UTF-8. It is dropped with the test.
func Postgres(tb testing.TB, opts ...ServerOption) *PG {
	tb.Helper()
	o := serverOptionsOf(opts)
	p := &PG{tb: tb, own: o.own, name: fmt.Sprintf("test_%d", databases.Add(1))}
	if o.own {
		p.cluster = initPostgres(tb, tempDir(tb, "pg"), FreePort(tb), o.config)
		p.Start()
	} else {
		p.cluster = sharedPostgres(tb)
	}
	p.admin(fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0", p.name))
	if !o.own {
		tb.Cleanup(func() { p.admin(fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", p.name)) })
	}
	return p
}

// URL is the address in the form of the configuration key database.url.
func (p *PG) URL() string { return p.cluster.url(p.name) }

// Addr is host:port of the server.
func (p *PG) Addr() string { return hostPort(p.cluster.port) }

// Exec runs SQL statements and ends the test when one fails. They run one by
// one, as psql does, not in one transaction.
func (p *PG) Exec(sql string) {
	p.tb.Helper()
	p.cluster.psql(p.tb, p.name, sql)
}

// Query runs one query and returns its rows as text, NULL as "".
func (p *PG) Query(sql string) [][]string {
	p.tb.Helper()
	out := p.cluster.psql(p.tb, p.name, sql)
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\x1f"))
	}
	return rows
}

// Text is the single value that a query returns, as text.
func (p *PG) Text(sql string) string {
	p.tb.Helper()
	rows := p.Query(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		p.tb.Fatalf("asking PostgreSQL %q: the answer %q is no single value", sql, rows)
	}
	return rows[0][0]
}

// Int is the single integer that a query returns, such as a count(*).
func (p *PG) Int(sql string) int64 {
	p.tb.Helper()
	n, err := strconv.ParseInt(p.Text(sql), 10, 64)
	if err != nil {
		p.tb.Fatalf("asking PostgreSQL %q: %v", sql, err)
	}
	return n
}

// admin runs SQL in the maintenance database.
func (p *PG) admin(sql string) {
	p.tb.Helper()
	p.cluster.psql(p.tb, "postgres", sql)
}

// server is the process, for what a shared server must not suffer.
func (p *PG) server() *Process {
	p.tb.Helper()
	if !p.own {
		p.tb.Fatal("stopping PostgreSQL: other tests share it; ask for testkit.OwnServer()")
	}
	return p.cluster.proc
}

// Stop ends the server in good order, cutting its clients off. Its data stays.
func (p *PG) Stop() {
	p.tb.Helper()
	p.Resume()
	p.server().Signal(syscall.SIGINT) // a fast shutdown; the TERM that follows waits no longer for clients
	p.server().Stop()
}

// Kill ends the server and all its backends at once; Start then recovers.
func (p *PG) Kill() {
	p.tb.Helper()
	backends := p.pause()
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	p.cluster.proc.Kill()
	p.await("ending", backends, 0, 'Z')
	p.cluster.freeSharedMemory()
}

// Pause freezes the server and all its backends: connections are accepted by the
// kernel, nothing is answered until Resume.
func (p *PG) Pause() {
	p.tb.Helper()
	p.pause()
}

// pause returns the frozen backends. Each leads a session of its own, so signals
// to the server's process group do not reach them; and none is forked or reaped
// while the server itself stands still.
func (p *PG) pause() []int {
	p.tb.Helper()
	p.server().Pause()
	backends := p.cluster.proc.children()
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	p.await("pausing", backends, 'T', 'Z')
	return backends
}

// await waits until each backend is in one of two states.
func (p *PG) await(what string, backends []int, a, b byte) {
	p.tb.Helper()
	for _, pid := range backends {
		Eventually(p.tb, stopWithin, what+" a backend of PostgreSQL", func() bool {
			now := state(pid)
			return now == a || now == b
		})
	}
}

// Resume ends a Pause.
func (p *PG) Resume() {
	p.tb.Helper()
	resumeAll(p.server())
}

func resumeAll(server *Process) {
	for _, pid := range server.children() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	server.Resume()
}

// Start starts the server again after Stop or Kill, on the same port with its data.
func (p *PG) Start() {
	p.tb.Helper()
	c := p.cluster
	c.proc = startProcess(p.tb, command{
		name:        "postgres",
		path:        NeedPostgres(p.tb, "postgres"),
		args:        []string{"-D", c.data()},
		dir:         c.dir,
		credential:  c.credential,
		deathSignal: syscall.SIGQUIT, // at once, but ends its backends and frees its shared memory
	})
	proc := c.proc
	p.tb.Cleanup(func() { // in better order than Process would
		resumeAll(proc)
		proc.Signal(syscall.SIGQUIT)
		proc.Stop()
	})
	c.proc.awaitReady(c.ready)
}

// pgCluster is an initialised data directory and the server on it.
type pgCluster struct {
	dir        string
	port       int
	credential *syscall.Credential
	isReady    string // path of pg_isready
	proc       *Process
}

func (c *pgCluster) data() string { return filepath.Join(c.dir, "data") }

func (c *pgCluster) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     hostPort(c.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// initPostgres makes a cluster in dir that trusts everybody on loopback and does
// not sync to disk. Servers refuse to run as root, so for root it belongs to
// Debian's user postgres.
func initPostgres(tb testing.TB, dir string, port int, config []string) *pgCluster {
	tb.Helper()
	c := &pgCluster{dir: dir, port: port, isReady: NeedPostgres(tb, "pg_isready")}
	if os.Getuid() == 0 {
		c.credential = systemUser(tb, "postgres", "postgresql")
		if err := os.Chown(dir, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
			tb.Fatalf("giving the cluster to the user postgres: %v", err)
		}
	}
	initdb := exec.Command(NeedPostgres(tb, "initdb"),
		"--pgdata="+c.data(), "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initialising PostgreSQL: %v\n%s", err, out)
	}
	lines := append([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", port),
		fmt.Sprintf("unix_socket_directories = '%s'", dir),
		"fsync = off",
		"synchronous_commit = off",
		"full_page_writes = off",
		"shared_buffers = 16MB",
		"max_connections = 200",
		"autovacuum = off",
		"timezone = 'UTC'",
	}, config...)
	conf, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = conf.WriteString("\n" + strings.Join(lines, "\n") + "\n")
		conf.Close()
	}
	if err != nil {
		tb.Fatalf("configuring PostgreSQL: %v", err)
	}
	return c
}

// freeSharedMemory removes the System V segment that a killed server leaves in the
// kernel. The seventh line of its lock file names it.
func (c *pgCluster) freeSharedMemory() {
	lock, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	lines := strings.Split(string(lock), "\n")
	if err != nil || len(lines) < 7 {
		return
	}
	var key, id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
}

// ready reports whether the server accepts queries.
func (c *pgCluster) ready() bool {
	return exec.Command(c.isReady, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(c.port)).Run() == nil
}

// psql runs SQL and returns the rows, fields separated by \x1f.
func (c *pgCluster) psql(tb testing.TB, database, sql string) string {
	tb.Helper()
	cmd := exec.Command(NeedPostgres(tb, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--field-separator=\x1f", "--set=ON_ERROR_STOP=1", "--dbname="+c.url(database), "--file=-")
	cmd.Stdin = strings.NewReader(sql)
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("asking PostgreSQL %q: %v\n%s", sql, err, stderr.String())
	}
	return string(out)
}

// theCluster is the server that the tests of one binary share.
var theCluster struct {
	mu      sync.Mutex
	cluster *pgCluster
	shared  *sharedServer
}

// sharedPostgres returns the shared cluster and starts it for the first caller.
func sharedPostgres(tb testing.TB) *pgCluster {
	tb.Helper()
	theCluster.mu.Lock()
	defer theCluster.mu.Unlock()
	if theCluster.cluster != nil {
		return theCluster.cluster
	}
	s := newSharedServer(tb, "pg")
	c := initPostgres(tb, s.dir, s.port, nil)
	s.start(tb, c.credential, "QUIT", c.ready, NeedPostgres(tb, "postgres"), "-D", c.data())
	theCluster.shared, theCluster.cluster = s, c
	return c
}
