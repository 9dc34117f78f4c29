package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// keepNothing is a memory that is full of better records.
func keepNothing(string) bool { return false }

// plainDesk is a desk on a stage whose memory keeps nothing.
func plainDesk(t *testing.T, book *ledger) (*stage, *desk) {
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), book)
	d.admits = keepNothing
	return s, d
}

func (s *stage) meet(key string, g gotten) { s.do(func() { s.instead[key] = g }) }

// awaitGets waits until key has been read untracked n times.
func (s *stage) awaitGets(t *testing.T, key string, n int) {
	t.Helper()
	testkit.Eventually(t, patience, fmt.Sprintf("plain read %d of %s", n, key), func() (done bool) {
		s.do(func() { done = s.gets[key] == n })
		return done
	})
}

// wantCommands compares how often a key was read, untracked and tracked.
func (s *stage) wantCommands(t *testing.T, key string, gets, execs int) {
	t.Helper()
	s.do(func() {
		if s.gets[key] != gets || s.execs[key] != execs {
			t.Errorf("%s was read %d times plainly and %d times tracked, want %d and %d", key, s.gets[key], s.execs[key], gets, execs)
		}
	})
}

// formed is how many readers wait for the next plain read of a key; -1 if none is on the wire.
func (d *desk) formed(id string) int {
	sh := d.flights.shard(d.key(id))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch p := sh.plain[d.key(id)]; {
	case p == nil:
		return -1
	case p.next == nil:
		return 0
	default:
		return p.next.waiting
	}
}

func (d *desk) awaitFormed(id string, n int) {
	d.t.Helper()
	testkit.Eventually(d.t, patience, fmt.Sprintf("%d readers wait for the next read of %s", n, id), func() bool { return d.formed(id) == n })
}

// TestAPlainReadIsJoinedByThoseBefore: readers that come when it is on the wire may have
// heard of a write that it has not seen. They share the next one.
func TestAPlainReadIsJoinedByThoseBefore(t *testing.T) {
	f := func(name string, write func(s *stage, key string), want string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := plainDesk(t, newLedger("a", `{"v":3}`))
			key := d.key("a")
			s.set(key, `{"v":1}`)
			s.meet(key, gotten{hold: true})
			first := d.readBeside("a")
			s.awaitGets(t, key, 1)
			write(s, key)
			later := []*pending{d.readBeside("a"), d.readBeside("a"), d.readBeside("a")}
			d.awaitFormed("a", len(later))
			s.wantCommands(t, key, 1, 0)
			s.release()
			if a := first.want(t, `{"v":1}`); a.Stored || a.Tier != TierRedis || a.TTL != 0 {
				t.Errorf("got %+v, want an answer of Redis that is not stored", a)
			}
			for _, p := range later {
				p.want(t, want)
			}
			if n := d.formed("a"); n != -1 {
				t.Errorf("a plain read is left behind, %d readers", n)
			}
			if want == `{"v":2}` { // else they have loaded it, and followed the lease
				d.wantMemory("a", "")
				s.wantCommands(t, key, 2, 0)
			}
		})
	}
	f("somebody sets it", func(s *stage, key string) { s.set(key, `{"v":2}`) }, `{"v":2}`)
	f("somebody deletes it", func(s *stage, key string) { s.set(key, "") }, `{"v":3}`)
}

// TestAnOwnWriteMeetsAPlainRead: whoever comes behind the write's answer has the record
// that was written, although the read from before it is still on its way.
func TestAnOwnWriteMeetsAPlainRead(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		slow := &slowTier{read: make(chan string, 8), deliver: make(chan struct{})}
		d := newDesk(t, open(t, func(c *setup) {
			c.around = func(tier SharedTier) SharedTier { slow.SharedTier = tier; return slow }
		}), newLedger("a", `{"v":1}`))
		d.admits = keepNothing
		d.mustPut("a", `{"v":1}`)
		first := d.readBeside("a")
		if key := <-slow.read; key != d.key("a") {
			t.Fatalf("read %q first", key)
		}
		d.mustPut("a", `{"v":2}`)
		second, third := d.readBeside("a"), d.readBeside("a")
		d.awaitFormed("a", 2)
		close(slow.deliver)
		first.want(t, `{"v":1}`)
		second.want(t, `{"v":2}`)
		third.want(t, `{"v":2}`)
		d.wantMemory("a", "")
		if n := len(slow.read); n != 1 {
			t.Errorf("%d more plain reads, want one for both", n)
		}
		if d.book.loads.Load() != 0 {
			t.Error("the record was loaded")
		}
	})
}

// slowTier delivers the replies to plain reads when it is told to.
type slowTier struct {
	SharedTier
	read    chan string
	deliver chan struct{}
}

func (s *slowTier) Value(ctx context.Context, key string) (shared.Content, error) {
	found, err := s.SharedTier.Value(ctx, key)
	s.read <- key
	<-s.deliver
	return found, err
}

// TestWhoLeavesAPlainRead takes nothing with it: a reader that is out of time in a round,
// the last one of a round, and the one that has the turn.
func TestWhoLeavesAPlainRead(t *testing.T) {
	t.Parallel()
	s, d := plainDesk(t, nil)
	key := d.key("a")
	s.set(key, `{"v":1}`)
	s.meet(key, gotten{hold: true})
	first := d.readBeside("a")
	s.awaitGets(t, key, 1)
	leave := func() (stop func()) {
		ctx, cancel := context.WithCancel(within(t))
		left := make(chan error)
		before := d.formed("a")
		go func() { _, err := d.readWithin(ctx, "a"); left <- err }()
		d.awaitFormed("a", before+1)
		return func() {
			cancel()
			if err := <-left; !errors.Is(err, ErrTimeout) {
				t.Errorf("a reader that left got %v", err)
			}
		}
	}
	stopped := leave()
	stopped() // the last of its round
	d.awaitFormed("a", 0)
	stopped = leave()
	stays := d.readBeside("a")
	d.awaitFormed("a", 2)
	stopped()
	s.set(key, `{"v":2}`)
	s.release()
	first.want(t, `{"v":1}`)
	stays.want(t, `{"v":2}`)
	s.wantCommands(t, key, 2, 0)

	// Whoever sends for a round is out of time: the others read again.
	sh, p := d.flights.shard(key), &plainRead{res: d.r}
	sh.mu.Lock()
	sh.plain[key] = p
	sh.mu.Unlock()
	stays = d.readBeside("a")
	d.awaitFormed("a", 1)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if seen := d.newQuery(ctx, d.r, key, nil).leadPlain(&p.next.plainRead, p.next); seen.err == nil {
		t.Error("a reader that is out of time has read")
	}
	stays.want(t, `{"v":2}`)

	// The turn comes to a round whose last reader is about to leave.
	round := &plainRound{plainRead: plainRead{res: d.r}, turn: make(chan struct{}, 1), done: make(chan struct{}), waiting: 1}
	p = &plainRead{res: d.r, next: round}
	sh.mu.Lock()
	sh.plain[key] = p
	sh.mu.Unlock()
	d.flights.endPlain(key, p, nil, nil)
	d.flights.leavePlain(key, round)
	if n := d.formed("a"); n != -1 {
		t.Errorf("a round without readers is left behind: %d", n)
	}
	d.wantRead("a", `{"v":2}`, TierRedis)
}

// TestWhatAPlainReadMeets: placeholders are followed by a tracked read, for somebody has to
// tell when they go.
func TestWhatAPlainReadMeets(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		s, d := plainDesk(t, newLedger("a", `{"v":1}`))
		if a := d.wantRead("a", `{"v":1}`, TierSource); !a.Stored {
			t.Error("the loaded record was not stored in Redis")
		}
		if a := d.wantRead("a", `{"v":1}`, TierRedis); a.Stored {
			t.Error("a plain read was stored")
		}
		if a := d.wantRead("b", "null", TierSource); !a.Entry.Missing() {
			t.Error("a missing record is none")
		}
		if a := d.wantRead("b", "null", TierRedis); !a.Entry.Missing() || a.Stored {
			t.Errorf("a missing record: %+v", a)
		}
		s.wantCommands(t, d.key("a"), 2, 0)
		s.wantCommands(t, d.key("b"), 2, 0)
		d.wantMemory("a", "")
		d.wantMemory("b", "")
	})
	t.Run("nothing, without a source", func(t *testing.T) {
		t.Parallel()
		_, d := plainDesk(t, nil)
		if a := d.wantRead("a", "null", TierRedis); !a.absent || a.Stored {
			t.Errorf("got %+v", a)
		}
	})
	f := func(name, stands string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := plainDesk(t, newLedger("a", `{"v":0}`))
			key := d.key("a")
			s.set(key, stands)
			readers := []*pending{d.readBeside("a"), d.readBeside("a")}
			testkit.Eventually(t, patience, "both wait", func() bool { return d.Stats().Waiting == 2 })
			if s.reads(key) == 0 {
				t.Error("nobody has read the placeholder tracked, so nobody is told when it goes")
			}
			s.set(key, `{"v":1}`)
			for _, p := range readers {
				if a := p.want(t, `{"v":1}`); a.Stored {
					t.Error("what came after the placeholder was kept")
				}
			}
			d.wantMemory("a", "")
		})
	}
	f("a lease", "lease:somebody")
	f("a guard", "guard:somebody@9999999999999")
	t.Run("no JSON", func(t *testing.T) {
		t.Parallel()
		s, d := plainDesk(t, newLedger("a", `{"v":1}`))
		s.set(d.key("a"), "{")
		d.wantRead("a", `{"v":1}`, TierSource)
		bare := newDesk(t, d.Cache, nil)
		s.set(bare.key("b"), "{")
		if a, err := bare.read("b"); !errors.Is(err, ErrNotJSON) {
			t.Errorf("got %v, %v, want %v", a, err, ErrNotJSON)
		}
	})
	refused := func(reply string) {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			s, d := plainDesk(t, newLedger("a", `{"v":0}`))
			s.set(d.key("a"), `{"v":1}`)
			s.meet(d.key("a"), gotten{reply: "-" + reply + "\r\n"})
			if a := d.wantRead("a", `{"v":0}`, TierSource); a.Detail != "untracked" {
				t.Errorf("detail %q, want it marked", a.Detail)
			}
			testkit.Eventually(t, patience, "the key is read again", func() bool {
				a, err := d.read("a")
				return err == nil && string(a.Data()) == `{"v":1}` && a.Tier == TierRedis
			})
		})
	}
	refused("NOPERM this user has no permissions to access one of the keys")
	refused("LOADING Redis is loading the dataset in memory")
	t.Run("a connection that breaks", func(t *testing.T) {
		t.Parallel()
		s, d := plainDesk(t, nil)
		s.set(d.key("a"), `{"v":1}`)
		s.meet(d.key("a"), gotten{hold: true})
		first := d.readBeside("a")
		s.awaitGets(t, d.key("a"), 1)
		second := d.readBeside("a")
		d.awaitFormed("a", 1)
		s.do(func() { c := s.held; s.held, s.due = nil, ""; c.Reset() })
		first.want(t, `{"v":1}`)
		second.want(t, `{"v":1}`)
	})
}

// TestAPlainReadFollowsASlot: a key is at another node, whose answer is read there.
func TestAPlainReadFollowsASlot(t *testing.T) {
	t.Parallel()
	home, target := newStage(t), newStage(t)
	host, port := splitAddr(t, home.srv.Addr())
	slots := []any{[]any{0, 16383, []any{host, port, "home"}}}
	nodes := fmt.Sprintf("home %s@1 myself,master - 0 0 1 connected 0-16383\ntarget %s@2 master - 0 0 2 connected\n", home.srv.Addr(), target.srv.Addr())
	home.slots, target.slots, home.nodes, target.nodes = slots, slots, nodes, nodes
	d := newDesk(t, openStage(t, home, patientLink, func(c *setup) { c.Redis.URL += "?addr=" + home.srv.Addr() }), nil)
	d.admits = keepNothing
	target.set(d.key("a"), `{"v":1}`)
	home.set(d.key("b"), `{"v":2}`)
	ask := gotten{reply: fmt.Sprintf("-ASK %d %s\r\n", (*redis.Tier)(nil).Slot(d.key("a")), target.srv.Addr())}
	home.meet(d.key("a"), ask)
	d.wantRead("a", `{"v":1}`, TierRedis)
	home.meet(d.key("a"), ask)
	answers, err := d.readMany("a", "b", "c")
	if err != nil || string(answers[0].Data()) != `{"v":1}` || string(answers[1].Data()) != `{"v":2}` || !answers[2].Entry.Missing() {
		t.Errorf("a many-read: %v, %v", answers, err)
	}
	target.wantCommands(t, d.key("a"), 2, 0)
	home.wantCommands(t, d.key("b"), 1, 0)
}

// TestAPlainManyRead reads in one piece what memory would not keep, tracked what it would,
// and waits for what others read already.
func TestAPlainManyRead(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d, s, ids := newShelf(t, open(t), 6)
		keep := d.key("5")
		d.admits = func(key string) bool { return key == keep }
		ids = append(ids, "absent", "0")
		for round, tier := range []Tier{TierSource, d.SharedTier(), d.SharedTier()} {
			answers, err := d.readMany(ids...)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				want, from := ids[i], tier
				if want == "absent" {
					want = "null"
				}
				if want == "5" && round == 2 {
					from = TierMemory
				}
				if string(a.Data()) != want || a.Tier != from || a.Detail != "" || a.Stored != (tier == TierSource || want == "5" && round == 1) {
					t.Errorf("round %d, %s: got %s from %v, stored %v, want it from %v", round, ids[i], a.Data(), a.Tier, a.Stored, from)
				}
			}
		}
		if calls := s.calls.Load(); calls != 1 {
			t.Errorf("%d calls of the source, want one", calls)
		}
		d.wantMemory("0", "")
		d.wantMemory("5", "5")
	})
}

// TestAHotRecordIsKept whatever memory says: it is to be loaded anew before it expires.
func TestAHotRecordIsKept(t *testing.T) {
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv, func(c *setup) { c.HotRate = 5 }), newLedger("a", "1"))
	d.admits = keepNothing
	testkit.Eventually(t, patience, "the record is kept", func() bool {
		_, err := d.read("a")
		return err == nil && d.memory("a") == "1"
	})
}

// TestAPlainReadWhileTheFeedIsLost: what is left of a copy's lifetime tells whether it is
// from before the loss, so it is read tracked.
func TestAPlainReadWhileTheFeedIsLost(t *testing.T) {
	d := newDesk(t, openRedis(t, testkit.Redis(t), func(c *setup) { c.DegradedTTL = time.Hour }), newLedger("a", "1"))
	d.admits = keepNothing
	d.wantRead("a", "1", TierSource)
	if a := d.wantRead("a", "1", TierRedis); a.TTL != 0 || a.Stored {
		t.Errorf("before: %+v, want a plain read", a)
	}
	d.Degrade(d.r, time.Now())
	if a := d.wantRead("a", "1", TierRedis); a.TTL == 0 {
		t.Errorf("while it is lost: %+v, want what is left of its lifetime", a)
	}
	answers, err := d.ReadMany(within(t), d.r, []string{d.key("b")}, []source.Args{{"b"}})
	if err != nil || !answers[0].Entry.Missing() {
		t.Errorf("a many-read: %v, %v", answers, err)
	}
}

// TestACopyThatIsNotFreshIsReplaced, however full memory is: left in its place it could be
// served stale when Redis is away, although a newer one was answered.
func TestACopyThatIsNotFreshIsReplaced(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), nil)
		if errs := d.Store(within(t), []Item{{Key: d.key("a"), Value: []byte("1")}}, 0); errs != nil {
			t.Fatal(errs)
		}
		d.wantRead("a", "1", d.SharedTier())
		d.expireAt(d.store.Find(d.r.Shape, []byte(d.key("a"))), d.store.Now())
		d.admits = keepNothing
		if a := d.wantRead("a", "1", d.SharedTier()); !a.Stored {
			t.Error("the copy was left as it was")
		}
	})
}
