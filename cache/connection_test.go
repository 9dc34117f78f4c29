package cache

import (
	"sync"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// TestFlightsOfAConnectionThatEnds: of a connection that is closed nothing is fresh any
// more, and every key it was reading can be read again.
func TestFlightsOfAConnectionThatEnds(t *testing.T) {
	r := NewResource("item", "item", Lifetimes{}, nil)
	open := func() (*Flights, *memory.Owner) {
		s := memoryOf(1 << 20)
		return s, s.NewOwner(false)
	}
	t.Run("used after its end", func(t *testing.T) {
		s, o := open()
		s.Closed(o)
		f, lead, _ := s.join(r, "item:1")
		if !lead {
			t.Fatal("nobody reads the key, and yet it is joined")
		}
		s.Bind(o, "item:1", s.Now())
		s.Arrived(o, "item:1")
		s.finish(f, result{Content: shared.Content{State: shared.Value}, entry: memory.NewEntry(r.Shape, "item:1", []byte("1"), 0)}, s.Now()+int64(time.Minute))
		if f.result.stored {
			t.Error("what a dead connection brought is stored")
		}
	})
	t.Run("closed while others use it", func(t *testing.T) {
		s, o := open()
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for n := range 2000 {
					key := string(rune('a' + (worker+n)%7))
					f, lead, _ := s.join(r, key)
					if !lead {
						continue
					}
					s.Bind(o, key, s.Now())
					switch n % 3 {
					case 0:
						s.Arrived(o, key)
					case 1:
						s.Abandoned(o, key)
					}
					s.finish(f, result{Content: shared.Content{State: shared.Value}, entry: memory.NewEntry(r.Shape, key, []byte("1"), 0)}, s.Now()+int64(time.Minute))
				}
			})
		}
		all.Go(func() {
			s.Flushed(o)
			s.Closed(o)
			s.Closed(o)
		})
		all.Wait()
		for _, key := range "abcdefg" {
			if v := s.Peek(r.Shape, []byte(string(key))); v.Found() && s.Now() < s.FreshUntil(v) {
				t.Errorf("%c of a closed connection is fresh", key)
			}
			f, lead, _ := s.join(r, string(key))
			if !lead {
				t.Errorf("%c can never be read again: owner %v, poisoned %v", key, f != nil && f.owner != nil, f != nil && f.poisoned)
			}
		}
	})
}
