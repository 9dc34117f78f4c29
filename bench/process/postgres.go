package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopPostgresWithin is how long a shutdown that waits for nobody may take.
const stopPostgresWithin = 15 * time.Second

// Postgres is a PostgreSQL server with a data directory of its own, which trusts
// whoever asks on loopback and syncs nothing to the disk. It is asked through psql:
// a driver would be one more thing that queues, retries and prepares by rules of its
// own, and what is asked here is only what others have done.
type Postgres struct {
	addr string // host:port
	dir  string
	bin  string // directory of PostgreSQL's programs
	proc *Process
}

// StartPostgres makes a new server and waits until it answers. Its log goes to the
// directory logs; config are further lines of postgresql.conf. Whoever started it has
// to Stop it.
func StartPostgres(ctx context.Context, logs string, config ...string) (*Postgres, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hearth-postgres-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for PostgreSQL: %w", err)
	}
	p := &Postgres{addr: addr, dir: dir, bin: bin}
	if err := p.start(ctx, logs, config); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// postgresPrograms returns the directory of the newest version: Debian keeps the
// server's programs out of PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		// A link may lead from PATH to where all of them are.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("looking for \"initdb\": not installed; run scripts/install-test-servers, or apt-get install postgresql")
	}
	return filepath.Dir(slices.Max(found)), nil
}

func (p *Postgres) start(ctx context.Context, logs string, config []string) error {
	owner, err := postgresOwner()
	if err != nil {
		return err
	}
	if owner != nil {
		if err := os.Chown(p.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("giving the directory of PostgreSQL to its user: %w", err)
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--pgdata="+p.data(), "--username=postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = p.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initialising PostgreSQL: %w\n%s", err, out)
	}
	if err := p.configure(config); err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	p.proc, err = Start(Command{
		Name: "postgres", Dir: p.dir, Logs: logs, CPU: AnyCPU, Owner: owner,
		Last: syscall.SIGQUIT, // at once, but ends its backends, each of which leads a session of its own
		Argv: []string{filepath.Join(p.bin, "postgres"), "-D", p.data()},
	})
	if err != nil {
		return err
	}
	return p.proc.Await(ctx, func() error {
		_, err := p.Query(ctx, "SELECT 1")
		return err
	})
}

// postgresOwner is whom a server belongs to: Debian's user postgres where we are root,
// as whom PostgreSQL refuses to run, else whoever we are.
func postgresOwner() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("looking for a user to run PostgreSQL, which refuses to be root: %w (Debian's package postgresql makes it)", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("reading the ids of the user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (p *Postgres) configure(config []string) error {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return err
	}
	lines := append([]string{
		"",
		"listen_addresses = '" + host + "'",
		"port = " + port,
		"unix_socket_directories = '" + p.dir + "'",
		"fsync = off",
		"synchronous_commit = off",
		"full_page_writes = off",
		"autovacuum = off",
		"timezone = 'UTC'",
	}, config...)
	file, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, file.Close())
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// URL is the address of its one database, as the configuration of Hearth takes it.
func (p *Postgres) URL() string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: p.addr, Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// Query runs SQL statements one by one and returns the rows of all of them as text,
// NULL as "".
func (p *Postgres) Query(ctx context.Context, sql string) ([][]string, error) {
	psql := exec.CommandContext(ctx, filepath.Join(p.bin, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--field-separator=\x1f", "--set=ON_ERROR_STOP=1", "--dbname="+p.URL(), "--file=-")
	psql.Stdin = strings.NewReader(sql)
	psql.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8")
	var diagnosis strings.Builder
	psql.Stderr = &diagnosis
	out, err := psql.Output()
	if err != nil {
		return nil, fmt.Errorf("asking PostgreSQL %q: %w\n%s", sql, err, diagnosis.String())
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\x1f"))
	}
	return rows, nil
}

// Stop ends the server, cutting its clients off, and removes its data. A server that
// had ended before is an error.
func (p *Postgres) Stop() error {
	var err error
	if p.proc != nil {
		err = p.proc.end(syscall.SIGINT, stopPostgresWithin)
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
