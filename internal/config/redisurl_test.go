package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/config"
)

// TestRedisURL: each parameter is used, or a fault that names it and says what to
// write; values are never shown.
func TestRedisURL(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		_, err := load(t, "[redis]\nurl = \""+url+"\"\n")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", url, err, want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v shows the secret", url, err)
		}
	}
	f("redis://a:6379", "")
	f("redis://u:s3cret@a:6379/2?addr=b:6379&addr=c:6379&client_name=x&protocol=3&master_set=main", "")
	f("rediss://a?skip_verify", "")
	f("unix:///run/redis.sock?db=1", "")
	f("redis://a?client_cert=/x", "redis.tls.cert")
	f("redis://a?ssl_ca_certs=/x", "redis.tls.ca")
	f("redis://a?password=s3cret", "password_file")
	f("redis://a?dial_timeout=1s", "memory.link_timeout")
	f("redis://a?max_retries=0", "no settings")
	f("redis://a?master_sett=main", "did you mean master_set?")
	f("redis://a?xyz=1", `the unknown parameter "xyz"; there are addr,`)
	f("redis://a?protocol=2", "client-side caching")
	f("redis://a?client_cache=0", "client-side caching")
	f("redis://a?client_cache=1", "leave it out")
	f("redis://a?skip_verify=true", "rediss://")
	f("rediss://a?skip_verify=maybe", "neither true nor false")
	f("redis://a/1?db=2", "two databases")
	f("redis://a?db=1&db=1", "twice")
	f("redis://a?addr=b", "no host and port")
	f("redis://a?addr=u:s3cret@b:1", "percent-encode")
	f("redis://u:1?s3cret@a", "percent-encode")
	f("redis://u:1#s3cret@a", "percent-encode")
	f("unix:///x?addr=b:1", "unix socket")
	f("unix:///x?master_set=main", "unix socket")
	f("redis://a?master_set=", "empty master_set")
	f("redis://a?client_name=a%20b", "client_name")
}

// TestRedisKeys: a key of [redis] that would have no effect is a fault at that key.
func TestRedisKeys(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(text, want string) {
		t.Helper()
		c, err := load(t, "[redis]\n"+strings.ReplaceAll(text, "SECRET", `"`+secret+`"`))
		switch {
		case err == nil && strings.Contains(want, ":"), err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want %q", text, err, want)
		case err == nil && want != "" && !strings.Contains(strings.Join(c.Warnings, "\n"), want):
			t.Errorf("%s: got %q, want %q", text, c.Warnings, want)
		}
	}
	f("url = \"rediss://a?master_set=m\"\nsentinel_username = \"u\"\nsentinel_password_file = SECRET\n[redis.tls]\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\nserver_name = \"d\"", "")
	f("url = \"redis://a\"\n[redis.tls]\nca = \"a\"", "redis.tls.ca: needs TLS, and redis.url (line 2) begins with redis://")
	f("[redis.tls]\nca = \"a\"", "redis.tls.ca: needs redis.url")
	f("url = \"rediss://a\"\n[redis.tls]\ncert = \"a\"", "redis.tls.cert: needs redis.tls.key")
	f("url = \"rediss://a?skip_verify\"\n[redis.tls]\nca = \"a\"", "redis.tls.ca: has no effect beside skip_verify")
	f("url = \"rediss://a?skip_verify=1\"", "has skip_verify")
	f("url = \"redis://a\"\nsentinel_password_file = SECRET", "redis.sentinel_password_file: is for sentinels")
	f("url = \"redis://a?master_set=m\"\nsentinel_username = \"u\"", "redis.sentinel_username: needs redis.sentinel_password_file")
	f("url = \"redis://u:p@a\"\npassword_file = SECRET", "redis.password_file: names a second password")
}

// TestCurrent: a secret of a file is what the file holds now, read and judged like at
// the start.
func TestCurrent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "url")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres://u:one@h/d?sslrootcert=ca.pem\n")
	main := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(main, []byte("[database]\nurl_file = \"url\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(main, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(password string) {
		t.Helper()
		want := "postgres://u:" + password + "@h/d?sslrootcert=" + strings.ReplaceAll(dir, "/", "%2F") + "%2Fca.pem"
		if got, err := c.Database.URL.Current(); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	f("one")
	write("postgres://u:two@h/d?sslrootcert=ca.pem\n")
	f("two")
	if !strings.Contains(c.Database.URL.Reveal(), "one") {
		t.Error("what was loaded has changed")
	}
	write("http://u:s3cret@h/d")
	if _, err := c.Database.URL.Current(); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "database.url_file") {
		t.Errorf("another URL: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Database.URL.Current(); err == nil || !strings.Contains(err.Error(), "database.url_file") {
		t.Errorf("no file: %v", err)
	}
	if got, err := config.NewSecret("x").Current(); got != "x" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
}

// TestPathsInURLs: those of certificates begin at the configuration's directory.
func TestPathsInURLs(t *testing.T) {
	c, err := load(t, "[database]\nurl = \"mysql://h/d?charset=utf8&ssl-ca=ca.pem&ssl-cert=/c.pem\"\n")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Database.URL.Reveal()
	if !strings.HasPrefix(got, "mysql://h/d?charset=utf8&ssl-ca=%2F") || !strings.HasSuffix(got, "%2Fca.pem&ssl-cert=%2Fc.pem") {
		t.Errorf("got %s", got)
	}
	c, err = load(t, "[database]\nurl = \"postgresql://h/d?sslrootcert=system\"\n")
	if err != nil || c.Database.URL.Reveal() != "postgresql://h/d?sslrootcert=system" {
		t.Errorf("system is no file: %v, %v", c, err)
	}
}
