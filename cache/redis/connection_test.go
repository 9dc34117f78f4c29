package redis

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/internal/testkit"
)

// told are reads that note what a connection tells of them.
type told struct {
	Reads
	mu     sync.Mutex
	events []string
	bound  []*memory.Owner
}

func (r *told) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *told) Bind(o *memory.Owner, key string, _ int64) {
	r.note("bind " + key)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound = append(r.bound, o)
}
func (r *told) Arrived(_ *memory.Owner, key string)   { r.note("arrived " + key) }
func (r *told) Refused(_ *memory.Owner, key string)   { r.note("refused " + key) }
func (r *told) Abandoned(_ *memory.Owner, key string) { r.note("abandoned " + key) }
func (r *told) Flushed(*memory.Owner)                 { r.note("flushed") }
func (r *told) Closed(o *memory.Owner)                { o.End(); r.note("closed") }

// TestConnectionEndsAnyWay: rueidis closes a connection's cache once, twice or never,
// and calls it from several goroutines meanwhile.
func TestConnectionEndsAnyWay(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) (*told, rueidis.CacheStore) {
		t.Helper()
		reads := &told{}
		c := Config{URL: "redis://127.0.0.1:1", LinkTimeout: time.Second, Log: slog.New(slog.DiscardHandler)}
		tier, err := New(c, memory.New(memory.Config{Budget: 1 << 20}), reads)
		if err != nil {
			t.Fatal(err)
		}
		return reads, &connection{node: tier.newNode(soleNode, nil), of: &connections{}}
	}
	end := rueidis.ErrDoCacheAborted
	use := func(c rueidis.CacheStore, key string) { c.Flight(key, "GET", time.Minute, time.Now()) }
	want := func(t *testing.T, r *told, events ...string) {
		t.Helper()
		if !slices.Equal(r.events, events) {
			t.Errorf("reads were told %q, want %q", r.events, events)
		}
	}
	t.Run("never used", func(t *testing.T) {
		r, c := open(t)
		c.Update("k", "GET", rueidis.RedisMessage{})
		c.Cancel("k", "GET", errors.New("no"))
		c.Delete(nil)
		c.Close(end)
		c.Close(end)
		want(t, r)
	})
	t.Run("in the order of the wire", func(t *testing.T) {
		r, c := open(t)
		use(c, "a")
		c.Update("a", "GET", rueidis.RedisMessage{})
		use(c, "b")
		c.Cancel("b", "GET", context.DeadlineExceeded)
		use(c, "c")
		c.Cancel("c", "GET", rueidis.ErrDoCacheAborted)
		c.Delete(nil)
		c.Close(end)
		c.Close(end)
		want(t, r, "bind a", "arrived a", "bind b", "abandoned b", "bind c", "refused c", "flushed", "closed", "closed")
		if r.bound[0] != r.bound[1] || r.bound[1] != r.bound[2] {
			t.Error("one connection has several owners")
		}
	})
	t.Run("used after its end", func(t *testing.T) {
		r, c := open(t)
		c.Close(end)
		use(c, "k")
		if len(r.bound) != 1 || !r.bound[0].Ended() {
			t.Error("a read on a closed connection belongs to an owner that lives")
		}
	})
	t.Run("closed while others use it", func(t *testing.T) {
		r, c := open(t)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 1000 {
					use(c, "k")
					c.Update("k", "GET", rueidis.RedisMessage{})
				}
			})
		}
		all.Go(func() {
			c.Delete(nil)
			c.Close(end)
			c.Close(end)
		})
		all.Wait()
		for _, o := range r.bound {
			if !o.Ended() {
				t.Fatal("an owner of a closed connection lives")
			}
		}
	})
}

// replied is an error reply of Redis as rueidis returns it.
func replied(t *testing.T, text string) error {
	t.Helper()
	s := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Handshake()
		c.Expect("GET", "k")
		c.Reply(testkit.Error(text))
	})
	c, _, err := dialOnce(rueidis.ClientOption{DisableCache: true, DisableRetry: true}, s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Do(t.Context(), c.B().Get().Key("k").Build()).Error()
}
