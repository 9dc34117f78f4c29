package main

import (
	"fmt"
	"sync"
	"time"

	"hearth/bench/load"
)

// Operations that clients do.
const (
	opRead  = iota // of a record that is there
	opLoad         // of a record whose copy another program has just deleted
	opPut          // of a row
	opBatch        // of items that are in the shared tier alone
	ops
)

var opNames = [ops]string{"reads", "loads", "writes", "batches"}

// tally is what clients were answered about one group of records: those of one master,
// or all of them.
type tally struct {
	mu     sync.Mutex
	good   [ops]int64
	memory int64 // of the reads that were good, hits in memory
	bad    []event
	more   int64 // further bad ones, past the bound
}

// forget begins anew.
func (t *tally) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.good, t.memory, t.bad, t.more = [ops]int64{}, 0, nil, 0
}

// counts is how often each operation went well.
func (t *tally) counts() [ops]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.good
}

// event is an answer that was not what clients want: marked, or refused.
type event struct {
	at   time.Duration // since the checker was made; when it was answered
	op   int
	from int    // the instance that answered
	mark bool   // it was marked; else refused
	what string // in words
}

func (e event) String() string {
	return fmt.Sprintf("at %v: %s", e.at.Round(time.Millisecond), e.what)
}

// eventsKept bounds what is remembered.
const eventsKept = 200_000

func (t *tally) ok(op int, from load.Tier) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.good[op]++
	if op == opRead && from == load.Memory {
		t.memory++
	}
}

func (t *tally) fail(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.bad) == eventsKept {
		t.more++
		return
	}
	t.bad = append(t.bad, e)
}

// since are the bad events at or after a time; of them, the first and how many.
func (t *tally) since(at time.Duration) (first *event, n int64) {
	return t.which(func(e event) bool { return e.at >= at })
}

// which are bad events of some kind, and those that are not remembered.
func (t *tally) which(kind func(e event) bool) (first *event, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.bad {
		if kind(t.bad[i]) {
			if first == nil {
				e := t.bad[i]
				first = &e
			}
			n++
		}
	}
	return first, n + t.more
}

// last is when the last bad event was, 0 if there was none.
func (t *tally) last() (at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.bad {
		at = max(at, e.at)
	}
	return at
}

// worst is how many events there were, how many of them were marks, and the longest time
// in which there was a bad one at least every gap.
func (t *tally) worst(gap time.Duration) (n, marks int64, longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var began, was time.Duration
	for i, e := range t.bad {
		if e.mark {
			marks++
		}
		if i == 0 || e.at > was+gap {
			began = e.at
		}
		was = max(was, e.at)
		longest = max(longest, was-began)
	}
	return int64(len(t.bad)) + t.more, marks, longest
}

// String tells of all of it.
func (t *tally) String() string {
	n, marks, _ := t.worst(time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	text := ""
	for op, good := range t.good {
		text += fmt.Sprintf("%d %s, ", good, opNames[op])
		if op == opRead {
			text += fmt.Sprintf("%d of them from memory, ", t.memory)
		}
	}
	return text + fmt.Sprintf("%d marked, %d refused", marks, n-marks)
}
