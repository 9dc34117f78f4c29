package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
	"hearth/internal/testkit/topology"
)

// single is one server, reached by TCP.
func single(s *testkit.RedisServer) deployed {
	return deployed{url: s.URL(), past: outside.One(s), restart: func() { s.Stop(); s.Start() }}
}

func onASocket(t *testing.T) deployed {
	redis := testkit.Redis(t)
	d := single(redis)
	d.url, d.past = redis.SocketURL(2), nil
	d.after = func(s *story) {
		if text := redis.Text("INFO", "keyspace"); !strings.Contains(text, "db2:") || strings.Contains(text, "db0:") {
			s.Errorf("keys are in another database than number 2: %s", text)
		}
	}
	return d
}

func overTLS(t *testing.T, clients bool) deployed {
	redis := testkit.TLSRedis(t, clients)
	d := single(redis.RedisServer)
	d.url, d.config = redis.URL(), fmt.Sprintf("[redis.tls]\nca = %q\n", redis.File("ca.crt"))
	if clients {
		d.config += fmt.Sprintf("cert = %q\nkey = %q\n", redis.File("client.crt"), redis.File("client.key"))
	}
	return d
}

// withTheAccount uses the account that docs/consistency.md tells operators to make.
func withTheAccount(t *testing.T) deployed {
	page, err := os.ReadFile("../docs/consistency.md")
	must(t, err)
	_, line, found := strings.Cut(string(page), "\nACL SETUSER hearth ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("docs/consistency.md has no line that makes an account")
	}
	redis := testkit.Redis(t, testkit.WithConfig("user hearth "+line))
	d := single(redis)
	d.url = "redis://hearth:password@" + redis.Addr()
	return d
}

// fill writes keys with a lifetime until the server has dropped some.
func fill(t testing.TB, redis *testkit.RedisServer) {
	t.Helper()
	c := redis.AdminConn()
	defer c.Close()
	await(t, "keys are dropped", func() bool {
		for i := range 100 {
			c.Do("SET", fmt.Sprint("filling:", i, ":", time.Now().UnixNano()), strings.Repeat("x", 16<<10), "EX", "600")
		}
		return !strings.Contains(redis.Text("INFO", "stats"), "evicted_keys:0\r")
	})
}

// withoutMemory refuses batches and counters until there is memory. A PUT is refused
// without reaching the database, or goes all the way.
func withoutMemory(t *testing.T) deployed {
	redis := testkit.Redis(t, testkit.WithConfig("maxmemory 100mb", "maxmemory-policy noeviction"))
	d := single(redis)
	d.after = func(s *story) {
		id, path := s.row()
		s.must(200, "PUT", path, `{"v":"put"}`)
		s.inMemory(path, rowOf(id, "put"))
		redis.Do("CONFIG", "SET", "maxmemory", "1kb") // less than it holds
		// The script of a guard begins with a deletion, and Redis then lets it go on.
		want := map[int]string{200: "taken", 503: "put"}[s.in.Ask("PUT", path, `{"v":"taken"}`).Code]
		s.must(503, "POST", "/batch", `[{"id":"refused"}]`)
		s.must(503, "GET", "/count", "")
		if got := s.in.Get(path); want == "" || got.Code != 200 || !strings.Contains(got.Body, rowOf(id, want)) {
			s.Errorf("without memory: %v, want %q", got, want)
		}
		redis.Do("CONFIG", "SET", "maxmemory", "100mb")
		await(s, "writes go through again", func() bool { return s.in.Ask("PUT", path, `{"v":"after"}`).Code == 200 })
		await(s, "the connection has proved itself again", func() bool { return s.in.Get(path).Unmarked() })
		s.inMemory(path, rowOf(id, "after"))
	}
	return d
}

// withEviction drops keys that have a lifetime: those with copies of rows, and Hearth's own.
func withEviction(t *testing.T) deployed {
	redis := testkit.Redis(t, testkit.WithConfig("maxmemory 8mb", "maxmemory-policy volatile-lru"))
	d := single(redis)
	d.after = func(s *story) {
		fill(s, redis)
		s.ordinary()
		fill(s, redis)
		s.ordinary()
	}
	return d
}

// withATinyTable has Redis forget who has read a key as soon as ten others are read.
func withATinyTable(t *testing.T) deployed {
	redis := testkit.Redis(t, testkit.WithConfig("tracking-table-max-keys 10"))
	d := single(redis)
	d.after = func(s *story) {
		const rows = 100
		first := s.n + 1
		for range rows {
			_, path := s.row()
			s.must(200, "PUT", path, `{"v":"1"}`)
			s.must(200, "GET", path, "")
		}
		for id := first; id < first+rows; id++ { // whatever memory still has is reported
			must(s, s.past.Set(fmt.Sprintf("user:%d", id), rowOf(id, "2")))
			await(s, "the change is seen", func() bool {
				got := s.in.Get(fmt.Sprintf("/row/%d", id))
				return got.Unmarked() && strings.Contains(got.Body, rowOf(id, "2"))
			})
		}
	}
	return d
}

// withATimeout ends connections on which nothing was said for a second (five in the long
// form). Hearth's are not among them.
func withATimeout(t *testing.T) deployed {
	seconds := 1
	if testkit.Long() {
		seconds = 5
	}
	redis := testkit.Redis(t, testkit.WithConfig(fmt.Sprintf("timeout %d", seconds)))
	d := single(redis)
	d.env = "HEARTH_MEMORY_LINK_TIMEOUT=2s" // the default: something is said four times in that
	ours := func() string {
		var ids []string
		for line := range strings.Lines(redis.Text("CLIENT", "LIST")) {
			if strings.Contains(line, "name=hearth") {
				ids = append(ids, strings.Fields(line)[0])
			}
		}
		return strings.Join(ids, " ")
	}
	d.after = func(s *story) {
		id, path := s.row()
		s.must(200, "PUT", path, `{"v":"put"}`)
		s.inMemory(path, rowOf(id, "put"))
		before := ours()
		idle := testkit.DialRedis(s, redis.Addr())
		idle.Do("PING")
		if _, err := idle.Receive(); err == nil {
			s.Error("an idle connection is answered what it has not asked")
		}
		if after := ours(); after != before || before == "" {
			s.Errorf("the connections were %q, and are %q after the timeout", before, after)
		}
		if !s.says(s.in.Get(path), rowOf(id, "put")) {
			s.Error("after the timeout memory is not trusted")
		}
		s.must(200, "PUT", path, `{"v":"after"}`)
		// Those of the other program have ended, too.
		await(s, "the other program is connected", func() bool { return s.past.Set("item:any", "1") == nil })
	}
	return d
}

// whileLoading starts the instance while Redis reads a dump: rows are answered marked, and
// nothing is written.
func whileLoading(t *testing.T) deployed {
	redis := testkit.Redis(t)
	redis.Do("DEBUG", "POPULATE", "20000", "filling", "100")
	redis.Stop()
	loaded := redis.StartLoading()
	d := single(redis)
	d.before = func(s *story) {
		await(s, "the instance serves", func() bool { return s.in.Get("/healthz").Code == 200 })
		_, path := s.row()
		if got := s.in.Get(path); got.Code != 404 {
			s.Errorf("while Redis loads: %v, want what the database says", got)
		}
		s.must(503, "PUT", path, `{"v":"refused"}`)
		s.must(503, "POST", "/batch", `[{"id":"refused"}]`)
		if got := s.in.AskAdmin("GET", "/readyz", ""); got.Code != 503 {
			s.Errorf("while Redis loads /readyz is answered %v", got)
		}
		loaded()
	}
	return d
}

// withSentinels is a master with two replicas, and three sentinels.
func withSentinels(t *testing.T) deployed {
	all := topology.NewSentinels(t, time.Second)
	return deployed{
		url: all.URL(), past: all.Past(),
		restart: func() { master := all.Master(); master.Stop(); master.Start() },
		ready:   all.AwaitWhole,
	}
}

// inACluster is three masters with a replica each.
func inACluster(t *testing.T) deployed {
	all := topology.NewCluster(t, 3, time.Second)
	return deployed{
		url: all.URL(), past: all.Past(),
		restart: func() {
			for _, n := range all.Nodes() {
				n.Stop()
			}
			for _, n := range all.Nodes() {
				n.Start()
			}
		},
		ready: all.AwaitWhole,
	}
}
