package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// versioned is what the tests of this file keep in a key.
type versioned struct {
	Item struct {
		V int64 `json:"v"`
	} `json:"item"`
}

func versionOf(t testing.TB, r launch.Reply) int64 {
	var got versioned
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		t.Errorf("answered %v: %v", r, err)
	}
	return got.Item.V
}

// demo starts an instance with the demo's configuration over a Redis.
func demo(tb testing.TB, redis *testkit.RedisServer, env ...string) *launch.Instance {
	tb.Helper()
	return launch.Ready(tb, launch.Demo(tb), append(env, "HEARTH_REDIS_URL="+redis.URL())...)
}

func value(v int64) string { return fmt.Sprintf(`{"v":%d}`, v) }

// TestSilentLink freezes Redis, connections open, while an instance answers
// from memory: promise C3. Once link_timeout has passed since the
// last sign of life no unmarked answer may come.
func TestSilentLink(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	in := demo(t, redis)
	redis.Do("SET", "item:1", value(1))
	c := in.MustDial()
	testkit.Eventually(t, 10*time.Second, "the item is in memory", func() bool {
		return strings.HasPrefix(c.Get("/item/1").Tiers, "Hearth-Memory; hit")
	})
	redis.Pause()
	frozen := time.Now()
	var last time.Duration // when the last unmarked answer was asked for
	testkit.Eventually(t, 20*time.Second, "answers are marked stale", func() bool {
		asked := time.Since(frozen)
		got := c.Get("/item/1")
		if versionOf(t, got) != 1 {
			t.Errorf("answered %v", got)
		}
		if got.Unmarked() {
			last = asked
		}
		return strings.Contains(got.Tiers, "detail=stale")
	})
	t.Logf("the last unmarked answer was asked for %v after Redis fell silent, the first marked one came after %v", last, time.Since(frozen))
	redis.Resume()
	testkit.Eventually(t, 20*time.Second, "answers are unmarked again", func() bool {
		return c.Get("/item/1").FromMemory()
	})
}

// TestFrozenProcess stops an instance (SIGSTOP) while keys change and their
// invalidations wait in the socket, then lets it go on. What it answers from
// then on must be marked or new: the request's clock is read after it arrived.
func TestFrozenProcess(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	in := demo(t, redis, "HEARTH_MEMORY_LINK_TIMEOUT=500ms")
	const keys = 50
	for i := range keys {
		redis.Do("SET", fmt.Sprintf("item:%d", i), value(1))
	}
	c := in.MustDial()
	for i := range keys {
		testkit.Eventually(t, 10*time.Second, "the items are in memory", func() bool {
			return strings.HasPrefix(c.Get(fmt.Sprintf("/item/%d", i)).Tiers, "Hearth-Memory; hit")
		})
	}
	stop := 3 * time.Second
	if testkit.Long() {
		stop = time.Minute
	}
	in.Signal(syscall.SIGSTOP)
	for i := range keys {
		redis.Do("SET", fmt.Sprintf("item:%d", i), value(2))
	}
	// The stop has to outlast link_timeout: this wait is the subject of the
	// test, not a way to order its steps.
	<-time.After(stop)
	var conns []*launch.Conn
	for range keys {
		conns = append(conns, in.MustDial())
	}
	var all sync.WaitGroup
	var old atomic.Int64
	for i, c := range conns {
		all.Go(func() { // sent while it stands still, answered first thing
			got := c.Get(fmt.Sprintf("/item/%d", i))
			if versionOf(t, got) == 1 && got.Unmarked() {
				old.Add(1)
				t.Errorf("unmarked old answer: %v", got)
			}
		})
	}
	in.Signal(syscall.SIGCONT)
	all.Wait()
	t.Logf("stopped for %v: %d unmarked old answers out of %d", stop, old.Load(), keys)
}

// BenchmarkInvalidationDelay measures promise C1 from outside: a client SETs a
// key while two instances are polled for it without pause. The delay is the
// time from the acknowledged SET to the last old answer's arrival, 0 if none
// came after it.
func BenchmarkInvalidationDelay(b *testing.B) {
	for _, load := range []int{0, 32} {
		b.Run(fmt.Sprintf("load=%d", load), func(b *testing.B) { benchDelay(b, load) })
	}
}

func benchDelay(b *testing.B, load int) {
	redis := testkit.Redis(b)
	redis.Do("SET", "item:1", value(0))
	stop := make(chan struct{})
	var work sync.WaitGroup
	var reads atomic.Int64
	var watched [2]watcher
	for i := range watched {
		watched[i].seen = make(chan struct{}, 1)
		in := demo(b, redis)
		work.Go(func() { watched[i].poll(b, in.MustDial(), stop) })
		for range load / len(watched) {
			c := in.MustDial()
			work.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						c.Get("/item/1")
						reads.Add(1)
					}
				}
			})
		}
	}
	admin := redis.AdminConn()
	var delays [len(watched)][]time.Duration
	began := time.Now()
	for v := int64(1); b.Loop(); v++ {
		admin.Do("SET", "item:1", value(v))
		acknowledged := time.Now()
		for i := range watched {
			delays[i] = append(delays[i], watched[i].await(v, acknowledged))
		}
	}
	rate := float64(reads.Load()) / time.Since(began).Seconds()
	close(stop)
	work.Wait()
	all := slices.Concat(delays[:]...)
	slices.Sort(all)
	at := func(p float64) float64 { return float64(all[int(p*float64(len(all)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(at(0.999), "p99.9-µs")
	b.ReportMetric(at(1), "max-µs")
	b.ReportMetric(rate, "reads/s")
}

// watcher polls one key and notes when each version was last seen.
type watcher struct {
	seen    chan struct{} // a newer version was seen
	mu      sync.Mutex
	version int64
	old     time.Time // when the last answer older than version arrived
}

func (w *watcher) poll(b *testing.B, c *launch.Conn, stop chan struct{}) {
	var before time.Time
	for {
		select {
		case <-stop:
			return
		default:
		}
		got := c.Get("/item/1")
		now := time.Now()
		v := versionOf(b, got)
		w.mu.Lock()
		if v > w.version {
			w.version, w.old = v, before
			select {
			case w.seen <- struct{}{}:
			default:
			}
		}
		before = now
		w.mu.Unlock()
	}
}

// await returns how long after the acknowledgement v's predecessors were seen.
func (w *watcher) await(v int64, acknowledged time.Time) time.Duration {
	for {
		w.mu.Lock()
		seen, old := w.version, w.old
		w.mu.Unlock()
		if seen >= v {
			return max(0, old.Sub(acknowledged))
		}
		<-w.seen
	}
}

// TestOneNameInAFleet: two instances, one Redis, and a column that ignores case.
// Whatever spelling is asked for, where and when, nobody is served a copy of
// the row that a write has not reached, and Redis has one key for it.
func TestOneNameInAFleet(t *testing.T) {
	t.Parallel()
	redis, post := testkit.Redis(t), testkit.Postgres(t)
	post.Exec(`CREATE EXTENSION citext;
		CREATE TABLE people (email citext PRIMARY KEY, name text);
		INSERT INTO people VALUES ('Ann@x', 'first')`)
	const config = `
[server]
drain = "0s"
[[resource]]
name = "person"
path = "/person/{email:string}"
key = "person:{email}"
select = "SELECT email, name FROM people WHERE email = {email}"
select_many = "SELECT email, name FROM people WHERE email = ANY({email})"
upsert = "INSERT INTO people (email, name) VALUES ({email}, {body.name}) ON CONFLICT (email) DO UPDATE SET email = excluded.email, name = excluded.name"
delete = "DELETE FROM people WHERE email = {email}"
`
	env := []string{"HEARTH_REDIS_URL=" + redis.URL(), "HEARTH_DATABASE_URL=" + post.URL()}
	fleet := []*launch.Instance{launch.Start(t, config, env...), launch.Start(t, config, env...)}
	for _, in := range fleet {
		in.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		in.AwaitReady()
	}
	spellings := []string{"ann@x", "ANN@X", "Ann%40X", "%41nn@x"} // the last one is the row's own
	read := func(in *launch.Instance, want string) {
		t.Helper()
		for _, s := range spellings {
			code, words := http.StatusPermanentRedirect, "own key"
			if s == "%41nn@x" {
				code, words = http.StatusOK, `"name":"`+want+`"`
			}
			if got := in.Get("/person/" + s); got.Code != code || !strings.Contains(got.Body, words) {
				t.Errorf("reading %s: answered %v, want %d with %s", s, got, code, words)
			}
		}
		got := in.Get("/person?email=" + strings.Join(spellings, "&email="))
		if n := strings.Count(got.Body, `"person":null`); got.Code != http.StatusOK || n != 3 || strings.Count(got.Body, `"name":"`+want+`"`) != 1 {
			t.Errorf("reading many: answered %v", got)
		}
	}
	for range 3 { // from the source, from Redis, from memory
		read(fleet[0], "first")
		read(fleet[1], "first")
	}
	for _, s := range spellings[:3] {
		if got := fleet[1].Ask(http.MethodPut, "/person/"+s, `{"name":"lost"}`); got.Code != http.StatusConflict || !strings.Contains(got.Body, "/person/Ann@x") {
			t.Errorf("writing %s: answered %v", s, got)
		}
		if got := fleet[0].Ask(http.MethodDelete, "/person/"+s, ""); got.Code != http.StatusConflict {
			t.Errorf("deleting %s: answered %v", s, got)
		}
	}
	if got := fleet[0].Ask(http.MethodPut, "/person/Ann@x", `{"name":"second"}`); got.Code != http.StatusOK {
		t.Errorf("writing: answered %v", got)
	}
	read(fleet[0], "second")
	await(t, "the other instance hears of it", func() bool {
		return strings.Contains(fleet[1].Get("/person/Ann@x").Body, "second")
	})
	read(fleet[1], "second")
	var keys []string
	for _, key := range redis.Do("KEYS", "person:*").([]any) {
		keys = append(keys, key.(string))
	}
	if !slices.Equal(keys, []string{"person:Ann@x"}) {
		t.Errorf("Redis has %q, want the row's one key", keys)
	}
	if got := post.Text(`SELECT string_agg(email || '=' || name, ' ') FROM people`); got != "Ann@x=second" {
		t.Errorf("the database has %s", got)
	}
}
