package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// reloads is how many SIGHUPs TestReload sends: a thousand in the long form.
func reloads() int {
	if testkit.Long() {
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
func TestReload(t *testing.T) { // not beside others, which would keep it from being a load
	redis := testkit.Redis(t)
	in := launch.Ready(t, reloadable(0), "HEARTH_REDIS_URL="+redis.URL(), "HEARTH_DATABASE_URL="+testkit.Postgres(t).URL())
	load := startLoad(t, in, 8)
	held := func() (goroutines, files float64) { return in.Metric("go_goroutines"), in.Metric("process_open_fds") }
	goroutinesBefore, filesBefore := held()
	served := 0
	for n := 1; n <= reloads(); n++ {
		text, result := reloadable(n), "ok"
		if n%2 == 0 {
			text, result = broken(n/2), "failed"
		}
		in.Configure(text)
		in.Reload(result)
		if result == "ok" {
			served = n
		}
		if got, want := in.Get("/user/1").Header.Get("Cache-Control"), "max-age="+strconv.Itoa(served); got != want {
			t.Fatalf("after reload %d (%s): Cache-Control is %q, want %q", n, result, got, want)
		}
		if code := in.Get("/extra/1").Code; (code == http.StatusOK) != (served%3 == 0) {
			t.Fatalf("after reload %d (%s): /extra/1 is answered %d, and configuration %d is served", n, result, code, served)
		}
	}
	load.end()
	if n := load.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, first %s", n, load.asked.Load(), load.first.Load())
	}
	t.Logf("%d reloads, %d requests, %d failed", reloads(), load.asked.Load(), load.failed.Load())
	in.HTTP.CloseIdleConnections()
	// What a reload has replaced is kept for as long as a load may last.
	var goroutines, files float64
	defer func() {
		if t.Failed() {
			t.Logf("%v goroutines, %v before; %v descriptors, %v before\n%s", goroutines, goroutinesBefore, files, filesBefore,
				in.AskAdmin(http.MethodGet, "/debug/pprof/goroutine?debug=1", "").Body)
		}
	}()
	testkit.Eventually(t, 2*launch.Patience, "the process holds no more than at the beginning", func() bool {
		goroutines, files = held()
		return goroutines <= goroutinesBefore+6 && files <= filesBefore+6 // pools grow as they are needed
	})
}

// load is clients that read and write, each as fast as it is answered.
type load struct {
	asked, failed atomic.Int64
	first         atomic.Value // the first failure
	over          chan struct{}
	clients       sync.WaitGroup
}

func startLoad(t *testing.T, in *launch.Instance, clients int) *load {
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
				var r launch.Reply
				if i%50 == 0 {
					r = in.Ask(http.MethodPut, "/user/"+id, `{"name":"n`+strconv.Itoa(i)+`"}`)
				} else {
					r = in.Get("/user/" + id)
				}
				l.asked.Add(1)
				if r.Code != http.StatusOK {
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
	t.Parallel()
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
	in := launch.Ready(t, fmt.Sprintf(two, "user"), "HEARTH_REDIS_URL="+redis.URL())
	for _, path := range []string{"/user/1", "/other/1"} {
		await(t, path+" is remembered", func() bool { return in.Get(path).FromMemory() })
	}
	in.Configure(fmt.Sprintf(two, "person"))
	in.Reload("ok")
	if r := in.Get("/other/1"); !r.FromMemory() {
		t.Errorf("what has not changed is answered %s", r)
	}
	r := in.Get("/user/1")
	if r.Body != `{"person":{"id":1},"source":"cache"}` || !strings.HasPrefix(r.Tiers, "Hearth-Redis; hit") {
		t.Errorf("what has changed is answered %s", r)
	}
	if r := in.Get("/user/1"); !r.FromMemory() || !strings.HasPrefix(r.Body, `{"person"`) {
		t.Errorf("and then %s", r)
	}
}

// TestReloadOfLifetimes: another ttl of a batch is that of what is stored from then on, and
// what memory has of its resource stays.
func TestReloadOfLifetimes(t *testing.T) {
	t.Parallel()
	const items = `
[server]
drain = "0s"
[embedded]
path = "tier.db"
[[batch]]
path = "/items"
resource = "item"
ttl = "%s"
[[resource]]
name = "item"
path = "/item/{id:int}"
key = "item:{id}"
`
	in := launch.Ready(t, fmt.Sprintf(items, "1h"))
	store := func(body string) {
		t.Helper()
		if r := in.Ask("POST", "/items", body, "Content-Type: application/json"); r.Code != http.StatusOK {
			t.Fatalf("storing %s is answered %s", body, r)
		}
	}
	ends := func(path, want string) {
		t.Helper()
		if r := in.Get(path); !strings.HasPrefix(r.Tiers, "Hearth-Embedded; hit; ttl="+want) {
			t.Errorf("%s is answered %s; want a ttl of %s…", path, r, want)
		}
	}
	store(`[{"id":1},{"id":2}]`)
	ends("/item/1", "3")
	in.Configure(fmt.Sprintf(items, "2h"))
	in.Reload("ok")
	store(`[{"id":2}]`)
	if r := in.Get("/item/1"); !r.FromMemory() {
		t.Errorf("what was stored before is answered %s", r)
	}
	ends("/item/2", "7")
	in.Configure(fmt.Sprintf(items, "1us"))
	in.Reload("failed")
	store(`[{"id":2}]`)
	ends("/item/2", "7")
}

// TestReloadOfNothing: a file that is gone is a broken one, and a second signal
// while a reload is under way is not lost.
func TestReloadOfNothing(t *testing.T) {
	t.Parallel()
	in := launch.Ready(t, "[server]\ndrain = \"0s\"\n[embedded]\npath = \"tier.db\"\n")
	must(t, os.Rename(in.File, in.File+".away"))
	in.Reload("failed")
	must(t, os.Rename(in.File+".away", in.File))
	for range 20 {
		in.Signal(syscall.SIGHUP)
	}
	await(t, "the last state of the file is served", func() bool { return in.Reloads("ok") >= 1 })
	if in.Get("/").Code != http.StatusOK {
		t.Error("nothing is served")
	}
	in.Stop()
}

// TestAReloadDoesNotChangeTheDatabase: copies of the old one's records would be
// served for the new one's. A reload that changes a statement under the same key
// is obeyed, and the log says what that means.
func TestAReloadDoesNotChangeTheDatabase(t *testing.T) {
	t.Parallel()
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
	in := launch.Ready(t, config("one.db", "of"))
	f := func(text, result, want string) {
		t.Helper()
		in.Configure(text)
		in.Reload(result)
		if r := in.Get("/user/1"); !strings.Contains(r.Body, want) {
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
		await(t, "the log says "+want, func() bool { return strings.Contains(in.Logs(), want) })
	}
}

// TestARestartWithAnotherDatabaseIsNoticed: the copies of the old one are still in
// Redis, and the log warns. The same holds for another statement.
func TestARestartWithAnotherDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	dir := t.TempDir()
	f := func(file, columns string, want ...string) {
		t.Helper()
		in := launch.Start(t, fmt.Sprintf(`
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
		in.AwaitReady()
		await(t, "the copies' origin is noted", func() bool {
			return strings.Contains(redis.Text("GET", "hearth:source:user:{user_id}"), "database")
		})
		for _, w := range want {
			await(t, "the log says "+w, func() bool { return strings.Contains(in.Logs(), w) })
		}
		in.Signal(syscall.SIGINT)
		if got := in.Wait(); got != 0 {
			t.Errorf("ended with %#x", int(got))
		}
		if len(want) == 0 && strings.Contains(in.Logs(), "copies under the key") {
			t.Errorf("the log warns for nothing: %s", in.Logs())
		}
	}
	f("one.db", "id")
	f("one.db", "id")
	f("two.db", "id", "were made from another database")
	f("two.db", "id, name", "were made by another select")
	f("two.db", "id, name")
}
