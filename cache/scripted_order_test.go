package cache

import (
	"context"
	"fmt"
	"testing"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestAPushAtEachPointOfAReply places the invalidation before each part of the
// reply to a tracked read. By Redis' order the write came before the read
// then: the value is newer than the message, and is kept.
func TestAPushAtEachPointOfAReply(t *testing.T) {
	for part := partCaching; part <= partExec; part++ {
		t.Run(fmt.Sprint("part", part), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := newDesk(t, openStage(t, s, patientLink), nil)
			key := d.key("a")
			s.set(key, `{"v":2}`)
			p := pushAt(part)
			p.hold, p.holds = part, true // right behind the push
			s.plan(key, p)
			applied := watchOf(d.Cache, key)

			first := d.readBeside("a")
			s.awaitReads(t, key, 1)
			awaitFired(t, "the push is applied", applied)
			// The second reader joins by hand: one that reads beside the test may come only when
			// the first is through, and reads again then.
			f, lead, plain := d.flights.join(d.r, key)
			if f == nil || lead || plain {
				t.Fatalf("joining the read after the push: lead %v, plain %v, want neither", lead, plain)
			}
			s.release()
			if a := first.want(t, `{"v":2}`); !a.Stored {
				t.Error("the value that is newer than the push was not stored")
			}
			if second := f.wait(within(t)); second.err != nil || string(second.entry.Data()) != `{"v":2}` {
				t.Errorf("who joined got %+v", second)
			}
			d.wantMemory("a", `{"v":2}`)
			if n := s.reads(key); n != 1 {
				t.Errorf("the key was read %d times, want once for both", n)
			}
		})
	}
}

// TestAPushBehindTheReply: the write came after the read, so the answer is
// delivered and not kept, however soon it is stored.
func TestAPushBehindTheReply(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), nil)
	key := d.key("a")
	s.set(key, `{"v":1}`)
	p := pushAt(partsEnd)
	p.then = func() { s.values[key] = `{"v":2}` }
	s.plan(key, p)
	applied := watchOf(d.Cache, key)
	d.readBeside("a").want(t, `{"v":1}`)
	awaitFired(t, "the push is applied", applied)
	d.wantMemory("a", "")
	d.wantRead("a", `{"v":2}`, TierRedis)
	d.wantMemory("a", `{"v":2}`)
}

// TestAPushInTheWindowBehindTheReply forces the order: the reply has passed
// the connection's reader, the push is applied, and only then does the leader
// come to store.
func TestAPushInTheWindowBehindTheReply(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), nil)
	key := d.key("a")
	s.set(key, `{"v":1}`)
	s.plan(key, pushAt(partsEnd))
	f, lead, _ := d.flights.join(d.r, key)
	if !lead {
		t.Fatal("somebody reads the key already")
	}
	applied := watchOf(d.Cache, key)
	got := d.tier.Track(within(t), []string{key})[0]
	awaitFired(t, "the push is applied", applied)
	if later, lead, plain := d.flights.join(d.r, key); !lead || plain || later == f {
		t.Error("a reader that came after the push joined the read from before it")
	} else {
		defer d.flights.finish(later, result{err: ErrUnavailable}, 0)
	}
	res := result{Content: got.Content, err: got.Err}
	expiry, flags := d.trust(f, got.TTL)
	d.finished(d.r, key, &res, flags, true)
	d.flights.finish(f, res, expiry)
	if f.result.stored || string(f.result.entry.Data()) != `{"v":1}` {
		t.Errorf("stored %v, answer %s; want the answer delivered and not stored", f.result.stored, f.result.entry.Data())
	}
	d.wantMemory("a", "")
}

// TestALateReply: the leader of a tracked read is out of time; its reply, from
// before a change, comes when nobody waits for it any more.
func TestALateReply(t *testing.T) {
	f := func(name string, between func(t *testing.T, s *stage, d *desk)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			d := newDesk(t, openStage(t, s, patientLink), nil)
			key := d.key("a")
			s.set(key, `{"v":1}`)
			s.plan(key, holdAt(partExec))
			ctx, cancel := context.WithTimeout(t.Context(), patience/2) // sooner than a command's own deadline
			defer cancel()
			gone := make(chan error)
			go func() { _, err := d.readWithin(ctx, "a"); gone <- err }()
			s.awaitReads(t, key, 1)
			cancel()
			if err := <-gone; err == nil {
				t.Error("a cancelled read was answered")
			}
			s.set(key, `{"v":2}`) // its push stands behind the reply
			between(t, s, d)
			testkit.Eventually(t, patience, "the key can be read tracked again", func() bool { return !onTheBooks(d.Cache, key) })
			if e := d.store.Find(d.r.Shape, []byte(key)); e != nil {
				t.Errorf("memory holds %s", e.Data())
			}
			testkit.Eventually(t, patience, "a read is kept again", func() bool {
				a, err := d.read("a")
				return err == nil && string(a.Data()) == `{"v":2}` && d.memory("a") == `{"v":2}`
			})
		})
	}
	f("comes before another read", func(t *testing.T, s *stage, d *desk) {
		s.release()
	})
	f("comes while another read is wanted", func(t *testing.T, s *stage, d *desk) {
		a := d.wantRead("a", `{"v":2}`, TierRedis)
		if a.Stored || s.reads(d.key("a")) != 1 {
			t.Errorf("stored %v after %d tracked reads, want an untracked read beside the abandoned one", a.Stored, s.reads(d.key("a")))
		}
		d.wantMemory("a", "")
		s.release()
	})
	f("never comes", func(t *testing.T, s *stage, d *desk) {
		s.do(func() { s.held, s.due = nil, ""; s.reader.Reset() })
	})
}

// TestAnAbandonedReadThatWasNeverSent: a reader may give up before its commands
// are queued, and then no reply comes. The answer to a command that was sent
// later frees the key.
func TestAnAbandonedReadThatWasNeverSent(t *testing.T) {
	t.Parallel()
	s, r, _ := newTestStore(t)
	c := s.NewOwner(false)
	f, _, _ := s.join(r, "k")
	s.Bind(c, "k", s.Now())
	s.Abandoned(c, "k")
	s.finish(f, result{err: ErrTimeout}, 0)
	if _, lead, plain := s.join(r, "k"); lead || !plain {
		t.Error("the key can be read tracked although the reply may still come")
	}
	canary, _, _ := s.join(probes, "canary")
	s.Bind(c, "canary", s.Now())
	s.Arrived(c, "canary")
	s.finish(canary, result{}, 0)
	next, lead, _ := s.join(r, "k")
	if !lead {
		t.Fatal("the key is still blocked after a later command was answered")
	}
	s.Bind(c, "k", s.Now())
	s.Arrived(c, "k")
	if !end(s, next, "2") {
		t.Error("the next read was not stored")
	}
}

// TestALateReplyOfAnOldConnection comes while the new connection's read of the
// key is pending: it neither resolves that read nor takes its place.
func TestALateReplyOfAnOldConnection(t *testing.T) {
	t.Parallel()
	s, r, _ := newTestStore(t)
	before := s.NewOwner(false)
	after := s.NewOwner(false)
	stale, _, _ := s.join(r, "k")
	s.Bind(before, "k", s.Now())
	s.Closed(before)
	fresh, lead, _ := s.join(r, "k")
	if !lead || fresh == stale {
		t.Fatal("a reader joined the read of a dead connection")
	}
	s.Bind(after, "k", s.Now())
	s.Arrived(before, "k")
	s.Abandoned(before, "k")
	if end(s, stale, "1") {
		t.Error("the old connection's reply was stored")
	}
	if fresh.replied || fresh.poisoned {
		t.Error("the old connection's reply touched the new one's read")
	}
	s.Arrived(after, "k")
	if !end(s, fresh, "2") {
		t.Error("the new connection's reply was not stored")
	}
}

// TestAnOwnWriteMeetsATrackedRead: the read's reply is from before the write.
// Those who waited for it get it, nobody else does, and it is not kept.
func TestAnOwnWriteMeetsATrackedRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := newDesk(t, openStage(t, s, patientLink), newLedger("a", `{"v":1}`))
	key := d.key("a")
	s.set(key, `{"v":1}`)
	s.plan(key, holdAt(partExec))
	first := d.readBeside("a")
	s.awaitReads(t, key, 1)

	d.mustPut("a", `{"v":2}`)
	if _, lead, plain := d.flights.join(d.r, key); lead || !plain {
		t.Errorf("after the write: lead %v, plain %v, want a plain read", lead, plain)
	}
	if a := d.wantRead("a", `{"v":2}`, TierRedis); a.Stored {
		t.Error("a plain read was stored")
	}
	answers, err := d.ReadMany(within(t), d.r, []string{key}, make([]source.Args, 1))
	if err != nil || string(answers[0].Data()) != `{"v":2}` {
		t.Errorf("many-read: %v, %v, want the written record", answers, err)
	}
	if n := s.reads(key); n != 1 {
		t.Errorf("%d tracked reads, want only the first", n)
	}
	d.wantMemory("a", "")
	s.release()
	if a := first.want(t, `{"v":1}`); a.Stored {
		t.Error("the reply from before the write was stored")
	}
	testkit.Eventually(t, patience, "the key can be read tracked again", func() bool { return !onTheBooks(d.Cache, key) })
	d.wantMemory("a", "")
	d.wantRead("a", `{"v":2}`, TierRedis)
	d.wantMemory("a", `{"v":2}`)
}
