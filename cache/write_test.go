package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

func TestAWriteAnswersWithTheRecord(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger())
		a, err := d.put("1", `{"id":1}`)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(a.Body()), `{"user":{"id":1},"source":"db"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		d.wantRead("1", `{"id":1}`, d.SharedTier()) // put there by the writer, loaded by nobody
		if n := d.book.loads.Load(); n != 0 {
			t.Errorf("the source was asked %d times after the write", n)
		}
	})
}

// TestReadYourWrites is promise C2, with reads in flight all the time.
func TestReadYourWrites(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "0"))
		var acked atomic.Int64
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					least := acked.Load()
					a, err := d.read("1")
					if err != nil {
						t.Errorf("reading: %v", err)
						return
					}
					if n, _ := strconv.ParseInt(string(a.Data()), 10, 64); n < least {
						t.Errorf("read %d from %v after %d was acknowledged", n, a.Tier, least)
						return
					}
				}
			})
		}
		rounds := 100
		if testkit.Long() {
			rounds = 5000
		}
		for n := range rounds {
			want := strconv.Itoa(n + 1)
			if a, err := d.put("1", want); err != nil || string(a.Data()) != want {
				t.Fatalf("write %s: got %v, %v", want, a, err)
			}
			acked.Store(int64(n + 1))
			if a, err := d.read("1"); err != nil || string(a.Data()) != want {
				t.Fatalf("read after write %s: got %s from %v, %v", want, a.Data(), a.Tier, err)
			}
		}
		close(stop)
		readers.Wait()
	})
}

func TestWritesReachOtherInstances(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "0")
	a, b := newDesk(t, openRedis(t, srv), book), newDesk(t, openRedis(t, srv), book)
	for n := range 20 {
		want := strconv.Itoa(n + 1)
		testkit.Eventually(t, patience, "the other instance has the record in memory", func() bool {
			got, err := b.read("1")
			return err == nil && got.Tier == TierMemory
		})
		a.mustPut("1", want)
		testkit.Eventually(t, patience, "the other instance sees the write", func() bool {
			got, err := b.read("1")
			return err == nil && string(got.Data()) == want
		})
	}
}

func TestConcurrentWritersLeaveTheLastRecord(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "0")
	desks := []*desk{newDesk(t, openRedis(t, srv), book), newDesk(t, openRedis(t, srv), book)}
	var all sync.WaitGroup
	for w := range 6 {
		all.Go(func() {
			for i := range 20 {
				d := desks[w%2]
				d.mustPut("1", fmt.Sprint(w*1000+i))
				if _, err := d.read("1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i, d := range desks {
		testkit.Eventually(t, patience, "the instance has the last record", func() bool {
			a, err := d.read("1")
			return err == nil && string(a.Data()) == book.row("1")
		})
		if a, err := d.read("1"); err != nil || string(a.Data()) != book.row("1") {
			t.Errorf("instance %d: got %s, %v, want %s", i, a.Data(), err, book.row("1"))
		}
	}
}

func TestARefusedWriteChangesNothing(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		f := func(what string, want error, fault func(*ledger)) {
			t.Helper()
			d := newDesk(t, open(t), newLedger(what, "1"))
			d.wantRead(what, "1", TierSource)
			fault(d.book)
			if _, err := d.put(what, "2"); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
			d.wantRead(what, "1", TierSource) // the guard took the copy with it
			d.wantRead(what, "1", d.SharedTier())
		}
		body := &source.BodyError{Member: "city", Reason: "is missing"}
		f("begin fails", ErrUnavailable, func(l *ledger) { l.begun = func() error { return errBroken } })
		f("the body does not fit", body, func(l *ledger) { l.begun = func() error { return body } })
		f("a conflict", source.ErrConflict, func(l *ledger) { l.begun = func() error { return source.ErrConflict } })
		f("commit fails", ErrUnavailable, func(l *ledger) { l.commit = func(func()) error { return errBroken } })
	})
}

func TestAWriteOutOfTimeIsRolledBack(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1"))
		ctx, cancel := context.WithCancel(context.Background())
		d.book.begun = func() error { cancel(); return nil }
		if _, err := d.Put(ctx, d.r, d.key("1"), source.Args{"1"}, jsonvalue.Node{Value: []byte("2")}); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		if n := d.book.undone.Load(); n != 1 || d.book.row("1") != "1" {
			t.Errorf("rolled back %d times, the source has %s", n, d.book.row("1"))
		}
		fixture{d.Cache, t, d.key("1")}.want("nothing")
	})
}

func TestALostGuardAbortsTheTransaction(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Lease = 300 * time.Millisecond }), newLedger("1", "1"))
	d.r = NewResource("user", "user", testLives, stubborn{d.book, func() { srv.Do("DEL", d.key("1")) }})
	if _, err := d.put("1", "2"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errGuardLost) {
		t.Errorf("got %v, want ErrUnavailable because of the guard", err)
	}
	if got := d.book.row("1"); got != "1" {
		t.Errorf("the source has %s, want it untouched", got)
	}
}

// stubborn's Put loses the guard, lasts until its context ends, as the renewal
// sees to, and succeeds all the same.
type stubborn struct {
	*ledger
	lose func()
}

func (s stubborn) Put(ctx context.Context, args source.Args, body jsonvalue.Node) (source.Change, error) {
	s.lose()
	<-ctx.Done()
	return s.ledger.Put(ctx, args, body)
}

// TestACommitOfUnknownOutcome: the guard stands, and is renewed, until the
// database has finished with the transaction; before that a load could still
// bring the record of before, and store it behind the commit.
func TestACommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	const lease = 400 * time.Millisecond
	f := func(name string, open func(*testing.T, ...func(*setup)) *Cache, t *testing.T, applies bool, tell func(asked int64) (bool, error)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, open(t, func(c *setup) { c.Lease = lease }), newLedger("1", "1"))
			var asked atomic.Int64
			d.book.over = func() (bool, error) { return tell(asked.Add(1)) }
			d.book.commit = func(apply func()) error { return fmt.Errorf("sending COMMIT: %w", source.ErrUnknownOutcome) }
			if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, source.ErrUnknownOutcome) {
				t.Errorf("got %v, want ErrUnconfirmed with its cause", err)
			}
			x, want := fixture{d.Cache, t, d.key("1")}, "1"
			testkit.Eventually(t, patience, "the guard has outlived its lease", func() bool {
				if d.Stats().Unconfirmed == 1 { // read past both tiers
					if a, err := d.read("1"); err != nil || a.Stored || a.Tier != TierSource {
						t.Fatalf("got %v from %v, %v", a.Stored, a.Tier, err)
					}
				}
				if asked.Load() == 6 && applies { // retryEvery apart: 1.2 s, three leases
					want = "2"
					d.book.write("1", want)
				}
				return asked.Load() > 6
			})
			if d.Stats().Unconfirmed == 1 {
				x.want("guard")
			}
			testkit.Eventually(t, patience, "the guard is removed in the end", func() bool { return d.Stats().Unconfirmed == 0 })
			d.wantRead("1", want, TierSource)
			d.wantRead("1", want, d.SharedTier())
		})
	}
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		later := func(asked int64) (bool, error) { return asked > 10, nil }
		f("it takes effect later", open, t, true, later)
		f("it is rolled back", open, t, false, later)
		f("the database cannot be asked for a while", open, t, true, func(asked int64) (bool, error) {
			if asked < 10 {
				return false, errBroken
			}
			return true, nil
		})
	})
}

// TestADatabaseThatCannotTell: then time has to. So it is with one that a reload
// has closed meanwhile.
func TestADatabaseThatCannotTell(t *testing.T) {
	t.Parallel()
	for _, why := range []error{source.ErrNoOutcome, source.ErrClosed} {
		t.Run(why.Error(), func(t *testing.T) { timeTells(t, why) })
	}
}

func timeTells(t *testing.T, why error) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		const lease = 300 * time.Millisecond
		d := newDesk(t, open(t, func(c *setup) { c.Lease = lease }), newLedger("1", "1"))
		var asked atomic.Int64
		d.book.over = func() (bool, error) { asked.Add(1); return false, why }
		d.book.commit = func(apply func()) error { apply(); return source.ErrUnknownOutcome }
		before := d.store.Now()
		if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("got %v, want ErrUnconfirmed", err)
		}
		testkit.Eventually(t, patience, "the guard is removed in the end", func() bool { return d.Stats().Unconfirmed == 0 })
		if past := time.Duration(d.store.Now() - before); past < 2*lease {
			t.Errorf("it was removed after %v, before any lease of the time could have ended", past)
		}
		d.wantRead("1", "2", TierSource)
	})
}

// TestAKilledWriter leaves its guard standing before or after its commit.
func TestAKilledWriter(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		f := func(id, want string, commit bool) {
			t.Helper()
			d := newDesk(t, open(t, func(c *setup) { c.Lease = 300 * time.Millisecond }), newLedger(id, "1"))
			d.wantRead(id, "1", TierSource)
			x := fixture{d.Cache, t, d.key(id)}
			x.guard("dead")
			if commit {
				d.book.write(id, "2")
			}
			testkit.Eventually(t, patience, "the key heals", func() bool {
				a, err := d.read(id)
				if err != nil || string(a.Data()) != want {
					t.Fatalf("%s: got %s, %v, want %s", id, a.Data(), err, want)
				}
				return a.Tier == TierMemory
			})
		}
		f("killed before the commit", "1", false)
		f("killed after the commit", "2", true)
	})
}
