package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
)

// TestFilesArePrivate runs the program where the umask takes nothing away: what it
// makes is readable for nobody else all the same.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), manual, 0o600); err != nil {
		t.Fatal(err)
	}
	public := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	cmd := exec.Command("/bin/sh", "-c", "umask 000; exec hearth -config config.toml")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HEARTH_SERVER_LISTEN="+public, fmt.Sprintf("HEARTH_SERVER_ADMIN=127.0.0.1:%d", testkit.FreePort(t)), "HEARTH_SERVER_DRAIN=0s")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	testkit.Eventually(t, patience, "a record is read", func() bool {
		resp, err := http.Get("http://" + public + "/user/1")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	want := []string{"demo.db", "demo.db-shm", "demo.db-wal", "hearth.db", "hearth.db-shm", "hearth.db-wal", "hearth.db.lock"}
	for _, name := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v: is it still made?", err)
		} else if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want)+1 {
		t.Errorf("the directory holds %v, %v; whatever else is made there has to be private too", entries, err)
	}
	ignored, err := os.ReadFile(".gitignore")
	if err != nil {
		t.Fatal(err)
	}
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
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
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
	in := launch(t, config)
	seen := map[string]string{}
	look := func(where, text string) {
		t.Helper()
		if text == "" {
			t.Errorf("%s shows nothing at all", where)
		}
		seen[where] = text
	}
	testkit.Eventually(t, patience, "the server answers", func() bool { return in.get("/").code == http.StatusOK })
	look("a read of the database", in.get("/user/1").body)
	look("a read of the origin", in.get("/far/1").body)
	look("a write without a token", in.ask(http.MethodPut, "/user/1", "{}").body)
	look("/openapi.json", in.get("/openapi.json").body)
	look("/docs", in.get("/docs").body)
	for _, path := range []string{"/readyz", "/livez", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/api/stats", "/metrics"} {
		req, err := http.NewRequest(http.MethodGet, "http://admin"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret+"-token")
		req.Host = "localhost"
		resp, err := in.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode/100 == 4 {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
		look(path, string(text))
	}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", in.cmd.Process.Pid, name))
		if err != nil {
			t.Fatal(err)
		}
		look("/proc/PID/"+name, string(text))
	}
	check := exec.Command("hearth", "-config", filepath.Join(filepath.Dir(in.public), "config.toml"), "check")
	out, _ := check.CombinedOutput()
	look("check", string(out))
	in.kill()
	log, err := os.ReadFile(filepath.Join(filepath.Dir(in.public), "hearth.log"))
	if err != nil {
		t.Fatal(err)
	}
	look("the log", string(log))
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
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte("[server]\nlisten = \"unix:p\"\nadmin = \"unix:a\"\n"+section+"\nurl = \""+url+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("hearth", "-config", path).CombinedOutput()
		if err == nil || len(out) == 0 {
			t.Errorf("%s is served: %s", url, out)
		}
		if strings.Contains(string(out), secret) {
			t.Errorf("the fault of %s shows the secret: %s", url, out)
		}
	}
}
