package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/audit"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// withSource runs f on both tiers, with a record in the shared tier and in memory.
func withSource(t *testing.T, f func(t *testing.T, b *bench, p audit.Pick), change ...func(*setup)) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		b := newBench(t, open(t, change...), newLedger("a", `{"v":1}`))
		f(t, b, b.keep("a", `{"v":1}`))
	})
}

// watched says that the change feed tells of the record's changes, and up to when it has.
func (b *bench) watched(told func() (time.Time, bool)) {
	args := b.servedAs(b.r.Shape).Args
	b.Serve([]Served{{Resource: b.r, Args: args, Told: told}})
}

func (b *bench) checkSource(p audit.Pick) { b.audit.compareWithSource(&p) }

func TestAuditOfTheSourceAgrees(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		b.checkSource(p)
		b.checkSource(b.keep("none", "null"))
		b.wantResults(audit.Source, map[audit.Result]int64{audit.OK: 2})
		if s := b.audit.tally.Standing(0, audit.Source, audit.Start); s.Checks != 0 {
			t.Errorf("nobody tells of changes, and %d checks speak of a promise", s.Checks)
		}
		loads := b.Loads("user", loadOK) + b.Loads("user", loadMissing)
		if loads != 2 || b.book.loads.Load() != 4 {
			t.Errorf("%d loads counted, the source saw %d; want 2 and 4: what the audit loads nobody has asked for", loads, b.book.loads.Load())
		}
		// The same record in another spelling.
		spelt := []byte(`{ "v" : 1 }`)
		b.own.note(p.Key, spelt)
		b.put(p.Key, string(spelt), time.Hour)
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.OK: 3})
	})
}

// put has another than Hearth put a value into the shared tier.
func (b *bench) put(key, value string, life time.Duration) {
	b.t.Helper()
	if err := errors.Join(b.Cache.tier.Set(within(b.t), []shared.Item{{Key: key, Value: []byte(value)}}, life)...); err != nil {
		b.t.Fatal(err)
	}
}

// TestAuditLeavesWhatOthersPut: a value that another program has put into the shared tier is no
// copy of the source's. It stays, whether anybody tells of changes or not, and the source is
// not asked for it.
func TestAuditLeavesWhatOthersPut(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		loads := b.book.loads.Load()
		for _, value := range []string{`{"v":"theirs"}`, "null"} {
			for _, life := range []time.Duration{0, time.Hour} {
				b.put(p.Key, value, life)
				b.serve(b.r)
				b.checkSource(p)
				b.watched(func() (time.Time, bool) { return time.Now().Add(time.Minute), true })
				b.checkSource(p)
				if found, err := b.Cache.tier.Get(within(t), p.Key); err != nil || string(found.Data) != value {
					t.Errorf("%s for %v: %s stands there, %v", value, life, found.Data, err)
				}
			}
		}
		b.wantResults(audit.Source, nil)
		if n := b.book.loads.Load() - loads; n != 0 {
			t.Errorf("the source was asked %d times", n)
		}
	})
}

// TestAuditOfTheSource: another program has changed the record, and nobody told.
func TestAuditOfTheSource(t *testing.T) {
	for what, row := range map[string]string{"changed": `{"v":2}`, "deleted": ""} {
		for _, cause := range []audit.Cause{audit.Unwatched, audit.Untold} {
			t.Run(what+" "+cause.String(), func(t *testing.T) {
				var log journal
				withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
					var asked atomic.Int64
					if cause == audit.Untold {
						b.watched(func() (time.Time, bool) { asked.Add(1); return time.Now().Add(time.Minute), true })
					}
					b.book.write("a", row)
					b.checkSource(p)
					if b.stale(cause) != 1 {
						t.Fatalf("not found stale for being %v", cause)
					}
					b.wantResults(audit.Source, map[audit.Result]int64{audit.Stale: 1})
					want := audit.Standing{}
					if cause == audit.Untold {
						want = audit.Standing{Checks: 1, Broken: 1}
					}
					if s := b.audit.tally.Standing(0, audit.Source, audit.Start); s != want {
						t.Errorf("of the promise: %+v, want %+v", s, want)
					}
					healed := "healed=removed"
					if cause == audit.Untold {
						b.wantRead("a", cmp.Or(row, "null"), TierSource)
					} else { // nobody tells of changes: the copy may be there on purpose
						healed = `healed="left until its lifetime ends"`
						b.wantRead("a", `{"v":1}`, TierMemory)
					}
					if text := log.String(); !strings.Contains(text, "cause="+cause.String()) || !strings.Contains(text, healed) || strings.Contains(text, `\"v\"`) {
						t.Errorf("the log: %s", text)
					}
				}, log.use)
			})
		}
	}
}

// TestAuditAwaitsTheFeed: while the feed may still tell of the change there is no verdict.
func TestAuditAwaitsTheFeed(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		b.audit.toldWithin = 150 * time.Millisecond
		asked := 0
		// It has not told of everything that far.
		b.watched(func() (time.Time, bool) { return time.Now(), true })
		b.book.write("a", `{"v":2}`)
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.Undecided: 1})
		// It is lost meanwhile.
		b.watched(func() (time.Time, bool) { asked++; return time.Now(), asked == 1 })
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.Undecided: 2})
		// It tells of the change, when it is asked for the second time: the first is before the
		// source is asked.
		asked = 0
		b.watched(func() (time.Time, bool) {
			if asked++; asked == 2 {
				if err := b.Outdate(within(t), []shared.Outdated{{Key: p.Key}}); err != nil {
					t.Error(err)
				}
			}
			return time.Now().Add(time.Minute), true
		})
		b.audit.toldWithin = patience
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.Undecided: 2, audit.InFlight: 1})
	})
}

// TestAuditMeetsWrites: a write of Hearth comes while the source is asked. What its guard and
// its record have replaced is no evidence, also where the bytes are the same afterwards.
func TestAuditMeetsWrites(t *testing.T) {
	for name, rows := range map[string][]string{"a write": {`{"v":2}`}, "a write, and one back": {`{"v":2}`, `{"v":1}`}} {
		t.Run(name, func(t *testing.T) {
			withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
				b.book.loaded = func(context.Context, string) error {
					b.book.loaded = nil
					for _, row := range rows {
						b.mustPut("a", row)
					}
					return nil
				}
				b.book.write("a", `{"v":7}`) // what the load has seen
				b.checkSource(p)
				b.wantResults(audit.Source, map[audit.Result]int64{audit.InFlight: 1})
			})
		})
	}
}

// TestAuditOfAVolatileSelect: a select that never says the same twice has no copy that is
// right.
func TestAuditOfAVolatileSelect(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		n := 1
		b.book.loaded = func(context.Context, string) error {
			n++
			b.book.write("a", fmt.Sprintf(`{"v":%d}`, n))
			return nil
		}
		b.book.write("a", `{"v":0}`)
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.Volatile: 1})
		b.book.loaded = func(context.Context, string) error { b.book.write("a", `{"v":1}`); return nil }
		b.book.write("a", `{"v":0}`) // for a moment only
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.Volatile: 1, audit.InFlight: 1})
	})
}

// termed is a ledger whose records may be for one reader alone.
type termed struct {
	*ledger
	unshared string
}

func (l *termed) LoadTermed(ctx context.Context, args source.Args, known []byte) ([]byte, source.Term, error) {
	record, err := l.Load(ctx, args)
	if err == nil && string(record) == string(known) {
		record = known // confirmed
	}
	return record, source.Term{Unshared: l.unshared}, err
}

// TestAuditAsksLast: whoever else wants something of the source comes first.
func TestAuditAsksLast(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		asks := func(name string, want int64) {
			t.Helper()
			before := b.book.loads.Load()
			b.checkSource(p)
			if got := b.book.loads.Load() - before; got != want {
				t.Errorf("%s: the source was asked %d times, want %d", name, got, want)
			}
		}
		asks("idle", 1)
		g := b.gateOf(b.r)
		for range 2 {
			if !g.TryEnter() {
				t.Fatal("no place")
			}
		}
		asks("half of the places are taken", 0)
		for range 2 {
			g.Leave(nil)
		}
		b.watched(func() (time.Time, bool) { return time.Now(), false })
		asks("the feed is not live", 0)
		b.serve(b.r)
		b.Degrade(b.r, time.Now())
		asks("the feed is lost", 0)
		b.Restore(b.r)
		g.Report(&source.SpareError{After: time.Minute, Err: errors.New("later")})
		asks("the source asks to be spared", 0)
		g.Report(nil)
		if err := b.Erase(within(t), []string{p.Key}); err != nil {
			t.Fatal(err)
		}
		asks("the shared tier has no copy", 0)
		b.book.loaded = func(context.Context, string) error { return source.ErrDown }
		b.wantResults(audit.Source, map[audit.Result]int64{audit.OK: 1})
	}, func(c *setup) { c.MaxLoads, c.DegradedTTL = 4, time.Minute })
}

// TestAuditOfAnOrigin: an origin confirms what is there, and what it lets nobody share is left
// alone.
func TestAuditOfAnOrigin(t *testing.T) {
	withSource(t, func(t *testing.T, b *bench, p audit.Pick) {
		book := &termed{ledger: b.book}
		b.r = NewResource("user", "user", testLives, book)
		b.serve(b.r)
		p = b.keep("a", `{"v":1}`)
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.OK: 1})
		book.unshared = "no-store"
		b.checkSource(p)
		b.checkSource(p)
		b.wantResults(audit.Source, map[audit.Result]int64{audit.OK: 1})
		if n := b.book.loads.Load(); n != 3 {
			t.Errorf("the origin was asked %d times, want 3: once by a reader, once for each answer, and not for what it has just said is not to be shared", n)
		}
	})
}
