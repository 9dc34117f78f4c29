package cache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

func waitDown(t *testing.T, c *Cache) {
	t.Helper()
	testkit.Eventually(t, patience, "the outage is noticed", func() bool { return c.Up() != nil })
}

func waitUp(t *testing.T, c *Cache) {
	t.Helper()
	testkit.Eventually(t, patience, "the tier is back", func() bool { return c.Up() == nil && proven(c) && !held(c) })
}

// held tells whether answers are marked because a server of Redis has just taken the
// place of another.
func held(c *Cache) bool {
	r, ok := c.tier.(*redis.Tier)
	return ok && slices.ContainsFunc(r.State().Nodes, func(n redis.NodeState) bool { return n.Held })
}

func TestRedisAway(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1", "2", "2"))
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	d.wantRead("1", "1", TierMemory)
	goroutines := runtime.NumGoroutine()
	srv.Kill()
	waitDown(t, d.Cache)

	d.book.write("1", "newer, and nobody can know")
	if a := d.wantRead("1", "1", TierStale); a.Detail != "stale" || a.TTL >= 0 || a.FromDB {
		t.Errorf("the copy in memory: got %+v, want it marked stale", a)
	}
	if a := d.wantRead("2", "2", TierSource); a.Detail != "untracked" || !a.Stored {
		t.Errorf("a load: got %+v, want it marked untracked and kept", a)
	}
	d.book.write("2", "3")
	testkit.Eventually(t, patience, "an untracked copy lives for untracked_ttl only", func() bool {
		a, err := d.read("2")
		if err != nil || a.Detail != "untracked" {
			t.Fatalf("got %+v, %v", a, err)
		}
		return string(a.Data()) == "3"
	})
	if a := d.wantRead("absent", "null", TierSource); a.Detail != "untracked" || !a.Entry.Missing() {
		t.Errorf("an absent record: got %+v", a)
	}
	if _, err := d.put("1", "5"); !errors.Is(err, ErrUnavailable) || d.book.row("1") == "5" {
		t.Errorf("a write: got %v, the source has %s, want it refused and the source untouched", err, d.book.row("1"))
	}
	if errs := d.Store(within(t), []Item{{Key: "a"}, {Key: "b"}}, 0); len(errs) != 2 || !errors.Is(errs[0], ErrUnavailable) {
		t.Errorf("storing items: got %v", errs)
	}
	if _, err := d.Increment(within(t), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("counting: got %v", err)
	}
	if got, err := d.readMany("1", "2", "1"); err != nil || string(got[0].Data()) != "1" || got[0].Tier != TierStale {
		t.Errorf("reading many: %v, %v", got, err)
	}
	shelf := newDesk(t, d.Cache, nil)
	if _, err := shelf.read("nowhere else"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a resource without a source: got %v, want ErrUnavailable", err)
	}

	d.book.write("1", "7")
	srv.StartEmpty()
	srv.Do("SET", d.key("2"), "9")
	waitUp(t, d.Cache)
	d.wantRead("2", "9", TierRedis) // other data than before
	d.wantRead("2", "9", TierMemory)
	d.wantRead("1", "7", TierSource)
	d.wantRead("1", "7", TierRedis)
	d.mustPut("1", "8")
	d.wantRead("1", "8", TierRedis)
	testkit.Eventually(t, patience, "goroutines are back to where they were", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

func TestRedisAwayFromTheBeginning(t *testing.T) {
	srv := testkit.Redis(t)
	srv.Kill()
	d := newDesk(t, openUnproven(t, srv), newLedger("1", "1"))
	if a := d.wantRead("1", "1", TierSource); a.Detail != "untracked" {
		t.Errorf("got %+v, want it marked untracked", a)
	}
	srv.StartEmpty()
	waitUp(t, d.Cache)
	testkit.Eventually(t, patience, "the record is in memory", func() bool {
		a, err := d.read("1")
		return err == nil && a.Tier == TierMemory && a.Detail == ""
	})
}

// logBook collects a Cache's log.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestRedisFrozen(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	var book logBook
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Log = slog.New(slog.NewTextHandler(&book, nil)) }), newLedger("1", "1", "2", "2"))
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	answers := book.count("redis answers")
	srv.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := d.readWithin(ctx, "2"); err != nil && !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read with a deadline: %v", err)
	}
	waitDown(t, d.Cache)
	testkit.Eventually(t, patience, "the copy is served marked", func() bool {
		a, err := d.read("1")
		return err == nil && a.Tier == TierStale && string(a.Data()) == "1"
	})
	if a, err := d.read("2"); err != nil || string(a.Data()) != "2" {
		t.Errorf("a load: got %v, %v", a, err)
	}
	if n := book.count("redis answers") - answers; n != 0 {
		t.Errorf("while frozen, Redis was said to answer %d times", n)
	}
	srv.Resume()
	waitUp(t, d.Cache)
	testkit.Eventually(t, patience, "memory is trusted again", func() bool {
		a, err := d.read("1")
		return err == nil && a.Tier == TierMemory && a.Detail == ""
	})
}

// TestRedisGoneBetweenCommitAndUnguard is the write that is stored, not confirmed.
func TestRedisGoneBetweenCommitAndUnguard(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	book := newLedger("1", "1")
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Lease = patience }), book)
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	book.commit = func(apply func()) error {
		apply()
		srv.Stop()
		return nil
	}
	if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("got %v, want ErrUnconfirmed", err)
	}
	book.commit = nil
	if n := d.Stats().Unconfirmed; n != 1 {
		t.Errorf("%d writes are unconfirmed, want 1", n)
	}
	for range 2 {
		d.wantRead("1", "2", TierSource)
		if got, err := d.readMany("1", "1"); err != nil || string(got[1].Data()) != "2" || got[0].Tier != TierSource {
			t.Errorf("reading many: got %v, %v", got, err)
		}
	}
	if d.store.Find(d.r.Shape, []byte(d.key("1"))) != nil {
		t.Error("the key is in memory before the write was confirmed")
	}
	srv.Start() // with the guard still in it
	waitUp(t, d.Cache)
	testkit.Eventually(t, patience, "the write is confirmed", func() bool { return d.Stats().Unconfirmed == 0 })
	d.wantRead("1", "2", TierSource)
	d.wantRead("1", "2", TierRedis)
	d.wantRead("1", "2", TierMemory)
}

func TestAConnectionCutDuringReads(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1"))
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	for range 5 {
		srv.Do("CLIENT", "KILL", "TYPE", "normal")
		srv.Do("SET", d.key("1"), "2")
		testkit.Eventually(t, patience, "the new value is in memory", func() bool {
			a, err := d.read("1")
			if err != nil {
				t.Fatalf("reading while the connection is cut: %v", err)
			}
			return a.Tier == TierMemory && a.Detail == "" && string(a.Data()) == "2"
		})
		srv.Do("SET", d.key("1"), "1")
		testkit.Eventually(t, patience, "the change is seen", func() bool {
			a, err := d.read("1")
			return err == nil && string(a.Data()) == "1" && a.Tier == TierMemory && a.Detail == ""
		})
	}
}
