package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/cache/shared"
)

// Explanation is what is known of a key, and what that means for the next read of it. Times
// are in seconds.
type Explanation struct {
	Memory Remembered `json:"memory"`
	Shared Standing   `json:"shared"`
	Open   bool       `json:"write_unconfirmed"` // a write of the key through this instance is not confirmed yet
	Alone  bool       `json:"unshared"`          // its source has lately forbidden to share the record
	Next   Next       `json:"next"`

	full     bool // server.max_in_flight is reached
	readable bool // the tier says that it can be asked
	vouched  bool // some connection has been seen to report changes
	lost     *loss
	verified bool // what stands there is known to be loaded since the feed was lost
}

// Remembered is what memory has.
type Remembered struct {
	Held      bool    `json:"held"`
	Fresh     bool    `json:"fresh"`
	Missing   bool    `json:"missing"`   // it remembers that there is no such record
	Untracked bool    `json:"untracked"` // nobody would have told of a change
	Bytes     int     `json:"bytes"`
	ETag      string  `json:"etag,omitempty"`
	Large     bool    `json:"large"`         // answers with it are counted
	Over      bool    `json:"lifetime_over"` // the shared tier's copy has expired since
	Kept      bool    `json:"would_be_kept"` // were it read now: memory has room, or the key was missed before
	Left      float64 `json:"seconds_left"`  // of its life in memory
	Stale     float64 `json:"seconds_stale"` // for which it may still be served marked, should nobody answer
	Link      *Link   `json:"link,omitempty"`
	Reads     float64 `json:"reads_per_second"`
	Hot       bool    `json:"hot"`
}

// Link is the connection that vouches for a record.
type Link struct {
	Local    bool    `json:"none"` // there was none: the record was loaded while the shared tier was away
	Open     bool    `json:"open"`
	Proven   bool    `json:"proven"`           // it was seen to report a change
	Flushed  bool    `json:"flushed"`          // all that was read on it before was forgotten
	Verified float64 `json:"verified_seconds"` // since it was last heard of; for a file always 0
}

// Standing is what stands in the key in the shared tier.
type Standing struct {
	Tier   string  `json:"tier"`
	State  string  `json:"state"` // "value", "missing", "lease", "guard", "nothing", "malformed", "refused", "unreachable"
	Bytes  int     `json:"bytes"`
	Left   float64 `json:"seconds_left"` // 0: for ever, or not known
	Same   bool    `json:"same_as_memory"`
	Marked bool    `json:"may_lack_writes"`  // its server has just taken another's place
	Ours   bool    `json:"of_this_instance"` // the load or write that a lease or a guard is of
}

// Next is what the next GET would be answered with.
type Next struct {
	Tier     string `json:"tier"`   // as in Cache-Status and metrics; "none": an error
	Status   int    `json:"status"` // 0: 200 or 404, as the source has it
	Detail   string `json:"detail,omitempty"`
	Sentence string `json:"sentence"`
}

// Explain looks at a key without changing anything: nothing is counted, read tracked, loaded or
// admitted. Its reading of the shared tier ends with ctx. full tells that there is no place for
// work beyond memory (server.max_in_flight).
func (c *Cache) Explain(ctx context.Context, r *Resource, key string, full bool) Explanation {
	found, err := c.timed(ctx, key)
	e := c.explained(ctx, r, key, found, err, full)
	e.Next = c.foresee(r, key, &e)
	return e
}

// timed reads a key plainly, with what is left of its lifetime if the tier says so.
func (c *Cache) timed(ctx context.Context, key string) (found shared.Content, err error) {
	found, err = c.tier.Value(ctx, key)
	if err == nil {
		if timed, failed := c.tier.Get(ctx, key); failed == nil && timed.State == found.State {
			found.TTL = timed.TTL
		}
	}
	return found, err
}

// ExplainMany is Explain for a many-read, which has one answer for all.
func (c *Cache) ExplainMany(ctx context.Context, r *Resource, keys []string, full bool) Next {
	asked := len(keys)
	keys = slices.Clone(keys)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	var farthest Next
	counts := map[string]int{}
	for i, found := range c.tier.Values(ctx, keys) {
		if r.Degraded() { // what is left of the lifetime counts, too
			found.Content, found.Err = c.timed(ctx, keys[i])
		}
		e := c.explained(ctx, r, keys[i], found.Content, found.Err, full)
		n := c.foresee(r, keys[i], &e)
		if n.Tier == TierNone.String() {
			n.Sentence = "one of " + strconv.Itoa(asked) + " records fails all: for key " + strconv.Quote(keys[i]) + " " + n.Sentence
			return n
		}
		counts[n.Tier]++
		if tierNamed(n.Tier) > tierNamed(farthest.Tier) {
			farthest = n
		}
	}
	var parts []string
	for _, t := range Tiers {
		if n := counts[t.String()]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" from "+t.String())
		}
	}
	farthest.Status = 200
	farthest.Sentence = "of " + strconv.Itoa(len(keys)) + " records, each counted once, " + strings.Join(parts, ", ") + "; of the farthest: " + farthest.Sentence
	return farthest
}

// tierNamed is the tier of that name.
func tierNamed(name string) Tier {
	for _, t := range Tiers {
		if t.String() == name {
			return t
		}
	}
	return TierNone
}

// explained is what is known of a key of which that was found.
func (c *Cache) explained(ctx context.Context, r *Resource, key string, found shared.Content, err error, full bool) Explanation {
	e := Explanation{Open: c.writes.has(key), Alone: r.Records != nil && c.flights.unshared.has(key, c.store.Now()), full: full, readable: c.tier.Readable(key) == nil, lost: r.lost.Load()}
	e.Memory = c.remembered(r, key)
	e.Shared = c.standing(r, key, found, err, &e.Memory)
	for o := range c.store.Owners {
		e.vouched = e.vouched || o != c.local && !o.Ended() && o.Proven()
	}
	if e.lost != nil && err == nil {
		if verify := c.marks(ctx, r, []string{key}); verify != nil {
			e.verified = verify(0, found) == e.lost
		}
	}
	return e
}

func (c *Cache) remembered(r *Resource, key string) (m Remembered) {
	now := c.store.Now()
	defer c.Pin(uint32(now)).Release()
	m.Reads = c.store.Rate(key)
	m.Hot = r.Records != nil && m.Reads > c.settings.Load().HotRate
	m.Kept = m.Hot || c.store.WouldAdmit(key)
	v := c.store.Peek(r.Shape, []byte(key))
	if m.Held = v.Found(); !m.Held {
		return m
	}
	t := c.store.Trace(v, now)
	m.Large, m.Over = v.Large(), now >= v.SharedExpiry(now)
	m.Fresh = now < c.store.FreshUntil(v)
	m.Missing, m.Untracked, m.Bytes = v.Missing(), v.Untracked(), len(v.Data())
	if !m.Missing {
		m.ETag = hex.EncodeToString(t.ETag[:])
	}
	m.Left = secondsUntil(c.store.FreshUntil(v), now)
	m.Stale = secondsUntil(c.store.StaleUntil(v, r.TTL.Stale), now)
	if t.Owner != nil {
		m.Link = &Link{Local: t.Owner == c.local, Open: !t.Owner.Ended(), Proven: t.Owner.Proven(), Flushed: t.Owner.Epoch() != t.Epoch}
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

func (c *Cache) standing(r *Resource, key string, found shared.Content, err error, m *Remembered) Standing {
	s := Standing{Tier: c.shared.String()}
	if err != nil {
		s.State = "unreachable"
		if errors.Is(err, ErrRefused) {
			s.State = "refused"
		}
		return s
	}
	s.State, s.Bytes, s.Left, s.Marked = stateNames[found.State], len(found.Data), found.TTL.Seconds(), found.Unreported
	switch found.State {
	case shared.Value:
		s.Same = m.Held && !m.Missing && m.ETag == r.TagOf(found.Data)
	case shared.NoRecord:
		s.Same = m.Held && m.Missing
	case shared.Lease:
		s.Ours = c.flights.loadOf(r, key, strings.TrimPrefix(found.Text, shared.LeasePrefix)) != nil
	case shared.Guard:
		s.Ours = c.writes.guards(key, found.Text)
	}
	return s
}

// Readable tells why a key cannot be asked for, nil if it can.
func (c *Cache) Readable(key string) error { return c.tier.Readable(key) }
