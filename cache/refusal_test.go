package cache

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/cache/gate"
	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/limit"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestCountersOverWhatIsNoCounter: it is refused, by a word that says so, on
// either tier, and nobody takes the tier for away. Other counters go on.
func TestCountersOverWhatIsNoCounter(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		f := func(id, text string) {
			t.Helper()
			key := keyOf(t, id)
			fixture{c, t, key}.set(text)
			_, err := c.Increment(within(t), key)
			if !errors.Is(err, ErrRefused) || errors.Is(err, shared.ErrAway) || !strings.Contains(err.Error(), strconv.Quote(key)) {
				t.Errorf("%s: incrementing %q: got %v, want ErrRefused, which names the key", id, text, err)
			}
			if _, err := c.Count(within(t), key); id != "maximum" && !errors.Is(err, ErrRefused) {
				t.Errorf("%s: counting %q: got %v, want ErrRefused", id, text, err)
			}
			if err := c.Up(); err != nil {
				t.Errorf("%s: the tier counts as away: %v", id, err)
			}
			fixture{c, t, key}.want(shown(shared.Parse([]byte(text), 0)))
		}
		f("text", "abc")
		f("object", `{"a":1}`)
		f("fraction", "1.5")
		f("null", "null")
		f("nothing", "")
		f("above", "9223372036854775808")
		f("maximum", strconv.Itoa(math.MaxInt64))
		if n, err := c.Increment(within(t), keyOf(t, "another")); n != 1 || err != nil {
			t.Errorf("another counter: got %d, %v", n, err)
		}
	})
}

// TestRefusedKeys: an account without a right to some keys. What it is refused
// concerns those keys; Redis is not away, and the other keys are read as ever.
func TestRefusedKeys(t *testing.T) {
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "resetkeys", "~hearth:*", "~"+t.Name()+":free*", "+@all")
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr() })
	d, bare := newDesk(t, c, newLedger("free", "1", "shut", "2")), newDesk(t, c, nil)
	d.wantRead("free", "1", TierSource)
	redis.Do("RPUSH", bare.key("free list"), "x")
	up := func(what string) {
		t.Helper()
		if err := c.Up(); err != nil {
			t.Errorf("%s: Redis counts as away: %v", what, err)
		}
		d.wantRead("free", "1", TierRedis)
		c.flights.Changed(d.key("free"))
	}
	if a := d.wantRead("shut", "2", TierSource); a.Detail != "untracked" || a.Stored {
		t.Errorf("a record whose key is refused: got %+v, want it from the source, untracked", a)
	}
	up("a read")
	for what, err := range map[string]error{
		"a read without a source": func() error { _, err := bare.read("shut bare"); return err }(),
		"a write":                 func() error { _, err := d.put("shut", "3"); return err }(),
		"a counter":               func() error { _, err := c.Increment(within(t), d.key("shut")); return err }(),
		"a counter over a list":   func() error { _, err := c.Increment(within(t), d.key("free list")); return err }(),
		"a count":                 func() error { _, err := c.Count(within(t), d.key("shut")); return err }(),
		"a batch":                 c.Store(within(t), []Item{{Key: d.key("shut"), Value: []byte("{}")}}, 0)[0],
		"an invalidation":         c.Invalidate(within(t), []string{d.key("free other"), d.key("shut")}),
	} {
		if !errors.Is(err, ErrRefused) || errors.Is(err, shared.ErrAway) {
			t.Errorf("%s: got %v, want ErrRefused", what, err)
		}
		up(what)
	}
	// Nobody reads what is refused, so it keeps no change waiting.
	changed := []shared.Outdated{{Key: d.key("shut")}, {Key: d.key("free"), Writer: "w"}}
	if err := c.Outdate(within(t), changed); err != nil || redis.Int("EXISTS", d.key("free")) != 0 {
		t.Errorf("a change of several: %v", err)
	}
	redis.Do("ACL", "SETUSER", "hearth", "%R~"+t.Name()+":shut*")
	if err := c.Outdate(within(t), changed); !errors.Is(err, ErrRefused) {
		t.Errorf("a change of a key that can be read and not written: got %v, want ErrRefused", err)
	}
	redis.Do("ACL", "SETUSER", "hearth", "resetkeys", "~hearth:canary:*", "~"+t.Name()+":free*")
	redis.Do("SET", d.key("free"), "1")
	if err := c.Outdate(within(t), changed); err != nil || redis.Int("EXISTS", d.key("free")) != 0 {
		t.Errorf("a change of a key whose sibling is refused: %v", err)
	}
	redis.Do("ACL", "SETUSER", "hearth", "~hearth:*")
	d.wantRead("free", "1", TierSource)
	answers, err := d.ReadMany(within(t), d.r, []string{d.key("free"), d.key("shut")}, []source.Args{{"free"}, {"shut"}})
	if err != nil || answers[0].Tier != TierRedis || string(answers[1].Data()) != "2" {
		t.Errorf("a many-read: got %v, %v", answers, err)
	}
}

// TestARefusedDELIsSentOnce: what Redis has answered is not asked again.
func TestARefusedDELIsSentOnce(t *testing.T) {
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "~*", "+@all", "-del")
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr() })
	if err := c.Invalidate(within(t), []string{keyOf(t, 1)}); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want ErrRefused", err)
	}
	if err := c.Up(); err != nil {
		t.Errorf("Redis counts as away: %v", err)
	}
	stats := redis.Do("INFO", "commandstats").(string)
	if _, del, _ := strings.Cut(stats, "cmdstat_del:"); !strings.Contains(strings.SplitN(del, "\n", 2)[0], "rejected_calls=1,") {
		t.Errorf("got %.120q, want one rejected call", del)
	}
}

// TestAnInvalidationLeavesGuards: who writes meanwhile keeps the guard, and does
// not put the record there that was read before the invalidation.
func TestAnInvalidationLeavesGuards(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		x := fixture{open(t), t, keyOf(t, 1)}
		x.guard("writer")
		x.must(x.Invalidate(within(t), []string{x.key, keyOf(t, 2)}))
		x.want("guard")
		if !x.renew("writer") {
			t.Error("the writer lost its guard")
		}
		x.unguard("writer", "[1]")
		x.want("nothing")

		x.acquire("loader", "")
		x.must(x.Invalidate(within(t), []string{x.key}))
		x.want("nothing")
		if x.fill("loader", "[1]") {
			t.Error("a load from before the invalidation was stored")
		}
	})
}

// TestRefusedProofs: Redis answers, and refuses what proves a link: it is read
// without trust in its pushes, and not taken for away.
func TestRefusedProofs(t *testing.T) {
	// code is what a refusal begins with. A machine that stalls makes Redis count as away, too, for
	// another reason and for a while.
	f := func(name, code string, refuse func(*testkit.RedisServer)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := testkit.Redis(t)
			redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "~*", "+@all")
			c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr() })
			testkit.Eventually(t, patience, "the link is proven", func() bool { return proven(c) })
			d := newDesk(t, c, nil)
			redis.Do("SET", d.key("1"), `{"v":1}`)
			refuse(redis)
			n := 0
			testkit.Eventually(t, patience, "Redis is read without trust in its pushes", func() bool {
				if err := c.Up(); err != nil {
					if strings.Contains(err.Error(), code) {
						t.Fatalf("Redis counts as away: %v", err)
					}
					return false
				}
				n++
				a, err := d.read(fmt.Sprint("absent ", n)) // another each time: what was read before is in memory
				return err == nil && a.Detail == "untracked"
			})
			testkit.Eventually(t, patience, "the value is read", func() bool {
				a, err := d.read("1")
				if err == nil && (string(a.Data()) != `{"v":1}` || a.Detail != "untracked") {
					t.Fatalf("got %+v, want the value, marked", a)
				}
				return err == nil
			})
		})
	}
	f("the canary's key", "NOPERM", func(s *testkit.RedisServer) {
		s.Do("ACL", "SETUSER", "hearth", "resetkeys", "~Test*")
	})
	f("no memory left", "OOM", func(s *testkit.RedisServer) { s.Do("CONFIG", "SET", "maxmemory", "1") })
	f("too few replicas", "NOREPLICAS", func(s *testkit.RedisServer) { s.Do("CONFIG", "SET", "min-replicas-to-write", "1") })
}

// TestARefusedTransactionIsAnAnswer: without PTTL every tracked read is
// discarded by EXEC. That is no broken connection.
func TestARefusedTransactionIsAnAnswer(t *testing.T) {
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "~*", "+@all")
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr() })
	d := newDesk(t, c, newLedger("1", "1"))
	d.wantRead("1", "1", TierSource)
	redis.Do("ACL", "SETUSER", "hearth", "-pttl")
	d.wantRead("1", "1", TierSource)
	if err := c.Up(); err != nil {
		t.Errorf("Redis counts as away: %v", err)
	}
}

// TestARefusedFillGivesTheLeaseBack: who comes next must not wait for it to
// expire. The sibling's key, which a fill deletes, is what is refused here.
func TestARefusedFillGivesTheLeaseBack(t *testing.T) {
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "resetkeys", "~"+t.Name()+":*", "~hearth:canary:*", "+@all")
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr() })
	d := newDesk(t, c, newLedger("1", "1"))
	for range 2 {
		if a := d.wantRead("1", "1", TierSource); a.Stored {
			t.Error("a refused fill counts as stored")
		}
		fixture{c, t, d.key("1")}.want("nothing")
	}
}

// TestARedisThatIsBusyIsAway: while somebody's script runs on, it refuses all, and
// is there again when that has ended.
func TestARedisThatIsBusyIsAway(t *testing.T) {
	redis := testkit.Redis(t, testkit.WithConfig("busy-reply-threshold 20"))
	c := openRedis(t, redis)
	d := newDesk(t, c, newLedger("1", "1"))
	busy := redis.AdminConn()
	defer busy.Close()
	if err := busy.Send("EVAL", "while true do end", "0"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, "Redis counts as away", func() bool { return c.Up() != nil })
	if a := d.wantRead("1", "1", TierSource); a.Detail != "untracked" {
		t.Errorf("got %+v, want an untracked answer", a)
	}
	redis.Do("SCRIPT", "KILL")
	testkit.Eventually(t, patience, "Redis can be asked, and is tracked", func() bool { return c.Up() == nil && proven(c) })
}

// TestTheDocumentedAccountIsEnough plays what there is with the account that
// docs/consistency.md tells operators to make.
func TestTheDocumentedAccountIsEnough(t *testing.T) {
	text, err := os.ReadFile("../docs/consistency.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(text), "\nACL SETUSER hearth ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("docs/consistency.md has no line that makes an account")
	}
	server := testkit.Redis(t)
	server.Do(append([]string{"ACL", "SETUSER", "hearth"}, strings.Fields(line)...)...)
	c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = "redis://hearth:password@" + server.Addr() })
	testkit.Eventually(t, patience, "the link is proven", func() bool { return proven(c) })
	book := newLedger("1", `{"v":1}`, "2", `{"v":1}`)
	user, item := NewResource("user", "user", testLives, book), NewResource("item", "item", testLives, nil)
	a, err := c.Read(within(t), user, "user:1", source.Args{"1"})
	if err != nil || !a.Stored {
		t.Errorf("a load: got %+v, %v", a, err)
	}
	if a, err = c.Read(within(t), user, "user:1", source.Args{"1"}); err != nil || a.Tier != TierRedis || a.Detail != "" {
		t.Errorf("a tracked read: got %+v, %v", a, err)
	}
	if result, err := c.refresh(within(t), entered(c, user), user, "user:1", source.Args{"1"}, a.Data()); err != nil || result != refreshStored {
		t.Errorf("a refresh: got %v, %v", result, err)
	}
	if _, err := c.Put(within(t), user, "user:2", source.Args{"2"}, jsonvalue.Node{Value: []byte(`{"v":2}`)}); err != nil {
		t.Errorf("a write: %v", err)
	}
	if errs := c.Store(within(t), []Item{{Key: "item:1", Value: []byte("{}")}, {Key: "item:2", Value: []byte("{}")}}, 0); errs != nil {
		t.Errorf("a batch: %v", errs)
	}
	if run, _ := calls(server, "mset"); run != 1 {
		t.Error("a batch of two was not stored by MSET")
	}
	if a, err := c.Read(within(t), item, "item:1", nil); err != nil || a.Entry.Missing() {
		t.Errorf("an item: got %+v, %v", a, err)
	}
	if n, err := c.Increment(within(t), "request_count"); n != 1 || err != nil {
		t.Errorf("a counter: got %d, %v", n, err)
	}
	if n, err := c.Count(within(t), "request_count"); n != 1 || err != nil {
		t.Errorf("a count: got %d, %v", n, err)
	}
	rate, counts := limit.Rate{Count: 10, Window: time.Hour}, limit.NewRedisStore(c.tier.(*redis.Tier))
	g, err := counts.TakePermits(within(t), "hearth:limit:{a:}", rate, 10, 1)
	if err != nil || counts.ReturnPermits(within(t), "hearth:limit:{a:}", rate, g.Window, 1) != nil {
		t.Errorf("a limit: got %+v, %v", g, err)
	}
	if err := c.Invalidate(within(t), []string{"user:1", "item:1"}); err != nil {
		t.Errorf("an invalidation: %v", err)
	}
	if _, held, err := c.Lead(within(t), "hearth:feed", "me", nil, time.Hour); err != nil || !held || c.Yield(within(t), "hearth:feed", "me") != nil {
		t.Errorf("a lease of the fleet: held %v, %v", held, err)
	}
	if err := c.Outdate(within(t), []shared.Outdated{{Key: "user:1"}, {Key: "user:2", Writer: "w"}}); err != nil {
		t.Errorf("a change of others: %v", err)
	}
	if _, err := c.Sweep(within(t), shared.Glob("user:", ""), func(string) bool { return true }); err != nil {
		t.Errorf("a sweep: %v", err)
	}
	server.Do("RPUSH", "user:3", "x")
	book.write("3", `{"v":3}`)
	if a, err := c.Read(within(t), user, "user:3", source.Args{"3"}); err != nil || !a.Stored {
		t.Errorf("a load over a list: got %+v, %v", a, err)
	}
}

// entered is the gate of r, with a place taken.
func entered(c *Cache, r *Resource) *gate.Gate {
	g := c.gateOf(r)
	g.TryEnter()
	return g
}
