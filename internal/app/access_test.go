package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/config"
	"hearth/internal/testkit"
)

// TestAccessIsAsItIsNow: every dial gets what the files hold then; one that cannot be
// read leaves what was read before in force, and the log says so once.
func TestAccessIsAsItIsNow(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ca := testkit.NewAuthority(t, "test")
	first, firstKey := ca.Issue("first", time.Hour)
	second, secondKey := ca.Issue("second", time.Hour)
	cfg := load(t, `[redis]`, `url_file = "`+file("url", "rediss://ann@h?addr=a:1&addr=b:1")+`"`, `password_file = "`+file("password", "one")+`"`,
		`[redis.tls]`, `ca = "`+file("ca", ca.PEM())+`"`, `cert = "`+file("cert", first)+`"`, `key = "`+file("key", firstKey)+`"`)
	var log bytes.Buffer
	a := newAccess(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	account := func(want redis.Account) {
		t.Helper()
		if got, err := a.account(); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	subject := func(want string) {
		t.Helper()
		c, err := a.tls()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Certificates[0].Leaf.Subject.CommonName; got != want {
			t.Errorf("the certificate is %s's, want %s's", got, want)
		}
	}
	account(redis.Account{Username: "ann", Password: "one"})
	file("password", "two\n")
	file("url", "rediss://bea@h?addr=b:1&addr=a:1")
	account(redis.Account{Username: "bea", Password: "two"})
	file("url", "rediss://eve@elsewhere")
	account(redis.Account{Username: "ann", Password: "two"})
	file("url", "rediss://ann@h?addr=a:1&addr=b:1")
	if err := os.Remove(filepath.Join(dir, "password")); err != nil {
		t.Fatal(err)
	}
	account(redis.Account{Username: "ann", Password: "two"})
	account(redis.Account{Username: "ann", Password: "two"})
	subject("first")
	file("cert", second) // half of a renewal: it does not go with its key
	subject("first")
	file("key", secondKey)
	subject("second")
	for text, want := range map[string]int{"another Redis": 1, "no such file": 1, "redis.tls.cert": 1} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, n, want, log.String())
		}
	}
	a.use(load(t, `[redis]`, `url = "rediss://cy:three@h"`))
	account(redis.Account{Username: "cy", Password: "three"})
	if c, err := a.tls(); err != nil || c.RootCAs != nil || len(c.Certificates) > 0 {
		t.Errorf("without [redis.tls]: got %v, %v", c, err)
	}
}

// TestRotated names what a reload has taken up, and nothing of it.
func TestRotated(t *testing.T) {
	old := load(t, `[redis]`, `url = "redis://a:s3cret@h"`, `[[auth.token]]`, `name = "x"`, `scopes = ["write"]`, `token = "0123456789abcdef"`)
	next := load(t, `[redis]`, `url = "redis://a:other@h"`, `[[auth.token]]`, `name = "x"`, `scopes = ["write"]`, `token = "0123456789abcdeg"`)
	if got := rotated(old, next); len(got) != 2 || got[1] != "auth.token, redis.url" {
		t.Errorf("got %v", got)
	}
	if got := rotated(old, old); got != nil {
		t.Errorf("nothing has changed: got %v", got)
	}
	for _, url := range []string{"redis://h2", "rediss://h", "redis://h/1", ""} {
		c := &config.Config{Redis: config.Redis{URL: config.NewSecret(url)}}
		if err := fixed(&config.Config{Redis: config.Redis{URL: config.NewSecret("redis://a:b@h")}}, c); err == nil || !strings.Contains(err.Error(), "redis.url") {
			t.Errorf("%s in place of redis://h: got %v", url, err)
		}
	}
}

// TestEndedCertificate is warned of, and no fault: Redis may not ask for it.
func TestEndedCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := testkit.NewAuthority(t, "test").Issue("client", -time.Minute)
	for name, text := range map[string]string{"cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := load(t, `[redis]`, `url = "rediss://h"`, `[redis.tls]`, `cert = "`+dir+`/cert"`, `key = "`+dir+`/key"`)
	if faults := redisFaults(cfg); len(faults) > 0 {
		t.Errorf("got %v", faults)
	}
	if notes := strings.Join(notes(cfg), "\n"); !strings.Contains(notes, "redis.tls.cert: has ended on ") {
		t.Errorf("got %q", notes)
	}
}

// TestSamePool: a password alone is no reason for another pool.
func TestSamePool(t *testing.T) {
	of := func(url string, conns int) config.Database {
		return config.Database{URL: config.NewSecret(url), MaxConns: conns}
	}
	one := of("postgres://u:one@h/d?sslmode=require", 3)
	for _, url := range []string{"postgres://u:one@h/d?sslmode=require", "postgres://u:two@h/d?sslmode=require", "postgres://u@h/d?sslmode=require"} {
		if !samePool(one, of(url, 3)) {
			t.Errorf("%s is another pool", url)
		}
	}
	for _, url := range []string{"postgres://v:one@h/d?sslmode=require", "postgres://u:one@h/d", "postgres://u:one@g/d?sslmode=require", ""} {
		if samePool(one, of(url, 3)) {
			t.Errorf("%s is the same pool", url)
		}
	}
	if samePool(one, of("postgres://u:one@h/d?sslmode=require", 4)) {
		t.Error("another number of connections is the same pool")
	}
	// What is read again is of the database that was configured.
	file := filepath.Join(t.TempDir(), "url")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres://u:one@h/d")
	var d databaseAccess
	d.use(load(t, `[database]`, `url_file = "`+file+`"`).Database.URL)
	write("postgres://u:two@h/d")
	if got, err := d.read(); got != "postgres://u:two@h/d" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	write("postgres://u:two@elsewhere/d")
	if _, err := d.read(); err == nil || !strings.Contains(err.Error(), "database.url_file") {
		t.Errorf("another database: %v", err)
	}
	// Several hosts make no URL to net/url.
	d.use(config.NewSecret("postgres://u:three@h1:1,h2/d"))
	if got, err := d.read(); got != "postgres://u:three@h1:1,h2/d" || err != nil {
		t.Errorf("several hosts: got %q, %v", got, err)
	}
	if several := of("postgres://u:one@h1:1,h2/d", 3); !samePool(several, of("postgres://u:two@h1:1,h2/d", 3)) || samePool(several, of("postgres://u:one@h1:1,h3/d", 3)) {
		t.Error("several hosts are not compared by their names")
	}
	d.use(config.NewSecret("postgres://u:three@h/d"))
	if got, err := d.read(); got != "postgres://u:three@h/d" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
