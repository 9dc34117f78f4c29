package memory

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"

	"hearth/internal/budget"
)

// A large entry lives as long as its slowest reader takes to receive it, whether or not
// memory keeps it. The budget of memory counts what memory keeps. The rest is counted
// here, for all connections together, with one copy for all that read a record at the
// same time.
//
// Entry.state holds both facts in one word, beside the reference bit of the eviction
// clock: whether the entry is in a table, and how many answers are on their way with it.
// Its bytes are taken from the budget of answers exactly while it is in no table and at
// least one answer is on its way:
//
//	                 not in a table       in a table
//	no answer        –                    –
//	answers          taken here           –
//
//	BeginSend, EndSend move between the rows, enteredTable, leftTable between the columns
//
// Each move is one atomic step on the word and sees both facts, so no two moves take or
// return the same bytes.

// LargeAnswers counts answers with large values, and knows which values are large before
// they are read. It is safe for concurrent use.
type LargeAnswers struct {
	budget *budget.Budget

	mu           sync.Mutex
	sending      map[string]*Entry       // by key: entries that were in no table when an answer began
	reservations map[string]*reservation // by key

	// sizes of large values that were read, by a part of the key's hash: the upper half
	// of a word is that of the hash, the lower half the size in bytes.
	sizes [1024]atomic.Uint64
}

// reservation is memory for a value that is about to be read, by any number of readers.
type reservation struct {
	readers int
	bytes   int64
}

func newLargeAnswers(r *budget.Budget) *LargeAnswers {
	if r == nil {
		r = budget.New(1 << 62)
	}
	return &LargeAnswers{budget: r, sending: map[string]*Entry{}, reservations: map[string]*reservation{}}
}

// BeginSend notes that an answer with a large entry is on its way. Beyond the budget it
// does nothing and returns false: the answer must not be given. After true the caller
// calls EndSend when the answer has left, or is given up.
//
// An entry in a table takes none of that budget. Even so it is refused while the budget
// is overdrawn: it may be evicted while its reader receives it, another one come in its
// place, and so on.
func (a *LargeAnswers) BeginSend(e *Entry) bool {
	for {
		was := e.state.Load()
		takes := false
		if was < stateSending {
			switch {
			case was&stateKept == 0:
				if takes = a.budget.TakeAlone(int64(e.size)); !takes {
					return false
				}
			case a.budget.Taken() > a.budget.Size():
				return a.budget.Take(0) // counts the refusal
			}
		}
		if e.state.CompareAndSwap(was, was+stateSending) {
			if takes {
				a.publish(e)
			}
			return true
		}
		if takes {
			a.budget.Return(int64(e.size))
		}
	}
}

// EndSend ends what BeginSend has begun.
func (a *LargeAnswers) EndSend(e *Entry) {
	now := e.state.Add(^uint32(stateSending - 1))
	if now >= stateSending {
		return
	}
	if now&stateKept == 0 {
		a.budget.Return(int64(e.size))
	}
	a.mu.Lock() // also when it is in a table by now: it may have been published before
	defer a.mu.Unlock()
	if a.sending[e.key()] == e {
		delete(a.sending, e.key())
	}
}

// Budget counts the bytes of answers on their way that memory does not keep, those of
// answers that consist of no large entry included.
func (a *LargeAnswers) Budget() *budget.Budget { return a.budget }

// publish makes e the copy that other answers with the same record consist of, too.
func (a *LargeAnswers) publish(e *Entry) {
	if e.keyLen == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sending[e.key()] = e
	if e.state.Load() < stateSending { // EndSend came first, and found nothing to delete
		delete(a.sending, e.key())
	}
}

// Sending returns the copy of a record that is on its way already and has just
// these bytes, or nil.
func (a *LargeAnswers) Sending(sh *Shape, key string, data []byte, flags uint8) *Entry {
	if len(data) < largeBytes {
		return nil
	}
	a.mu.Lock()
	e := a.sending[key]
	a.mu.Unlock()
	if e == nil || e.shape != sh.id || (e.flags^flags)&^flagCompressible != 0 || !bytes.Equal(e.Data(), data) {
		return nil
	}
	return e
}

// enteredTable notes that e is in a table from now on, leftTable that it is no more.
func (a *LargeAnswers) enteredTable(e *Entry) {
	if was := e.state.Or(stateKept); was&stateKept == 0 && was >= stateSending {
		a.budget.Return(int64(e.size))
	}
}

func (a *LargeAnswers) leftTable(e *Entry) {
	if was := e.state.And(^uint32(stateKept)); was&stateKept != 0 && was >= stateSending {
		a.budget.Overdraw(int64(e.size))
	}
}

// Reserve takes budget for the value of a key before it is read, if the value is known to
// be large. With as many readers as there are connections, counting it afterwards would
// come too late. Readers of one key read it together, so they need it once. ok is false
// beyond the budget; else the caller calls done when the value is read.
func (a *LargeAnswers) Reserve(key string) (done func(), ok bool) {
	bytes := a.KnownSize(key)
	if bytes == 0 {
		return func() {}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.reservations[key]
	if r == nil {
		if !a.budget.TakeAlone(bytes) {
			return nil, false
		}
		r = &reservation{bytes: bytes}
		a.reservations[key] = r
	}
	r.readers++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if r.readers--; r.readers == 0 {
			a.budget.Return(r.bytes)
			delete(a.reservations, key)
		}
	}, true
}

const upperHalf uint64 = math.MaxUint32 << 32

// KnownSize is how many bytes the value of a key had when it was last read, if it
// was large; else 0.
func (a *LargeAnswers) KnownSize(key string) int64 {
	hash := HashKey(key)
	if known := a.sizes[hash%uint64(len(a.sizes))].Load(); known != 0 && known&upperHalf == hash&upperHalf {
		return int64(known &^ upperHalf)
	}
	return 0
}

// NoteSize notes the size of a value that memory has not kept, and forgets that of
// one which has become small.
func (a *LargeAnswers) NoteSize(e *Entry, kept bool) {
	at := &a.sizes[e.hash%uint64(len(a.sizes))]
	switch known := at.Load(); {
	case e.Large() && !kept:
		at.Store(e.hash&upperHalf | uint64(e.size))
	case known != 0 && known&upperHalf == e.hash&upperHalf:
		at.Store(0)
	}
}
