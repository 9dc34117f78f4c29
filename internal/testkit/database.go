package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Database is a database of the test's own, on PostgreSQL or MariaDB. Use it from the
// test's goroutine.
//
// It stands on a server that all tests of one test binary share, as starting one takes
// seconds, or on one of its own, which may then be stopped, killed and frozen. It is
// asked through the database's own client program: a driver would queue, retry and
// prepare by rules of its own, and be tested by itself.
type Database struct {
	tb     TB
	server *databaseServer
	own    bool
	name   string

	account string // that URL names; "": the server's own administrator
}

// engine is what PostgreSQL and MariaDB differ in, and the one server of each that is
// shared.
type engine struct {
	name      string                          // for messages
	program   string                          // the server
	debian    string                          // its package
	user      string                          // whom it belongs to where root runs the tests: it refuses to be root
	need      func(tb TB, name string) string // path of one of its programs
	separator string                          // of the fields of a row that its client prints
	stop      syscall.Signal                  // ends it in good order and waits for no client
	quit      syscall.Signal                  // ends it at once, with all that it has forked and shares
	arguments func(s *databaseServer) []string
	configure func(tb TB, s *databaseServer, config []string) // makes its data directory, too
	client    func(s *databaseServer, database string, args ...string) *exec.Cmd
	ready     func(s *databaseServer) *exec.Cmd
	url       func(s *databaseServer, database, account string) string
	admin     string // the database to be asked about others
	create    string // statements about the database %s
	drop      string

	mu     sync.Mutex
	shared *databaseServer // of all tests of this binary; nil until one asks for it
	life   *sharedServer
}

// databaseServer is an initialised data directory and the server on it.
type databaseServer struct {
	*engine
	dir        string
	port       int
	credential *syscall.Credential
	clientPath string
	proc       *Process
}

// ServerOption changes how Postgres and MariaDB start a server.
type ServerOption func(*serverOptions)

type serverOptions struct {
	own    bool
	config []string
}

// OwnServer gives the database a server of its own, which Stop, Kill and Pause
// may then be used on, with these lines added to postgresql.conf, or to the
// section [mysqld] of my.cnf, such as `max_connections = 5`. It takes a few
// seconds; without it all tests of one test binary share a server.
func OwnServer(config ...string) ServerOption {
	return func(o *serverOptions) { o.own, o.config = true, config }
}

// databases numbers the databases, so that tests of one binary never meet.
var databases atomic.Int64

// open returns a new, empty database, which is dropped with the test.
func (e *engine) open(tb TB, opts []ServerOption) *Database {
	tb.Helper()
	var o serverOptions
	for _, opt := range opts {
		opt(&o)
	}
	d := &Database{tb: tb, own: o.own, name: fmt.Sprintf("test_%d", databases.Add(1))}
	if o.own {
		d.server = e.initialise(tb, tempDir(tb, inMemory(), e.program), FreePort(tb), o.config)
		d.Start()
	} else {
		d.server = e.ofAll(tb)
	}
	d.server.ask(tb, e.admin, fmt.Sprintf(e.create, d.name))
	if !o.own {
		tb.Cleanup(func() { d.server.ask(tb, e.admin, fmt.Sprintf(e.drop, d.name)) })
	}
	return d
}

// initialise makes a server in dir that trusts everybody on loopback and does not sync
// to disk.
func (e *engine) initialise(tb TB, dir string, port int, config []string) *databaseServer {
	tb.Helper()
	s := e.prepare(tb, dir, port)
	e.configure(tb, s, config)
	return s
}

// prepare gives dir to the user whom the server runs as.
func (e *engine) prepare(tb TB, dir string, port int) *databaseServer {
	tb.Helper()
	s := &databaseServer{engine: e, dir: dir, port: port}
	if os.Getuid() == 0 {
		s.credential = systemUser(tb, e.user, e.debian)
		if err := os.Chown(dir, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			tb.Fatalf("giving the directory of %s to the user %s: %v", e.name, e.user, err)
		}
	}
	return s
}

// run runs a program that makes the data directory, as the user to whom it belongs.
func (s *databaseServer) run(tb TB, argv ...string) {
	tb.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("initialising %s: %v\n%s", s.name, err, out)
	}
}

// ofAll returns the shared server and starts it for the first caller.
func (e *engine) ofAll(tb TB) *databaseServer {
	tb.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shared == nil {
		e.life = newSharedServer(tb, e.program)
		s := e.initialise(tb, e.life.dir, e.life.port, nil)
		e.life.start(tb, s.credential, e.quit, s.isReady, e.need(tb, e.program), e.arguments(s)...)
		e.shared = s
	}
	return e.shared
}

func (s *databaseServer) data() string { return filepath.Join(s.dir, "data") }

// isReady reports whether the server accepts queries.
func (s *databaseServer) isReady() bool { return s.ready(s).Run() == nil }

// ask runs SQL by the engine's client and returns the rows as it prints them.
func (s *databaseServer) ask(tb TB, database, sql string) string {
	tb.Helper()
	cmd := s.client(s, database)
	cmd.Stdin = strings.NewReader(sql)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("asking %s %q: %v\n%s", s.name, sql, err, stderr.String())
	}
	return string(out)
}

// For is the same database for a test within the test, which it fails then.
func (d *Database) For(tb TB) *Database {
	d2 := *d
	d2.tb = tb
	return &d2
}

// URL is the address in the form of the configuration key database.url.
func (d *Database) URL() string { return d.server.url(d.server, d.name, d.account) }

// Addr is host:port of the server.
func (d *Database) Addr() string { return hostPort(d.server.port) }

// Exec runs SQL statements and ends the test when one fails. They run one by
// one, not in one transaction.
func (d *Database) Exec(sql string) {
	d.tb.Helper()
	d.server.ask(d.tb, d.name, sql)
}

// Query runs SQL statements and returns the rows of all of them as text, NULL as "" by
// PostgreSQL and as "NULL" by MariaDB, of which a value with a tab or a line end in it
// does not come out whole.
func (d *Database) Query(sql string) [][]string {
	d.tb.Helper()
	var rows [][]string
	for line := range strings.Lines(d.server.ask(d.tb, d.name, sql)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), d.server.separator))
	}
	return rows
}

// Text is the single value that a query returns, as text.
func (d *Database) Text(sql string) string {
	d.tb.Helper()
	rows := d.Query(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		d.tb.Fatalf("asking %s %q: the answer %q is no single value", d.server.name, sql, rows)
	}
	return rows[0][0]
}

// Int is the single integer that a query returns, such as a count(*).
func (d *Database) Int(sql string) int64 {
	d.tb.Helper()
	n, err := strconv.ParseInt(d.Text(sql), 10, 64)
	if err != nil {
		d.tb.Fatalf("asking %s %q: %v", d.server.name, sql, err)
	}
	return n
}

// process is the server's, for what a shared server must not suffer. It ends the test
// that would do so to others.
func (d *Database) process() *Process {
	d.tb.Helper()
	if !d.own {
		d.tb.Fatalf("stopping %s: other tests share it; ask for testkit.OwnServer()", d.server.name)
	}
	return d.server.proc
}

// Start starts the server again after Stop or Kill, on the same port with its data.
func (d *Database) Start() {
	d.tb.Helper()
	s := d.server
	s.proc = Start(d.tb, Command{
		Name: s.program, Argv: append([]string{s.need(d.tb, s.program)}, s.arguments(s)...),
		Dir: s.dir, Credential: s.credential, DeathSignal: s.quit,
	})
	proc := s.proc
	d.tb.Cleanup(func() { // in better order than Process would
		resumeAll(proc)
		proc.Signal(s.quit)
		proc.Stop()
	})
	proc.AwaitReady(s.isReady)
}

// Stop ends the server in good order, cutting its clients off. Its data stays.
func (d *Database) Stop() {
	d.tb.Helper()
	d.Resume()
	d.process().Signal(d.server.stop)
	d.process().Stop()
}

// Kill ends the server and all that it has forked at once; Start then recovers.
func (d *Database) Kill() {
	d.tb.Helper()
	children := d.pause()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	d.process().Kill()
	d.await("ending", children, 0, 'Z')
	d.server.freeSharedMemory()
}

// Pause freezes the server and all that it has forked: connections are accepted by the
// kernel, nothing is answered until Resume.
func (d *Database) Pause() {
	d.tb.Helper()
	d.pause()
}

// pause returns the frozen children. Each backend of PostgreSQL leads a session of its
// own, so signals to the server's process group do not reach it; and none is forked
// or reaped while the server itself stands still.
func (d *Database) pause() []int {
	d.tb.Helper()
	d.process().Pause()
	children := d.server.proc.children()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	d.await("pausing", children, 'T', 'Z')
	return children
}

// await waits until each child is in one of two states.
func (d *Database) await(what string, children []int, a, b byte) {
	d.tb.Helper()
	for _, pid := range children {
		Eventually(d.tb, stopWithin, what+" a child of "+d.server.name, func() bool {
			now := state(pid)
			return now == a || now == b
		})
	}
}

// Resume ends a Pause.
func (d *Database) Resume() {
	d.tb.Helper()
	resumeAll(d.process())
}

func resumeAll(server *Process) {
	for _, pid := range server.children() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	server.Resume()
}
