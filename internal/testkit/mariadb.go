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
)

// MySQL is a database on a MariaDB server, of the test's own. Use it from the
// test's goroutine.
type MySQL struct {
	tb     testing.TB
	server *mariaServer
	own    bool
	name   string
}

// MariaDB returns a new, empty database in utf8mb4. It is dropped with the test.
func MariaDB(tb testing.TB, opts ...ServerOption) *MySQL {
	tb.Helper()
	o := serverOptionsOf(opts)
	m := &MySQL{tb: tb, own: o.own, name: fmt.Sprintf("test_%d", databases.Add(1))}
	if o.own {
		m.server = initMariaDB(tb, tempDir(tb, "maria"), FreePort(tb), o.config)
		m.Start()
	} else {
		m.server = sharedMariaDB(tb)
	}
	m.server.ask(tb, "", "CREATE DATABASE "+m.name)
	if !o.own {
		tb.Cleanup(func() { m.server.ask(tb, "", "DROP DATABASE "+m.name) })
	}
	return m
}

// URL is the address in the form of the configuration key database.url.
func (m *MySQL) URL() string {
	u := url.URL{Scheme: "mysql", User: url.User("root"), Host: m.Addr(), Path: "/" + m.name}
	return u.String()
}

// Addr is host:port of the server.
func (m *MySQL) Addr() string { return hostPort(m.server.port) }

// Exec runs SQL statements and ends the test when one fails. They run one by
// one, not in one transaction.
func (m *MySQL) Exec(sql string) {
	m.tb.Helper()
	m.server.ask(m.tb, m.name, sql)
}

// Query runs one query and returns its rows as text, NULL as "NULL". A value
// with a tab or a line end in it does not come out whole.
func (m *MySQL) Query(sql string) [][]string {
	m.tb.Helper()
	var rows [][]string
	for line := range strings.Lines(m.server.ask(m.tb, m.name, sql)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// Text is the single value that a query returns, as text.
func (m *MySQL) Text(sql string) string {
	m.tb.Helper()
	rows := m.Query(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		m.tb.Fatalf("asking MariaDB %q: the answer %q is no single value", sql, rows)
	}
	return rows[0][0]
}

// Int is the single integer that a query returns, such as a count(*).
func (m *MySQL) Int(sql string) int64 {
	m.tb.Helper()
	n, err := strconv.ParseInt(m.Text(sql), 10, 64)
	if err != nil {
		m.tb.Fatalf("asking MariaDB %q: %v", sql, err)
	}
	return n
}

// process is the server's, for what a shared server must not suffer.
func (m *MySQL) process() *Process {
	m.tb.Helper()
	if !m.own {
		m.tb.Fatal("stopping MariaDB: other tests share it; ask for testkit.OwnServer()")
	}
	return m.server.proc
}

// Stop ends the server in good order, cutting its clients off. Its data stays.
func (m *MySQL) Stop() {
	m.tb.Helper()
	m.process().Stop()
}

// Kill ends the server at once; Start then recovers.
func (m *MySQL) Kill() {
	m.tb.Helper()
	m.process().Kill()
}

// Pause freezes the server: connections are accepted by the kernel, nothing is
// answered until Resume.
func (m *MySQL) Pause() {
	m.tb.Helper()
	m.process().Pause()
}

// Resume ends a Pause.
func (m *MySQL) Resume() {
	m.tb.Helper()
	m.process().Resume()
}

// Start starts the server again after Stop or Kill, on the same port with its data.
func (m *MySQL) Start() {
	m.tb.Helper()
	s := m.server
	s.proc = startProcess(m.tb, command{
		name:       "mariadbd",
		path:       NeedMariaDB(m.tb, "mariadbd"),
		args:       s.args(),
		dir:        s.dir,
		credential: s.credential,
	})
	s.proc.awaitReady(s.ready)
}

// mariaServer is an initialised data directory and the server on it.
type mariaServer struct {
	dir        string
	port       int
	credential *syscall.Credential
	client     string // path of the client
	proc       *Process
}

func (s *mariaServer) args() []string {
	return []string{"--defaults-file=" + filepath.Join(s.dir, "my.cnf")}
}

// mariaConfig is small and does not sync to disk. Every account on loopback is
// trusted.
const mariaConfig = `[mysqld]
bind-address = 127.0.0.1
port = %d
datadir = %s/data
socket = %[2]s/sock
pid-file = %[2]s/pid
skip-name-resolve
character-set-server = utf8mb4
default-time-zone = +00:00
max_connections = 200
innodb_buffer_pool_size = 16M
innodb_log_file_size = 8M
innodb_flush_log_at_trx_commit = 0
innodb_flush_method = nosync
innodb_doublewrite = 0
innodb_file_per_table = 0
innodb_buffer_pool_dump_at_shutdown = 0
innodb_fast_shutdown = 2
key_buffer_size = 1M
aria_pagecache_buffer_size = 8M
table_open_cache = 200
%s
`

// initMariaDB makes a data directory in dir. For root it belongs to Debian's
// user mysql, since servers refuse to run as root.
func initMariaDB(tb testing.TB, dir string, port int, config []string) *mariaServer {
	tb.Helper()
	s := &mariaServer{dir: dir, port: port, client: NeedMariaDB(tb, "mariadb")}
	writeFile(tb, filepath.Join(dir, "my.cnf"), fmt.Sprintf(mariaConfig, port, dir, strings.Join(config, "\n")))
	if os.Getuid() == 0 {
		s.credential = systemUser(tb, "mysql", "mariadb-server")
		if err := os.Chown(dir, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			tb.Fatalf("giving the server's directory to the user mysql: %v", err)
		}
	}
	install := exec.Command(NeedMariaDB(tb, "mariadb-install-db"), append(s.args(),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")...)
	install.Dir = dir
	install.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if out, err := install.CombinedOutput(); err != nil {
		tb.Fatalf("initialising MariaDB: %v\n%s", err, out)
	}
	return s
}

// command returns the client's, which reads no configuration of the machine.
func (s *mariaServer) command(args ...string) *exec.Cmd {
	return exec.Command(s.client, append([]string{"--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port=" + strconv.Itoa(s.port),
		"--user=root", "--connect-timeout=10", "--default-character-set=utf8mb4", "--batch", "--raw", "--skip-column-names"}, args...)...)
}

// ready reports whether the server accepts queries.
func (s *mariaServer) ready() bool { return s.command("--execute=DO 1").Run() == nil }

// ask runs SQL and returns the rows, fields separated by tabs.
func (s *mariaServer) ask(tb testing.TB, database, sql string) string {
	tb.Helper()
	cmd := s.command(database)
	cmd.Stdin = strings.NewReader(sql)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("asking MariaDB %q: %v\n%s", sql, err, stderr.String())
	}
	return string(out)
}

// theMariaDB is the server that the tests of one binary share.
var theMariaDB struct {
	mu     sync.Mutex
	server *mariaServer
	shared *sharedServer
}

// sharedMariaDB returns the shared server and starts it for the first caller.
func sharedMariaDB(tb testing.TB) *mariaServer {
	tb.Helper()
	theMariaDB.mu.Lock()
	defer theMariaDB.mu.Unlock()
	if theMariaDB.server != nil {
		return theMariaDB.server
	}
	shared := newSharedServer(tb, "maria")
	s := initMariaDB(tb, shared.dir, shared.port, nil)
	shared.start(tb, s.credential, "TERM", s.ready, NeedMariaDB(tb, "mariadbd"), s.args()...)
	theMariaDB.shared, theMariaDB.server = shared, s
	return s
}
