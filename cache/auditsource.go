package cache

import (
	"bytes"
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/cache/audit"
	"hearth/cache/shared"
	"hearth/internal/source"
)

// A copy in the shared tier is compared with the source so that a disagreement is certain:
//
//	first read    the key holds a value, and this process has put it there
//	load          past all tiers, as a load that nobody waits for
//	second read   the same value, with the same end of its lifetime: it stood there while the
//	              source was asked. If both agree that is all
//	second load   it agrees with the first: the select itself does not change from one moment
//	              to the next
//	settling      while the change feed is live: until it has told of all that was committed
//	              before the first load came back
//	third read    the same value still
//
// Then the source had something else while the value stood, and whoever was to take the value
// away has not. A write of Hearth is none of that: its guard takes the value's place before the
// source can have the new record. A write that began and ended between two reads has put
// another value there, or the same with another lifetime.
//
// Other programs may put values of their own there, which are no copies of the source's: they
// are left alone. One that another instance has put there looks the same from here; that
// instance knows it.
//
// What it means depends on what was promised. Where the feed watches the record and is live, a
// promise (C7) is broken. Where nobody tells of changes the copy was allowed to be old for as
// long as it lives: that is counted for itself, and not against any promise.
//
// A source is asked less gladly than by anybody else: not while half of its places are taken,
// while its breaker is not closed (an origin that asks to be spared opens it), while the feed
// is lost, for a record that an origin lets nobody share, or for one whose write is open.

const (
	// toldMargin is how much later than the load the feed must have told of everything: it
	// looks four times a second at what committed late, and the note that says so is read as
	// often.
	toldMargin = 2 * time.Second
	// toldWithin is how long that is waited for.
	toldWithin = 15 * time.Second
	toldLook   = 100 * time.Millisecond
	// sourceWait bounds one pause between two checks, so that another rate counts soon.
	sourceWait = time.Second
)

// compareSources takes samples and compares their records with the source, one at a time, as
// long as the cache lives. It sleeps while there are none.
func (a *auditor) compareSources() {
	began := a.store.Now() // the first one is due as long after the start as any other after the one before
	for {
		if a.sources.Len() == 0 {
			select {
			case <-a.life.Done():
				return
			case <-a.arrived:
			}
		}
		for {
			rate := a.settings.Load().Audit.SourceRate
			left := time.Duration(float64(time.Second)/max(rate, 0.001)) - time.Duration(a.store.Now()-began)
			if left <= 0 {
				break
			}
			if !a.pauseFor(min(left, sourceWait)) {
				return
			}
		}
		began = a.store.Now()
		for _, p := range a.sources.Take(1) {
			a.compareWithSource(&p)
		}
	}
}

// pauseFor waits for d; false: the cache is closed.
func (a *auditor) pauseFor(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.life.Done():
		return false
	}
}

// sourceCheck is the comparison of one record.
type sourceCheck struct {
	*auditor
	audit.Pick
	served *Served
	args   source.Args
}

// compareWithSource checks one record, if its source may be asked for it now.
func (a *auditor) compareWithSource(p *audit.Pick) {
	c := &sourceCheck{auditor: a, Pick: *p, served: a.servedAs(p.Shape)}
	if c.served == nil || c.served.Records == nil || c.served.Args == nil {
		return
	}
	var ok bool
	if c.args, ok = c.served.Args(p.Key); !ok || !c.mayAsk() {
		return
	}
	ctx, cancel := context.WithTimeout(a.life, a.cfg.Lease*9/10+a.toldWithin)
	defer cancel()
	if result, known := c.check(ctx); known {
		a.result(audit.Source, result, c.served.Told != nil)
	}
}

// mayAsk tells whether nothing speaks against asking the source.
func (c *sourceCheck) mayAsk() bool {
	if c.served.Degraded() || c.writes.has(c.Key) || c.tier.Readable(c.Key) != nil || c.flights.unshared.has(c.Key, c.store.Now()) {
		return false
	}
	if c.served.Told != nil {
		_, live := c.served.Told()
		return live
	}
	return true
}

// check compares. known is false when there was nothing to compare, or a disagreement, which
// is counted already.
func (c *sourceCheck) check(ctx context.Context) (result audit.Result, known bool) {
	first, ok := c.read(ctx)
	if !ok || !c.own.has(c.Key, first.Data) {
		return 0, false
	}
	loaded, ok := c.load(ctx, first)
	if !ok {
		return 0, false
	}
	committed := time.Now() // all that the load has seen was
	second, ok := c.read(ctx)
	switch {
	case !ok || !second.is(first):
		return audit.InFlight, true
	case sameJSON(loaded, second.record()):
		return audit.OK, true
	}
	again, ok := c.load(ctx, second)
	switch {
	case !ok:
		return audit.Undecided, true
	case sameJSON(again, second.record()): // it was something else for a moment only
		return audit.InFlight, true
	case !sameJSON(again, loaded):
		return audit.Volatile, true
	}
	if c.served.Told != nil && !c.awaitTold(ctx, committed) {
		return audit.Undecided, true
	}
	third, ok := c.read(ctx)
	switch {
	case !ok || !third.is(second):
		return audit.InFlight, true
	case c.writes.has(c.Key) || c.served.Degraded():
		return audit.Undecided, true
	}
	c.disagree(ctx, third, loaded)
	return 0, false
}

// standing is a value of the shared tier, and between which moments its lifetime ends.
type standing struct {
	shared.Content
	lasts            bool // it has no end
	earliest, latest int64
}

// read reads the key with what is left of its lifetime; ok is false when no value stands
// there, or the tier does not say.
func (c *sourceCheck) read(ctx context.Context) (s standing, ok bool) {
	before := c.store.Now()
	found, err := c.tier.Get(ctx, c.Key)
	after := c.store.Now()
	if err != nil || found.Unreported || found.State != shared.Value && found.State != shared.NoRecord {
		return s, false
	}
	ttl := int64(found.TTL)
	return standing{Content: found, lasts: ttl <= 0, earliest: before + ttl, latest: after + ttl}, true
}

// record is the value as a load would bring it, nil for a missing record.
func (s *standing) record() []byte {
	if s.State == shared.NoRecord {
		return nil
	}
	return s.Data
}

// is tells whether a value is the one that stood there before, and not an equal one: its
// lifetime ends at the same moment, to within how exactly that is known.
func (s *standing) is(before standing) bool {
	const exact = int64(2 * time.Millisecond)
	return s.State == before.State && bytes.Equal(s.Data, before.Data) && s.lasts == before.lasts &&
		(s.lasts || s.earliest <= before.latest+exact && before.earliest <= s.latest+exact)
}

// load asks the source, past all tiers; nil is a missing record. ok is false when it is not
// to be asked, or has not answered. An origin may confirm what the shared tier has. A load of
// the audit is counted as a check, and not as a load: nobody has asked for the record.
func (c *sourceCheck) load(ctx context.Context, held standing) (record []byte, ok bool) {
	g := c.gateOf(c.served.Resource)
	if !g.TryEnterIdle() {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Lease*9/10)
	defer cancel()
	got, err := fetch(ctx, c.served.Resource, []source.Args{c.args}, held.record())
	leaveGate(ctx, g, err)
	if err != nil {
		return nil, false
	}
	if c.noteTerm(c.served.Resource, c.Key, got.term); got.term.Unshared != "" {
		return nil, false
	}
	return got.records[0], true
}

// awaitTold waits until the change feed has told of all that was committed before a moment;
// false: it is not live, or does not get there.
func (c *sourceCheck) awaitTold(ctx context.Context, committed time.Time) bool {
	for end := c.store.Now() + int64(c.toldWithin); c.store.Now() < end && ctx.Err() == nil; {
		upTo, live := c.served.Told()
		if !live || c.served.Degraded() {
			return false
		}
		if upTo.After(committed.Add(toldMargin)) {
			return true
		}
		if !c.pauseFor(toldLook) {
			return false
		}
	}
	return false
}

// disagree tells of the copy. Where the change feed was to tell of its change, it is removed
// from the shared tier as an invalidation does it. Where nobody tells of changes it is left:
// it may live for its ttl.
func (c *sourceCheck) disagree(ctx context.Context, held standing, loaded []byte) {
	cause := audit.Unwatched
	if c.served.Told != nil {
		cause = audit.Untold
	}
	healed := "left until its lifetime ends"
	if cause.Broken() {
		healed = "removed"
		if err := c.Invalidate(ctx, []string{c.Key}); err != nil {
			healed = err.Error()
		}
	}
	d := Disagreement{Against: audit.Source, Cause: cause, Resource: c.served.Name, Key: c.Key, Age: c.ageOfShared(held)}
	c.found(d, func() []any {
		now := c.store.Now()
		ttl := "none"
		if !held.lasts {
			ttl = held.TTL.Round(time.Millisecond).String()
		}
		return []any{
			"shared", heldText(held.Content), "shared_etag", c.Shape.TagOf(held.Data), "shared_ttl", ttl, "node", c.nodeOf(c.Key),
			"source_has", loaded != nil, "source_etag", c.Shape.TagOf(loaded), "answered_ago", agoText(c.At, now), "healed", healed,
		}
	})
}

// ageOfShared is how old a copy in the shared tier is at most: as old as the longest life that
// it can have been given, less what is left; 0 if it has no end.
func (c *sourceCheck) ageOfShared(held standing) time.Duration {
	if held.lasts {
		return 0
	}
	life := max(c.served.TTL.Cold, c.served.TTL.Hot)
	if held.State == shared.NoRecord {
		life = c.served.TTL.Missing
	}
	return max(life+life/10-held.TTL, 1)
}

// sameJSON tells whether two records are one value: what a program other than Hearth has put
// into the shared tier may be spelt in another way. nil is a missing one.
func sameJSON(a, b []byte) bool {
	switch {
	case a == nil || b == nil:
		return a == nil && b == nil
	case bytes.Equal(a, b):
		return true
	}
	plain := func(text []byte) ([]byte, error) {
		return jsontext.AppendFormat(nil, text, jsontext.ReorderRawObjects(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	}
	one, err := plain(a)
	other, err2 := plain(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}
