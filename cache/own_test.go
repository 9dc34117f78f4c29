package cache

import (
	"context"
	"errors"
	"testing"

	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// feed tells of a change of a record, as the change feed does.
func (d *desk) feed(id, writer string) {
	d.t.Helper()
	if err := d.Outdate(within(d.t), []shared.Outdated{{Key: d.key(id), Writer: writer}}); err != nil {
		d.t.Fatal(err)
	}
}

// TestAnOwnWriteCostsNoLoad when the change feed tells of it: what it has put is answered
// from the shared tier. Not so the changes of others, whenever they are told.
func TestAnOwnWriteCostsNoLoad(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		f := func(name string, loads int64, want string, steps func(d *desk, put func(row string) (writer string), foreign func(row string))) {
			t.Helper()
			t.Run(name, func(t *testing.T) {
				d := newDesk(t, c, newLedger("1", "1", "list", "[1]"))
				d.book.marks = true
				put := func(row string) string {
					d.mustPut("1", row)
					return *d.book.writer.Load()
				}
				steps(d, put, func(row string) { d.book.write("1", row) })
				before := d.book.loads.Load()
				a, err := d.read("1")
				if err != nil || string(a.Data()) != want {
					t.Fatalf("read %s, %v, want %s", a.Data(), err, want)
				}
				if got := d.book.loads.Load() - before; got != loads {
					t.Errorf("%d loads, want %d", got, loads)
				}
			})
		}
		f("with a mark", 0, "2", func(d *desk, put func(string) string, _ func(string)) { d.feed("1", put("2")) })
		f("without", 1, "2", func(d *desk, put func(string) string, _ func(string)) {
			d.book.marks = false
			d.feed("1", put("2"))
		})
		f("a resource that is not watched", 1, "2", func(d *desk, put func(string) string, _ func(string)) {
			d.r.Unwatched = true
			d.feed("1", put("2"))
		})
		f("told twice", 1, "2", func(d *desk, put func(string) string, _ func(string)) {
			w := put("2")
			d.feed("1", w)
			d.feed("1", w)
		})
		f("a foreign change, told last", 1, "3", func(d *desk, put func(string) string, foreign func(string)) {
			w := put("2")
			foreign("3")
			d.feed("1", w)
			d.feed("1", "")
		})
		f("a foreign change, told first", 1, "3", func(d *desk, put func(string) string, foreign func(string)) {
			w := put("2")
			foreign("3")
			d.feed("1", "")
			d.feed("1", w)
		})
		f("read between the two", 0, "3", func(d *desk, put func(string) string, foreign func(string)) {
			w := put("2")
			foreign("3")
			d.feed("1", "")
			d.wantRead("1", "3", TierSource)
			d.feed("1", w)
		})
		f("a second write", 0, "3", func(d *desk, put func(string) string, _ func(string)) {
			put("2")
			d.feed("1", put("3"))
		})
		f("the first one's change comes late", 1, "3", func(d *desk, put func(string) string, _ func(string)) {
			first := put("2")
			put("3")
			d.feed("1", first)
		})
		f("told before the guard is out", 0, "2", func(d *desk, put func(string) string, _ func(string)) {
			d.book.commit = func(apply func()) error {
				apply()
				d.feed("1", *d.book.writer.Load())
				return nil
			}
			put("2")
		})
		f("of others before the guard is out", 1, "3", func(d *desk, put func(string) string, foreign func(string)) {
			d.book.commit = func(apply func()) error {
				apply()
				foreign("3")
				d.feed("1", "")
				return nil
			}
			d.feed("1", put("2"))
		})
		f("a trigger of the write touches another record", 0, "2", func(d *desk, put func(string) string, _ func(string)) {
			d.wantRead("list", "[1]", TierSource)
			d.book.commit = func(apply func()) error {
				apply()
				d.book.write("list", "[2]")
				return nil
			}
			w := put("2")
			d.feed("1", w)
			d.feed("list", w)
			d.wantRead("list", "[2]", TierSource)
		})
		f("a deletion", 1, "null", func(d *desk, put func(string) string, _ func(string)) {
			put("2")
			if err := d.Delete(within(d.t), d.r, d.key("1"), source.Args{"1"}); err != nil {
				d.t.Fatal(err)
			}
			d.feed("1", *d.book.writer.Load())
		})
		f("a write that was rolled back", 1, "1", func(d *desk, _ func(string) string, _ func(string)) {
			d.book.commit = func(func()) error { return errors.New("no") }
			if _, err := d.put("1", "2"); err == nil {
				d.t.Error("it succeeded")
			}
		})
	})
}

// TestACopyInMemoryHereGoesAtOnce, also when the tier does not answer.
func TestACopyInMemoryHereGoesAtOnce(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1"))
	d.wantRead("1", "1", TierSource)
	d.wantRead("1", "1", TierRedis)
	d.wantRead("1", "1", TierMemory)
	srv.Stop()
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	if err := d.Outdate(ctx, []shared.Outdated{{Key: d.key("1")}}); !errors.Is(err, shared.ErrAway) {
		t.Errorf("without Redis: got %v", err)
	}
	if e := d.store.Find(d.r.Shape, []byte(d.key("1"))); e != nil {
		t.Error("the copy is there still")
	}
}
