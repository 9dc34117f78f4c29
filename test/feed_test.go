package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/command"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// The change feed in the whole program: somebody changes rows past all instances, and
// every memory has the new ones. How late they are is the matter of proof/feed.

// fed is a configuration over a database and a shared tier, with the feed on.
func fed(tb testing.TB, database, redis string, more string) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "config.toml")
	text := fmt.Sprintf(`
[redis]
url = %q
[embedded]
path = %q
[database]
url = %q
[feed]
mode = "outbox"
degraded_after = "1s"
degraded_ttl = "2s"
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id, name, city FROM users WHERE id = {user_id}"
upsert = "UPDATE users SET city = {body.city} WHERE id = {user_id}"
[[resource]]
name = "city"
path = "/city/{city:string}"
key = "city:{city}"
rows = "many"
select = "SELECT id, name FROM users WHERE city = {city} ORDER BY id"
%s`, redis, filepath.Join(tb.TempDir(), "hearth.db"), database, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// feedVerb runs a verb of hearth feed.
func feedVerb(tb testing.TB, file string, args ...string) (out string, status int) {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	status = command.Run(command.Process{
		Version: "test", Args: append([]string{"-config", file, "feed"}, args...), Env: os.Environ(), Stdout: &stdout, Stderr: &stderr,
	})
	return stdout.String() + stderr.String(), status
}

func install(tb testing.TB, file string) {
	tb.Helper()
	if out, status := feedVerb(tb, file, "install", "-apply"); status != 0 {
		tb.Fatalf("hearth feed install -apply: status %d\n%s", status, out)
	}
}

const feedTables = `
CREATE TABLE users (id int PRIMARY KEY, name varchar(100), city varchar(100));
INSERT INTO users VALUES (1, 'Ann', 'Rome'), (2, 'Bob', 'Rome'), (3, 'Cid', 'Oslo');`

// city is the city of a user as an instance answers it now, "" if there is none such.
func city(tb testing.TB, in *launch.Instance, id int) string {
	var got struct {
		User struct {
			City string `json:"city"`
		} `json:"user"`
	}
	r := in.Get(fmt.Sprint("/user/", id))
	if !r.Unmarked() {
		return "marked"
	}
	if r.Code == 404 {
		return ""
	}
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		tb.Errorf("answered %v: %v", r, err)
	}
	return got.User.City
}

// TestAnUpdateByAnybodyReachesEveryMemory: on every kind of database and both tiers.
func TestAnUpdateByAnybodyReachesEveryMemory(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (url string, exec func(sql string)){
		"PostgreSQL": func(t *testing.T) (string, func(string)) { d := testkit.Postgres(t); return d.URL(), d.Exec },
		"MariaDB":    func(t *testing.T) (string, func(string)) { d := testkit.MariaDB(t); return d.URL(), d.Exec },
		"SQLite": func(t *testing.T) (string, func(string)) {
			file := filepath.Join(t.TempDir(), "data.db")
			shell, err := testkit.SQLite(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(shell.Close)
			return "sqlite:" + file, func(sql string) {
				if !strings.HasSuffix(sql, ";") {
					sql += ";"
				}
				if _, err := shell.Do(sql); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, exec := start(t)
			exec(feedTables)
			redis := testkit.Redis(t)
			file := fed(t, url, redis.URL(), "")
			install(t, file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a, b := launch.Ready(t, string(text)), launch.Ready(t, string(text))
			everywhere := func(id int, want string) {
				t.Helper()
				for _, in := range []*launch.Instance{a, b} {
					testkit.Eventually(t, 20*time.Second, fmt.Sprintf("user %d lives in %q", id, want), func() bool { return city(t, in, id) == want })
				}
			}
			testkit.Eventually(t, 20*time.Second, "the feed is live", func() bool {
				return a.Metric("hearth_feed_live") == 1 && b.Metric("hearth_feed_live") == 1
			})
			everywhere(1, "Rome")
			everywhere(9, "")
			exec("UPDATE users SET city = 'Bonn' WHERE id = 1")
			everywhere(1, "Bonn")
			exec("INSERT INTO users VALUES (9, 'Ida', 'Bern')")
			everywhere(9, "Bern")
			for _, in := range []*launch.Instance{a, b} {
				testkit.Eventually(t, 20*time.Second, "the list of Rome is of one", func() bool {
					return strings.Contains(in.Get("/city/Rome").Body, "Bob") && !strings.Contains(in.Get("/city/Rome").Body, "Ann")
				})
			}
			exec("UPDATE users SET id = 10 WHERE id = 9")
			everywhere(9, "")
			everywhere(10, "Bern")
			exec("DELETE FROM users WHERE id = 10")
			everywhere(10, "")
			// What Hearth itself writes is told by its writer's token, and costs no load.
			loads := func() float64 {
				const series = `hearth_loads_total{resource="user",result="ok"}`
				return a.Metric(series) + b.Metric(series)
			}
			if got := a.Ask("PUT", "/user/2", `{"city":"Wien"}`); got.Code != 200 {
				t.Fatalf("a PUT is answered %v", got)
			}
			exec("UPDATE users SET city = 'Graz' WHERE id = 3") // told behind it
			everywhere(3, "Graz")
			before := loads()
			everywhere(2, "Wien")
			if got := loads() - before; got != 0 && name != "SQLite" { // which has no place for the token
				t.Errorf("an own write costs %v loads", got)
			}
			if leaders := a.Metric("hearth_feed_leader") + b.Metric("hearth_feed_leader"); leaders != 1 {
				t.Errorf("%v instances drain the outbox", leaders)
			}
			// One beat that is late on a machine with much to do is no feed that is lost.
			testkit.Eventually(t, 20*time.Second, "hearth feed status says that the feed is live", func() bool {
				_, status := feedVerb(t, file, "status")
				return status == 0
			})
		})
	}
}

// TestTheEmbeddedTierIsTold: one process with nothing but a database.
func TestTheEmbeddedTierIsTold(t *testing.T) {
	t.Parallel()
	d := testkit.Postgres(t)
	d.Exec(feedTables)
	file := fed(t, d.URL(), "", "")
	install(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := launch.Ready(t, string(text))
	testkit.Eventually(t, 20*time.Second, "the feed is live", func() bool { return in.Metric("hearth_feed_live") == 1 })
	for _, want := range []string{"Rome", "Bonn", "Bern"} {
		d.Exec("UPDATE users SET city = '" + want + "' WHERE id = 1")
		testkit.Eventually(t, 20*time.Second, "the city is "+want, func() bool { return city(t, in, 1) == want })
	}
}

// TestOwnWritesAreNotLoadedAgain: a PUT's own event leaves the record that it has put.
func TestOwnWritesAreNotLoadedAgain(t *testing.T) {
	t.Parallel()
	d := testkit.Postgres(t)
	d.Exec(feedTables)
	redis := testkit.Redis(t)
	file := fed(t, d.URL(), redis.URL(), "")
	install(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := launch.Ready(t, string(text))
	testkit.Eventually(t, 20*time.Second, "the feed is live", func() bool { return in.Metric("hearth_feed_live") == 1 })
	loads := in.Metric(`hearth_loads_total{resource="user",result="ok"}`)
	const writes = 20
	for n := range writes {
		if r := in.Ask("PUT", "/user/1", fmt.Sprintf(`{"city":"c%d"}`, n)); r.Code != 200 {
			t.Fatalf("PUT: %v", r)
		}
		drained := in.Metric(`hearth_feed_rows_total{result="drained"}`)
		testkit.Eventually(t, 20*time.Second, "the event is drained", func() bool {
			return in.Metric(`hearth_feed_rows_total{result="drained"}`) > drained || d.Int("SELECT count(*) FROM hearth.feed WHERE watch > 0") == 0
		})
		if got := city(t, in, 1); got != fmt.Sprint("c", n) {
			t.Fatalf("read %q after writing c%d", got, n)
		}
	}
	if again := in.Metric(`hearth_loads_total{resource="user",result="ok"}`) - loads; again > writes/4 {
		t.Errorf("%v of %d writes were followed by a load", again, writes)
	}
}

// TestNobodyDrains: the triggers are gone. It is known, and copies live shorter.
func TestNobodyDrains(t *testing.T) {
	t.Parallel()
	d := testkit.Postgres(t)
	d.Exec(feedTables)
	redis := testkit.Redis(t)
	file := fed(t, d.URL(), redis.URL(), "")
	install(t, file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := launch.Ready(t, string(text))
	testkit.Eventually(t, 20*time.Second, "the feed is live", func() bool { return in.Metric("hearth_feed_live") == 1 })
	if got := city(t, in, 1); got != "Rome" {
		t.Fatalf("read %q", got)
	}
	if out, status := feedVerb(t, file, "remove", "-apply"); status != 0 {
		t.Fatalf("hearth feed remove: %d\n%s", status, out)
	}
	d.Exec("UPDATE users SET city = 'Bonn' WHERE id = 1")
	testkit.Eventually(t, 30*time.Second, "the copy is not trusted any more", func() bool { return city(t, in, 1) == "Bonn" })
	testkit.Eventually(t, 20*time.Second, "it is known", func() bool {
		return in.Metric("hearth_feed_live") == 0 && in.Metric(`hearth_feed_degraded{resource="user"}`) == 1
	})
	if r := in.AskAdmin("GET", "/readyz", ""); r.Code != 200 || !strings.Contains(r.Body, "feed") {
		t.Errorf("/readyz: %v", r)
	}
	install(t, file)
	testkit.Eventually(t, 30*time.Second, "the feed is live again", func() bool {
		return in.Metric("hearth_feed_live") == 1 && in.Metric(`hearth_feed_degraded{resource="user"}`) == 0
	})
}
