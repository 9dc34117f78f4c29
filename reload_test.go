package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// reloads is how many SIGHUPs TestReload sends: a thousand in the long form.
func reloads() int {
	if os.Getenv("HEARTH_LONG") != "" {
		return 1000
	}
	return 60
}

// reloadable is a configuration whose number can be seen in each answer, with
// parts that change with it: limits, lifetimes, statements, tokens' absence, the
// log, the pool, and resources that come and go.
func reloadable(n int) string {
	extra := ""
	if n%3 == 0 {
		extra = "\n[[resource]]\nname = \"extra\"\npath = \"/extra/{id:int}\"\nkey = \"extra:{id}\"\nselect = \"SELECT id FROM users WHERE id = {id}\"\n"
	}
	return fmt.Sprintf(`
[server]
max_in_flight = %d
drain = "0s"
[database]
demo = true
max_conns = %d
[memory]
budget = "%dMiB"
[load]
max_concurrent = %d
[log]
level = "%s"
format = "%s"
[[limit]]
name = "all"
paths = ["/*"]
by = "client"
rate = "%d/s"
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id, name FROM users WHERE id = {user_id}"
upsert = "INSERT INTO users (id, name, city) VALUES ({user_id}, {body.name}, '') ON CONFLICT (id) DO UPDATE SET name = excluded.name"
cache_control = "max-age=%d"
ttl = { cold = "%dm" }
%s`, 5000+n%7, 2+n/50%3, 16+n%5, 8+n%9, []string{"warn", "error"}[n%2], []string{"text", "json"}[n/2%2], 1_000_000+n%4, n, 10+n%50, extra)
}

// broken makes a valid configuration one that must be refused, in all the ways
// that there are: not TOML, not a key, not a value, not a statement, unsafe, and
// valid but not without a restart.
func broken(n int) string {
	text := reloadable(n)
	switch n % 7 {
	case 0:
		return text[:len(text)/2] + "= = ["
	case 1:
		return text + "\n[surprise]\nkey = 1\n"
	case 2:
		return strings.Replace(text, "drain = \"0s\"", "drain = \"soon\"", 1)
	case 3:
		return strings.Replace(text, "WHERE id = {user_id}\"\nupsert", "WHERE id = {nobody}\"\nupsert", 1)
	case 4:
		return text + "\n[[batch]]\npath = \"/b\"\nresource = \"nobody\"\n"
	case 5:
		return strings.Replace(text, "[memory]", "[memory]\nlink_timeout = \"7s\"", 1)
	}
	return "[server]\nmax_body = \"2MiB\"\n"
}

// TestReload sends SIGHUP again and again under load, with valid and broken files
// in turn: no request fails, each valid file is served once the reload is counted,
// after each broken one the file before goes on, and at the end the process holds
// no more than at the beginning.
func TestReload(t *testing.T) {
	redis := testkit.Redis(t)
	in := launch(t, reloadable(0), "HEARTH_REDIS_URL="+redis.URL(), "HEARTH_DATABASE_URL="+testkit.Postgres(t).URL())
	in.awaitReady()
	file := in.cmd.Args[2]
	load := startLoad(t, in, 8)
	settled := func() (goroutines, files int) {
		return in.count(`^goroutine profile: total (\d+)`, "/debug/pprof/goroutine?debug=1"), in.descriptors()
	}
	goroutinesBefore, filesBefore := settled()
	served := 0
	for n := 1; n <= reloads(); n++ {
		text, result := reloadable(n), "ok"
		if n%2 == 0 {
			text, result = broken(n/2), "failed"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		was := in.reloaded(result)
		if err := in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, patience, "the reload is over", func() bool { return in.reloaded(result) == was+1 })
		if result == "ok" {
			served = n
		}
		if got, want := in.get("/user/1").header.Get("Cache-Control"), "max-age="+strconv.Itoa(served); got != want {
			t.Fatalf("after reload %d (%s): Cache-Control is %q, want %q", n, result, got, want)
		}
		if code := in.get("/extra/1").code; (code == http.StatusOK) != (served%3 == 0) {
			t.Fatalf("after reload %d (%s): /extra/1 is answered %d, and configuration %d is served", n, result, code, served)
		}
	}
	load.end()
	if n := load.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, first %s", n, load.asked.Load(), load.first.Load())
	}
	t.Logf("%d reloads, %d requests, %d failed", reloads(), load.asked.Load(), load.failed.Load())
	in.http.CloseIdleConnections()
	// What a reload has replaced is kept for as long as a load may last.
	goroutines, files := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("%d goroutines, %d before; %d descriptors, %d before\n%s", goroutines, goroutinesBefore, files, filesBefore,
				in.send("admin", http.MethodGet, "/debug/pprof/goroutine?debug=1", "").body)
		}
	}()
	testkit.Eventually(t, 2*patience, "the process holds no more than at the beginning", func() bool {
		goroutines, files = settled()
		return goroutines <= goroutinesBefore+6 && files <= filesBefore+6 // pools grow as they are needed
	})
}

// count is a number on a page of the admin listener.
func (in *instance) count(pattern, path string) int {
	in.tb.Helper()
	page := in.send("admin", http.MethodGet, path, "")
	found := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(page.body)
	if found == nil {
		in.tb.Fatalf("no %q on %s: %.300s", pattern, path, page)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		in.tb.Fatal(err)
	}
	return n
}

func (in *instance) reloaded(result string) int {
	return in.count(`^hearth_reloads_total\{result="`+result+`"\} (\d+)`, "/metrics")
}

func (in *instance) descriptors() int {
	all, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(in.cmd.Process.Pid), "fd"))
	if err != nil {
		in.tb.Fatal(err)
	}
	return len(all)
}

// load is clients that read and write, each as fast as it is answered.
type load struct {
	asked, failed atomic.Int64
	first         atomic.Value // the first failure
	over          chan struct{}
	clients       sync.WaitGroup
}

func startLoad(t *testing.T, in *instance, clients int) *load {
	l := &load{over: make(chan struct{})}
	l.first.Store("")
	for c := range clients {
		l.clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.over:
					return
				default:
				}
				id := strconv.Itoa(1 + (i*7+c)%40)
				var r reply
				if i%50 == 0 {
					r = in.ask(http.MethodPut, "/user/"+id, `{"name":"n`+strconv.Itoa(i)+`"}`)
				} else {
					r = in.get("/user/" + id)
				}
				l.asked.Add(1)
				if r.code != http.StatusOK {
					l.failed.Add(1)
					l.first.CompareAndSwap("", r.String())
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// end ends the load and waits for its clients. A second time it does nothing.
func (l *load) end() {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.clients.Wait()
}

// TestReloadKeepsWhatHasNotChanged: a resource whose definition is the same is
// answered from memory after a reload, one that has changed is shaped anew, and
// its copy in the shared tier is used again.
func TestReloadKeepsWhatHasNotChanged(t *testing.T) {
	const two = `
[server]
drain = "0s"
[database]
url = "sqlite:demo.db"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
envelope = "%s"
select = "SELECT id FROM users WHERE id = {user_id}"
[[resource]]
name = "other"
path = "/other/{id:int}"
key = "other:{id}"
select = "SELECT id FROM users WHERE id = {id}"
`
	redis := testkit.Redis(t)
	in := launch(t, fmt.Sprintf(two, "user"), "HEARTH_REDIS_URL="+redis.URL())
	in.awaitReady()
	for _, path := range []string{"/user/1", "/other/1"} {
		testkit.Eventually(t, patience, path+" is remembered", func() bool { return in.get(path).fromMemory() })
	}
	if err := os.WriteFile(in.cmd.Args[2], []byte(fmt.Sprintf(two, "person")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, "the reload is over", func() bool { return in.reloaded("ok") == 1 })
	if r := in.get("/other/1"); !r.fromMemory() {
		t.Errorf("what has not changed is answered %s", r)
	}
	r := in.get("/user/1")
	if r.body != `{"person":{"id":1},"source":"cache"}` || !strings.HasPrefix(r.tiers, "Hearth-Redis; hit") {
		t.Errorf("what has changed is answered %s", r)
	}
	if r := in.get("/user/1"); !r.fromMemory() || !strings.HasPrefix(r.body, `{"person"`) {
		t.Errorf("and then %s", r)
	}
}

// TestReloadOfNothing: a file that is gone is a broken one, and a second signal
// while a reload is under way is not lost.
func TestReloadOfNothing(t *testing.T) {
	in := launch(t, "[server]\ndrain = \"0s\"\n[embedded]\npath = \"tier.db\"\n")
	in.awaitReady()
	if err := os.Rename(in.cmd.Args[2], in.cmd.Args[2]+".away"); err != nil {
		t.Fatal(err)
	}
	hup := func() {
		if err := in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup()
	testkit.Eventually(t, patience, "the reload has failed", func() bool { return in.reloaded("failed") == 1 })
	if err := os.Rename(in.cmd.Args[2]+".away", in.cmd.Args[2]); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		hup()
	}
	testkit.Eventually(t, patience, "the last state of the file is served", func() bool { return in.reloaded("ok") >= 1 })
	if in.get("/").code != http.StatusOK {
		t.Error("nothing is served")
	}
	began := time.Now()
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Wait(); err != nil {
		t.Errorf("the end after %v: %v", time.Since(began), err)
	}
}

// TestAReloadDoesNotChangeTheDatabase: copies of the old one's records would be
// served for the new one's. A reload that changes a statement under the same key
// is obeyed, and the log says what that means.
func TestAReloadDoesNotChangeTheDatabase(t *testing.T) {
	config := func(file, columns string) string {
		return `
[server]
drain = "0s"
[embedded]
path = "tier.db"
[database]
url = "sqlite:` + file + `"
init = ["CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, of TEXT DEFAULT '` + file + `')", "INSERT OR IGNORE INTO users (id) VALUES (1)"]
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT ` + columns + ` FROM users WHERE id = {user_id}"
`
	}
	in := launch(t, config("one.db", "of"))
	in.awaitReady()
	f := func(text, result, want string) {
		t.Helper()
		if err := os.WriteFile(in.cmd.Args[2], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		in.reload(result)
		if r := in.get("/user/1"); !strings.Contains(r.body, want) {
			t.Errorf("got %s, want %s", r, want)
		}
	}
	const one = `{"user":{"of":"one.db"}`
	f(config("one.db", "of"), "ok", one)
	f(config("two.db", "of"), "failed", one)
	f("[server]\ndrain = \"0s\"\n[embedded]\npath = \"tier.db\"\n", "ok", `"status":404`) // no way round
	f(config("two.db", "of"), "failed", `"status":404`)
	f(config("one.db", "of"), "ok", one)
	f(config("one.db", "of, id"), "ok", one) // the copy in the shared tier
	for _, want := range []string{"database.url names another database", "were made by another select"} {
		testkit.Eventually(t, patience, "the log says "+want, func() bool {
			log, err := os.ReadFile(filepath.Join(filepath.Dir(in.cmd.Args[2]), "hearth.log"))
			return err == nil && strings.Contains(string(log), want)
		})
	}
}

// TestARestartWithAnotherDatabaseIsNoticed, and one with another statement: the copies
// of before are still there. An account that is rotated is none of that.
func TestARestartWithAnotherDatabaseIsNoticed(t *testing.T) {
	redis := testkit.Redis(t)
	dir := t.TempDir()
	f := func(file, columns string, want ...string) {
		t.Helper()
		in := launch(t, fmt.Sprintf(`
[server]
drain = "0s"
[database]
url = "sqlite:%s"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT %s FROM users WHERE id = {user_id}"
`, filepath.Join(dir, file), columns), "HEARTH_REDIS_URL="+redis.URL())
		in.awaitReady()
		noted := redis.Text("GET", "hearth:source:user:{user_id}")
		testkit.Eventually(t, patience, "the copies' origin is noted", func() bool {
			noted = redis.Text("GET", "hearth:source:user:{user_id}")
			return strings.Contains(noted, "database")
		})
		log := filepath.Join(filepath.Dir(in.cmd.Args[2]), "hearth.log")
		said := func() string {
			b, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		for _, w := range want {
			testkit.Eventually(t, patience, "the log says "+w, func() bool { return strings.Contains(said(), w) })
		}
		if err := in.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := in.cmd.Wait(); err != nil {
			t.Error(err)
		}
		if len(want) == 0 && strings.Contains(said(), "copies under the key") {
			t.Errorf("the log warns for nothing: %s", said())
		}
	}
	f("one.db", "id")
	f("one.db", "id")
	f("two.db", "id", "were made from another database")
	f("two.db", "id, name", "were made by another select")
	f("two.db", "id, name")
}
