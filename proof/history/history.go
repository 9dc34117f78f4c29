// Package history knows which versions of records were acknowledged, by which instance
// and when, and checks by that what readers are answered.
//
// A reader takes down what has been acknowledged before it asks, and its answer is
// checked against that and nothing else: what is acknowledged meanwhile, an answer may
// show or not.
package history

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/report"
)

// Record is the history of one record. One client at a time writes it, so its versions
// grow with time.
type Record struct {
	Name string // in messages, such as page:7

	givenUp atomic.Bool
	latest  atomic.Int64   // the latest acknowledged version
	own     []atomic.Int64 // the latest that this instance acknowledged

	mu    sync.Mutex
	begun []time.Duration // version v began to be written at begun[v-1] …
	acked []time.Duration // … and was acknowledged at acked[v-1]
}

// NewRecord returns a record that nobody has written: its version is 0.
func NewRecord(name string, instances int) *Record {
	return &Record{Name: name, own: make([]atomic.Int64, instances)}
}

// Latest is the latest acknowledged version.
func (r *Record) Latest() int64 { return r.latest.Load() }

// GiveUp tells that nobody can say any more what an answer must be: a write of it may
// stand or not, now or later.
func (r *Record) GiveUp() { r.givenUp.Store(true) }

// GivenUp tells whether that was told.
func (r *Record) GivenUp() bool { return r.givenUp.Load() }

// Acknowledge notes that the next version was written from begun to acked; instance is
// the one that has acknowledged it, or -1.
func (r *Record) Acknowledge(begun, acked time.Duration, instance int) {
	r.mu.Lock()
	r.begun, r.acked = append(r.begun, begun), append(r.acked, acked)
	version := int64(len(r.acked))
	r.mu.Unlock()
	if instance >= 0 {
		r.own[instance].Store(version)
	}
	r.latest.Store(version)
}

// Question is one read under way, with what was known when it was sent.
type Question struct {
	Record   *Record
	Instance int           // that is asked
	latest   int64         // acknowledged by anybody
	own      int64         // acknowledged by that instance
	sent     time.Duration // since the checker was made
}

// Checker checks answers. All of it may be used at the same time.
type Checker struct {
	Behind *report.Delays // of answers older than what had been acknowledged before, by how long before

	began     time.Time
	allowance time.Duration
	mu        sync.Mutex
	broken    Violations
}

// Violations are answers that break a promise.
type Violations struct {
	Own      int64    // older than what the instance itself had acknowledged, or not there
	Late     int64    // older than what another had acknowledged longer ago than is allowed
	Examples []string // the first of them, in words
}

// examplesShown bounds how many violations are told in words.
const examplesShown = 20

// NewChecker returns a checker. An answer of an instance may be as much as allowance
// behind what others have acknowledged.
func NewChecker(allowance time.Duration, behind *report.Delays) *Checker {
	return &Checker{Behind: behind, began: time.Now(), allowance: allowance}
}

// Now is the time on the checker's clock.
func (c *Checker) Now() time.Duration { return time.Since(c.began) }

// Allowance is what an answer may be behind.
func (c *Checker) Allowance() time.Duration { return c.allowance }

// Ask notes a question that is about to be sent.
func (c *Checker) Ask(r *Record, instance int) Question {
	return Question{Record: r, Instance: instance, own: r.own[instance].Load(), latest: r.latest.Load(), sent: c.Now()}
}

// Check checks an answer that shows a version. about is for messages.
func (c *Checker) Check(q Question, version int64, about string) {
	if version >= q.latest || q.Record.GivenUp() {
		return
	}
	late := q.late(version)
	c.Behind.Add(late)
	if version < q.own || late > c.allowance {
		c.violated(q, version, version < q.own, late, about)
	}
}

// CheckAbsent checks an answer that there is no such record, which may be as it was
// removed at the time removed, or later.
func (c *Checker) CheckAbsent(q Question, removed time.Duration, about string) {
	if q.Record.GivenUp() {
		return
	}
	if begun, found := c.mustShow(q); found && removed < begun {
		c.violated(q, 0, true, q.late(0), about)
	}
}

// CheckLost notes an answer that there is no such record, where nothing can have
// removed it.
func (c *Checker) CheckLost(q Question, about string) {
	if !q.Record.GivenUp() {
		c.violated(q, 0, true, q.late(0), about)
	}
}

// late is how long before the question a version newer than this one was acknowledged.
func (q Question) late(version int64) time.Duration {
	if version >= q.latest {
		return 0
	}
	q.Record.mu.Lock()
	defer q.Record.mu.Unlock()
	return q.sent - q.Record.acked[version]
}

// mustShow is when the oldest version that the answer may show began to be written.
func (c *Checker) mustShow(q Question) (begun time.Duration, found bool) {
	q.Record.mu.Lock()
	defer q.Record.mu.Unlock()
	n := q.latest
	for n > q.own && q.Record.acked[n-1] > q.sent-c.allowance {
		n--
	}
	if n == 0 {
		return 0, false
	}
	return q.Record.begun[n-1], true
}

func (c *Checker) violated(q Question, version int64, own bool, late time.Duration, about string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own {
		c.broken.Own++
	} else {
		c.broken.Late++
	}
	if len(c.broken.Examples) < examplesShown {
		c.broken.Examples = append(c.broken.Examples, fmt.Sprintf("at %v: %s on instance %d: version %d, acknowledged before by it %d, by anybody %d, newer since %v (%s)",
			q.sent.Round(time.Millisecond), q.Record.Name, q.Instance+1, version, q.own, q.latest, late.Round(time.Microsecond), about))
	}
}

// Violations are those so far.
func (c *Checker) Violations() Violations {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}
