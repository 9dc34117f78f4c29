package cache

import (
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/room"
	"hearth/internal/testkit"
)

// newSendingCache is a cache of nothing but memory: 4 MiB, of which a value may
// have 1 %, and room for so many bytes of large answers.
func newSendingCache(t *testing.T, bytes int64) (*Cache, *Resource, *owner) {
	t.Helper()
	s, r, o := newTestStore(t)
	s.resize(16<<20, 0.25)
	s.account(newAloft(room.New(bytes)))
	return &Cache{store: s, local: o}, r, o
}

// TestBytesInFlight: an entry takes room while answers with it are on their way
// and no table has it, whichever of the two begins or ends first.
func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	c, r, o := newSendingCache(t, 250<<10)
	a := c.store.aloft
	taken := func(what string, entries int64) {
		t.Helper()
		if got := (a.room.Taken() + 50<<10) / (100 << 10); got != entries {
			t.Errorf("%s: the bytes of %d entries are taken (%d), want %d", what, got, a.room.Taken(), entries)
		}
	}
	send := func(what string, e *Entry, want bool) {
		t.Helper()
		if got := c.Send(e); got != want {
			t.Fatalf("%s: sent %v, want %v", what, got, want)
		}
	}
	entry := func(key string) *Entry { return c.store.entryToKeep(r, key, []byte(noise(100<<10)), 0) }

	outside := entry("outside")
	send("outside", outside, true)
	send("outside, once more", outside, true)
	taken("two answers with one entry", 1)
	c.Sent(outside)
	taken("one of them has left", 1)
	c.Sent(outside)
	taken("both have left", 0)

	kept := entry("kept")
	c.store.keep(kept, o, 0, never, never)
	send("kept", kept, true)
	taken("what the budget counts", 0)
	c.store.drop("kept", nil)
	taken("it is evicted while it is sent", 1)
	send("found before it was evicted", kept, true)
	c.Sent(kept)
	c.Sent(kept)
	taken("both have left", 0)

	kept = entry("kept")
	c.store.keep(kept, o, 0, never, never)
	send("kept", kept, true)
	c.store.keep(entry("kept"), o, 0, never, never)
	taken("another value comes in its place", 1)
	second := entry("second")
	send("as many as there is room for", second, true)
	taken("two entries", 2)
	send("one too many", entry("third"), false)
	send("one that is on its way already", second, true)
	fresh := c.store.find(r, []byte("kept"))
	send("one that is kept", fresh, true)
	c.store.drop("kept", nil)
	taken("it is evicted, too", 3)
	c.store.keep(entry("more"), o, 0, never, never)
	send("one that is kept, with more than all taken", c.store.find(r, []byte("more")), false)
	for _, e := range []*Entry{kept, second, second, fresh} {
		c.Sent(e)
	}
	taken("all have left", 0)
	if len(a.entries) != 0 || a.room.Refused() != 2 {
		t.Errorf("%d entries are shared at the end, and %d were refused; want none and 2", len(a.entries), a.room.Refused())
	}
}

// TestBytesInFlightUnderRace: all at once, and in the end nothing is taken.
func TestBytesInFlightUnderRace(t *testing.T) {
	t.Parallel()
	c, r, o := newSendingCache(t, 1<<30)
	data := []byte(noise(80 << 10))
	entries := make([]*Entry, 4)
	for i := range entries {
		entries[i] = c.store.entryToKeep(r, string(rune('a'+i)), data, 0)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 2000 {
				e := entries[(i+n)%len(entries)]
				if i < 2 {
					sh := c.store.flightShard(e.key())
					sh.mu.Lock()
					if n%2 == 0 {
						c.store.keep(e, o, 0, never, never)
					} else {
						c.store.drop(e.key(), nil)
					}
					sh.mu.Unlock()
				} else if c.Send(e) {
					c.Sent(e)
				}
			}
		})
	}
	all.Wait()
	if n := c.Room().Taken(); n != 0 || len(c.store.aloft.entries) != 0 {
		t.Errorf("%d bytes and %d entries are left", n, len(c.store.aloft.entries))
	}
}

// readAs reads a key as a tier would that has data there.
func (c *Cache) readAs(t *testing.T, r *Resource, o *owner, key, data string) result {
	t.Helper()
	f := lead(t, c.store, r, o, key)
	c.store.arrived(o, key)
	res := result{reply: classify([]byte(data), 0)}
	c.finished(r, key, &res, 0)
	c.store.finish(f, res, c.store.now()+int64(time.Minute))
	return f.result
}

// TestReadersShareOneCopy of a large value, though they read it one after the
// other, while an answer with it is on its way; and only of that very value.
func TestReadersShareOneCopy(t *testing.T) {
	t.Parallel()
	c, r, o := newSendingCache(t, 1<<30)
	read := func(r *Resource, data string) *Entry {
		t.Helper()
		res := c.readAs(t, r, o, "k", data)
		if res.stored || res.data != nil {
			t.Errorf("a large value was kept (%v), or is held twice (%v)", res.stored, res.data != nil)
		}
		return res.entry
	}
	one, other := noise(300<<10), noise(300<<10)
	first := read(r, one)
	if read(r, one) == first {
		t.Error("an entry is shared that nobody is sent")
	}
	c.Send(first)
	if read(r, one) != first {
		t.Error("a second copy was made of a value that is on its way")
	}
	if read(r, other) == first || read(NewResource("user", "user", testLives, nil), one) == first {
		t.Error("another value, or another resource, was answered with the copy")
	}
	c.Sent(first)
	if read(r, one) == first {
		t.Error("an entry is shared that was sent long ago")
	}
}

// TestRoomIsClaimedBeforeALargeValueIsRead, once for all who read it, as soon as
// it is known to be large.
func TestRoomIsClaimedBeforeALargeValueIsRead(t *testing.T) {
	t.Parallel()
	c, r, o := newSendingCache(t, 700<<10)
	claim := func(key string, want bool) func() {
		t.Helper()
		done, ok := c.Claim(key)
		if ok != want {
			t.Fatalf("%s: claimed %v, want %v", key, ok, want)
		}
		return done
	}
	for _, key := range []string{"a", "b", "c"} {
		claim(key, true)()
		c.readAs(t, r, o, key, noise(300<<10))
	}
	if c.Room().Taken() != 0 {
		t.Errorf("%d bytes are claimed for values of unknown size", c.Room().Taken())
	}
	a, again, b := claim("a", true), claim("a", true), claim("b", true)
	if got := c.Room().Taken() >> 10 / 300; got != 2 {
		t.Errorf("room is claimed for %d values, want 2", got)
	}
	claim("c", false)
	claim("unknown", true)()
	a()
	claim("c", false)
	again()
	claim("c", true)()
	b()
	if c.Room().Taken() != 0 {
		t.Errorf("%d bytes are claimed at the end", c.Room().Taken())
	}
	c.readAs(t, r, o, "a", "1")
	if n := c.store.aloft.sizeOf("a"); n != 0 {
		t.Errorf("a value that has become small is known to have %d bytes", n)
	}
}

// TestALargeValueIsCheckedOnce: what was found to be JSON is known, and only that.
func TestALargeValueIsCheckedOnce(t *testing.T) {
	t.Parallel()
	good := []byte(noise(200 << 10))
	bad := []byte(strings.TrimSuffix(string(good), `"`) + "\x01\"")
	for range 2 {
		if !isJSON(good) || isJSON(bad) || isJSON(good[1:]) {
			t.Fatalf("JSON: %v, with a control byte %v, without its beginning %v", isJSON(good), isJSON(bad), isJSON(good[1:]))
		}
	}
}

// TestConcurrentReadersOfALargeRecord, of every kind, from both tiers: they get
// the record, and nothing is taken when all have it.
func TestConcurrentReadersOfALargeRecord(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*Config)) *Cache) {
		r := room.New(64 << 20)
		c := open(t, func(cfg *Config) { cfg.Answers = r })
		data := noise(1 << 20)
		res, key := NewResource("big", "big", testLives, nil), keyOf(t, 1)
		if errs := c.Store(within(t), []Item{{Key: key, Value: []byte(data)}}); errs != nil {
			t.Fatal(errs)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		var sent []*Entry
		for range 16 {
			all.Go(func() {
				a, err := c.Read(within(t), res, key, nil)
				if err != nil || string(a.Data()) != data {
					t.Errorf("got %d bytes, %v", len(a.Data()), err)
					return
				}
				if !a.Entry.Large() || c.Send(a.Entry) {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, a.Entry)
				}
			})
		}
		all.Wait()
		a, err := c.Read(within(t), res, key, nil)
		if err != nil || !c.Send(a.Entry) {
			t.Fatalf("a reader after all: %v", err)
		}
		copies := map[*Entry]bool{a.Entry: true}
		for _, e := range sent {
			copies[e] = true
		}
		if len(copies) > 8 { // those that were read before any was on its way
			t.Errorf("17 readers hold %d copies", len(copies))
		}
		for _, e := range append(sent, a.Entry) {
			c.Sent(e)
		}
		testkit.Eventually(t, patience, "nothing is taken", func() bool { return r.Taken() == 0 })
	})
}
