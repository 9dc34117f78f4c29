package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// rounds is a tier that counts what the rounds of renewals found, and lets a test come
// between.
type rounds struct {
	SharedTier
	stood, restored, gone atomic.Int64
	unguards              atomic.Int64
	before                func(guards []shared.HeldGuard)
}

func (r *rounds) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error {
	defer r.unguards.Add(1)
	return r.SharedTier.Unguard(ctx, key, token, value, ttl, own)
}

func (r *rounds) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	if r.before != nil {
		r.before(guards)
	}
	all := r.SharedTier.RenewGuards(ctx, guards)
	for _, got := range all {
		switch {
		case got.Err != nil:
		case got.State == shared.GuardStood:
			r.stood.Add(1)
		case got.State == shared.GuardRestored:
			r.restored.Add(1)
		default:
			r.gone.Add(1)
		}
	}
	return all
}

// watchRounds puts a tier that counts in the place of c's.
func watchRounds(c *Cache) *rounds {
	r := &rounds{SharedTier: c.tier}
	c.tier = r
	return r
}

// TestARunningCommitKeepsItsGuard: also when its request is out of time.
func TestARunningCommitKeepsItsGuard(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t, func(c *setup) { c.Lease = 200 * time.Millisecond })
		r := watchRounds(c)
		d := newDesk(t, c, newLedger("1", "1"))
		ctx, cancel := context.WithCancel(within(t))
		d.book.commit = func(apply func()) error {
			cancel()
			testkit.Eventually(t, patience, "the guard is renewed for three lifetimes", func() bool { return r.stood.Load() >= 12 })
			apply()
			return nil
		}
		if _, err := d.Put(ctx, d.r, d.key("1"), source.Args{"1"}, jsonvalue.Node{Value: []byte("2")}); err != nil {
			t.Error(err)
		}
		if r.gone.Load()+r.restored.Load() != 0 {
			t.Errorf("the guard was gone %d times, and set anew %d times", r.gone.Load(), r.restored.Load())
		}
		fixture{d.Cache, t, d.key("1")}.want("2") // it was alone all the time
	})
}

// TestALostGuardIsSetAnew behind a COMMIT whose outcome is unknown: what was filled
// from before it goes, and is not put there again.
func TestALostGuardIsSetAnew(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		var over, frozen atomic.Bool
		d := newDesk(t, open(t, func(c *setup) { c.Lease, c.around = time.Second, freezing(&frozen) }), newLedger("1", "1"))
		d.book.over = func() (bool, error) { return over.Load(), nil }
		d.book.commit = func(func()) error { return source.ErrUnknownOutcome }
		frozen.Store(true)
		if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
			t.Fatalf("got %v, want ErrUnconfirmed", err)
		}
		x := fixture{d.Cache, t, d.key("1")}
		testkit.Eventually(t, patience, "the guard is gone", func() bool { return x.holds() == "nothing" })
		x.set("1") // a loader has filled the key
		frozen.Store(false)
		testkit.Eventually(t, patience, "the guard stands again", func() bool { return x.holds() == "guard" })
		testkit.Eventually(t, patience, "it is counted", func() bool { return d.Stats().Restored == 1 })
		d.book.write("1", "2") // the database commits
		over.Store(true)
		testkit.Eventually(t, patience, "the write is settled", func() bool { return d.Stats().Unconfirmed == 0 })
		x.want("nothing")
		d.wantRead("1", "2", TierSource)
	})
}

// TestWhoHasReadACommitHasMadeItKnown: a read past both tiers sees to the guards
// before it answers, so that nobody is answered with anything older afterwards.
func TestWhoHasReadACommitHasMadeItKnown(t *testing.T) {
	srv := testkit.Redis(t)
	book := newLedger("1", "1")
	long := func(c *setup) { c.Lease = time.Hour } // no round comes to help
	here, there := newDesk(t, openRedis(t, srv, long), book), newDesk(t, openRedis(t, srv, long), book)
	var over atomic.Bool
	book.over = func() (bool, error) { return over.Load(), nil }
	book.commit = func(func()) error { return source.ErrUnknownOutcome }
	if _, err := here.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
		t.Fatalf("got %v, want ErrUnconfirmed", err)
	}
	srv.Do("DEL", here.key("1"))
	there.wantRead("1", "1", TierSource) // which fills
	there.wantRead("1", "1", TierRedis)
	there.wantRead("1", "1", TierMemory)
	book.write("1", "2") // the database commits
	here.wantRead("1", "2", TierSource)
	fixture{here.Cache, t, here.key("1")}.want("guard")
	testkit.Eventually(t, patience, "the invalidation has arrived", func() bool {
		e, _ := there.Hit(there.r, []byte(there.key("1")), time.Now())
		return e == nil
	})
	over.Store(true)
}

// TestAReadPastIsMarked while Redis cannot be asked: it may hold what is older.
func TestAReadPastIsMarked(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.Lease = time.Second }), newLedger("1", "1"))
	d.book.over = func() (bool, error) { return false, nil }
	d.book.commit = func(apply func()) error { apply(); return source.ErrUnknownOutcome }
	if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
		t.Fatalf("got %v, want ErrUnconfirmed", err)
	}
	if a := d.wantRead("1", "2", TierSource); a.Detail != "" {
		t.Errorf("with Redis there the answer is marked %s", a.Detail)
	}
	srv.Kill()
	if a := d.wantRead("1", "2", TierSource); a.Detail != "untracked" {
		t.Errorf("without Redis the answer is marked %q", a.Detail)
	}
}

// TestWhoAloneCanTell of an outcome is known, until it is: a reload must not close that
// database.
func TestWhoAloneCanTell(t *testing.T) {
	d := newDesk(t, openFile(t), newLedger())
	one, other := new(int), new(int)
	d.r.Opened = one
	var over atomic.Bool
	d.book.over = func() (bool, error) { return over.Load(), nil }
	d.book.commit = func(func()) error {
		if d.Awaits(one) {
			t.Error("a commit under way is of its request, which is waited for anyway")
		}
		return source.ErrUnknownOutcome
	}
	if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) || !d.Awaits(one) || d.Awaits(other) {
		t.Errorf("got %v, awaited from one: %v, from the other: %v", err, d.Awaits(one), d.Awaits(other))
	}
	over.Store(true)
	testkit.Eventually(t, patience, "nobody is awaited", func() bool { return !d.Awaits(one) })
}

// TestAnUnguardThatOvertakesARound leaves no guard behind, although the round finds
// it gone and sets it anew.
func TestAnUnguardThatOvertakesARound(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t, func(c *setup) { c.Lease = 400 * time.Millisecond })
		r := watchRounds(c)
		d := newDesk(t, c, newLedger("1", "1"))
		round, unguarded, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var once sync.Once
		r.before = func(guards []shared.HeldGuard) {
			if guards[0].Restore {
				once.Do(func() { close(round); <-unguarded; close(over) })
			}
		}
		d.book.commit = func(apply func()) error { apply(); <-round; return nil }
		d.mustPut("1", "2")
		close(unguarded)
		<-over
		x := fixture{d.Cache, t, d.key("1")}
		testkit.Eventually(t, patience, "the round has set the guard anew, and taken it out", func() bool { return r.restored.Load() >= 1 && r.unguards.Load() >= 2 })
		x.want("nothing")
		d.wantRead("1", "2", TierSource)
	})
}

// TestManyCommitsOfUnknownOutcome: each keeps its guard, although the database does not
// answer any question and Redis pauses. Beyond the bound writes are refused.
func TestManyCommitsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	const lease = 2 * time.Second
	c := openRedis(t, srv, func(c *setup) { c.Lease = lease })
	r := watchRounds(c)
	d := newDesk(t, c, newLedger())
	answering := make(chan struct{})
	d.book.over = func() (bool, error) { <-answering; return true, nil }
	d.book.commit = func(func()) error { return source.ErrUnknownOutcome }
	var writers sync.WaitGroup
	next := make(chan int)
	for range 48 {
		writers.Go(func() {
			for n := range next {
				if _, err := d.put(fmt.Sprint(n), "2"); !errors.Is(err, ErrUnconfirmed) {
					t.Errorf("write %d: got %v, want ErrUnconfirmed", n, err)
				}
			}
		})
	}
	for n := range maxWrites {
		next <- n
	}
	close(next)
	writers.Wait()
	begun := false
	d.book.begun = func() error { begun = true; return nil }
	if _, err := d.put("one more", "2"); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnconfirmed) || begun {
		t.Errorf("beyond the bound: got %v, the database asked: %v", err, begun)
	}
	srv.Do("CLIENT", "PAUSE", "700", "ALL")
	before := r.stood.Load()
	testkit.Eventually(t, patience, "all guards are renewed for two lifetimes", func() bool { return r.stood.Load() >= before+6*maxWrites })
	if n := d.Stats(); n.Restored != 0 || n.Unconfirmed != maxWrites {
		t.Errorf("%d guards were lost, %d writes are unconfirmed, want 0 and %d", n.Restored, n.Unconfirmed, maxWrites)
	}
	close(answering)
	testkit.Eventually(t, patience, "all are settled", func() bool { return d.Stats().Unconfirmed == 0 })
	d.book.commit = nil
	d.mustPut("one more", "2")
}

// TestTheEndWaitsForOutcomes, for a while.
func TestTheEndWaitsForOutcomes(t *testing.T) {
	srv := testkit.Redis(t)
	c := openUnproven(t, srv)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	d := newDesk(t, c, newLedger())
	var asked atomic.Int64
	d.book.over = func() (bool, error) { return asked.Add(1) > 2, nil }
	d.book.commit = func(func()) error { return source.ErrUnknownOutcome }
	if _, err := d.put("1", "2"); !errors.Is(err, ErrUnconfirmed) {
		t.Fatalf("got %v, want ErrUnconfirmed", err)
	}
	c.writes.close()
	if asked.Load() < 3 || c.Stats().Unconfirmed != 0 {
		t.Errorf("the end has asked %d times and left %d writes", asked.Load(), c.Stats().Unconfirmed)
	}
	fixture{c, t, d.key("1")}.want("nothing")
}

// freezing keeps guards from being renewed while frozen is set, as if the process
// stood still.
func freezing(frozen *atomic.Bool) func(SharedTier) SharedTier {
	return func(t SharedTier) SharedTier { return frozenTier{t, frozen} }
}

type frozenTier struct {
	SharedTier
	frozen *atomic.Bool
}

func (f frozenTier) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	if !f.frozen.Load() {
		return f.SharedTier.RenewGuards(ctx, guards)
	}
	out := make([]shared.Renewal, len(guards))
	for i := range out {
		out[i].Err = shared.ErrAway
	}
	return out
}
