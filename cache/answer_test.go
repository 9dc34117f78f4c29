package cache

import (
	"strings"
	"testing"
	"time"
)

func TestAppendStatus(t *testing.T) {
	f := func(a Answer, want string) {
		t.Helper()
		if got := string(a.AppendStatus(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(Answer{Tier: TierMemory, TTL: 41*time.Second + time.Millisecond}, "Hearth-Memory; hit; ttl=41")
	f(Answer{Tier: TierRedis, Shared: TierRedis, TTL: 3000 * time.Second, Stored: true}, "Hearth-Redis; hit; ttl=3000, Hearth-Memory; fwd=miss; stored")
	f(Answer{Tier: TierSource, Shared: TierRedis, Stored: true}, "Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss")
	f(Answer{Tier: TierSource, Shared: TierEmbedded}, "Hearth-Embedded; fwd=miss, Hearth-Memory; fwd=miss")
	f(Answer{Tier: TierStale, TTL: -11*time.Second - time.Millisecond, Detail: "stale"}, "Hearth-Memory; hit; ttl=-12; detail=stale")
}

func TestAnOverlongKeyAnswersAndIsNotKept(t *testing.T) {
	t.Parallel()
	s, r, o := newTestStore(t)
	key := strings.Repeat("k", 1<<16)
	f := lead(t, s, r, o, key)
	s.Arrived(o, key)
	if end(s, f, `{"id":1}`) {
		t.Error("an entry was kept without its key")
	}
	if got, want := string(f.result.entry.Body()), `{"user":{"id":1},"source":"cache"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHotKeysLiveShorter reads one key often enough to be hot, and another
// once; their lifetimes in the shared tier tell.
func TestHotKeysLiveShorter(t *testing.T) {
	c := cacheOn(memoryOf(1 << 20))
	c.settings.Store(&Settings{HotRate: 10})
	r := NewResource("user", "user", Lifetimes{Cold: time.Hour, Hot: 5 * time.Minute, Missing: 30 * time.Second}, nil)
	c.store.SetHotRate(10)
	for range 50 {
		c.store.CountRead("user:1", c.store.Now())
	}
	within := func(got, want time.Duration) bool { return got >= want*9/10 && got <= want*11/10 }
	for range 100 {
		if got := c.lifetime(r, "user:1", false); !within(got, 5*time.Minute) {
			t.Errorf("hot key lives %v", got)
		}
		if got := c.lifetime(r, "user:2", false); !within(got, time.Hour) {
			t.Errorf("cold key lives %v", got)
		}
		if got := c.lifetime(r, "user:1", true); !within(got, 30*time.Second) {
			t.Errorf("missing record lives %v", got)
		}
	}
}
