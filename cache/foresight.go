package cache

import "hearth/cache/gate"

// foresee goes the way of a read with what was seen: memory, a place for work beyond it
// (handlers), query.walk, and query.orStale behind that. cache/explain_test.go has the table of
// the states.
func (c *Cache) foresee(r *Resource, key string, e *Explanation) Next {
	m, s := &e.Memory, &e.Shared
	switch {
	case m.Held && m.Fresh && !m.Untracked && m.Large && c.overBudget(0):
		return none(503, "memory has a fresh copy, but it is large, and answers on their way take all that they may (a part of memory.budget)")
	case m.Held && m.Fresh && !m.Untracked:
		why := "memory has a fresh copy, and its connection vouches for it"
		if e.lost != nil {
			why += "; the change feed is lost, so the copy is loaded anew within feed.degraded_ttl"
		}
		return Next{"memory", m.status(), "", why}
	case m.Held && m.Fresh && !(m.Link != nil && m.Link.Local && e.readable):
		return Next{"memory", m.status(), "untracked", "memory has a copy from a moment ago, and nobody would tell of a change"}
	case e.full:
		return withoutPlace(r, e)
	case c.overBudget(c.KnownSize(key)):
		return none(503, "the record is known to be large, and answers on their way take all that they may (a part of memory.budget)")
	case e.Open && r.Records == nil:
		return none(503, "a write of the key through this instance is not confirmed, and there is no source to ask instead")
	case e.Open:
		detail := ""
		if s.State == "unreachable" {
			detail = "untracked"
		}
		return c.fromSource(r, e, detail, "a write of the key through this instance is not confirmed, so both tiers are passed by")
	case s.State == "unreachable":
		return c.withoutTier(r, e, 503, "the shared tier cannot be asked")
	case s.State == "refused":
		return c.withoutTier(r, e, 500, "the shared tier refuses the key: most likely its user may not read it")
	}
	return c.fromTier(r, e)
}

// none is an answer that has nothing of the record.
func none(status int, why string) Next { return Next{TierNone.String(), status, "", why} }

// status is that of an answer with what memory has.
func (m *Remembered) status() int {
	if m.Missing {
		return 404
	}
	return 200
}

// overBudget tells whether n bytes more of large answers are too many.
func (c *Cache) overBudget(n int64) bool {
	b := c.Budget()
	taken := b.Taken()
	return taken > b.Size() || n > 0 && taken > 0 && taken+n > b.Size()
}

// stale tells whether query.stale would find a copy.
func (e *Explanation) stale(r *Resource) bool {
	m := &e.Memory
	return m.Held && m.Stale > 0 && (r.Records != nil || !m.Over)
}

// withoutPlace is the answer of Cache.Memory.
func withoutPlace(r *Resource, e *Explanation) Next {
	const why = "as many requests are at work as may be (server.max_in_flight)"
	if e.stale(r) && !e.Open && (r.Records != nil || !e.readable) {
		return Next{"stale", e.Memory.status(), "stale", why + ", so memory's old copy is served, marked"}
	}
	return none(503, why+", and memory has no copy that may be served")
}

// withoutTier is the answer of query.withoutShared.
func (c *Cache) withoutTier(r *Resource, e *Explanation, status int, why string) Next {
	m := &e.Memory
	switch {
	case m.Held && !m.Untracked && !m.Over && e.stale(r):
		return Next{"stale", m.status(), "stale", why + "; memory has a copy that its connection vouched for until lately"}
	case r.Records == nil:
		return none(status, why+", and there is no other place to ask")
	}
	return c.fromSource(r, e, "untracked", why+", so the source is")
}

// fromTier is what comes of what stands in the shared tier, as query.resolve has it.
func (c *Cache) fromTier(r *Resource, e *Explanation) Next {
	m, s := &e.Memory, &e.Shared
	why := "memory has no copy"
	if m.Held {
		why = "the copy in memory is not fresh any more"
	}
	switch s.State {
	case "value", "missing":
		return c.fromCopy(r, e, why)
	case "lease":
		return c.whileWaiting(r, e, "the record is loaded at this moment "+e.by()+"; the read waits for that, "+c.settings.Load().Wait.String()+" at most")
	case "guard":
		until := "and passes by the guard after a third of load.wait"
		if r.Records == nil {
			until = "until it is over or the request out of time"
		}
		return c.whileWaiting(r, e, "the record is written at this moment "+e.by()+"; the read waits for that, "+until)
	case "malformed":
		if r.Records == nil {
			return none(502, "what stands in the shared tier is no JSON, and there is no source")
		}
		return c.fromSource(r, e, "", "what stands in the shared tier is no JSON, and is loaded anew")
	}
	if r.Records == nil {
		return Next{s.Tier, 404, "", why + ", and the shared tier has no such key"}
	}
	return c.fromSource(r, e, "", why+", nor has the shared tier")
}

// by says whose a lease or a guard is.
func (e *Explanation) by() string {
	if e.Shared.Ours {
		return "through this instance"
	}
	return "elsewhere"
}

// whileWaiting is the answer of a read that has to wait for somebody else.
func (c *Cache) whileWaiting(r *Resource, e *Explanation, why string) Next {
	if c.waiting.Load() >= int64(c.settings.Load().MaxWaiting) {
		return c.failing(r, e, why+"; but as many readers wait already as may (load.max_waiting)")
	}
	return Next{e.Shared.Tier, 0, "", why}
}

// fromCopy is the answer with a value of the shared tier, or what takes its place: see
// query.meetCopy.
func (c *Cache) fromCopy(r *Resource, e *Explanation, why string) Next {
	m, s := &e.Memory, &e.Shared
	n := Next{Tier: s.Tier, Status: 200, Sentence: why + "; the shared tier has the record"}
	if s.State == "missing" {
		n.Status, n.Sentence = 404, why+"; the shared tier knows that there is no such record"
	}
	kept := m.Held || m.Kept || e.lost != nil
	if s.Marked && (s.State == "value" || !kept) || kept && !e.vouched {
		n.Detail = "untracked"
	}
	switch l := e.lost; {
	case l != nil && !e.verified && c.store.Now() >= l.until:
		return c.fromSource(r, e, "", "the change feed is lost for longer than feed.degraded_ttl, and what the shared tier has may be from before that, so it is loaded anew")
	case l != nil && !e.verified:
		n.Sentence += ", which may be from before the change feed was lost, and is loaded anew within feed.degraded_ttl"
	case n.Detail != "" && !s.Marked:
		n.Sentence += "; no connection has been seen to report changes yet"
	case !kept:
		n.Sentence += "; memory does not keep it: it is full, and the key was not asked for lately"
	case int64(s.Bytes) > c.store.MaxValue():
		n.Sentence += "; memory does not keep it: it is larger than a hundredth of memory.budget"
	}
	return n
}

// fromSource is the answer of a read that has to load.
func (c *Cache) fromSource(r *Resource, e *Explanation, detail, why string) Next {
	if g, ok := c.gates.Load(gateKey{r.Source, r.Opened}); ok {
		switch g := g.(*gate.Gate); {
		case g.Check() != nil:
			return c.failing(r, e, why+"; but the source is spared after failures")
		case g.Full():
			return c.failing(r, e, why+"; but as many loads wait for a place as may, or have waited too long (load.max_concurrent)")
		}
	}
	why += ": the record is loaded"
	if e.Alone {
		detail, why = detailUnshared, why+", for this reader alone, since its source forbids to share it"
	}
	return Next{"source", 0, detail, why}
}

// failing is the answer where a load or a wait is refused: see query.orStale.
func (c *Cache) failing(r *Resource, e *Explanation, why string) Next {
	old := e.lost != nil && !e.verified && (e.Shared.State == "value" || e.Shared.State == "missing")
	switch {
	case r.Records == nil:
	case e.stale(r):
		return Next{"stale", e.Memory.status(), "stale", why + ", so an old copy is served"}
	case old && c.store.Now()-e.lost.until < int64(r.TTL.Stale):
		return Next{"stale", 0, "stale", why + ", so the copy from before the loss of the feed is served"}
	}
	return none(503, why)
}
