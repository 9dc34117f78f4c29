package testkit

import (
	"cmp"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// MariaDB returns a new, empty database in utf8mb4 on MariaDB. It is dropped with the
// test.
func MariaDB(tb TB, opts ...ServerOption) *Database {
	tb.Helper()
	return mariaDB.open(tb, opts)
}

var mariaDB = &engine{
	name: "MariaDB", program: "mariadbd", debian: "mariadb-server", user: "mysql", need: NeedMariaDB, separator: "\t",
	stop: syscall.SIGTERM, quit: syscall.SIGKILL, // it forks nothing
	create: "CREATE DATABASE %s", drop: "SET lock_wait_timeout = 20; DROP DATABASE %s", // a test that failed may have left a transaction open

	arguments: func(s *databaseServer) []string { return []string{"--defaults-file=" + filepath.Join(s.dir, "my.cnf")} },
	configure: configureMariaDB,
	client: func(s *databaseServer, database string, args ...string) *exec.Cmd {
		return exec.Command(s.clientPath, append([]string{"--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port=" + strconv.Itoa(s.port), "--user=root",
			"--connect-timeout=10", "--default-character-set=utf8mb4", "--batch", "--raw", "--skip-column-names", "--database=" + database}, args...)...)
	},
	ready: func(s *databaseServer) *exec.Cmd { return s.client(s, "", "--execute=DO 1") },
	url: func(s *databaseServer, database, account string) string {
		u := url.URL{Scheme: "mysql", User: url.User(cmp.Or(account, "root")), Host: hostPort(s.port), Path: "/" + database}
		return u.String()
	},
}

// mariaConfig is small and does not sync to disk. Every account on loopback is
// trusted.
const mariaConfig = `[mysqld]
bind-address = 127.0.0.1
port = %d
datadir = %s/data
socket = %[2]s/sock
pid-file = %[2]s/pid
tmpdir = %[2]s
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

func configureMariaDB(tb TB, s *databaseServer, config []string) {
	tb.Helper()
	s.clientPath = NeedMariaDB(tb, "mariadb")
	writeFile(tb, filepath.Join(s.dir, "my.cnf"), fmt.Sprintf(mariaConfig, s.port, s.dir, strings.Join(config, "\n")))
	s.run(tb, append(append([]string{NeedMariaDB(tb, "mariadb-install-db")}, s.arguments(s)...),
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")...)
}
