package cache

import (
	"context"
	"encoding/hex"
	"math"
	"time"

	"hearth/cache/shared"
)

// Explanation is what is known of a key, and what that means for the next read of it. Times
// are in seconds.
type Explanation struct {
	Memory Remembered `json:"memory"`
	Shared Standing   `json:"shared"`
	Open   bool       `json:"write_unconfirmed"` // a write of the key through this instance is not confirmed yet
	Next   Next       `json:"next"`
}

// Remembered is what memory has.
type Remembered struct {
	Held      bool    `json:"held"`
	Fresh     bool    `json:"fresh"`
	Missing   bool    `json:"missing"`   // it remembers that there is no such record
	Untracked bool    `json:"untracked"` // nobody would have told of a change
	Bytes     int     `json:"bytes"`
	ETag      string  `json:"etag,omitempty"`
	Left      float64 `json:"seconds_left"`  // of its life in memory
	Stale     float64 `json:"seconds_stale"` // for which it may still be served marked, should nobody answer
	Link      *Link   `json:"link,omitempty"`
	Reads     float64 `json:"reads_per_second"`
	Hot       bool    `json:"hot"`
}

// Link is the connection that vouches for a record.
type Link struct {
	Open     bool    `json:"open"`
	Proven   bool    `json:"proven"`           // it was seen to report a change
	Flushed  bool    `json:"flushed"`          // all that was read on it before was forgotten
	Verified float64 `json:"verified_seconds"` // since it was last heard of; for a file always 0
}

// Standing is what stands in the key in the shared tier.
type Standing struct {
	Tier   string  `json:"tier"`
	State  string  `json:"state"` // "value", "missing", "lease", "guard", "nothing", "malformed", "unreachable"
	Bytes  int     `json:"bytes"`
	Left   float64 `json:"seconds_left"` // 0: for ever, or not known
	Same   bool    `json:"same_as_memory"`
	Marked bool    `json:"may_lack_writes"` // its server has just taken another's place
}

// Next is what the next GET would be answered with.
type Next struct {
	Tier     string `json:"tier"`   // as in Cache-Status and metrics; "none": an error
	Status   int    `json:"status"` // 0: 200 or 404, as the source has it
	Detail   string `json:"detail,omitempty"`
	Sentence string `json:"sentence"`
}

// Explain looks at a key without changing anything: nothing is counted, read tracked, loaded or
// admitted. Its reading of the shared tier ends with ctx.
func (c *Cache) Explain(ctx context.Context, r *Resource, key string) Explanation {
	e := Explanation{Open: c.writes.has(key)}
	e.Memory = c.remembered(r, key)
	found, err := c.tier.Value(ctx, key)
	if err == nil {
		if timed, failed := c.tier.Get(ctx, key); failed == nil && timed.State == found.State {
			found.TTL = timed.TTL
		}
	}
	e.Shared = c.standing(r, found, err, &e.Memory)
	e.Next = c.foresee(r, key, &e)
	return e
}

func (c *Cache) remembered(r *Resource, key string) (m Remembered) {
	now := c.store.Now()
	defer c.Pin(uint32(now)).Release()
	m.Reads = c.store.Rate(key)
	m.Hot = r.Records != nil && m.Reads > c.settings.Load().HotRate
	v := c.store.Peek(r.Shape, []byte(key))
	if m.Held = v.Found(); !m.Held {
		return m
	}
	t := c.store.Trace(v, now)
	m.Fresh = now < c.store.FreshUntil(v)
	m.Missing, m.Untracked, m.Bytes = v.Missing(), v.Untracked(), len(v.Data())
	if !m.Missing {
		m.ETag = hex.EncodeToString(t.ETag[:])
	}
	m.Left = secondsUntil(c.store.FreshUntil(v), now)
	m.Stale = secondsUntil(c.store.StaleUntil(v, r.TTL.Stale), now)
	if t.Owner != nil {
		m.Link = &Link{Open: !t.Owner.Ended(), Proven: t.Owner.Proven(), Flushed: t.Owner.Epoch() != t.Epoch}
		if !t.Owner.Local() {
			m.Link.Verified = max(0, -secondsUntil(t.Owner.VerifiedAt(), now))
		}
	}
	return m
}

// secondsUntil is how long it is until a clock time, within what a number of JSON can say.
func secondsUntil(at, now int64) float64 {
	const bound = 1e9
	return min(max(math.Round(float64(at-now)/float64(time.Millisecond))/1000, -bound), bound)
}

var stateNames = map[shared.State]string{
	shared.Absent: "nothing", shared.Value: "value", shared.NoRecord: "missing", shared.Lease: "lease", shared.Guard: "guard", shared.Malformed: "malformed",
}

func (c *Cache) standing(r *Resource, found shared.Content, err error, m *Remembered) Standing {
	s := Standing{Tier: c.shared.String()}
	if err != nil {
		s.State = "unreachable"
		return s
	}
	s.State, s.Bytes, s.Left, s.Marked = stateNames[found.State], len(found.Data), found.TTL.Seconds(), found.Unreported
	switch found.State {
	case shared.Value:
		s.Same = m.Held && !m.Missing && m.ETag == r.TagOf(found.Data)
	case shared.NoRecord:
		s.Same = m.Held && m.Missing
	}
	return s
}

// foresee goes the way of a read (query.walk) with what was seen.
func (c *Cache) foresee(r *Resource, key string, e *Explanation) Next {
	m, s := &e.Memory, &e.Shared
	status := 200
	if m.Missing {
		status = 404
	}
	local := m.Link != nil && m.Untracked && s.State != "unreachable"
	switch {
	case m.Held && m.Fresh && !m.Untracked:
		return Next{"memory", status, "", "memory has a fresh copy, and its connection vouches for it"}
	case e.Open && r.Records == nil:
		return Next{"none", 503, "", "a write of the key through this instance is not confirmed, and there is no source to ask instead"}
	case e.Open:
		return c.fromSource(r, m, "", "a write of the key through this instance is not confirmed, so both tiers are passed by")
	case m.Held && m.Fresh && !local:
		return Next{"memory", status, "untracked", "memory has a copy from a moment ago, and nobody would tell of a change"}
	case s.State == "unreachable" && m.Held && !m.Untracked && m.Stale > 0 && m.Link != nil:
		return Next{"stale", status, "stale", "the shared tier cannot be asked; memory has a copy that its connection vouched for until lately"}
	case s.State == "unreachable" && r.Records == nil:
		return Next{"none", 503, "", "the shared tier cannot be asked, and there is no other place to ask"}
	case s.State == "unreachable":
		return c.fromSource(r, m, "untracked", "the shared tier cannot be asked, so the source is")
	}
	detail := ""
	if s.Marked {
		detail = "untracked"
	}
	why := "memory has no copy"
	if m.Held {
		why = "the copy in memory is not fresh any more"
	}
	switch s.State {
	case "value":
		return Next{s.Tier, 200, detail, why + "; the shared tier has the record"}
	case "missing":
		return Next{s.Tier, 404, detail, why + "; the shared tier knows that there is no such record"}
	case "lease":
		return Next{s.Tier, 0, "", "somebody loads the record at this moment; the read waits for that, " + c.settings.Load().Wait.String() + " at most"}
	case "guard":
		return Next{s.Tier, 0, "", "somebody writes the record at this moment; the read waits for that, and passes by the guard at last"}
	case "malformed":
		if r.Records == nil {
			return Next{"none", 502, "", "what stands in the shared tier is no JSON, and there is no source"}
		}
		return c.fromSource(r, m, "", "what stands in the shared tier is no JSON, and is loaded anew")
	}
	if r.Records == nil {
		return Next{s.Tier, 404, "", why + ", and the shared tier has no such key"}
	}
	return c.fromSource(r, m, "", why+", nor has the shared tier")
}

// fromSource is what a read is answered that has to load.
func (c *Cache) fromSource(r *Resource, m *Remembered, detail, why string) Next {
	if !c.BreakerOpen(r.Source, r.Opened) {
		return Next{"source", 0, detail, why + ": the record is loaded"}
	}
	if m.Held && m.Stale > 0 {
		status := 200
		if m.Missing {
			status = 404
		}
		return Next{"stale", status, "stale", why + "; but the source is spared after failures, so an old copy is served"}
	}
	return Next{"none", 503, "", why + "; but the source is spared after failures"}
}
