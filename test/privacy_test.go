package test

import (
	"fmt"
	"hearth/internal/testkit/launch"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesArePrivate runs the program with a umask of 000: the files that it makes are
// readable for its user only all the same.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	in := launch.Program{Config: launch.Demo(t), Wrapper: []string{"sh", "-c", `umask 000; exec "$0" "$@"`}}.Start(t)
	await(t, "a record is read", func() bool { return in.Get("/user/1").Code == http.StatusOK })
	want := []string{"demo.db", "demo.db-shm", "demo.db-wal", "hearth.db", "hearth.db-shm", "hearth.db-wal", "hearth.db.lock"}
	for _, name := range want {
		info, err := os.Stat(filepath.Join(in.Dir, name))
		if err != nil {
			t.Errorf("%v: is it still made?", err)
		} else if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
	entries, err := os.ReadDir(in.Dir)
	if err != nil || len(entries) != len(want)+4 { // and the configuration, the log, two sockets
		t.Errorf("the directory holds %v, %v; whatever else is made there has to be private too", entries, err)
	}
	ignored, err := os.ReadFile(filepath.Join(launch.Root(t), ".gitignore"))
	must(t, err)
	for _, name := range want { // where `make run` leaves them
		_, suffix, _ := strings.Cut(name, ".")
		if !strings.Contains(string(ignored), "\n*."+suffix+"\n") {
			t.Errorf(".gitignore lets %s into the repository", name)
		}
	}
}

// TestSecretsStayUnseen gives every secret that there is by a file, and looks for them
// wherever somebody without the files could look.
func TestSecretsStayUnseen(t *testing.T) {
	t.Parallel()
	const secret = "s3cretS3CRETs3cretS3CRET"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"redis": "redis://user:" + secret + "@127.0.0.1:1/0", "database": "postgres://user:" + secret + "@127.0.0.1:1/x?connect_timeout=1",
		"token": secret + "-token",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600))
	}
	file := func(name string) string { return fmt.Sprintf("%q", filepath.Join(dir, name)) }
	config := `
[redis]
url_file = ` + file("redis") + `
[database]
url_file = ` + file("database") + `
[log]
level = "debug"
access_sample = 1
[[auth.token]]
name = "writer"
scopes = ["write", "admin", "metrics"]
token_file = ` + file("token") + `
[[resource]]
name = "user"
path = "/user/{id:int}"
key = "user:{id}"
select = "SELECT id FROM users WHERE id = {id}"
upsert = "INSERT INTO users (id) VALUES ({id})"
[[resource]]
name = "far"
path = "/far/{id:int}"
key = "far:{id}"
origin = "http://127.0.0.1:1/far/{id}?key=` + secret + `"
`
	in := launch.Start(t, config)
	seen := map[string]string{}
	look := func(where, text string) {
		t.Helper()
		if text == "" {
			t.Errorf("%s shows nothing at all", where)
		}
		seen[where] = text
	}
	await(t, "the server answers", func() bool { return in.Get("/").Code == http.StatusOK })
	look("a read of the database", in.Get("/user/1").Body)
	look("a read of the origin", in.Get("/far/1").Body)
	look("a write without a token", in.Ask(http.MethodPut, "/user/1", "{}").Body)
	look("/openapi.json", in.Get("/openapi.json").Body)
	look("/docs", in.Get("/docs").Body)
	for _, path := range []string{"/readyz", "/livez", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/api/stats", "/metrics"} {
		got := in.AskAdmin(http.MethodGet, path, "", "Authorization: Bearer "+secret+"-token")
		if got.Err != nil || got.Code/100 == 4 {
			t.Errorf("%s: %v", path, got)
		}
		look(path, got.Body)
	}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", in.Pid(), name))
		must(t, err)
		look("/proc/PID/"+name, string(text))
	}
	check := exec.Command(launch.Name, "-config", in.File, "check")
	out, _ := check.CombinedOutput()
	look("check", string(out))
	in.Kill()
	look("the log", in.Logs())
	for where, text := range seen {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s shows a secret: …%s…", where, text[max(0, i-60):min(len(text), i+60)])
		}
	}
}

// TestFaultsHideSecrets checks URLs whose faults only a driver finds.
func TestFaultsHideSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cretS3CRET"
	for _, url := range []string{
		"postgres://u:s3cretS3CRET@127.0.0.1:1/x?sslmode=s3cretS3CRET",
		"postgres://u@127.0.0.1:1/x?password=s3cretS3CRET&pool_max_conns=many",
		"postgres://u:s3cretS3CRET@127.0.0.1:99999/x",
		"mysql://u:s3cretS3CRET@127.0.0.1:1/x?tls=s3cretS3CRET",
		"mysql://u:a%2Fs3cretS3CRET@127.0.0.1:1/x?timeout=s3cretS3CRET",
		"redis://u:s3cretS3CRET@127.0.0.1:1/0?dial_timeout=s3cretS3CRET",
		"rediss://u:s3cretS3CRET@127.0.0.1:1/0?skip_verify=s3cretS3CRET",
	} {
		section := "[database]"
		if strings.HasPrefix(url, "redis") {
			section = "[redis]"
		}
		in := launch.Start(t, section+"\nurl = \""+url+"\"\n")
		if in.Wait() == 0 || in.Logs() == "" {
			t.Errorf("%s is served: %s", url, in.Logs())
		}
		if strings.Contains(in.Logs(), secret) {
			t.Errorf("the fault of %s shows the secret: %s", url, in.Logs())
		}
	}
}

// TestSocketsAreTheServersOwn: nobody else can connect to the unix sockets that the
// program makes, unless the configuration says so.
func TestSocketsAreTheServersOwn(t *testing.T) {
	t.Parallel()
	f := func(public, admin fs.FileMode, env ...string) {
		t.Helper()
		in := launch.Start(t, "", env...)
		await(t, "the instance answers", func() bool { return in.AskAdmin(http.MethodGet, "/livez", "").Code == http.StatusOK })
		for path, want := range map[string]fs.FileMode{in.Public: public, in.Admin: admin} {
			info, err := os.Lstat(strings.TrimPrefix(path, "unix:"))
			if err != nil || info.Mode() != fs.ModeSocket|want {
				t.Errorf("%s: %v, %v, want %v", path, info, err, want)
			}
		}
	}
	f(0o600, 0o600)
	f(0o660, 0o600, "HEARTH_SERVER_SOCKET_MODE=0660")
	f(0o600, 0o666, "HEARTH_SERVER_ADMIN_SOCKET_MODE=0666")
}
