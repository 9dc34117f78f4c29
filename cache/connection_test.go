package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/cache/shared"
)

// TestConnectionEndsAnyWay: rueidis closes a connection's store once, twice or
// never, and calls it from several goroutines meanwhile. Nothing may panic,
// and of a connection that is closed nothing is fresh any more.
func TestConnectionEndsAnyWay(t *testing.T) {
	r := NewResource("item", "item", Lifetimes{}, nil)
	open := func() (*Flights, rueidis.CacheStore) {
		s := memoryOf(1 << 20)
		return s, connectionOf(t, s)
	}
	t.Run("never used, closed twice", func(t *testing.T) {
		_, c := open()
		c.Close(rueidis.ErrDoCacheAborted)
		c.Close(rueidis.ErrDoCacheAborted)
	})
	t.Run("used after its end", func(t *testing.T) {
		s, c := open()
		c.Close(rueidis.ErrDoCacheAborted)
		f, lead, _ := s.join(r, "item:1")
		if !lead {
			t.Fatal("nobody reads the key, and yet it is joined")
		}
		c.Flight("item:1", "GET", time.Minute, time.Now())
		c.Update("item:1", "GET", rueidis.RedisMessage{})
		s.finish(f, result{Content: shared.Content{State: shared.Value}, entry: memory.NewEntry(r.Shape, "item:1", []byte("1"), 0)}, s.Now()+int64(time.Minute))
		if f.result.stored {
			t.Error("what a dead connection brought is stored")
		}
	})
	t.Run("update and cancel of what nobody asked", func(t *testing.T) {
		s, c := open()
		c.Update("item:1", "GET", rueidis.RedisMessage{})
		c.Cancel("item:1", "GET", errors.New("no"))
		c.Delete(nil)
		if got := s.Sizes().Entries; got != 0 {
			t.Errorf("%d entries are kept", got)
		}
	})
	t.Run("closed while others use it", func(t *testing.T) {
		s, c := open()
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for n := range 2000 {
					key := string(rune('a' + (worker+n)%7))
					f, lead, _ := s.join(r, key)
					if !lead {
						continue
					}
					c.Flight(key, "GET", time.Minute, time.Now())
					switch n % 3 {
					case 0:
						c.Update(key, "GET", rueidis.RedisMessage{})
					case 1:
						c.Cancel(key, "GET", context.DeadlineExceeded)
					}
					s.finish(f, result{Content: shared.Content{State: shared.Value}, entry: memory.NewEntry(r.Shape, key, []byte("1"), 0)}, s.Now()+int64(time.Minute))
				}
			})
		}
		all.Go(func() {
			c.Delete(nil)
			c.Close(rueidis.ErrDoCacheAborted)
			c.Close(rueidis.ErrDoCacheAborted)
		})
		all.Wait()
		for _, key := range "abcdefg" {
			if e := s.Find(r.Shape, []byte(string(key))); e != nil && s.Now() < s.FreshUntil(e) {
				t.Errorf("%c of a closed connection is fresh", key)
			}
			f, lead, _ := s.join(r, string(key))
			if !lead {
				t.Errorf("%c can never be read again: owner %v, poisoned %v", key, f != nil && f.owner != nil, f != nil && f.poisoned)
			}
		}
	})
}

// connectionOf returns the store that rueidis would have of one connection.
func connectionOf(t *testing.T, s *Flights) rueidis.CacheStore {
	t.Helper()
	tier, err := redis.New(redis.Config{URL: "redis://127.0.0.1:1", LinkTimeout: time.Second, Log: slog.New(slog.DiscardHandler)}, s.Store, s)
	if err != nil {
		t.Fatal(err)
	}
	return tier.NewConnection(rueidis.CacheStoreOption{})
}
