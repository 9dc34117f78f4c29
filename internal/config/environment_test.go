package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
)

func TestOverrides(t *testing.T) {
	c := mustLoad(t, `
[server]
listen = "127.0.0.1:1"
read_timeout = "1s"
[database]
url = "sqlite:a.db"
`,
		"HEARTH_SERVER_LISTEN=first is overridden by the last", "HEARTH_SERVER_LISTEN=[::1]:8080",
		"HEARTH_SERVER_ADMIN=unix:admin.sock",
		"HEARTH_SERVER_TLS_CERT=c.pem", "HEARTH_SERVER_TLS_KEY=/k.pem",
		"HEARTH_SERVER_MAX_BODY=1MiB", "HEARTH_SERVER_MAX_ITEMS=007",
		"HEARTH_SERVER_PROXY_PROTOCOL=false",
		"HEARTH_REDIS_URL=redis://cache:6379",
		"HEARTH_DATABASE_URL=sqlite:/b=c.db",
		"HEARTH_MEMORY_BUDGET=64MiB", "HEARTH_MEMORY_LINK_TIMEOUT=500ms", "HEARTH_MEMORY_MISSING_SHARE=0.25",
		"HEARTH_CORS_OPEN_WRITES=true",
		"OTHER_SERVER_LISTEN=x", "=x", "junk",
	)
	want := config.Defaults().Server
	want.Listen = "[::1]:8080"
	want.ReadTimeout = time.Second
	want.MaxBody, want.MaxItems = 1<<20, 7
	want.Admin, want.TLS = c.Server.Admin, c.Server.TLS // below
	if diff := cmp.Diff(want, c.Server); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	f := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	dir := filepath.Dir(c.Embedded.Path)
	f("server.admin", c.Server.Admin, "unix:"+dir+"/admin.sock")
	f("server.tls.cert", c.Server.TLS.Cert, dir+"/c.pem")
	f("server.tls.key", c.Server.TLS.Key, "/k.pem")
	f("redis.url", c.Redis.URL.Reveal(), "redis://cache:6379")
	f("database.url", c.Database.URL.Reveal(), "sqlite:/b=c.db")
	if c.Memory.Budget != 64<<20 || c.Memory.LinkTimeout != 500*time.Millisecond || c.Memory.MissingShare != 0.25 || !c.CORS.OpenWrites {
		t.Errorf("memory, cors: got %+v, %+v", c.Memory, c.CORS)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("got warnings %q, want none", c.Warnings)
	}
}

func TestUnknownVariablesOnlyWarn(t *testing.T) {
	c := mustLoad(t, "", "HEARTH_SERVER_LISTN=127.0.0.1:1", "HEARTH_TOKEN=s3cret", "HEARTH_CORS_ORIGINS=*")
	want := []string{
		"lists are not open to overrides; set cors.origins in",
		"HEARTH_SERVER_LISTN overrides no key and is ignored; did you mean HEARTH_SERVER_LISTEN?",
		"HEARTH_TOKEN overrides no key and is ignored",
	}
	if len(c.Warnings) != len(want) {
		t.Fatalf("got warnings %q, want %d", c.Warnings, len(want))
	}
	for i, w := range c.Warnings {
		if !strings.Contains(w, want[i]) || strings.Contains(w, "s3cret") {
			t.Errorf("warning %d: got %q, want %q and no value", i, w, want[i])
		}
	}
	if c.Server.Listen != config.Defaults().Server.Listen {
		t.Errorf("got server.listen %q, want the default", c.Server.Listen)
	}
}

func TestVariablesAreDistinct(t *testing.T) {
	keys := map[string]string{}
	for _, key := range config.AllKeys() {
		v := config.Variable(key)
		if keys[v] != "" {
			t.Errorf("%s and %s are both overridden by %s", keys[v], key, v)
		}
		keys[v] = key
	}
}

// secretDir is a directory with files that hold secrets, and a configuration.
type secretDir struct {
	t                *testing.T
	path, credential string
}

func newSecretDir(t *testing.T) secretDir {
	d := secretDir{t: t, path: t.TempDir(), credential: t.TempDir()}
	d.write(d.path, "url", "sqlite:here.db\n")
	d.write(d.path, "password", "pass word\r\n\n")
	d.write(d.path, "empty", "\n")
	d.write(d.path, "bad", "s3cret is no URL\n")
	d.write(d.path, "long", strings.Repeat("s3cret", 20_000))
	d.write(d.credential, "url", "postgres://app:p@db/app")
	return d
}

func (d secretDir) write(dir, name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d secretDir) load(text string, env ...string) (*config.Config, error) {
	d.t.Helper()
	d.write(d.path, "config.toml", text)
	return config.Load(filepath.Join(d.path, "config.toml"), env)
}

func TestSecretFiles(t *testing.T) {
	dir := newSecretDir(t)
	url := func(want, text string, env ...string) {
		t.Helper()
		c, err := dir.load(text, env...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Database.URL.Reveal(); got != want {
			t.Errorf("%s %q: got %q, want %q", text, env, got, want)
		}
	}
	here := "sqlite:" + filepath.Join(dir.path, "here.db")
	credentials := "CREDENTIALS_DIRECTORY=" + dir.credential
	url(here, "[database]\nurl_file = \"url\"")
	url(here, "[database]\nurl_file = \""+filepath.Join(dir.path, "url")+"\"", credentials)
	url("postgres://app:p@db/app", "[database]\nurl_file = \"url\"", credentials)
	url(here, "[database]\nurl = \"\"\nurl_file = \"url\"")
	url(here, "", "HEARTH_DATABASE_URL_FILE=url")
	// An override replaces both keys of the file.
	url("mysql://h/d", "[database]\nurl_file = \"url\"", "HEARTH_DATABASE_URL=mysql://h/d")
	url(here, "[database]\nurl = \"mysql://h/d\"", "HEARTH_DATABASE_URL_FILE=url")
	url("", "[database]\nurl_file = \"url\"", "HEARTH_DATABASE_URL_FILE=")

	if err := os.WriteFile(filepath.Join(dir.path, "redis"), []byte("redis://app:pa@h/1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := dir.load("[redis]\nurl_file = \"redis\"")
	if err != nil || c.Redis.URL.Reveal() != "redis://app:pa@h/1" {
		t.Errorf("redis.url_file: got %v, %v", c, err)
	}
	c, err = dir.load("[redis]\nurl = \"redis://h\"\npassword_file = \"password\"")
	if err != nil || c.Redis.Password.Reveal() != "pass word" {
		t.Errorf("redis.password_file: got %v, %v", c, err)
	}
}

func TestSecretFaults(t *testing.T) {
	dir := newSecretDir(t)
	fault := func(want, text string, env ...string) {
		t.Helper()
		_, err := dir.load(text, env...)
		wantFault(t, err, want)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the fault shows the secret: %v", err)
		}
	}
	fault("database.url_file: is set together with database.url (line 2)", "[database]\nurl = \"mysql://h/d\"\nurl_file = \"url\"")
	fault("HEARTH_DATABASE_URL_FILE: is set together with database.url (HEARTH_DATABASE_URL)", "", "HEARTH_DATABASE_URL=mysql://h/d", "HEARTH_DATABASE_URL_FILE=url")
	fault("it is empty", "[database]\nurl_file = \"empty\"")
	fault("no such file", "[database]\nurl_file = \"none\"")
	fault("no such file", "[database]\nurl_file = \"password\"", "CREDENTIALS_DIRECTORY="+dir.credential)
	fault("no regular file", "[database]\nurl_file = \".\"")
	fault("begins with none of", "[database]\nurl_file = \"bad\"")
	fault("longer than 64KiB", "[database]\nurl_file = \"long\"")
	fault("HEARTH_DATABASE_URL: the value begins with none of", "", "HEARTH_DATABASE_URL=s3cret")
	fault("database.url: the value is no URL", "[database]\nurl = \"postgres://app:s3cret%zz@db/app\"")
	fault("redis.url: the value is no URL", "[redis]\nurl = \"redis://:s3cret%zz@h\"")
	fault("names a second password", "[redis]\nurl = \"redis://:s3cret@h\"\npassword_file = \"password\"")
	fault("redis.url_file: is set together with redis.url", "[redis]\nurl = \"redis://h\"\nurl_file = \"url\"")
	fault("has a scheme that is none of redis", "[redis]\nurl_file = \"bad\"")
	fault("needs redis.url", "[redis]\npassword_file = \"password\"")
	// A file that cannot be read is one mistake, not also a missing database.
	fault("no such file", "[database]\nurl_file = \"none\"\ndemo = true")
}
