package memory

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"

	"hearth/internal/budget"
)

// A large entry lives as long as the slowest of its readers takes to read it,
// whether or not memory keeps it. What memory keeps the budget counts; what it
// does not is counted here, for all connections together, and there is one copy
// of it for all who read it at the same time.
//
// The state of an entry in this respect is one word, beside its reference bit:
// whether it is in a table, and how many answers are on their way with it. Its
// bytes are taken from the budget exactly while it is in no table and at least one
// answer is. Each step that changes one of the two sees both, so none of them
// takes or gives twice.

// largeFrom is the size from which on entries are counted. What is smaller has
// mostly left with a single write.
const largeFrom = 64 << 10

// The parts of Entry.used.
const (
	usedRead = 1 << iota // since the hand of the eviction clock last passed
	usedKept             // in a table
	usedSent             // one answer on its way; they add up
)

// Large tells whether answers with the entry have to be counted by Send.
func (e *Entry) Large() bool { return e.size >= largeFrom }

// Size is the bytes that the entry takes.
func (e *Entry) Size() int64 { return int64(e.size) }

// LargeAnswers are the large values that memory does not keep and answers are on their
// way with, by key; and what is known of values that come.
type LargeAnswers struct {
	budget *budget.Budget

	mu    sync.Mutex
	sent  map[string]*Entry
	reads map[string]*claim

	// sizes are those of large values that were read, by a part of the key's
	// hash, which stands in the upper half.
	sizes [1024]atomic.Uint64
}

// claim is room for a value that is about to be read, by any number of readers.
type claim struct {
	readers int
	bytes   int64
}

func newLargeAnswers(r *budget.Budget) *LargeAnswers {
	if r == nil {
		r = budget.New(1 << 62)
	}
	return &LargeAnswers{budget: r, sent: map[string]*Entry{}, reads: map[string]*claim{}}
}

// BeginSend notes that an answer with a large entry is on its way. Without room it
// does nothing and returns false: the answer must not be given. Else Sent has to
// be called when it has left, or is given up.
//
// An entry in a table takes no room. Even so it is refused while there is none
// left at all: it may be evicted while its reader reads, and another one come in
// its place, and so on.
func (a *LargeAnswers) BeginSend(e *Entry) bool {
	for {
		was := e.used.Load()
		takes := false
		if was < usedSent {
			switch {
			case was&usedKept == 0:
				if takes = a.budget.TakeAlone(int64(e.size)); !takes {
					return false
				}
			case a.budget.Taken() > a.budget.Size():
				return a.budget.Take(0) // counts the refusal
			}
		}
		if e.used.CompareAndSwap(was, was+usedSent) {
			if takes {
				a.share(e)
			}
			return true
		}
		if takes {
			a.budget.Return(int64(e.size))
		}
	}
}

// EndSend ends what Send has begun.
func (a *LargeAnswers) EndSend(e *Entry) {
	now := e.used.Add(^uint32(usedSent - 1))
	if now >= usedSent {
		return
	}
	if now&usedKept == 0 {
		a.budget.Return(int64(e.size))
	}
	a.mu.Lock() // also of what is kept by now: it may have been shared before
	defer a.mu.Unlock()
	if a.sent[e.key()] == e {
		delete(a.sent, e.key())
	}
}

// Budget is the memory for answers on their way that memory does not keep. Take
// what is neither an entry nor a part of one from it, too.
func (a *LargeAnswers) Budget() *budget.Budget { return a.budget }

// share makes e the copy that others answer with, too.
func (a *LargeAnswers) share(e *Entry) {
	if e.keyLen == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[e.key()] = e
	if e.used.Load() < usedSent { // it has been sent in the meantime
		delete(a.sent, e.key())
	}
}

// Sending returns the copy of a record that is on its way already and has just
// these bytes, or nil.
func (a *LargeAnswers) Sending(sh *Shape, key string, data []byte, flags uint8) *Entry {
	if len(data) < largeFrom {
		return nil
	}
	a.mu.Lock()
	e := a.sent[key]
	a.mu.Unlock()
	if e == nil || e.shape != sh.id || (e.flags^flags)&^flagCompressible != 0 || !bytes.Equal(e.Data(), data) {
		return nil
	}
	return e
}

// entered notes that e is in a table from now on, left that it is no more.
func (a *LargeAnswers) entered(e *Entry) {
	if was := e.used.Or(usedKept); was&usedKept == 0 && was >= usedSent {
		a.budget.Return(int64(e.size))
	}
}

func (a *LargeAnswers) left(e *Entry) {
	if was := e.used.And(^uint32(usedKept)); was&usedKept != 0 && was >= usedSent {
		a.budget.Overdraw(int64(e.size))
	}
}

// Reserve takes room for the value of a key before it is read, if it is known to be
// large: with as many readers as there are connections, it would be too late
// afterwards. Those who read one key read it together, so they need it once.
// Without room ok is false; else done has to be called when it is read.
func (a *LargeAnswers) Reserve(key string) (done func(), ok bool) {
	bytes := a.KnownSize(key)
	if bytes == 0 {
		return func() {}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cl := a.reads[key]
	if cl == nil {
		if !a.budget.TakeAlone(bytes) {
			return nil, false
		}
		cl = &claim{bytes: bytes}
		a.reads[key] = cl
	}
	cl.readers++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if cl.readers--; cl.readers == 0 {
			a.budget.Return(cl.bytes)
			delete(a.reads, key)
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
