package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

const execAbort = "-EXECABORT Transaction discarded because of previous errors.\r\n"

// refusing is a plan in which Redis refuses the read with an error.
func refusing(text string) plan {
	return plan{reply: map[int]string{partPTTL: "-" + text + "\r\n", partGet: "-" + text + "\r\n", partExec: execAbort}}
}

// TestRefusedReads: an error in the place of a value is never stored. What has
// a source is answered from it.
func TestRefusedReads(t *testing.T) {
	f := func(name string, p plan, detail string, alone error) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c := openStage(t, s, quickLink)
			d := newDesk(t, c, newLedger("a", `{"v":1}`))
			key := d.key("a")
			s.plan(key, p)
			a := d.wantRead("a", `{"v":1}`, TierSource)
			if a.Detail != detail {
				t.Errorf("detail %q, want %q", a.Detail, detail)
			}
			if e := d.store.Find(d.r.Shape, []byte(key)); e != nil {
				t.Errorf("memory holds %s, untracked %v", e.Data(), e.Untracked())
			}
			testkit.Eventually(t, patience, "the key is read and kept again", func() bool {
				a, err := d.read("a")
				return err == nil && string(a.Data()) == `{"v":1}` && a.Detail == "" && d.memory("a") != ""
			})

			bare := newDesk(t, c, nil)
			s.plan(bare.key("b"), p)
			if a, err := bare.read("b"); !errors.Is(err, alone) {
				t.Errorf("without a source: got %v, %v, want %v", a, err, alone)
			}
			bare.wantMemory("b", "")
		})
	}
	wrongType := "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	f("WRONGTYPE", plan{reply: map[int]string{partExec: "*2\r\n:-1\r\n" + wrongType}}, "", ErrNotJSON)
	f("no JSON", plan{reply: map[int]string{partExec: testkit.Encode([]any{-1, "{"})}}, "", ErrNotJSON)
	f("LOADING", refusing("LOADING Redis is loading the dataset in memory"), "untracked", ErrUnavailable)
	f("MOVED", refusing("MOVED 1 127.0.0.1:1"), "untracked", ErrUnavailable)
	f("ASK", refusing("ASK 1 127.0.0.1:1"), "untracked", ErrUnavailable)
	f("NOPERM", refusing("NOPERM this user has no permissions to access one of the keys"), "untracked", ErrUnavailable)
}

// TestNil: with a source, nothing in Redis is a reason to load, and never a
// copy; without one it is the answer.
func TestNil(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := openStage(t, s)
	d := newDesk(t, c, newLedger("a", `{"v":1}`))
	if a := d.wantRead("a", `{"v":1}`, TierSource); !a.Stored {
		t.Error("the loaded record was not stored in Redis")
	}
	d.wantMemory("a", "") // what was filled from here was not read tracked
	d.wantRead("a", `{"v":1}`, TierRedis)
	d.wantMemory("a", `{"v":1}`)

	bare := newDesk(t, c, nil)
	if a, err := bare.read("b"); err != nil || !a.Entry.Missing() || !a.Stored {
		t.Errorf("got %v, %v, want a missing record, kept", a, err)
	}
	bare.wantMemory("b", "null")
	s.set(bare.key("b"), `{"v":2}`)
	testkit.Eventually(t, patience, "the record is seen", func() bool {
		a, err := bare.read("b")
		return err == nil && string(a.Data()) == `{"v":2}`
	})
}

// TestAskRedirects: a slot is on the move. The other node answers, but does
// not track what it was asked after ASKING, so nothing is stored.
func TestAskRedirects(t *testing.T) {
	t.Parallel()
	home, target := newStage(t), newStage(t)
	host, port := splitAddr(t, home.srv.Addr())
	slots := []any{[]any{0, 16383, []any{host, port, "home"}}}
	nodes := fmt.Sprintf("home %s@1 myself,master - 0 0 1 connected 0-16383\ntarget %s@2 master - 0 0 2 connected\n", home.srv.Addr(), target.srv.Addr())
	home.slots, target.slots, home.nodes, target.nodes = slots, slots, nodes, nodes
	c := openStage(t, home, patientLink, func(c *setup) { c.Redis.URL += "?addr=" + home.srv.Addr() })
	d := newDesk(t, c, nil)
	key := d.key("a")
	target.set(key, `{"v":1}`)
	home.plan(key, refusing(fmt.Sprintf("ASK %d %s", (*redis.Tier)(nil).Slot(key), target.srv.Addr())))
	if a := d.wantRead("a", `{"v":1}`, TierRedis); a.Stored {
		t.Error("a reply after ASK was stored")
	}
	target.do(func() {
		if n := target.gets[key]; n != 1 || target.execs[key] != 0 {
			t.Errorf("the other node was read %d times, and %d times tracked, want once, untracked", n, target.execs[key])
		}
	})
	d.wantMemory("a", "")
	for _, key := range []string{key, d.key("b")} { // the reply's Update had no flight; nothing is left of it
		if f, _, plain := d.flights.join(d.r, key); plain && key != d.key("a") {
			t.Errorf("%s cannot be read tracked", key)
		} else if f != nil {
			d.flights.finish(f, result{err: ErrUnavailable}, 0)
		}
	}
}

func splitAddr(t *testing.T, addr string) (host string, port int) {
	t.Helper()
	if _, err := fmt.Sscanf(strings.Replace(addr, ":", " ", 1), "%s %d", &host, &port); err != nil {
		t.Fatal(err)
	}
	return host, port
}

// wantUntracked reads id until it is answered, and checks that the answer is
// marked and kept for no longer than memory.untracked_ttl.
func (d *desk) wantUntracked(id string) {
	d.t.Helper()
	before := d.store.Now()
	a, err := d.Cache.Read(within(d.t), d.r, d.key(id), nil)
	if err != nil || a.Detail != "untracked" {
		d.t.Errorf("got detail %q, %v, want an answer marked untracked", a.Detail, err)
	}
	d.wantMemory(id, "")
	e := d.store.Find(d.r.Shape, []byte(d.key(id)))
	if e != nil && (!e.Untracked() || e.TTL(d.store.Now()) > d.cfg.UntrackedTTL) {
		d.t.Errorf("kept, untracked %v, for %v", e.Untracked(), e.TTL(before))
	}
}

// TestTrackingRefused: an ACL forbids CLIENT CACHING, whose reply nobody looks
// at. Redis answers and tracks nothing; only the canary can tell.
func TestTrackingRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.noperm = true
	cfg := testConfig()
	cfg.Redis.URL = s.srv.URL()
	c := open(t, cfg, quickLink)
	d := newDesk(t, c, nil)
	s.set(d.key("a"), `{"v":1}`)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	d.wantUntracked("a")
	testkit.Eventually(t, patience, "the canary is missed", func() bool { return c.Stats().LostCanaries > 1 })
	testkit.Eventually(t, patience, "Redis is asked", func() bool { return c.Up() == nil })
	d.wantUntracked("a")
	if proven(c) {
		t.Error("a connection counts as proven")
	}
}

// TestTrackingLost: tracking ends behind our back on a connection that goes on
// answering. What was read on it loses its freshness, an alarm rises, and
// until a connection reports changes again nothing is kept as fresh.
func TestTrackingLost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := openStage(t, s, quickLink)
	d := newDesk(t, c, nil)
	key := d.key("a")
	s.set(key, `{"v":1}`)
	d.wantRead("a", `{"v":1}`, TierRedis)
	d.wantMemory("a", `{"v":1}`)
	s.do(func() { s.mute = true; s.values[key] = `{"v":2}` })
	testkit.Eventually(t, patience, "the canary is missed", func() bool { return c.Stats().LostCanaries > 0 })
	d.wantMemory("a", "")
	testkit.Eventually(t, patience, "what Redis holds is answered, marked", func() bool {
		a, err := d.read("a")
		if err == nil && a.Detail == "" && (a.Tier != TierRedis || a.Stored) {
			t.Errorf("an unmarked answer, %s from %v (stored %v)", a.Data(), a.Tier, a.Stored)
		}
		return err == nil && string(a.Data()) == `{"v":2}` && a.Detail == "untracked"
	})
	s.do(func() { s.mute = false })
	testkit.Eventually(t, patience, "a connection has proved itself", func() bool { _, err := d.read("a"); return err == nil && d.memory("a") != "" })
	d.wantMemory("a", `{"v":2}`)
}

// TestOldRedisIsRefusedByName: before 7.0 the order of pushes and replies is
// not given.
func TestOldRedisIsRefusedByName(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.version = "6.2.14"
	cfg := testConfig()
	cfg.Redis.URL = s.srv.URL()
	d := newDesk(t, open(t, cfg), newLedger("a", `{"v":1}`))
	testkit.Eventually(t, patience, "the refusal", func() bool { return d.Up() == nil || !strings.Contains(d.Up().Error(), "not connected yet") })
	if err := d.Up(); err == nil || !strings.Contains(err.Error(), `"6.2.14" is too old`) {
		t.Errorf("got %v, want the version and what is wrong with it", err)
	}
	if a := d.wantRead("a", `{"v":1}`, TierSource); a.Detail != "untracked" {
		t.Errorf("detail %q, want untracked", a.Detail)
	}
}

// TestBlackHoledLink: the connection stays open, and neither answers nor pushes
// come. Nothing unmarked is served past link_timeout, by the clock of the
// reader and not by anybody's timer.
func TestBlackHoledLink(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := openStage(t, s, quickLink)
	d := newDesk(t, c, newLedger("a", `{"v":1}`, "b", `{"v":1}`))
	bare := newDesk(t, c, nil)
	s.set(d.key("a"), `{"v":1}`)
	d.wantRead("a", `{"v":1}`, TierRedis)
	d.wantMemory("a", `{"v":1}`)
	s.do(func() { s.silent = math.MaxInt; s.values[d.key("a")] = `{"v":2}` })
	since := time.Now()
	if e, _ := d.Hit(d.r, []byte(d.key("a")), since.Add(c.cfg.LinkTimeout)); e != nil {
		t.Error("an entry would be served unmarked link_timeout after the last answer")
	}
	for unmarked := true; unmarked; {
		asked := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		a, err := d.readWithin(ctx, "a")
		cancel()
		if err != nil || string(a.Data()) != `{"v":1}` {
			t.Fatalf("got %v, %v, want the copy", a, err)
		}
		if unmarked = a.Detail == ""; unmarked && asked.Sub(since) > c.cfg.LinkTimeout {
			t.Fatalf("served unmarked, asked %v after the link broke", asked.Sub(since))
		}
	}
	if a := d.wantRead("a", `{"v":1}`, TierStale); a.Detail != "stale" || a.TTL >= 0 {
		t.Errorf("detail %q, ttl %v, want stale since a while", a.Detail, a.TTL)
	}
	if a := d.wantRead("b", `{"v":1}`, TierSource); a.Detail != "untracked" {
		t.Errorf("detail %q, want untracked", a.Detail)
	}
	if a, err := bare.read("c"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a record that only Redis has: got %v, %v, want ErrUnavailable", a, err)
	}
	s.do(func() { s.silent = len(s.srv.Conns()) }) // what was sent into the hole is lost
	testkit.Eventually(t, patience, "the key is read and kept again", func() bool {
		a, err := d.read("a")
		return err == nil && a.Detail == "" && string(a.Data()) == `{"v":2}`
	})
}
