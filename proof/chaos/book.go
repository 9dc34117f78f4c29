package main

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const instances = 2

// book knows what was written when, and judges answers by it. Times are
// nanoseconds since it was opened.
type book struct {
	opened    time.Time
	allowance int64 // how old an answer of an instance may be that did not acknowledge the write
	shelves   [resources]shelf

	wipe struct {
		sync.Mutex
		open  int   // removals of everything under way
		ended int64 // when the latest one ended
	}

	reads, marked, refused atomic.Int64
	late                   [len(lateness) + 1]atomic.Int64 // answers older than an acknowledged write, by how much
	worst                  atomic.Int64                    // the largest of these delays, ns

	mu     sync.Mutex
	broken []string // the first violations, in words
	count  int64
}

// lateness are the upper bounds of the classes of delay.
var lateness = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// Resources: free records live in Redis alone, rows in the database.
const (
	free = iota
	row
	resources
)

var resourceNames = [resources]string{"free", "row"}

// shelf is one resource's keys. A place keeps its number; its record is
// replaced when nobody can say any more what it must be.
type shelf struct {
	places []atomic.Pointer[record]
	lastID atomic.Int64
}

// record is the history of one key. One writer at a time writes it, so its
// versions grow with time: version v was acknowledged at acked[v-1].
type record struct {
	resource int
	id       int64

	gone   atomic.Bool             // given up: nobody knows what it must be
	latest atomic.Int64            // the latest acknowledged version
	own    [instances]atomic.Int64 // the latest that this instance acknowledged

	mu      sync.Mutex
	begun   []int64
	acked   []int64
	removed int64 // when the latest removal of this key ended; MaxInt64 while one runs
}

func newBook(p plan) *book {
	b := &book{opened: time.Now(), allowance: int64(p.link + 500*time.Millisecond)}
	for i := range b.shelves {
		b.shelves[i].places = make([]atomic.Pointer[record], p.keys)
	}
	return b
}

func (b *book) now() int64 { return int64(time.Since(b.opened)) }

// fresh is a record under an id that was never used.
func (b *book) fresh(resource int) *record {
	return &record{resource: resource, id: b.shelves[resource].lastID.Add(1)}
}

// publish lets readers ask for the record in this place.
func (b *book) publish(place int, r *record) { b.shelves[r.resource].places[place].Store(r) }

// giveUp empties a place until its writer fills it again: nobody can say what
// an answer about its record must be from now on.
func (b *book) giveUp(resource, place int) {
	if r := b.shelves[resource].places[place].Swap(nil); r != nil {
		r.gone.Store(true)
	}
}

// giveUpAll empties all places.
func (b *book) giveUpAll() {
	for i := range b.shelves {
		for j := range b.shelves[i].places {
			b.giveUp(i, j)
		}
	}
}

// ack notes a write: instance is the one that acknowledged it, or -1.
func (r *record) ack(begun, acked int64, instance int) {
	r.mu.Lock()
	r.begun, r.acked = append(r.begun, begun), append(r.acked, acked)
	version := int64(len(r.acked))
	r.mu.Unlock()
	r.latest.Store(version)
	if instance >= 0 {
		r.own[instance].Store(version)
	}
}

// next is the version that the next write shall have.
func (r *record) next() int64 { return r.latest.Load() + 1 }

func (r *record) removal(at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = at
}

// wiping tells that all keys are about to vanish, wiped that they have.
func (b *book) wiping() {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	b.wipe.open++
}

func (b *book) wiped() {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	b.wipe.open--
	b.wipe.ended = b.now()
}

func (b *book) lastWipe() int64 {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	if b.wipe.open > 0 {
		return math.MaxInt64
	}
	return b.wipe.ended
}

// question is one read under way, with what was known when it was sent.
type question struct {
	rec    *record
	latest int64 // acknowledged by anybody
	own    int64 // acknowledged by the instance that is asked
	sent   int64
}

func (b *book) ask(rec *record, instance int) question {
	return question{rec: rec, own: rec.own[instance].Load(), latest: rec.latest.Load(), sent: b.now()}
}

// judge checks an answer: version is 0 for "no such record".
func (b *book) judge(q question, instance int, version int64, status string) {
	if version >= q.latest && version > 0 || q.rec.gone.Load() {
		return
	}
	q.rec.mu.Lock()
	removed := q.rec.removed
	late := int64(0) // how long before the request a newer version was acknowledged
	if version < q.latest {
		late = q.sent - q.rec.acked[version]
	}
	lastBegun := int64(-1) // of what the instance must show
	if n := b.due(q); n > 0 {
		lastBegun = q.rec.begun[n-1]
	}
	q.rec.mu.Unlock()
	if version == 0 {
		if q.rec.resource == row { // the database has it, whatever Redis lost
			b.violate(q, instance, version, late, status)
			return
		}
		if lastBegun < 0 || removed >= lastBegun || b.lastWipe() >= lastBegun {
			return
		}
		b.violate(q, instance, version, late, status)
		return
	}
	b.delayed(late)
	if version < q.own || late > b.allowance {
		b.violate(q, instance, version, late, status)
	}
}

// due is the version below which an answer to q breaks a promise. The record is locked.
func (b *book) due(q question) int64 {
	n := q.latest
	for n > q.own && q.rec.acked[n-1] > q.sent-b.allowance {
		n--
	}
	return n
}

func (b *book) delayed(d int64) {
	class := 0
	for class < len(lateness) && d > int64(lateness[class]) {
		class++
	}
	b.late[class].Add(1)
	for was := b.worst.Load(); d > was && !b.worst.CompareAndSwap(was, d); was = b.worst.Load() {
	}
}

const brokenShown = 20

func (b *book) violate(q question, instance int, version, late int64, status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if len(b.broken) < brokenShown {
		b.broken = append(b.broken, fmt.Sprintf("at %v: %s:%d on instance %d: version %d, acknowledged before by it %d, by anybody %d, newer since %v (%s)",
			time.Duration(q.sent).Round(time.Millisecond), resourceNames[q.rec.resource], q.rec.id, instance+1, version, q.own, q.latest,
			time.Duration(late).Round(time.Microsecond), status))
	}
}

func (b *book) violations() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}
