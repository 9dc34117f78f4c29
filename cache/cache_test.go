package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

func TestReadsGoThroughTheTiers(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `{"id":1}`))
		shared := d.SharedTier()
		a := d.wantRead("1", `{"id":1}`, TierSource)
		if got, want := string(a.Body()), `{"user":{"id":1},"source":"db"}`; got != want || !a.FromDB || !a.Stored {
			t.Errorf("a load: got %s, from db %v, stored %v, want %s", got, a.FromDB, a.Stored, want)
		}
		b := d.wantRead("1", `{"id":1}`, shared)
		if got, want := string(b.Body()), `{"user":{"id":1},"source":"cache"}`; got != want || b.FromDB || !b.Stored {
			t.Errorf("a hit of the shared tier: got %s, from db %v, stored %v, want %s", got, b.FromDB, b.Stored, want)
		}
		if b.TTL < 50*time.Minute || b.TTL > 70*time.Minute {
			t.Errorf("lifetime in the shared tier: got %v, want an hour ± 10 %%", b.TTL)
		}
		c := d.wantRead("1", `{"id":1}`, TierMemory)
		if a.Entry.ETag() != b.Entry.ETag() || b.Entry.ETag() != c.Entry.ETag() {
			t.Errorf("one record has the tags %s, %s and %s", a.Entry.ETag(), b.Entry.ETag(), c.Entry.ETag())
		}
		if n := d.book.loads.Load(); n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
		if got := d.Loads("user", 0); got != 1 {
			t.Errorf("loads counted: %d, want 1", got)
		}
	})
}

func TestMissingRecordsAreRememberedUntilTheyAreWritten(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger())
		for i, tier := range []Tier{TierSource, d.SharedTier(), TierMemory} {
			a := d.wantRead("1", "null", tier)
			if !a.Entry.Missing() || a.Body() != nil {
				t.Errorf("read %d: a record that does not exist has body %q", i, a.Body())
			}
		}
		fixture{d.Cache, t, d.key("1")}.want("null")
		d.mustPut("1", `{"id":1}`)
		if a, err := d.read("1"); err != nil || string(a.Data()) != `{"id":1}` {
			t.Errorf("after the write: got %s, %v", a.Data(), err)
		}
		if err := d.Delete(within(t), d.r, d.key("1"), source.Args{"1"}); err != nil {
			t.Fatal(err)
		}
		if a, err := d.read("1"); err != nil || !a.Entry.Missing() {
			t.Errorf("after the deletion: %v, want a missing record", err)
		}
		if err := d.Delete(within(t), d.r, d.key("1"), source.Args{"1"}); !errors.Is(err, source.ErrNoRecord) {
			t.Errorf("deleting what is not there: got %v, want ErrNoRecord", err)
		}
	})
}

func TestMissingRecordsWrittenAreLimited(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t, func(c *setup) { c.MissingRate = 0 }), newLedger())
		d.wantRead("1", "null", TierSource)
		fixture{d.Cache, t, d.key("1")}.want("nothing")
	})
}

func TestOneLoadForAColdKey(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", `{"id":1}`))
		gate := make(chan struct{})
		d.book.loaded = func(context.Context, string) error { <-gate; return nil }
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if a, err := d.read("1"); err != nil || string(a.Data()) != `{"id":1}` {
					t.Errorf("got %v, %v", a, err)
				}
			})
		}
		testkit.Eventually(t, patience, "a load runs", func() bool { return d.book.loads.Load() > 0 })
		close(gate)
		all.Wait()
		if n := d.book.loads.Load(); n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
	})
}

func TestOneLoadAcrossInstances(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", `{"id":1}`)
	gate := make(chan struct{})
	book.loaded = func(context.Context, string) error { <-gate; return nil }
	a, b := newDesk(t, openRedis(t, srv), book), newDesk(t, openRedis(t, srv), book)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if got, err := []*desk{a, b}[i%2].read("1"); err != nil || string(got.Data()) != `{"id":1}` {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	testkit.Eventually(t, patience, "the other instance waits", func() bool {
		return a.Stats().LeaseWaits > 0 || b.Stats().LeaseWaits > 0
	})
	close(gate)
	all.Wait()
	if n := book.loads.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
}

// TestASlowLoadNeverOverwrites is promise C5: the key changes between the load
// and its fill.
func TestASlowLoadNeverOverwrites(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		f := func(what, want string, between func(d *desk)) {
			t.Helper()
			c := open(t)
			d := newDesk(t, c, newLedger(what, `"old"`))
			var once sync.Once
			d.book.loaded = func(context.Context, string) error {
				once.Do(func() { between(d) })
				return nil
			}
			if a, err := d.read(what); err != nil || string(a.Data()) != `"old"` || a.Stored {
				t.Errorf("%s: the load answered %s, stored %v, %v", what, a.Data(), a.Stored, err)
			}
			for i := range 3 {
				if a, err := d.read(what); err != nil || string(a.Data()) != want {
					t.Errorf("%s: read %d after it got %s, %v, want %s", what, i, a.Data(), err, want)
				}
			}
		}
		f("a DEL", `"new"`, func(d *desk) {
			d.book.write("a DEL", `"new"`)
			if err := d.Invalidate(within(t), []string{d.key("a DEL")}); err != nil {
				t.Error(err)
			}
		})
		f("a SET", `"set"`, func(d *desk) { fixture{d.Cache, t, d.key("a SET")}.set(`"set"`) })
		f("a write here", `"new"`, func(d *desk) { d.mustPut("a write here", `"new"`) })
		f("a deletion here", "null", func(d *desk) {
			if err := d.Delete(within(t), d.r, d.key("a deletion here"), source.Args{"a deletion here"}); err != nil {
				t.Error(err)
			}
		})
		if open(t).SharedTier() == TierRedis {
			f("a write elsewhere", `"new"`, func(d *desk) {
				newDesk(t, open(t), d.book).mustPut("a write elsewhere", `"new"`)
			})
		}
	})
}

func TestReadManyMixesTheTiers(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1", "2", "2", "3", "3"))
		d.wantRead("1", "1", TierSource)
		d.wantRead("1", "1", d.SharedTier())
		one := d.wantRead("1", "1", TierMemory)
		d.wantRead("2", "2", TierSource)
		ids := []string{"3", "1", "gone", "2", "1", "3"}
		answers, err := d.readMany(ids...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range answers {
			got = append(got, fmt.Sprintf("%s:%v", a.Data(), a.Tier))
		}
		want := fmt.Sprintf("3:source 1:memory null:source 2:%v 1:memory 3:source", d.SharedTier())
		if strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if tag := answers[1].Entry.ETag(); tag != one.Entry.ETag() {
			t.Errorf("one record has the tags %s and %s", tag, one.Entry.ETag())
		}
		if n := d.book.loads.Load(); n != 4 {
			t.Errorf("the source was asked %d times, want 4", n)
		}
		if got, err := d.readMany(); err != nil || len(got) != 0 {
			t.Errorf("reading no keys: %v, %v", got, err)
		}
	})
}

func (d *desk) readMany(ids ...string) ([]Answer, error) {
	var keys []string
	var args []source.Args
	for _, id := range ids {
		keys, args = append(keys, d.key(id)), append(args, source.Args{id})
	}
	return d.ReadMany(within(d.t), d.r, keys, args)
}

func TestReadManyIsOneRoundTrip(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), nil)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint(i))
		srv.Do("SET", d.key(ids[i]), ids[i])
	}
	srv.Do("CONFIG", "RESETSTAT")
	answers, err := d.readMany(ids...)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if string(a.Data()) != ids[i] || a.Tier != TierRedis || !a.Stored {
			t.Fatalf("answer %d: %s from %v", i, a.Data(), a.Tier)
		}
	}
	stats := srv.Text("INFO", "commandstats")
	if !strings.Contains(stats, "cmdstat_get:calls=10") { // 100, and a canary's perhaps
		t.Errorf("want 100 GETs, got:\n%s", stats)
	}
	// Round trips show as reads of the server's sockets: far fewer than keys.
	if n := fieldOf(srv.Text("INFO", "stats"), "total_reads_processed"); n > 40 {
		t.Errorf("Redis read its sockets %d times for one many-read", n)
	}
}

// fieldOf reads a number out of INFO.
func fieldOf(info, name string) (n int) {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			_, _ = fmt.Sscan(v, &n)
		}
	}
	return n
}

func TestStoreAndCount(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), nil)
		item := func(v string) []Item { return []Item{{Key: d.key("1"), Value: []byte(v)}} }
		if a, err := d.read("1"); err != nil || !a.Entry.Missing() {
			t.Errorf("an item never written: %v", err)
		}
		for _, v := range []string{`{"v":1}`, `{"v":2}`, `{"v":3}`} {
			if errs := d.Store(within(t), item(v), 0); errs != nil {
				t.Fatal(errs)
			}
			for range 2 { // memory has it the second time
				if a, err := d.read("1"); err != nil || string(a.Data()) != v {
					t.Errorf("got %s, %v, want %s", a.Data(), err, v)
				}
			}
		}
		for want := range int64(3) {
			if n, err := d.Increment(within(t), d.key("n")); n != want+1 || err != nil {
				t.Errorf("incrementing: got %d, %v, want %d", n, err, want+1)
			}
		}
		if n, err := d.Count(within(t), d.key("n")); n != 3 || err != nil {
			t.Errorf("counting: got %d, %v, want 3", n, err)
		}
		if errs := d.Store(within(t), []Item{{Key: d.key("bad"), Value: []byte("{oops")}}, 0); errs != nil {
			t.Fatal(errs)
		}
		if _, err := d.read("bad"); !errors.Is(err, ErrNotJSON) {
			t.Errorf("reading what is not JSON, without a source: got %v, want ErrNotJSON", err)
		}
	})
}

func TestWhatIsNotJSONIsLoadedAgain(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1", "2", "2"))
		for id, text := range map[string]string{"1": "{oops", "2": "{\"name\":\"Andr\xe9\"}"} {
			fixture{d.Cache, t, d.key(id)}.set(text)
			a := d.wantRead(id, id, TierSource)
			if !a.Stored {
				t.Errorf("the loaded record did not replace %q", text)
			}
			d.wantRead(id, id, d.SharedTier())
		}
		if n := d.Stats().NotJSON; n != 2 {
			t.Errorf("counted %d values that are not JSON, want 2", n)
		}
	})
}
