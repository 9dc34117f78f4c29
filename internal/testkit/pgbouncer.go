package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Pooler is a PgBouncer before a PostgreSQL server. It pools for all databases there.
type Pooler struct {
	*Process
	tb   TB
	port int
	db   *Database
	argv []string
	dir  string
	cred *syscall.Credential
}

// PgBouncer starts PgBouncer before the server of db with this pool_mode (session,
// transaction or statement), and with these lines added to its configuration, such as
// `default_pool_size = 1`. They count more than those that stand there.
func PgBouncer(tb TB, db *Database, mode string, config ...string) *Pooler {
	tb.Helper()
	p := &Pooler{tb: tb, port: FreePort(tb), db: db, dir: TempDir(tb, "pgbouncer")}
	if os.Getuid() == 0 { // it refuses to be root, as PostgreSQL does
		p.cred = systemUser(tb, postgres.user, postgres.debian)
	}
	lines := []string{
		"[databases]", fmt.Sprintf("* = host=127.0.0.1 port=%d", db.server.port), "[pgbouncer]",
		"listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", p.port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = " + filepath.Join(p.dir, "users"), "admin_users = postgres",
		"pool_mode = " + mode, "default_pool_size = 5", "max_client_conn = 500", "server_login_retry = 1",
	}
	file := filepath.Join(p.dir, "pgbouncer.ini")
	writeFile(tb, file, strings.Join(append(lines, config...), "\n")+"\n")
	writeFile(tb, filepath.Join(p.dir, "users"), `"postgres" ""`+"\n")
	p.argv = []string{Need(tb, "pgbouncer", []string{"pgbouncer"}), file}
	if p.cred != nil {
		for _, path := range []string{p.dir, file, filepath.Join(p.dir, "users")} {
			if err := os.Chown(path, int(p.cred.Uid), int(p.cred.Gid)); err != nil {
				tb.Fatalf("giving %s to the user %s: %v", path, postgres.user, err)
			}
		}
	}
	p.Start()
	return p
}

// Start starts the pooler again after Stop or Kill, on the same port.
func (p *Pooler) Start() {
	p.tb.Helper()
	p.Process = Start(p.tb, Command{Name: "pgbouncer", Argv: p.argv, Dir: p.dir, Credential: p.cred, DeathSignal: syscall.SIGKILL})
	p.AwaitReady(func() bool { return Listening(p.Addr()) })
}

// Addr is host:port of the pooler.
func (p *Pooler) Addr() string { return hostPort(p.port) }

// URL is the address of the database that PgBouncer was given, through the pooler.
func (p *Pooler) URL() string { return strings.Replace(p.db.URL(), p.db.Addr(), p.Addr(), 1) }

// Of is the address of another database of the same server, through the pooler.
func (p *Pooler) Of(db *Database) string { return strings.Replace(db.URL(), db.Addr(), p.Addr(), 1) }

// Admin runs a command of the console, such as PAUSE, and returns what it prints.
func (p *Pooler) Admin(command string) string {
	p.tb.Helper()
	s := &databaseServer{engine: postgres, port: p.port, clientPath: p.db.server.clientPath}
	return s.ask(p.tb, "pgbouncer", command)
}
