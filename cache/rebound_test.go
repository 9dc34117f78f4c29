package cache

import (
	"context"
	"testing"
	"time"

	"hearth/cache/shared"
)

// TestAReadThatMovesToAnotherServerIsMarked: a tracked read goes out on a connection that
// breaks, and is sent again to a server that has just taken the other's place. Its flight is
// still that of the connection that vouched for what it brought.
func TestAReadThatMovesToAnotherServerIsMarked(t *testing.T) {
	moved := &movedTier{}
	d := newDesk(t, openFile(t, func(s *setup) {
		s.around = func(tier SharedTier) SharedTier { moved.SharedTier = tier; return moved }
	}), newLedger("1", "1"))
	moved.cache = d.Cache
	a, err := d.read("1")
	if err != nil || string(a.Data()) != "7" || a.Detail != "untracked" || a.Stored {
		t.Errorf("got %+v, %v, want the value, marked and not stored", a, err)
	}
	if a, ok := d.ReadAtOnce(t.Context(), d.r, d.key("1")); ok {
		t.Errorf("read at once: got %+v, want it handed on", a)
	}
}

// movedTier answers each tracked read from another server than the one that it went to.
type movedTier struct {
	SharedTier
	cache *Cache
}

func (m *movedTier) Track(_ context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	for i, key := range keys {
		broken := m.cache.store.NewOwner(false)
		broken.Prove(0)
		m.cache.flights.Bind(broken, key, m.cache.store.Now())
		broken.End()
		out[i].Content = shared.Content{State: shared.Value, Data: []byte("7"), TTL: time.Hour, Unreported: true}
	}
	return out
}
