package cache

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/budget"
	"hearth/internal/testkit"
)

// newSendingCache is a cache of nothing but memory: 4 MiB, of which a value may
// have 1 %, and room for so many bytes of large answers.
func newSendingCache(t *testing.T, bytes int64) (*Cache, *Resource, *memory.Owner) {
	t.Helper()
	c := cacheOn(NewFlights(memory.New(memory.Config{Budget: 16 << 20, MissingShare: 0.25, LinkTimeout: testTimeout, Answers: budget.New(bytes)})))
	c.local = c.store.NewOwner(false)
	c.local.Prove(0)
	return c, NewResource("user", "user", testLives, nil), c.local
}

// noise is a JSON string of n bytes that does not compress.
func noise(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rand.IntN(64)])
	}
	return `"` + b.String() + `"`
}

// readAs reads a key as a tier would that has data there.
func (c *Cache) readAs(t *testing.T, r *Resource, o *memory.Owner, key, data string) result {
	t.Helper()
	f := lead(t, c.flights, r, o, key)
	c.flights.Arrived(o, key)
	res := result{Content: shared.Parse([]byte(data), 0)}
	c.finished(r, key, &res, 0, true)
	c.flights.finish(f, res, c.store.Now()+int64(time.Minute))
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
		if res.stored || res.Data != nil {
			t.Errorf("a large value was kept (%v), or is held twice (%v)", res.stored, res.Data != nil)
		}
		return res.entry
	}
	one, other := noise(300<<10), noise(300<<10)
	first := read(r, one)
	if read(r, one) == first {
		t.Error("an entry is shared that nobody is sent")
	}
	c.BeginSend(first)
	if read(r, one) != first {
		t.Error("a second copy was made of a value that is on its way")
	}
	if read(r, other) == first || read(NewResource("user", "user", testLives, nil), one) == first {
		t.Error("another value, or another resource, was answered with the copy")
	}
	c.EndSend(first)
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
		done, ok := c.Reserve(key)
		if ok != want {
			t.Fatalf("%s: claimed %v, want %v", key, ok, want)
		}
		return done
	}
	for _, key := range []string{"a", "b", "c"} {
		claim(key, true)()
		c.readAs(t, r, o, key, noise(300<<10))
	}
	if c.Budget().Taken() != 0 {
		t.Errorf("%d bytes are claimed for values of unknown size", c.Budget().Taken())
	}
	a, again, b := claim("a", true), claim("a", true), claim("b", true)
	if got := c.Budget().Taken() >> 10 / 300; got != 2 {
		t.Errorf("room is claimed for %d values, want 2", got)
	}
	claim("c", false)
	claim("unknown", true)()
	a()
	claim("c", false)
	again()
	claim("c", true)()
	b()
	if c.Budget().Taken() != 0 {
		t.Errorf("%d bytes are claimed at the end", c.Budget().Taken())
	}
	c.readAs(t, r, o, "a", "1")
	if n := c.KnownSize("a"); n != 0 {
		t.Errorf("a value that has become small is known to have %d bytes", n)
	}
}

// TestConcurrentReadersOfALargeRecord, of every kind, from both tiers: they get
// the record, and nothing is taken when all have it.
func TestConcurrentReadersOfALargeRecord(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		r := budget.New(64 << 20)
		c := open(t, func(cfg *setup) { cfg.Answers = r })
		data := noise(1 << 20)
		res, key := NewResource("big", "big", testLives, nil), keyOf(t, 1)
		if errs := c.Store(within(t), []Item{{Key: key, Value: []byte(data)}}, 0); errs != nil {
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
				if !a.Entry.Large() || c.BeginSend(a.Entry) {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, a.Entry)
				}
			})
		}
		all.Wait()
		a, err := c.Read(within(t), res, key, nil)
		if err != nil || !c.BeginSend(a.Entry) {
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
			c.EndSend(e)
		}
		testkit.Eventually(t, patience, "nothing is taken", func() bool { return r.Taken() == 0 })
	})
}
