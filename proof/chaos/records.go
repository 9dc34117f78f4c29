package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/report"
	"hearth/proof/history"
)

// Resources: free records live in Redis alone, rows in the database.
const (
	free = iota
	row
	resources
)

var resourceNames = [resources]string{"free", "row"}

// forever is the time of what has not ended.
const forever = time.Duration(math.MaxInt64)

// records are what is written and read, and what became of it. A slot's record changes
// under readers; one that they have asked for stays what it was, with its history.
type records struct {
	checker   *history.Checker
	instances int
	slots     [resources][]atomic.Pointer[record] // each is one record at a time; nil: none
	lastID    [resources]atomic.Int64

	wipe struct {
		sync.Mutex
		open  int           // removals of everything under way
		ended time.Duration // when the latest one ended
	}

	reads, marked, refused atomic.Int64
}

// record is one key with its history. A slot's record is replaced when nobody can say
// any more what it must be.
type record struct {
	*history.Record
	resource int
	id       int64
	removed  atomic.Int64 // when the latest removal of this key ended; forever while one runs
}

func newRecords(p plan, instances int) *records {
	b := &records{instances: instances, checker: history.NewChecker(p.link+500*time.Millisecond,
		report.NewDelays(time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond, time.Second, 2*time.Second))}
	for i := range b.slots {
		b.slots[i] = make([]atomic.Pointer[record], p.keys)
	}
	return b
}

// fresh is a record under an id that was never used.
func (b *records) fresh(resource int) *record {
	id := b.lastID[resource].Add(1)
	return &record{Record: history.NewRecord(fmt.Sprintf("%s:%d", resourceNames[resource], id), b.instances), resource: resource, id: id}
}

// choose is one of the first n slots. The square prefers the first of them: hot keys
// meet more writes.
func choose(r *rand.Rand, n int) int {
	x := r.Float64()
	return int(x * x * float64(n))
}

// giveUp empties a slot until its writer fills it again: nobody can say what an answer
// about its record must be from now on.
func (b *records) giveUp(resource, slot int) {
	if r := b.slots[resource][slot].Swap(nil); r != nil {
		r.GiveUp()
	}
}

// giveUpAll empties all slots of these resources.
func (b *records) giveUpAll(resources ...int) {
	for _, resource := range resources {
		for slot := range b.slots[resource] {
			b.giveUp(resource, slot)
		}
	}
}

// wiping tells that all keys are about to vanish from Redis, wiped that they have.
func (b *records) wiping() {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	b.wipe.open++
}

func (b *records) wiped() {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	b.wipe.open--
	b.wipe.ended = b.checker.Now()
}

func (b *records) lastWipe() time.Duration {
	b.wipe.Lock()
	defer b.wipe.Unlock()
	if b.wipe.open > 0 {
		return forever
	}
	return b.wipe.ended
}

// check checks an unmarked answer: version is 0 for "no such record". A removal is noted
// as one without an end before it is sent, so an answer that shows it finds it noted.
func (b *records) check(r *record, q history.Question, version int64, status string) {
	switch {
	case version > 0:
		b.checker.Check(q, version, status)
	case r.resource == row: // the database has it, whatever Redis lost
		b.checker.CheckLost(q, status)
	default:
		b.checker.CheckAbsent(q, max(time.Duration(r.removed.Load()), b.lastWipe()), status)
	}
}
