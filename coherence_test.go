package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// versioned is what the tests of this file keep in a key.
type versioned struct {
	Item struct {
		V int64 `json:"v"`
	} `json:"item"`
}

func versionOf(t testing.TB, body string) int64 {
	var got versioned
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Errorf("answered %q: %v", body, err)
	}
	return got.Item.V
}

func value(v int64) string { return fmt.Sprintf(`{"v":%d}`, v) }

// TestSilentLink freezes Redis, connections open, while an instance answers
// from memory: promise C3. From the moment when link_timeout has passed since
// the last sign of life no unmarked answer may come.
func TestSilentLink(t *testing.T) {
	redis := testkit.Redis(t)
	in := startInstance(t, redis)
	redis.Do("SET", "item:1", value(1))
	c := in.dial()
	testkit.Eventually(t, 10*time.Second, "the item is in memory", func() bool {
		_, status := c.get("/item/1")
		return strings.HasPrefix(status, "Hearth-Memory; hit")
	})
	redis.Pause()
	frozen := time.Now()
	var last time.Duration // when the last unmarked answer was asked for
	testkit.Eventually(t, 20*time.Second, "answers are marked stale", func() bool {
		asked := time.Since(frozen)
		body, status := c.get("/item/1")
		if versionOf(t, body) != 1 {
			t.Errorf("answered %s", body)
		}
		if unmarked(status) {
			last = asked
		}
		return strings.Contains(status, "detail=stale")
	})
	t.Logf("the last unmarked answer was asked for %v after Redis fell silent, the first marked one came after %v", last, time.Since(frozen))
	redis.Resume()
	testkit.Eventually(t, 20*time.Second, "answers are unmarked again", func() bool {
		_, status := c.get("/item/1")
		return unmarked(status) && strings.HasPrefix(status, "Hearth-Memory; hit")
	})
}

// TestFrozenProcess stops an instance (SIGSTOP) while keys change and their
// invalidations wait in the socket, then lets it go on. What it answers from
// then on must be marked or new: the request's clock is read after it arrived.
func TestFrozenProcess(t *testing.T) {
	redis := testkit.Redis(t)
	in := startInstance(t, redis, "HEARTH_MEMORY_LINK_TIMEOUT=500ms")
	const keys = 50
	for i := range keys {
		redis.Do("SET", fmt.Sprintf("item:%d", i), value(1))
	}
	c := in.dial()
	for i := range keys {
		testkit.Eventually(t, 10*time.Second, "the items are in memory", func() bool {
			_, status := c.get(fmt.Sprintf("/item/%d", i))
			return strings.HasPrefix(status, "Hearth-Memory; hit")
		})
	}
	stop := 3 * time.Second
	if testkit.Long() {
		stop = time.Minute
	}
	if err := in.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		redis.Do("SET", fmt.Sprintf("item:%d", i), value(2))
	}
	// The stop has to outlast link_timeout: this wait is the subject of the
	// test, not a way to order its steps.
	<-time.After(stop)
	var conns []*client
	for range keys {
		conns = append(conns, in.dial())
	}
	var all sync.WaitGroup
	var old atomic.Int64
	for i, c := range conns {
		all.Go(func() { // sent while it stands still, answered first thing
			body, status := c.get(fmt.Sprintf("/item/%d", i))
			if unmarked(status) && versionOf(t, body) == 1 {
				old.Add(1)
				t.Errorf("unmarked old answer: %s (%s)", body, status)
			}
		})
	}
	if err := in.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
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
		in := startInstance(b, redis)
		work.Go(func() { watched[i].poll(b, in.dial(), stop) })
		for range load / len(watched) {
			c := in.dial()
			work.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						c.get("/item/1")
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

func (w *watcher) poll(b *testing.B, c *client, stop chan struct{}) {
	var before time.Time
	for {
		select {
		case <-stop:
			return
		default:
		}
		body, _ := c.get("/item/1")
		now := time.Now()
		v := versionOf(b, body)
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
