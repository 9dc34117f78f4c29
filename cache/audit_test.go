package cache

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/audit"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// bench is a desk whose audit is worked by hand: a test says when it looks, and when it
// judges.
type bench struct {
	*desk
	audit *auditor
	later int // see vouchLater
}

// newBench has its resource served. Its auditor is one of its own, which no goroutine works.
func newBench(t *testing.T, c *Cache, book *ledger) *bench {
	b := &bench{desk: newDesk(t, c, book), audit: newAuditor(c)}
	b.serve(b.r)
	b.audit.pace = pacer{checks: 1 << 20, bytes: 1 << 40}
	return b
}

func (b *bench) serve(r *Resource) {
	b.Serve([]Served{{Resource: r, Args: func(key string) (source.Args, bool) {
		id, ok := strings.CutPrefix(key, b.key(""))
		return source.Args{id}, ok
	}}})
}

// pick is what a sample of a hit of id tells, as memory has it now.
func (b *bench) pick(id string) audit.Pick {
	b.t.Helper()
	p, ok := b.picked(id)
	if !ok {
		b.t.Fatalf("memory has no fresh record of %s", id)
	}
	return p
}

func (b *bench) picked(id string) (audit.Pick, bool) {
	key := b.key(id)
	defer b.Pin(0).Release()
	now := b.store.Now()
	v := b.store.Peek(b.r.Shape, []byte(key))
	if !v.Found() || !b.store.Trace(v, now).Fresh {
		return audit.Pick{}, false
	}
	trace := b.store.Trace(v, now)
	return audit.Pick{Key: key, Shape: b.r.Shape, ETag: trace.ETag, Epoch: trace.Epoch, At: now, Bytes: len(v.Data())}, true
}

// keep reads id until memory keeps it, and returns the pick.
func (b *bench) keep(id, data string) audit.Pick {
	b.t.Helper()
	testkit.Eventually(b.t, patience, "memory keeps "+id, func() bool {
		_, err := b.read(id)
		return err == nil && b.memory(id) == data
	})
	return b.pick(id)
}

// check compares one record, and returns how many are still to settle.
func (b *bench) check(p audit.Pick) int {
	b.audit.compare([]audit.Pick{p})
	return len(b.audit.suspects)
}

// judged judges until nothing is left to settle.
func (b *bench) judged() {
	b.t.Helper()
	testkit.Eventually(b.t, patience, "the audit decides", func() bool { b.audit.judge(); return len(b.audit.suspects) == 0 })
}

func (b *bench) wantResults(against audit.Against, want map[audit.Result]int64) {
	b.t.Helper()
	for _, r := range audit.Results {
		if got := b.audit.tally.Checks(against, r); got != want[r] {
			b.t.Errorf("against %v: %d checks ended %v, want %d", against, got, r, want[r])
		}
	}
}

func (b *bench) stale(c audit.Cause) (n int64) {
	for age := range audit.Ages {
		n += b.audit.tally.Stale(c, age)
	}
	return n
}

// TestAuditAgrees: what memory has is what the shared tier has, in all forms.
func TestAuditAgrees(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		b := newBench(t, open(t), newLedger("a", `{"v":1}`))
		all := []audit.Pick{b.keep("a", `{"v":1}`), b.keep("none", "null")}
		items := newBench(t, b.Cache, nil)
		items.r = NewResource("item", "", testLives, nil)
		items.serve(items.r)
		if errs := b.Store(within(t), []Item{{Key: items.key("i"), Value: []byte(`{"id":"i"}`)}}, 0); errs != nil {
			t.Fatal(errs)
		}
		for _, p := range all { // the first resources are served no more
			if b.check(p) != 0 {
				t.Error("a record of a resource that nobody serves was checked")
			}
		}
		b.wantResults(audit.Memory, nil)
		b.serve(b.r)
		for _, p := range all {
			b.check(p)
		}
		b.wantResults(audit.Memory, map[audit.Result]int64{audit.OK: 2})
		items.serve(items.r)
		for _, id := range []string{"i", "no such item"} {
			want := map[bool]string{true: `{"id":"i"}`, false: "null"}[id == "i"]
			items.check(items.keep(id, want))
		}
		items.wantResults(audit.Memory, map[audit.Result]int64{audit.OK: 2})
	})
}

// TestAuditLeavesWhatIsGone: a record that memory has replaced or dropped since the hit is no
// answer any more.
func TestAuditLeavesWhatIsGone(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		b := newBench(t, open(t), newLedger("a", `{"v":1}`))
		was := b.keep("a", `{"v":1}`)
		b.mustPut("a", `{"v":2}`)
		b.check(was)
		b.keep("a", `{"v":2}`)
		b.check(was)
		b.wantResults(audit.Memory, nil)
		if b.memory("a") != `{"v":2}` {
			t.Error("the audit has touched a record that it was not about")
		}
		sh := b.flights.shard(was.Key)
		if len(sh.watches) != 0 {
			t.Error("a watch is left behind")
		}
	})
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) use(c *setup) { c.Log = slog.New(slog.NewTextHandler(j, nil)) }

// deaf is a tier's Flights that does not hear of some changes.
type deaf struct {
	*Flights
	hears func(key string) bool
}

func (d deaf) Invalidated(o *memory.Owner, key string) bool {
	return d.hears(key) && d.Flights.Invalidated(o, key)
}

// TestAuditFindsALostPush goes all the way on a real Redis: the push of a change gets lost,
// and the goroutines of the cache find, count, log and heal it.
func TestAuditFindsALostPush(t *testing.T) {
	srv := testkit.Redis(t)
	var log journal
	var told []Disagreement
	heard := make(chan Disagreement, 16)
	c := openRedis(t, srv, log.use, func(c *setup) {
		c.LinkTimeout, c.Audit.Rate = 800*time.Millisecond, 1000
		c.hears = func(key string) bool { return !strings.HasPrefix(key, t.Name()+":lost") }
		c.OnAudit = func(d Disagreement) { heard <- d }
	})
	b := newBench(t, c, nil)
	srv.Do("SET", b.key("lost"), `{"secret":"one"}`)
	srv.Do("SET", b.key("fine"), `{"v":1}`)
	b.keep("lost", `{"secret":"one"}`)
	b.keep("fine", `{"v":1}`)
	srv.Do("SET", b.key("lost"), `{"secret":"two"}`, "PX", "600000")
	srv.Do("SET", b.key("fine"), `{"v":2}`)
	if got := b.memory("lost"); got != `{"secret":"one"}` {
		t.Fatalf("memory holds %s: the push was not lost", got)
	}
	testkit.Eventually(t, patience, "the copy is dropped", func() bool {
		for _, id := range []string{"lost", "fine"} {
			if p, ok := b.picked(id); ok {
				c.auditor.offer(&memory.Sample{Key: []byte(p.Key), Shape: p.Shape, ETag: p.ETag, Epoch: p.Epoch, At: p.At, Bytes: p.Bytes, For: 1})
			}
		}
		return b.memory("lost") == ""
	})
	b.wantRead("lost", `{"secret":"two"}`, TierRedis)
	told = append(told, <-heard)
	if d := told[0]; d.Key != b.key("lost") || d.Cause != audit.Changed || d.Resource != "user" || d.Age <= 0 || d.Age > c.cfg.Revalidate || strings.Contains(d.Text(), d.Key) {
		t.Errorf("told: %+v: %s", d, d.Text())
	}
	if n := c.AuditChecks(audit.Memory, audit.Stale); n != 1 {
		t.Errorf("%d copies were found stale, want one", n)
	}
	s := c.Audited()
	if s.Kept["memory"]["start"].Broken != 1 || s.Stale["memory"]["changed"] == nil || c.Stats().AuditStale != 1 {
		t.Errorf("the summary is %+v", s)
	}
	testkit.Eventually(t, patience, "the log tells of it", func() bool { return strings.Contains(log.String(), "audit: memory had a copy") })
	for _, want := range []string{"level=ERROR", "key=" + b.key("lost"), "cause=changed", "shared=\"a value with etag ", "shared_ttl=", "node=redis", "verified_ago=", "epoch=", "dropped=true"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log has a value: %s", log.String())
	}
}

// answering is a tier whose plain reads a test answers.
type answering struct {
	SharedTier
	values func(keys []string, found []shared.Found)
}

func (a *answering) Values(ctx context.Context, keys []string) []shared.Found {
	found := a.SharedTier.Values(ctx, keys)
	a.values(keys, found)
	return found
}

// TestAuditTakesNoWord: what a server says that may lack the latest writes is no evidence,
// nor is silence.
func TestAuditTakesNoWord(t *testing.T) {
	for name, f := range map[string]func(*shared.Found){
		"unreported": func(f *shared.Found) { f.Unreported, f.Data = true, []byte(`{"v":0}`) },
		"error":      func(f *shared.Found) { *f = shared.Found{Err: shared.ErrAway} },
	} {
		t.Run(name, func(t *testing.T) {
			bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
				b := newBench(t, open(t), newLedger("a", `{"v":1}`))
				p := b.keep("a", `{"v":1}`)
				b.Cache.tier = &answering{b.Cache.tier, func(_ []string, found []shared.Found) { f(&found[0]) }}
				b.check(p)
				b.wantResults(audit.Memory, map[audit.Result]int64{audit.Undecided: 1})
				b.wantMemory("a", `{"v":1}`)
			})
		})
	}
}

// TestAuditLimitsItsLog: a link that reports nothing at all must not fill the log, and how
// much was left out is told.
func TestAuditLimitsItsLog(t *testing.T) {
	var b burst
	in := 0
	for range 100 {
		if omitted, ok := b.allow(1); ok {
			in++
			if omitted != 0 {
				t.Errorf("%d left out before anything was", omitted)
			}
		}
	}
	if in != burstLines {
		t.Errorf("%d lines let in, want %d", in, burstLines)
	}
	if omitted, ok := b.allow(1 + logEvery); !ok || omitted != 90 {
		t.Errorf("a while later: %v, %d left out, want 90", ok, omitted)
	}
	if omitted, ok := b.allow(2 + logEvery); !ok || omitted != 0 {
		t.Errorf("then: %v, %d left out, want none: they were told", ok, omitted)
	}
}

// TestAuditKeepsItsPace: whatever is offered, no more is compared or read than is due.
func TestAuditKeepsItsPace(t *testing.T) {
	var p pacer
	second, checks, bytes := int64(1e9), 0, 0
	for now := int64(0); now <= 10*second; now += int64(auditEvery) {
		p.turn(now, 7)
		n := p.take(1000)
		checks += n
		for p.read(64 << 10) {
			bytes += 64 << 10
		}
	}
	if checks < 68 || checks > 71 {
		t.Errorf("%d checks in ten seconds, want 70 at 7 a second", checks)
	}
	if most := 10*auditedBytes + 64<<10; bytes < 9*auditedBytes || bytes > most {
		t.Errorf("%d bytes in ten seconds, want about %d", bytes, 10*auditedBytes)
	}
	p.turn(3600*second, 7)
	if n := p.take(1000); n > 2 {
		t.Errorf("%d checks at once after an hour without any", n)
	}
	p.turn(3601*second, 0)
	for p.take(1) > 0 {
	}
	p.turn(3602*second, 0)
	if n := p.take(1000); n != 0 {
		t.Errorf("%d checks at a rate of 0", n)
	}
}
