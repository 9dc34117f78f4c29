package test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	writeToken   = "write-write-write-write"
	adminToken   = "admin-admin-admin-admin"
	metricsToken = "metrics-metrics-metrics"
)

// tokens are the keys of a configuration with a token of each scope.
const tokens = `
[[auth.token]]
name = "app"
scopes = ["write"]
token = "` + writeToken + `"
[[auth.token]]
name = "ops"
scopes = ["admin"]
token = "` + adminToken + `"
[[auth.token]]
name = "prom"
scopes = ["metrics"]
token = "` + metricsToken + `"
`

// strangers are fields that must open nothing that takes a token of scope own;
// the status says why not.
func strangers(own ...string) map[int][]string {
	all := map[int][]string{401: {
		"", "Authorization:", "Authorization: Bearer", "Authorization: Bearer nobody-nobody-nobody",
		"Authorization: Basic " + writeToken, "Authorization: " + writeToken,
	}}
	for _, token := range own {
		all[401] = append(all[401], "Authorization: Bearer "+token+"\r\nAuthorization: Bearer "+token,
			"Authorization: Bearer x\r\nauthorization: Bearer "+token, "Authorization: Bearer "+token[1:],
			"X-Authorization: Bearer "+token, "Proxy-Authorization: Bearer "+token, "Cookie: Authorization=Bearer "+token)
	}
	for _, token := range []string{writeToken, adminToken, metricsToken} {
		if !strings.Contains(fmt.Sprint(own), token) {
			all[403] = append(all[403], "Authorization: Bearer "+token)
		}
	}
	return all
}

// TestTokensGuardTheProgram asks the program itself: each operation of its own
// OpenAPI document, and each path of the admin listener.
func TestTokensGuardTheProgram(t *testing.T) {
	t.Parallel()
	l := listenWith(t, launch.Demo(t)+tokens)
	ask := func(listener, method, path, field string) int {
		t.Helper()
		if field != "" {
			field += "\r\n"
		}
		got, err := l.try(listener, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"+
			"Content-Type: application/json\r\n"+field+"Content-Length: 2\r\n\r\n[]")
		if err != nil {
			t.Fatalf("%s %s with %q: %v", method, path, field, err)
		}
		return got.StatusCode
	}
	guarded := func(listener, method, path string, own ...string) {
		t.Helper()
		for status, fields := range strangers(own...) {
			for _, field := range fields {
				if got := ask(listener, method, path, field); got != status {
					t.Errorf("%s %s %s with %q: got %d, want %d", listener, method, path, field, got, status)
				}
			}
		}
		for _, token := range own {
			if got := ask(listener, method, path, "authorization: bearer "+token); got == 401 || got == 403 || got >= 500 {
				t.Errorf("%s %s %s with its token: got %d, want it let in", listener, method, path, got)
			}
		}
	}
	writes, reads := l.operations(t)
	for _, w := range writes {
		guarded("public", w[0], w[1], writeToken)
	}
	for _, r := range reads {
		if got := ask("public", r[0], r[1], ""); got >= 400 && got != 404 && got != 422 {
			t.Errorf("%s %s without a token: got %d, want it open", r[0], r[1], got)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if got := ask("admin", "GET", path, ""); got != 200 {
			t.Errorf("%s without a token: got %d, want 200", path, got)
		}
	}
	for _, path := range []string{"/", "/debug/pprof/", "/debug/pprof/goroutine", "/nothing"} {
		guarded("admin", "GET", path, adminToken)
		guarded("admin", "DELETE", path, adminToken)
	}
	guarded("admin", "POST", "/api/invalidate", adminToken)
	guarded("admin", "PUT", "/api/invalidate", adminToken)
	for _, path := range []string{"/metrics", "/api/stats"} {
		guarded("admin", "GET", path, adminToken, metricsToken)
	}
}

// operations lists method and path of every operation that the program
// documents. Only GET and HEAD count as reads.
func (l listeners) operations(t *testing.T) (writes, reads [][2]string) {
	t.Helper()
	var doc document
	must(t, json.Unmarshal([]byte(l.Get("/openapi.json").Body), &doc))
	for path, operations := range doc.Paths {
		for method, op := range operations {
			method = strings.ToUpper(method)
			o := [2]string{method, target(path, op.Parameters)}
			if method == http.MethodGet || method == http.MethodHead {
				reads = append(reads, o)
			} else {
				writes = append(writes, o)
			}
		}
	}
	if len(writes) < 3 || len(reads) < 5 {
		t.Fatalf("the document has %d writes and %d reads, want those of the demo", len(writes), len(reads))
	}
	return writes, reads
}

// TestReboundPagesMustNotWrite asks as a web page does whose host name has been made to
// resolve to 127.0.0.1 (DNS rebinding).
func TestReboundPagesMustNotWrite(t *testing.T) {
	t.Parallel()
	l := listenWith(t, strings.Replace(launch.Demo(t), "admin_hosts = []", `admin_hosts = ["app.test"]`, 1))
	for _, c := range []struct {
		fields string
		status int
	}{
		{"Host: evil.test\r\nOrigin: http://evil.test", 403},
		{"Host: evil.test", 200},
		{"Host: app.test\r\nOrigin: http://app.test", 200},
		{"Host: localhost:1\r\nOrigin: http://localhost:1", 200},
		{"Host: " + l.Public + "\r\nOrigin: http://" + l.Public, 200},
	} {
		got, err := l.try("public", "POST /batch_process HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n"+c.fields+"\r\n\r\n[]")
		if err != nil || got.StatusCode != c.status {
			t.Errorf("with %q: got %v, %v, want %d", c.fields, got, err, c.status)
		}
	}
}

// TestNothingIsInjected sends line breaks wherever a request may carry them,
// escaped, and looks for them where they would do harm: in the answer's header,
// in the log, among the commands that reach Redis.
func TestNothingIsInjected(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	l := listenWith(t, strings.Replace(launch.Demo(t), `origins = ["*"]`, `origins = ["https://app.test"]`, 1),
		"HEARTH_REDIS_URL="+redis.URL(), "HEARTH_LOG_ACCESS_SAMPLE=1")
	const breaks = "a%0d%0aX-Injected:%201%0d%0a%0d%0aSET%20owned%201%0d%0a"
	for _, request := range []string{
		"GET /item/" + breaks + " HTTP/1.1\r\n",
		"GET /user/" + breaks + " HTTP/1.1\r\n",
		"GET /item?id=" + breaks + "&id=1 HTTP/1.1\r\n",
		"GET /user?user_id=" + breaks + " HTTP/1.1\r\n",
		"GET /" + breaks + " HTTP/1.1\r\n",
		"GET /item/b%250d%250aX-Injected:1 HTTP/1.1\r\n", // decoded once, it is harmless and found nowhere
		"GET /user/1?" + breaks + " HTTP/1.1\r\nX-Request-Id: " + breaks + "\r\n",
		"GET /user/1 HTTP/1.1\r\nOrigin: https://app.test%0d%0aX-Injected: 1\r\n",
		"OPTIONS /user/1 HTTP/1.1\r\nOrigin: https://app.test\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: " + breaks + "\r\n",
		"POST /batch_process HTTP/1.1\r\nContent-Length: 52\r\n\r\n" + `[{"id":"c\r\nSET owned 1\r\n"},{"id":"x\u000d\u000a"}]`,
		"POST /batch_process HTTP/1.1\r\nContent-Length: 32\r\n\r\n" + `[{"id":"d%0d%0aSET owned 1%0d"}]`,
		"BREW%0d%0aX-Injected:1 /user/1 HTTP/1.1\r\n",
	} {
		line, rest, _ := strings.Cut(request, "\r\n")
		if rest == "" || !strings.Contains(rest, "\r\n\r\n") {
			rest += "\r\n"
		}
		got, err := l.try("public", line+"\r\nHost: localhost\r\nConnection: close\r\n"+rest)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if len(got.Header.Values("X-Injected")) > 0 || strings.Contains(fmt.Sprint(got.Header), "0d%0a") {
			t.Errorf("%q is answered with %v", line, got.Header)
		}
	}
	if n := redis.Int("EXISTS", "owned"); n != 0 {
		t.Error("a command in an id has reached Redis as a command")
	}
	if keys := redis.Do("KEYS", "item:d*"); fmt.Sprint(keys) != "[item:d%250d%250aSET%20owned%201%250d]" {
		t.Errorf("the key of an item with a percent sign and blanks is %v", keys)
	}
	for _, key := range redis.Do("KEYS", "*").([]any) {
		if strings.ContainsAny(key.(string), "\r\n \x00") {
			t.Errorf("Redis has the key %q", key)
		}
	}
	for line := range strings.Lines(l.Logs()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("the log has a line of somebody else: %q", line)
		}
	}
}

// TestAnOriginIsAskedInItsPlace: this origin decodes a path before it splits it, and
// serves more than /public/. No spelling of an id leads out of there, and such a
// request reaches the origin not even once.
func TestAnOriginIsAskedInItsPlace(t *testing.T) {
	t.Parallel()
	var asked, strayed atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if rest, below := strings.CutPrefix(r.URL.Path, "/public/"); !below || strings.ContainsAny(rest, `/\`) || strings.Trim(rest, ".") == "" {
			strayed.Add(1)
		}
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	defer origin.Close()
	in := launch.Start(t, fmt.Sprintf(`
[server]
drain = "0s"
[[resource]]
name   = "far"
path   = "/far/{id:string}"
key    = "far:{id}"
origin = "%s/public/{id}"
`, origin.URL))
	in.AwaitReady()
	for _, id := range []string{
		"..%2Fprivate%2Fsecret", "..%5Cprivate", "..%2fprivate", "%2e%2e%2Fprivate", "%252e%252e%252fprivate", "..", "%2E%2E", "%252e%252e", ".",
		"a%2Fb", "a%5cb", "a%252Fb", "..%3B", "..;x", "...", "%2F", "a%250d%250ab",
	} {
		for range 2 {
			if got := in.Get("/far/" + id); got.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s: answered %d %s", id, got.Code, got.Body)
			}
		}
		if got := in.Get("/far?id=good&id=" + id); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("many-read of %s: answered %d %s", id, got.Code, got.Body)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the origin was asked %d times, %d of them outside of /public/", n, strayed.Load())
	}
	for id, path := range map[string]string{"good": "/public/good", "a%3Fb%23c": "/public/a?b#c", "a%20b": "/public/a b", "100%25": "/public/100%", "..a": "/public/..a"} {
		if got := in.Get("/far/" + id); got.Code != http.StatusOK || !strings.Contains(got.Body, fmt.Sprintf("%q", path)) {
			t.Errorf("%s: answered %d %s, want the origin's %s", id, got.Code, got.Body, path)
		}
	}
}

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
