package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// storedItems is a resource of the shared tier alone, and the batch that writes it.
const storedItems = `
[[batch]]
path = "/batch"
resource = "item"
[[resource]]
name = "item"
path = "/item/{id:string}"
key = "item:{id}"
`

// stores tells whether a write to the shared tier goes through.
func stores(in *launch.Instance, id string) bool {
	return in.Ask(http.MethodPost, "/batch", fmt.Sprintf(`[{"id":%q}]`, id)).Code == http.StatusOK
}

// TestRedisPasswordRotates with the file that holds it: by a reload, and also when
// nobody asks for one. Connections that are healthy stay, and one that Redis refuses
// is mended by the file alone.
func TestRedisPasswordRotates(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t, testkit.WithConfig("user hearth on >boot ~* &* +@all"))
	redis.Do("ACL", "SETUSER", "hearth", ">first", "<boot")
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "first\n")
	in := launch.Ready(t, `
[redis]
url = "redis://hearth@`+redis.Addr()+`"
password_file = "`+file+`"
`+storedItems)
	ours := func() string { // the connections of this account
		var ids []string
		for line := range strings.Lines(redis.Do("CLIENT", "LIST").(string)) {
			if strings.Contains(line, "user=hearth") {
				ids = append(ids, strings.Fields(line)[0])
			}
		}
		return strings.Join(ids, " ")
	}
	before := ours()
	if before == "" {
		t.Fatal("nobody is connected")
	}
	// By a reload: no connection is dropped for it.
	redis.Do("ACL", "SETUSER", "hearth", ">second", "<first")
	write(t, file, "second\n")
	in.Reload("ok")
	if after := ours(); after != before {
		t.Errorf("the connections were %s, and are %s after the reload", before, after)
	}
	if !stores(in, "a") {
		t.Error("nothing is stored after the reload")
	}
	if logs := in.Logs(); !strings.Contains(logs, "changed_secrets=redis.password_file") || strings.Contains(logs, "second") {
		t.Errorf("the log does not name the secret, or shows it:\n%s", logs)
	}
	drop := func() { redis.Do("CLIENT", "KILL", "USER", "hearth") }
	drop()
	await(t, "the new password is used", func() bool { return stores(in, "b") })
	// Without one.
	redis.Do("ACL", "SETUSER", "hearth", ">third", "<second")
	write(t, file, "third\n")
	drop()
	await(t, "the file is read at the next dial", func() bool { return stores(in, "c") })
	// Redis is ahead of the file.
	redis.Do("ACL", "SETUSER", "hearth", ">fourth", "<third")
	drop()
	refused := func(times int) func() bool {
		return func() bool {
			told := 0
			for line := range strings.Lines(in.Logs()) {
				if strings.Contains(line, "redis cannot be asked") && strings.Contains(line, "WRONGPASS") && strings.Contains(line, "redis.password_file") {
					told++
				}
			}
			return told == times && !stores(in, "d")
		}
	}
	await(t, "the password is refused, and the log names the key", refused(1))
	write(t, file, "fourth\n")
	await(t, "the right file heals it", func() bool { return stores(in, "e") })
	// It is away first, and comes back with another password.
	outages := func() int { return strings.Count(in.Logs(), "redis cannot be asked") }
	so := outages()
	redis.Kill()
	await(t, "Redis is away", func() bool { return outages() > so })
	redis.Start()
	await(t, "the log names the key again", refused(2))
	write(t, file, "boot\n")
	await(t, "the right file heals it", func() bool { return stores(in, "f") })
}

// TestRedisAccountInTheURL changes by a reload, and nothing else of the URL does.
func TestRedisAccountInTheURL(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	admin := redis.AdminConn() // which needs no password, as it was there before
	admin.Do("CONFIG", "SET", "requirepass", "first")
	file := func(url string) string { return "[redis]\nurl = \"" + url + "\"\n" + storedItems }
	in := launch.Ready(t, file("redis://:first@"+redis.Addr()))
	admin.Do("CONFIG", "SET", "requirepass", "second")
	in.Configure(file("redis://default:second@" + redis.Addr()))
	in.Reload("ok")
	admin.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	await(t, "the new password is used", func() bool { return stores(in, "a") })
	in.Configure(file("redis://default:second@" + redis.Addr() + "/1"))
	in.Reload("failed")
	if logs := in.Logs(); !strings.Contains(logs, "redis.url names another shared tier") || strings.Contains(logs, "second@") {
		t.Errorf("the log does not say what cannot change, or shows the password:\n%s", logs)
	}
}

// TestRedisOverTLS with an authority of its own and a client's certificate, which is
// renewed on disk.
func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, file := testkit.NewAuthority(t, "redis"), func(name string) string { return filepath.Join(dir, name) }
	issue := func(name string, by *testkit.Authority) {
		cert, key := by.Issue(name, time.Hour)
		write(t, file(name+".crt"), cert)
		write(t, file(name+".key"), key)
	}
	write(t, file("ca.crt"), ca.PEM())
	issue("localhost", ca)
	issue("client", testkit.NewAuthority(t, "another")) // of which the server knows nothing
	port := testkit.FreePort(t)
	redis := testkit.Redis(t, testkit.WithConfig(fmt.Sprintf("tls-port %d", port), "tls-ca-cert-file "+file("ca.crt"),
		"tls-cert-file "+file("localhost.crt"), "tls-key-file "+file("localhost.key"), "tls-auth-clients yes"))
	config := func(host, more string) string {
		return fmt.Sprintf("[redis]\nurl = \"rediss://%s:%d\"\n[redis.tls]\n%s\n", host, port, more) + storedItems
	}
	own := fmt.Sprintf("ca = %q\ncert = %q\nkey = %q\n", file("ca.crt"), file("client.crt"), file("client.key"))
	in := launch.Start(t, config("127.0.0.1", own+"server_name = \"localhost\"\n"))
	await(t, "the log names the key", func() bool { return strings.Contains(in.Logs(), "redis.tls.cert") })
	issue("client", ca)
	await(t, "the renewed certificate is used", func() bool { return stores(in, "b") })
	// The server's authority changes, and so does the file that says so.
	next := testkit.NewAuthority(t, "next")
	both := ca.PEM() + next.PEM()
	write(t, file("ca.crt"), both)
	issue("localhost", next)
	issue("client", next)
	redis.Do("CONFIG", "SET", "tls-ca-cert-file", file("ca.crt"), "tls-cert-file", file("localhost.crt"), "tls-key-file", file("localhost.key"))
	redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	await(t, "the new authority is used", func() bool { return stores(in, "c") })
	must(t, os.Remove(file("ca.crt")))
	redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	await(t, "what was read before is used", func() bool { return stores(in, "d") })
	in.Reload("failed")
	if logs := in.Logs(); !strings.Contains(logs, "redis.tls.ca") {
		t.Errorf("the log does not name the file that is missing:\n%s", logs)
	}
}

// TestOriginTokenRotates with its file, without a reload.
func TestOriginTokenRotates(t *testing.T) {
	t.Parallel()
	var wanted atomic.Value
	wanted.Store("Bearer the-first-token-of-two")
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != wanted.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(origin.Close)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "the-first-token-of-two\n")
	in := launch.Ready(t, `
[embedded]
path = "tier.db"
[[resource]]
name = "thing"
path = "/thing/{id:int}"
key = "thing:{id}"
origin = "`+origin.URL+`/{id}"
origin_token_file = "`+file+`"
`)
	loads := func(id int) bool { return in.Get(fmt.Sprintf("/thing/%d", id)).Code == http.StatusOK }
	if !loads(1) {
		t.Fatal("the first token is not taken")
	}
	wanted.Store("Bearer the-second-token")
	if loads(2) {
		t.Fatal("the origin takes any token")
	}
	write(t, file, "the-second-token\n")
	await(t, "the new token is sent", func() bool { return loads(2) })
}
