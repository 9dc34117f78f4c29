package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// rotation is a database over TLS whose account is rotated.
type rotation struct {
	db     *testkit.Database
	scheme string
	tls    string // parameters of the URL; DIR is the directory of the files
	change string // the statement that changes the password to %s
	drop   string // ends the connections of the account

	sessions string // the query for their numbers
}

// secureFiles are certificates of an authority and of a client, in a directory that
// servers of other users can read.
type secureFiles struct {
	t   *testing.T
	ca  *testkit.Authority
	dir string
}

func newSecureFiles(t *testing.T) secureFiles {
	t.Helper()
	f := secureFiles{t, testkit.NewAuthority(t, "database"), testkit.TempDir(t, "tls")}
	must(t, os.Chmod(f.dir, 0o755))
	f.write("ca.crt", f.ca.PEM())
	f.issue("localhost", f.ca)
	return f
}

func (f secureFiles) path(name string) string { return filepath.Join(f.dir, name) }

func (f secureFiles) write(name, text string) {
	f.t.Helper()
	must(f.t, os.WriteFile(f.path(name), []byte(text), 0o644))
}

func (f secureFiles) issue(name string, by *testkit.Authority) {
	f.t.Helper()
	cert, key := by.Issue(name, time.Hour)
	f.write(name+".crt", cert)
	f.write(name+".key", key)
}

// play rotates the client's certificate and the password, without a reload.
func (r rotation) play(t *testing.T, f secureFiles) {
	r.db.Exec("CREATE TABLE things (id int PRIMARY KEY, name varchar(20)); INSERT INTO things VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
	_, port, _ := strings.Cut(r.db.Addr(), ":")
	_, name, _ := strings.Cut(strings.TrimPrefix(r.db.URL(), r.scheme+"://"), "/")
	name, _, _ = strings.Cut(name, "?")
	file := f.path("url")
	url := func(password string) {
		f.write("url", fmt.Sprintf("%s://app:%s@localhost:%s/%s?%s\n", r.scheme, password, port, name, strings.ReplaceAll(r.tls, "DIR", f.dir)))
	}
	f.issue("app", testkit.NewAuthority(t, "another")) // of which the server knows nothing
	url("first")
	in := launch.Start(t, `
[database]
url_file = "`+file+`"
[[resource]]
name = "thing"
path = "/thing/{id:int}"
key = "thing:{id}"
select = "SELECT id, name FROM things WHERE id = {id}"
`)
	loads := func(id int) func() bool {
		return func() bool { return in.Get("/thing/"+strconv.Itoa(id)).Code == http.StatusOK }
	}
	// The log is waited for, not an answer: many loads that fail would open the breaker.
	await(t, "the certificate is refused", func() bool { return strings.Contains(in.Logs(), "the database") })
	if loads(1)() {
		t.Fatal("any certificate is taken")
	}
	f.issue("app", f.ca)
	await(t, "the renewed certificate is used", loads(1))
	// The database is ahead of the file.
	r.db.Exec(fmt.Sprintf(r.change, "second"))
	r.db.Exec(r.drop)
	loads(2)() // which may be the one that finds out
	await(t, "the log names the key", func() bool {
		return strings.Contains(in.Logs(), "the database refuses to be used") && strings.Contains(in.Logs(), "database.url_file")
	})
	url("second")
	await(t, "the right file heals it", loads(3))
	// A reload takes it up, too, and drops no connection for it.
	before := r.db.Query(r.sessions)
	r.db.Exec(fmt.Sprintf(r.change, "third"))
	url("third")
	in.Reload("ok")
	after := fmt.Sprint(r.db.Query(r.sessions))
	for _, session := range before {
		if !strings.Contains(after, fmt.Sprint(session)) {
			t.Errorf("the sessions were %v, and are %s after the reload", before, after)
		}
	}
	r.db.Exec(r.drop)
	await(t, "the new password is used", loads(4))
	logs := in.Logs()
	if !strings.Contains(logs, "changed_secrets=database.url") || strings.Contains(logs, "third@") || strings.Contains(logs, "second@") {
		t.Errorf("the log does not name the secret, or shows it:\n%s", logs)
	}
}

func TestPostgresRotates(t *testing.T) {
	t.Parallel()
	f := newSecureFiles(t)
	db := testkit.Postgres(t, testkit.OwnServer())
	// The server wants a key that is its own user's alone, so it writes it itself.
	put := func(name, text string) {
		db.Exec("COPY (SELECT unnest(string_to_array('" + strings.ReplaceAll(strings.TrimSpace(text), "\n", "'||chr(10)||'") + "', chr(10)))) TO PROGRAM 'umask 077; cat > " + name + "'")
	}
	for _, name := range []string{"ca.crt", "localhost.crt", "localhost.key"} {
		text, err := os.ReadFile(f.path(name))
		must(t, err)
		put(name, string(text))
	}
	put("pg_hba.conf", "hostssl all app all scram-sha-256 clientcert=verify-ca\nhost all postgres all trust")
	db.Exec("CREATE ROLE app LOGIN PASSWORD 'first'; ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
	db.Exec("ALTER SYSTEM SET ssl_cert_file = 'localhost.crt'; ALTER SYSTEM SET ssl_key_file = 'localhost.key'; ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()")
	db.Exec("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app")
	rotation{
		db: db, scheme: "postgres", tls: "sslmode=verify-full&sslrootcert=DIR/ca.crt&sslcert=DIR/app.crt&sslkey=DIR/app.key",
		change: "ALTER ROLE app PASSWORD '%s'", drop: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
		sessions: "SELECT pid FROM pg_stat_activity WHERE usename = 'app'",
	}.play(t, f)
}

func TestMariaDBRotates(t *testing.T) {
	t.Parallel()
	f := newSecureFiles(t)
	db := testkit.MariaDB(t, testkit.OwnServer("ssl_ca="+f.path("ca.crt"), "ssl_cert="+f.path("localhost.crt"), "ssl_key="+f.path("localhost.key")))
	db.Exec("CREATE USER app IDENTIFIED BY 'first' REQUIRE X509; GRANT ALL ON *.* TO app")
	rotation{
		db: db, scheme: "mysql", tls: "ssl-ca=DIR/ca.crt&ssl-cert=DIR/app.crt&ssl-key=DIR/app.key",
		change: "ALTER USER app IDENTIFIED BY '%s'", drop: "KILL USER app",
		sessions: "SELECT id FROM information_schema.processlist WHERE user = 'app'",
	}.play(t, f)
}
