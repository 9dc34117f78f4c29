package cache

import (
	"bytes"
	"context"
	"slices"
	"time"

	"hearth/cache/audit"
	"hearth/cache/memory"
	"hearth/cache/shared"
)

// A copy in memory is compared with the shared tier so that a disagreement is certain:
//
//	first look    under the lock of the key's flight shard: memory has the record that was
//	              answered, fresh, and from here on every change of the key that is reported,
//	              by whichever connection, fires a watch
//	read          the key, plainly
//	second look   behind the reply: memory has that record still, fresh, and no watch has
//	              fired. The data are compared. If they agree that is all
//	settling      until the connection that vouches for the record has had an answer, in
//	              order, to a command which it was sent behind that reply
//	verdict       the watch has not fired, the connection is there, in the same epoch: stale
//
// Why that is certain. The record was read by a tracked read before the first look. The plain
// read found something else, so the key was changed between the two, and the shared tier was
// to report that to the record's connection at that moment. Its report stands on the wire
// before the answer to any command that was sent after the reply of the plain read. That
// answer has come. So the report was lost, or was not obeyed: had it been, the watch would
// have fired. Meanwhile memory answered the record: it was fresh behind the reply of a read
// which found that it was no more.
//
// Orders of events that are no disagreement, and how each is told apart:
//
//	the change is on its way           the watch fires while the check settles
//	changed and changed back (ABA),    memory may have an equal record again, read anew; the
//	and the record read anew           watch has fired all the same
//	replaced because it had expired,   as above; or without a change there is nothing to
//	or revalidated                     disagree about: the reads found the same
//	evicted, or moved in memory        its place in memory says nothing: only the record's
//	                                   validator and epoch are looked at, and the watch
//	a flush (FLUSHALL)                 another epoch, and all watches fire
//	the connection broke, whether      the connection has ended, and all watches fire. What was
//	another server is behind it now    read on it is not fresh any more: no verdict
//	a server has just taken over       what is read there says that it may lack the latest
//	                                   writes: no verdict, and the old connections have ended
//	a slot has moved in a Cluster      its keys left the old node as if deleted, reported on its
//	                                   connection before another node could change them
//	an own write is open, or unknown   the guard was reported; or the key is read past both
//	                                   tiers: no verdict
//	a placeholder stands in the key    it took the value's place, which was reported like any
//	                                   change. Beside a copy for which the connection has vouched
//	                                   since, it says that the report was lost: the copy is about
//	                                   to be an old one. On the embedded tier a lease alone says
//	                                   nothing, for it hides a row that stands
//	the copy's lifetime is over        memory counts it from before the read was sent, so its copy
//	                                   ends first; it is not fresh behind the reply
//	the shared tier's clock is set     the copy expires early, which is reported; the embedded
//	forward                            tier reports no expiry: no verdict there
//	a reload gives the resource        another shape: the record is found by nobody, nor by the
//	another shape                      second look
//	the process was frozen             no time is compared, but for what memory does anyway
//
// On the embedded tier there is no wire. Its writer is asked to settle instead: whatever was
// in the file when the read came back has been told to memory then; see Settle.
type suspect struct {
	audit.Pick
	served *Served
	watch  *watch
	trace  memory.Trace // of the first look

	sent, replied int64 // clock times of the read
	found         shared.Content
	until         int64 // clock time after which no verdict is waited for
}

const maxSuspects = 1024

// compareHits takes samples and compares them, as long as the cache lives. It sleeps while
// there are none.
func (a *auditor) compareHits() {
	timer := time.NewTimer(auditEvery)
	defer timer.Stop()
	for {
		if a.hits.Len() == 0 && len(a.suspects) == 0 {
			select {
			case <-a.life.Done():
				return
			case <-a.came:
			}
		}
		timer.Reset(auditEvery)
		select {
		case <-a.life.Done():
			return
		case <-timer.C:
		}
		a.judge()
		a.pace.turn(a.store.Now(), a.settings.Load().Audit.Rate)
		if n := a.pace.take(min(a.hits.Len(), auditRoom)); n > 0 {
			a.compare(a.hits.Take(n))
		}
	}
}

// compare begins to check picks: those that memory still has are read, in one round trip for
// each node.
func (a *auditor) compare(picks []audit.Pick) {
	var all []*suspect
	var keys []string
	for i := range picks {
		if s := a.suspect(&picks[i]); s != nil {
			all, keys = append(all, s), append(keys, s.Key)
		}
	}
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(a.life, a.cfg.LinkTimeout)
	defer cancel()
	sent := a.store.Now()
	found := a.tier.Values(ctx, keys)
	replied := a.store.Now()
	for i, s := range all {
		s.sent, s.replied, s.until = sent, replied, replied+2*int64(a.cfg.LinkTimeout)+int64(time.Second)
		if result, over := a.meet(s, found[i]); over {
			a.release(s)
			a.result(audit.Memory, result, true)
		} else if len(a.suspects) >= maxSuspects {
			a.release(s)
			a.result(audit.Memory, audit.Undecided, true)
		} else {
			a.suspects = append(a.suspects, s)
		}
	}
}

// suspect takes the first look. It returns nil where there is nothing to check, or what is
// found is still to be decided: a copy that is stale is found, and counted, once.
func (a *auditor) suspect(p *audit.Pick) *suspect {
	served := a.servedAs(p.Shape)
	if served == nil || slices.ContainsFunc(a.suspects, func(s *suspect) bool { return s.Key == p.Key }) || a.tier.Readable(p.Key) != nil {
		return nil
	}
	if !a.pace.read(p.Bytes + len(p.Key)) {
		a.passedBy.Add(1)
		return nil
	}
	s := &suspect{Pick: *p, served: served}
	sh := a.flights.shard(p.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	defer a.Pin(uint32(p.At)).Release()
	now := a.store.Now()
	v := a.store.Peek(p.Shape, []byte(p.Key))
	if !v.Is(p.ETag, p.Epoch) {
		return nil
	}
	if s.trace = a.store.Trace(v, now); !s.trace.Fresh || s.trace.Owner == nil {
		return nil
	}
	s.watch = sh.watch(p.Key)
	s.watch.waiting++ // as Flights.watching
	return s
}

// release forgets the watch of a check that is over.
func (a *auditor) release(s *suspect) { a.flights.unwatch(s.Key, s.watch) }

// fired tells whether a change of the key was reported since the first look.
func (s *suspect) fired() bool {
	select {
	case <-s.watch.fired:
		return true
	default:
		return false
	}
}

// meet takes the second look, and compares. over is false for what is still to settle.
func (a *auditor) meet(s *suspect, found shared.Found) (result audit.Result, over bool) {
	if found.Err != nil || found.Unreported {
		return audit.Undecided, true
	}
	defer a.Pin(uint32(s.At)).Release()
	v := a.store.Peek(s.Shape, []byte(s.Key))
	switch {
	case s.fired() || !v.Is(s.ETag, s.Epoch):
		return audit.InFlight, true
	case a.agree(s, v, found.Content):
		return audit.OK, true
	case !a.store.Trace(v, a.store.Now()).Fresh: // the copy's life is over: it would not be answered
		return audit.Undecided, true
	case s.trace.Owner.Local() && saysNothing(found.Content, s.trace.Ends):
		return audit.Undecided, true
	}
	s.found = found.Content
	return 0, false
}

// agree tells whether a copy is what the shared tier holds.
func (a *auditor) agree(s *suspect, v View, found shared.Content) bool {
	switch found.State {
	case shared.Value:
		return !v.Missing() && bytes.Equal(v.Data(), found.Data)
	case shared.NoRecord:
		return v.Missing()
	case shared.Absent:
		return v.Missing() && s.served.Records == nil
	}
	return false
}

// saysNothing tells whether what a tier without a wire holds is told to nobody although a
// copy differs from it: a lease hides the row for a while, and a row that has come to its end
// by the wall clock is absent.
func saysNothing(found shared.Content, ends int64) bool {
	return found.State == shared.Lease || found.State == shared.Absent && ends != memory.Never
}

// judge decides about all suspects that have settled.
func (a *auditor) judge() {
	open := a.suspects[:0]
	for _, s := range a.suspects {
		result, over := a.verdict(s)
		if !over {
			open = append(open, s)
			continue
		}
		a.release(s)
		if result == audit.Stale {
			a.heal(s)
		} else {
			a.result(audit.Memory, result, true)
		}
	}
	clear(a.suspects[len(open):])
	a.suspects = open
}

// verdict decides about one suspect. Whether it has settled is asked first: the report of a
// change is applied before the answer that settles is noted, so it is seen behind that. In
// the other order it could come between the two questions.
func (a *auditor) verdict(s *suspect) (result audit.Result, over bool) {
	o := s.trace.Owner
	settled := a.settled(s)
	switch {
	case s.fired(), !o.Ended() && o.Epoch() != s.Epoch: // a flush ends the epoch first, and fires then
		return audit.InFlight, true
	case o.Ended() || a.writes.has(s.Key):
		return audit.Undecided, true
	case settled:
		return audit.Stale, true
	case a.store.Now() > s.until:
		return audit.Undecided, true
	}
	return 0, false
}

// settled tells whether every change that the read can have seen was told to memory, if it
// was told at all.
func (a *auditor) settled(s *suspect) bool {
	if o := s.trace.Owner; !o.Local() {
		return o.VerifiedAt() > s.replied
	}
	ctx, cancel := context.WithTimeout(a.life, auditEvery)
	defer cancel()
	return a.tier.Settle(ctx, s.Key)
}

// heal drops the copy, if it is there still, as an own write would: under the lock that the
// storing of another one takes. Then it tells of it.
func (a *auditor) heal(s *suspect) {
	now := a.store.Now()
	dropped := false
	sh := a.flights.shard(s.Key)
	sh.mu.Lock()
	a.store.Drop(s.Key, func(v View) bool {
		mine := v.Is(s.ETag, s.Epoch)
		dropped = dropped || mine
		return !mine
	})
	sh.mu.Unlock()
	d := Disagreement{Against: audit.Memory, Cause: causeOf(s.found), Resource: s.served.Name, Key: s.Key, Age: a.ageOf(s.trace, now)}
	a.found(d, func() []any { return a.history(s, now, dropped) })
}

// causeOf is what stood in the copy's place.
func causeOf(found shared.Content) audit.Cause {
	switch {
	case found.IsPlaceholder():
		return audit.Placeholder
	case found.State == shared.Absent:
		return audit.Removed
	}
	return audit.Changed
}

// ageOf is how old a copy is at most: a record does not tell when it was read, but until when
// it may be trusted, which is memory.revalidate later at most.
func (a *auditor) ageOf(t memory.Trace, now int64) time.Duration {
	return max(time.Duration(now-(t.Until-int64(a.cfg.Revalidate))), 1)
}

// history is what is known of a disagreement, without any value.
func (a *auditor) history(s *suspect, now int64, dropped bool) []any {
	o := s.trace.Owner
	link := []any{"local", o.Local()}
	if !o.Local() {
		link = []any{"node", a.nodeOf(s.Key), "proven_ago", agoText(o.ProvenAt(), now), "verified_ago", agoText(o.VerifiedAt(), now), "ended", o.Ended()}
	}
	holds := heldText(s.found)
	if s.found.State == shared.Value {
		holds += " with etag " + s.Shape.TagOf(s.found.Data)
	}
	ctx, cancel := context.WithTimeout(a.life, a.cfg.LinkTimeout/4)
	defer cancel()
	ttl := "unknown"
	if held, err := a.tier.Get(ctx, s.Key); err == nil && held.State == s.found.State {
		ttl = "none"
		if held.TTL > 0 {
			ttl = held.TTL.Round(time.Millisecond).String()
		}
	}
	return append(link,
		"epoch", s.Epoch, "owner_epoch", o.Epoch(), "etag", memory.TagText(s.ETag), "fresh_for", leftText(s.trace.Until, now), "copy_ends_in", leftText(s.trace.Ends, now),
		"shared", holds, "shared_ttl", ttl,
		"answered_ago", agoText(s.At, now), "read_ago", agoText(s.sent, now), "replied_ago", agoText(s.replied, now), "dropped", dropped)
}

// heldText says what stands in a key, without what it is.
func heldText(c shared.Content) string {
	return [...]string{
		shared.Absent: "nothing", shared.Value: "a value", shared.NoRecord: "null", shared.Lease: "a lease", shared.Guard: "a guard", shared.Malformed: "no JSON",
	}[c.State]
}

// nodeOf names the node that serves a key, "" where there is no such thing.
func (a *auditor) nodeOf(key string) string {
	if t, ok := a.tier.(interface{ NodeName(key string) string }); ok {
		return t.NodeName(key)
	}
	return ""
}
