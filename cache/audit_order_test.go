package cache

import (
	"context"
	"fmt"
	"testing"

	"hearth/cache/audit"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// newStageBench is a bench on a scripted Redis whose pushes and replies a test orders.
func newStageBench(t *testing.T) (*stage, *bench) {
	t.Parallel()
	s := newStage(t)
	return s, newBench(t, openStage(t, s, patientLink), nil)
}

// holdReader has all that is due on the connection that reads tracked wait for release.
func (s *stage) holdReader() { s.do(func() { s.held = s.reader }) }

// vouch has the connection answer one more command, in order.
func (b *bench) vouch(s *stage) {
	b.t.Helper()
	s.set(b.key("other"), `{"o":1}`)
	if _, err := b.read("other"); err != nil {
		b.t.Fatal(err)
	}
}

// TestAuditWaitsForTheLink: that the shared tier has something else says nothing, until the
// connection has vouched for the copy since.
func TestAuditWaitsForTheLink(t *testing.T) {
	for _, c := range []struct {
		name, value string
		cause       audit.Cause
	}{
		{"another value", `{"v":2}`, audit.Changed}, {"no JSON", "?", audit.Changed}, {"null", "null", audit.Changed}, {"nothing", "", audit.Removed},
		{"a lease", "lease:0123456789abcdef01234567", audit.Placeholder}, {"a guard", "guard:0123456789abcdef01234567@9999999999999", audit.Placeholder},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, b := newStageBench(t)
			s.set(b.key("a"), `{"v":1}`)
			p := b.keep("a", `{"v":1}`)
			s.do(func() { s.mute = true })
			s.set(b.key("a"), c.value)
			if b.check(p) != 1 {
				t.Fatal("decided before the link was asked")
			}
			b.audit.judge()
			b.wantResults(audit.Memory, nil)
			b.wantMemory("a", `{"v":1}`)
			b.vouch(s)
			b.audit.judge()
			b.wantResults(audit.Memory, map[audit.Result]int64{audit.Stale: 1})
			if b.stale(c.cause) != 1 {
				t.Errorf("the cause is not %v", c.cause)
			}
			b.wantMemory("a", "")
		})
	}
}

// TestAuditWaitsForThePush: the change is on its way on the connection, before the answer
// that vouches.
func TestAuditWaitsForThePush(t *testing.T) {
	for name, value := range map[string]string{"another value": `{"v":2}`, "nothing": "", "a guard": "guard:0123456789abcdef01234567@9999999999999"} {
		t.Run(name, func(t *testing.T) {
			s, b := newStageBench(t)
			s.set(b.key("a"), `{"v":1}`)
			p := b.keep("a", `{"v":1}`)
			s.set(b.key("other"), `{"o":1}`)
			s.holdReader()
			s.set(b.key("a"), value)
			if b.check(p) != 1 {
				t.Fatal("decided before the push came")
			}
			later := b.readBeside("other") // answered behind the push
			s.awaitReads(t, b.key("other"), 1)
			for range 100 {
				b.audit.judge()
			}
			b.wantResults(audit.Memory, nil)
			s.release()
			later.want(t, `{"o":1}`)
			b.audit.judge()
			b.wantResults(audit.Memory, map[audit.Result]int64{audit.InFlight: 1})
		})
	}
}

// TestAuditWhileAllMoves lets the push, the second read, and the check come in every order: at
// no moment is there a verdict against the copy.
func TestAuditWhileAllMoves(t *testing.T) {
	// judge is asked at each step by another goroutine, as often as it can.
	s, b := newStageBench(t)
	done, judging := make(chan struct{}), make(chan struct{})
	picks := make(chan audit.Pick)
	go func() {
		defer close(judging)
		for {
			select {
			case p := <-picks:
				b.audit.compare([]audit.Pick{p})
			case <-done:
				return
			default:
				b.audit.judge()
			}
		}
	}()
	values := []string{`{"v":1}`, `{"v":2}`}
	for i := range 100 {
		value := values[i%2]
		s.set(b.key("a"), value)
		p := b.keep("a", value)
		s.holdReader()
		s.set(b.key("a"), values[(i+1)%2])
		picks <- p
		if i%3 == 0 {
			s.set(b.key("a"), value) // and back again
		}
		b.vouchLater(s)
		s.release()
	}
	close(done)
	<-judging
	b.audit.judge()
	if n := b.audit.tally.Checks(audit.Memory, audit.Stale); n != 0 {
		t.Errorf("%d copies were called stale that were not", n)
	}
	if n := b.audit.tally.Checks(audit.Memory, audit.InFlight); n == 0 {
		t.Error("nothing was ever in flight, so this proves nothing")
	}
}

// vouchLater sends a command whose answer is due behind what is held.
func (b *bench) vouchLater(s *stage) {
	b.later++
	id := fmt.Sprint("later", b.later) // memory must not have it
	b.readBeside(id)
	s.awaitReads(b.t, b.key(id), 1)
}

// settling is a tier without a wire that tells memory of a change just before it says that
// it has told of all.
type settling struct {
	SharedTier
	before func()
}

func (s *settling) Settle(ctx context.Context, key string) bool {
	s.before()
	return s.SharedTier.Settle(ctx, key)
}

// TestAuditAsksTheWatchLast: what is told until everything is told counts as told.
func TestAuditAsksTheWatchLast(t *testing.T) {
	t.Parallel()
	b := newBench(t, openFile(t), nil)
	if errs := b.Store(within(t), []Item{{Key: b.key("a"), Value: []byte(`{"v":1}`)}}, 0); errs != nil {
		t.Fatal(errs)
	}
	for told, want := range map[bool]audit.Result{true: audit.InFlight, false: audit.Stale} {
		p := b.keep("a", `{"v":1}`)
		tier := b.Cache.tier
		b.Cache.tier = &answering{&settling{tier, func() {
			if told {
				b.flights.Changed(p.Key)
			}
		}}, func(_ []string, found []shared.Found) { found[0].Data = []byte(`{"v":2}`) }}
		if b.check(p) != 1 {
			t.Fatal("decided before the tier was asked to settle")
		}
		b.judged()
		b.Cache.tier = tier
		if n := b.audit.tally.Checks(audit.Memory, want); n != 1 {
			t.Errorf("told: %v: %d checks ended %v, want one", told, n, want)
		}
	}
}

// TestAuditAndABA: the value is changed and changed back, and memory has an equal record,
// read anew on the same connection, when the audit looks again.
func TestAuditAndABA(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.holdReader()
	s.set(b.key("a"), `{"v":2}`)
	if b.check(p) != 1 {
		t.Fatal("decided before the push came")
	}
	s.do(func() { s.values[b.key("a")] = `{"v":1}` }) // nobody reads it at that moment
	applied := watchOf(b.Cache, p.Key)
	s.release()
	awaitFired(t, "the push is applied", applied)
	again := b.keep("a", `{"v":1}`)
	if again.ETag != p.ETag || again.Epoch != p.Epoch {
		t.Fatal("the record that was read anew does not look like the one before, so this proves nothing")
	}
	b.vouch(s)
	b.audit.judge()
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.InFlight: 1})
	b.wantMemory("a", `{"v":1}`)
}

// TestAuditOfALateReply: the plain read has met what was there before; its reply comes when
// memory has the new record.
func TestAuditOfALateReply(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.do(func() { s.instead[p.Key] = gotten{reply: testkit.Encode(`{"v":1}`), hold: true} })
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.audit.compare([]audit.Pick{p})
	}()
	testkit.Eventually(t, patience, "the read is sent", func() (sent bool) { s.do(func() { sent = s.gets[p.Key] == 1 }); return sent })
	plain := s.takeHeld()
	s.set(b.key("a"), `{"v":2}`)
	b.keep("a", `{"v":2}`)
	plain()
	<-over
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.InFlight: 1})
	b.wantMemory("a", `{"v":2}`)
}

// takeHeld lets another connection be held, and returns what releases this one.
func (s *stage) takeHeld() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, due := s.held, s.due
	s.held, s.due = nil, ""
	return func() { c.Write(due) }
}

// TestAuditAndAFlush: FLUSHALL is one push for all keys, which names none.
func TestAuditAndAFlush(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.holdReader()
	s.do(func() {
		delete(s.values, p.Key)
		s.send(s.reader, testkit.Encode(testkit.Push{"invalidate", nil}))
	})
	if b.check(p) != 1 {
		t.Fatal("decided before the push came")
	}
	b.audit.judge()
	b.vouchLater(s)
	s.release()
	b.judged()
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.InFlight: 1})
}

// TestAuditOfABrokenLink: what a connection was to report that has broken is known to nobody.
// Its copies are not fresh, and no verdict is spoken.
func TestAuditOfABrokenLink(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.holdReader()
	s.set(b.key("a"), `{"v":2}`)
	if b.check(p) != 1 {
		t.Fatal("decided before the connection broke")
	}
	var reader *testkit.Conn
	s.do(func() { reader, s.held, s.due = s.reader, nil, "" })
	reader.Close()
	b.judged()
	if n := b.audit.tally.Checks(audit.Memory, audit.Stale); n != 0 {
		t.Error("a copy of a connection that broke was called stale")
	}
}

// TestAuditOfAnOpenWrite: while the outcome of a write is unknown its key is read past both
// tiers, so nothing is said of it.
func TestAuditOfAnOpenWrite(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.do(func() { s.mute = true })
	s.set(b.key("a"), `{"v":2}`)
	b.check(p)
	w := &openWrite{r: b.r, key: p.Key, abort: func(error) {}}
	if err := b.writes.begin(w); err != nil {
		t.Fatal(err)
	}
	b.writes.markUnconfirmed(w, nil)
	b.vouch(s)
	b.audit.judge()
	b.writes.confirmed(w)
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.Undecided: 1})
}

// TestAuditGivesUp: a link that vouches for nothing any more decides nothing.
func TestAuditGivesUp(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.do(func() { s.mute = true })
	s.set(b.key("a"), `{"v":2}`)
	b.check(p)
	b.audit.suspects[0].until = b.store.Now() - 1
	b.audit.judge()
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.Undecided: 1})
	b.wantMemory("a", `{"v":1}`)
}

// TestAuditFindsACopyOnce: a copy that is being decided about is not looked at again, however
// many hits there are of it meanwhile.
func TestAuditFindsACopyOnce(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.do(func() { s.mute = true })
	s.set(b.key("a"), `{"v":2}`)
	for range 5 {
		if b.check(p) != 1 {
			t.Fatal("not one to decide about")
		}
	}
	b.vouch(s)
	b.audit.judge()
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.Stale: 1})
	b.wantNoWatch(p.Key)
}

// TestAuditBoundsItsSuspects: beyond the bound nothing is remembered, and that is counted.
func TestAuditBoundsItsSuspects(t *testing.T) {
	s, b := newStageBench(t)
	s.set(b.key("a"), `{"v":1}`)
	p := b.keep("a", `{"v":1}`)
	s.do(func() { s.mute = true })
	s.set(b.key("a"), `{"v":2}`)
	b.audit.suspects = make([]*suspect, maxSuspects)
	for i := range b.audit.suspects {
		b.audit.suspects[i] = &suspect{}
	}
	b.check(p)
	b.wantResults(audit.Memory, map[audit.Result]int64{audit.Undecided: 1})
	b.wantNoWatch(p.Key)
}

func (b *bench) wantNoWatch(key string) {
	b.t.Helper()
	sh := b.flights.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.watches[key] != nil {
		b.t.Error("a watch is left behind")
	}
}
