package testkit

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Postgres returns a new, empty database in UTF-8 on PostgreSQL. It is dropped with the
// test.
func Postgres(tb TB, opts ...ServerOption) *Database {
	tb.Helper()
	return postgres.open(tb, opts)
}

var postgres = &engine{
	name: "PostgreSQL", program: "postgres", debian: "postgresql", user: "postgres", need: NeedPostgres, separator: "\x1f",
	stop:  syscall.SIGINT,  // a fast shutdown; the TERM that follows waits no longer for clients
	quit:  syscall.SIGQUIT, // at once, but ends its backends and frees its shared memory
	admin: "postgres", create: "CREATE DATABASE %s TEMPLATE template0", drop: "DROP DATABASE %s WITH (FORCE)",

	arguments: func(s *databaseServer) []string { return []string{"-D", s.data()} },
	configure: configurePostgres,
	client: func(s *databaseServer, database string, args ...string) *exec.Cmd {
		cmd := exec.Command(s.clientPath, append([]string{"--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\x1f",
			"--set=ON_ERROR_STOP=1", "--dbname=" + s.url(s, database, ""), "--file=-"}, args...)...)
		cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8")
		return cmd
	},
	ready: func(s *databaseServer) *exec.Cmd {
		isReady := filepath.Join(filepath.Dir(s.clientPath), "pg_isready")
		return exec.Command(isReady, "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port))
	},
	url: func(s *databaseServer, database, account string) string {
		u := url.URL{Scheme: "postgres", User: url.User(cmp.Or(account, "postgres")), Host: hostPort(s.port), Path: "/" + database, RawQuery: "sslmode=disable"}
		return u.String()
	},
}

func configurePostgres(tb TB, s *databaseServer, config []string) {
	tb.Helper()
	s.clientPath = NeedPostgres(tb, "psql")
	s.run(tb, NeedPostgres(tb, "initdb"), "--pgdata="+s.data(), "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	configurePostgresFile(tb, s, append([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", s.port),
		fmt.Sprintf("unix_socket_directories = '%s'", s.dir),
		"fsync = off",
		"synchronous_commit = off",
		"full_page_writes = off",
		"shared_buffers = 16MB",
		"max_connections = 200",
		"autovacuum = off",
		"timezone = 'UTC'",
	}, config...))
}

// configurePostgresFile adds lines to the server's configuration, of which the last
// counts.
func configurePostgresFile(tb TB, s *databaseServer, lines []string) {
	tb.Helper()
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = conf.WriteString("\n" + strings.Join(lines, "\n") + "\n")
		conf.Close()
	}
	if err != nil {
		tb.Fatalf("configuring PostgreSQL: %v", err)
	}
}

// freeSharedMemory removes the System V segment that a killed PostgreSQL leaves in the
// kernel. The seventh line of its lock file names it; MariaDB has no such file.
func (s *databaseServer) freeSharedMemory() {
	lock, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	lines := strings.Split(string(lock), "\n")
	if err != nil || len(lines) < 7 {
		return
	}
	var key, id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
}
