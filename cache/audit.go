package cache

import (
	"sync/atomic"
	"time"

	"hearth/cache/audit"
	"hearth/cache/memory"
)

// The audit compares some of what memory answers with what it should be, while it answers:
// with the shared tier (auditmemory.go), and less often with the source (auditsource.go). It
// reads beside those who are served, and changes nothing that is right.
//
// It never takes what is on its way for a disagreement: every verdict rests on an order of
// events, and none on how long something took. Where the order cannot be known there is no
// verdict.
type auditor struct {
	*Cache
	tally audit.Tally

	hits    *audit.Pool // to be compared with the shared tier
	sources *audit.Pool // to be compared with the source
	came    chan struct{}
	arrived chan struct{} // the same for sources

	passedBy atomic.Int64 // picks that would have been too much to read

	suspects []*suspect // belong to the goroutine that compares with the shared tier
	pace     pacer      // likewise

	lines burst

	toldWithin time.Duration // what the constant says, but for tests
}

// Auditing says how much is compared. The zero value is: nothing.
type Auditing struct {
	Rate       int     // records a second with the shared tier
	SourceRate float64 // records a second with the source
}

const (
	auditRoom  = 512 // keys that wait to be compared with the shared tier, for auditEvery mostly
	sourceRoom = 64  // the same with the source
	auditEvery = 100 * time.Millisecond
	// auditedBytes is how much is read from the shared tier for it in a second. A larger value
	// than mostAudited is not compared: to read it costs more than it tells.
	auditedBytes = 2 << 20
	mostAudited  = 1 << 20
)

func newAuditor(c *Cache) *auditor {
	return &auditor{
		Cache: c, hits: audit.NewPool(auditRoom), sources: audit.NewPool(sourceRoom),
		came: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		toldWithin: toldWithin,
	}
}

// offer takes a sample of what memory has answered, if there is room. It is quick, and keeps
// copies.
func (a *auditor) offer(s *memory.Sample) {
	how := &a.settings.Load().Audit
	if s.Bytes > mostAudited {
		return
	}
	if how.Rate > 0 && a.hits.Offer(s) {
		poke(a.came)
	}
	if how.SourceRate > 0 && a.sources.Offer(s) {
		poke(a.arrived)
	}
}

// poke wakes whoever waits on a channel with room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start begins both comparisons; Cache.Close joins them.
func (a *auditor) start() {
	a.beside.Go(a.compareHits)
	a.beside.Go(a.compareSources)
}

// pacer hands out what may be done and read, at rates per second.
type pacer struct {
	last   int64
	checks float64
	bytes  float64
}

// turn adds what has become due by clock time now.
func (p *pacer) turn(now int64, rate int) {
	passed := min(time.Duration(now-p.last), 2*auditEvery).Seconds()
	p.last = now
	p.checks = min(p.checks+float64(rate)*passed, float64(rate)*2*auditEvery.Seconds()+1)
	if rate == 0 {
		p.checks = 0
	}
	p.bytes = min(p.bytes+auditedBytes*passed, auditedBytes)
}

// take takes n checks at most.
func (p *pacer) take(n int) int {
	n = min(n, int(p.checks))
	p.checks -= float64(n)
	return n
}

// read tells whether so many bytes may be read. What is larger than what is left is read, and
// owed.
func (p *pacer) read(bytes int) bool {
	if p.bytes <= 0 {
		return false
	}
	p.bytes -= float64(bytes)
	return true
}

// Disagreement is a copy that the audit has found not to be what it should be.
type Disagreement struct {
	Against  audit.Against
	Cause    audit.Cause
	Resource string
	Key      string
	Age      time.Duration // of the copy, at most; 0: not known
}

// Text says it in words for whoever may see numbers, and not keys.
func (d Disagreement) Text() string {
	what := "memory had a copy of " + d.Resource + " that the shared tier no longer has"
	switch d.Cause {
	case audit.Changed:
		what += ": another value is there"
	case audit.Placeholder:
		what += ": it is being written or loaded"
	case audit.Untold:
		what = "the shared tier had a copy of " + d.Resource + " that the source no longer has, and the change feed has told nothing of it"
	case audit.Unwatched:
		what = "the shared tier had a copy of " + d.Resource + " that the source no longer has; nobody tells of its changes"
	}
	if !d.Cause.Broken() {
		return what + "; it is left until its lifetime ends"
	}
	return what + "; it was dropped"
}

// found counts a disagreement, tells of it, and logs it with its history, if there is room in
// the log.
func (a *auditor) found(d Disagreement, history func() []any) {
	now := a.store.Now()
	age := audit.Ages - 1
	if d.Age > 0 {
		age = audit.AgeOf(d.Age)
	}
	a.tally.Note(now, audit.Verdict{Against: d.Against, Result: audit.Stale, Cause: d.Cause, Age: age, Promised: d.Cause.Broken()})
	if a.cfg.OnAudit != nil {
		a.cfg.OnAudit(d)
	}
	omitted, ok := a.lines.allow(now)
	if !ok {
		return
	}
	fields := append([]any{"resource", d.Resource, "key", d.Key, "cause", d.Cause.String(), "age_at_most", ageText(d.Age)}, history()...)
	if omitted > 0 {
		fields = append(fields, "left_out", omitted)
	}
	if d.Cause.Broken() {
		a.cfg.Log.Error("audit: "+d.Text(), fields...)
	} else {
		a.cfg.Log.Warn("audit: "+d.Text(), fields...)
	}
}

func ageText(d time.Duration) string {
	if d <= 0 {
		return "unknown"
	}
	return d.Round(time.Millisecond).String()
}

// result counts a check that has not found a disagreement.
func (a *auditor) result(against audit.Against, r audit.Result, promised bool) {
	a.tally.Note(a.store.Now(), audit.Verdict{Against: against, Result: r, Promised: promised})
}

// AuditChecks is how many checks ended so.
func (c *Cache) AuditChecks(a audit.Against, r audit.Result) int64 {
	return c.auditor.tally.Checks(a, r)
}

// AuditStale is how many copies were found stale for a cause at an age.
func (c *Cache) AuditStale(cause audit.Cause, age audit.Age) int64 {
	return c.auditor.tally.Stale(cause, age)
}

// AuditStanding is what the checks of a window say of a promise.
func (c *Cache) AuditStanding(a audit.Against, w audit.Window) audit.Standing {
	return c.auditor.tally.Standing(c.store.Now(), a, w)
}

// AuditShed is how many keys were sampled to be compared with the shared tier, and not kept
// until they could be.
func (c *Cache) AuditShed() int64 { return c.auditor.hits.Shed() + c.auditor.passedBy.Load() }

// Audited is all that the audit has counted.
func (c *Cache) Audited() audit.Summary {
	s := c.auditor.tally.Summary(c.store.Now())
	s.Shed = c.AuditShed()
	return s
}

// leftText says how long it is until a clock time, and agoText how long ago it was.
func leftText(at, now int64) string {
	if at == memory.Never {
		return "for ever"
	}
	return time.Duration(at - now).Round(time.Millisecond).String()
}

func agoText(at, now int64) string {
	if at <= 0 { // before the clock began
		return "never"
	}
	return time.Duration(now - at).Round(time.Millisecond).String()
}
